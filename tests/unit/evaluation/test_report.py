from luthier.core.recipe import GatesSection
from luthier.core.rows import RowLoss
from luthier.evaluation.assessment import Context, assess
from luthier.evaluation.diagnosis import diagnose
from luthier.evaluation.facts import AnswerScore
from luthier.evaluation.measured import Measured
from luthier.evaluation.report import choose_examples, render_report, worst_answers


def answer(number, recalled, wrong=(), text="Some answer."):
    return AnswerScore(f"Question {number}?", ("€14",), text, recalled, wrong, not recalled)


def test_the_report_has_the_verdict_first_and_figures_side_by_side():
    rows = [RowLoss(f"row-{index}", 10.0, 10, 0) for index in range(20)]
    worse = [RowLoss(f"row-{index}", 30.0, 10, 0) for index in range(20)]
    base = Measured("base-1", test=worse, answers=[answer(1, False, ("9.00 EUR",), "It is\n€9.")])
    report = render_report(assess(GatesSection(), Measured("run-1", rows, answers=[answer(1, True)]), base, Context()))
    lines = report.splitlines()
    assert lines[:3] == [
        "# Evaluation of run-1",
        "",
        "**INCONCLUSIVE: there is not enough evidence to release this run.**",
    ]
    row = next(line for line in lines if line.startswith("| test loss"))
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "test loss (nats per token)",
        "1.000 [1.000, 1.000]",
        "3.000 [3.000, 3.000]",
        "-2.000 [-2.000, -2.000]",
    ]
    assert "**Question 1?** (expected: €14)" in lines
    assert "- base-1: It is €9. (not recalled; wrong: 9.00 EUR; never stopped)" in lines
    assert "## Wrong answers" not in lines


def test_without_any_measurement_the_report_still_says_why():
    report = render_report(assess(GatesSection(), Measured("run-1"), Measured("base-1"), Context()))
    assert "no test rows" in report
    assert "## Figures" not in report


def test_long_answers_are_cut():
    pair = [answer(1, True, text="word " * 200)]
    report = render_report(
        assess(GatesSection(loss=None), Measured("r", answers=pair), Measured("b", answers=pair), Context())
    )
    assert max(map(len, report.splitlines())) < 260
    assert "…" in report


def test_examples_show_gains_first_and_losses_first():
    pairs = [
        (answer(1, True), answer(1, True)),
        (answer(2, True), answer(2, False)),
        (answer(3, False), answer(3, False)),
        (answer(4, False, ("9.00 EUR",)), answer(4, False)),
        (answer(5, False), answer(5, True)),
    ]
    right, wrong = choose_examples(pairs, 2)
    assert [pair[0].question for pair in right] == ["Question 2?", "Question 1?"]
    assert [pair[0].question for pair in wrong] == ["Question 5?", "Question 4?"]


def test_the_report_says_how_the_training_went():
    found = diagnose([{"step": step, "loss": 2.0} for step in range(1, 30)], [])
    report = render_report(assess(GatesSection(), Measured("run-1"), Measured("base-1"), Context(diagnosis=found)))
    assert "## How the training went\n\n**Underfitting.** The training loss went from 2.000 to 2.000 only." in report


def test_shares_differ_by_points_and_what_was_forgotten_is_said():
    ours, theirs = [answer(number, True) for number in range(20)], [answer(number, False) for number in range(20)]
    general = [RowLoss(f"general-{index}", 20.0, 10, 0) for index in range(12)]
    base = Measured("base-1", answers=theirs, general=general)
    worse = [RowLoss(row.row_id, 25.0, 10, 0) for row in general]
    report = render_report(assess(GatesSection(), Measured("r", answers=ours, general=worse), base, Context(base=base)))
    row = next(line for line in report.splitlines() if line.startswith("| questions with every fact"))
    assert row.rstrip("| ").endswith("+100.0 [+100.0, +100.0]")
    assert "changed by +0.500 nats per token beside base-1 [+0.500, +0.500]. No general skill was lost" in report


def test_parts_have_a_table():
    pairs = [AnswerScore(f"{n}?", ("x",), "x", True, (), False, "ab"[n % 2]) for n in range(20)]
    one = Measured("r", answers=pairs)
    report = render_report(assess(GatesSection(), one, one, Context()))
    assert "| topic: a | 10 " in report.replace("  ", " ")


def test_the_worst_answers_come_in_the_order_of_what_they_cost():
    fine, lost, wrong, invented, plain = (
        (answer(1, True), answer(2, True)),
        (answer(3, False), answer(3, True)),
        *(
            (score, answer(0, False))
            for score in (
                answer(4, False, ("9.00 EUR",)),
                AnswerScore("Question 5?", ("€14",), "x", True, (), False, unsupported=("Marlow",)),
                AnswerScore("Question 6?", ("€14",), "x", False, (), False),
            )
        ),
    )
    chosen = worst_answers([fine, plain, invented, wrong, lost], 10)
    assert [pair[0].question for pair in chosen] == ["Question 3?", "Question 4?", "Question 5?", "Question 6?"]
    assert worst_answers([plain, lost], 1) == [lost]
    report = render_report(
        assess(GatesSection(), *(Measured("m", answers=[pair[0] for pair in (invented,)]),) * 2, Context())
    )
    assert "(right; unsupported: Marlow)" in report
