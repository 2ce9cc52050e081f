import pytest

import luthier


def test_a_plan_is_measured_and_recorded(prepared, reporter):
    planned = luthier.plan(prepared)
    figures = planned.figures
    assert 0 < figures.seconds.low <= figures.seconds.expected <= figures.seconds.high
    adapter = 16 * sum_of_sides()
    assert figures.memory.weights == 4 * (sum_of_weights() + adapter)
    assert (figures.memory.gradients, figures.memory.optimiser) == (4 * adapter, 8 * adapter)
    assert figures.data.enough is False
    recorded = prepared.registry.get(planned.plan)
    assert recorded.summary["memory_bytes"] == figures.memory.total
    assert [step[1:3] for step in reporter.steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def sum_of_weights():
    """Of the tiny Llama: embeddings (tied to the head), two layers, norms."""
    hidden, intermediate, vocabulary, key_values = 32, 64, 320, 16
    attention = 2 * hidden * hidden + 2 * hidden * key_values
    return vocabulary * hidden + 2 * (attention + 3 * hidden * intermediate + 2 * hidden) + hidden


def sum_of_sides():
    """Inputs and outputs of all matrices that get an adapter: r of it is the adapter's size."""
    return 2 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 64))


def test_a_plan_costs_what_the_machine_costs(prepared_shop):
    with luthier.open_project(prepared_shop, overrides=["planning.price_per_hour=7200"]) as project:
        figures = luthier.plan(project).figures
    assert figures.cost.expected == pytest.approx(2 * figures.seconds.expected)


def test_a_plan_changes_no_weight(prepared):
    luthier.plan(prepared)
    run = luthier.train(prepared).run
    luthier.plan(prepared)
    assert luthier.train(prepared).run == run


def test_check_findings_are_recorded(prepared, reporter):
    checked = luthier.check(prepared)
    assert [finding.check for finding in checked.findings] == [
        *("token_ids", "longest_row", "start_token", "end_token"),
        *("trainable_weights", "zero_weights", "weight_sizes", "update_ratio"),
        *("activations", "gradient_ratio", "first_loss", "gradient", "overfit_rows"),
    ]
    by_name = {finding.check: finding for finding in checked.findings}
    assert by_name["first_loss"].verdict == "warn"  # random weights are hardly better than guessing
    assert by_name["gradient"].verdict == "pass"
    worst = "fail" if "fail" in {finding.verdict for finding in checked.findings} else "warn"
    assert checked.verdict == worst
    recorded = prepared.registry.get(checked.report)
    assert recorded.summary["verdict"] == worst
    assert {parent.partition("-")[0] for parent in recorded.parents} == {"base", "dataset"}
    assert reporter.steps[-1][:3] == ("learning eight rows by heart", 60, 60)
