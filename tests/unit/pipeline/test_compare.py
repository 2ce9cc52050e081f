import shutil

import pytest

import luthier
from luthier.core.errors import EvaluationError, RecipeError
from luthier.pipeline.engine import RunsGenerator


def models(project):
    return project.registry.latest("run").id, project.registry.latest("base").id


def test_votes_are_kept_and_go_on_where_they_stopped(evaluated, reporter):
    one, other = models(evaluated)
    first = luthier.compare(evaluated, one, other)
    assert [step[:3] for step in reporter.steps if step[0].startswith("asking")][-1] == (
        f"asking {one} and {other}",
        8,
        8,
    )
    assert len(first.pairs) + first.same == 4
    assert first.pairs, "the tiny models answer alike, so that nothing is shown"
    pair = next(first.open_pairs())
    first.vote(pair, "one")
    again = luthier.compare(evaluated, one, other)
    assert again.votes == {pair.question: "one"}
    assert pair not in list(again.open_pairs())
    figures = again.to_json()
    assert (figures["one"], figures["other"], figures["judge"]) == (one, other, None)
    assert (figures["people"]["votes"], figures["people"]["win_rate"]["value"]) == (1, 1.0)
    assert figures["left"] == figures["pairs"] - 1


@pytest.mark.parametrize("line", ['{"question": "ha', '{"question": "When?", "winner": "both"}', "3", '{"winner": []}'])
def test_a_line_that_is_no_vote_is_named(evaluated, line):
    one, other = models(evaluated)
    first = luthier.compare(evaluated, one, other)
    first.vote(first.pairs[0], "tie")
    first.path.write_text(first.path.read_text() + line, encoding="utf-8")
    with pytest.raises(EvaluationError, match="line 2: no vote"):
        luthier.compare(evaluated, one, other)


def test_what_the_base_model_said_to_the_evaluation_is_not_asked_again(evaluated, monkeypatch):
    asked = []

    def noted(generator, requests):
        asked.extend(request.model for request in requests)
        yield from stream(generator, requests)

    stream = RunsGenerator.stream
    monkeypatch.setattr(RunsGenerator, "stream", noted)
    one, other = models(evaluated)
    found = luthier.compare(evaluated, one, other)
    assert asked == [one] * 4
    shutil.rmtree(evaluated.workspace.measured(other))
    assert luthier.compare(evaluated, one, other).pairs == found.pairs
    assert asked == [one] * 4 + [one] * 4 + [other] * 4


def test_votes_on_other_answers_do_not_count(evaluated):
    one, other = models(evaluated)
    first = luthier.compare(evaluated, one, other)
    first.vote(first.pairs[0], "one")
    assert luthier.compare(evaluated, other, one).votes == {}


def test_a_judge_stands_beside_people(evaluated, reporter):
    one, other = models(evaluated)
    luthier.compare(evaluated, one, other).vote(luthier.compare(evaluated, one, other).pairs[0], "tie")
    figures = luthier.compare(evaluated, one, other, judge=lambda _: "1").to_json()
    both = 2 * figures["pairs"]
    assert [step[1:3] for step in reporter.steps if step[0] == "asking the judge"][-1] == (both, both)
    assert figures["judge"]["position_decided"] == figures["judge"]["votes"] == figures["pairs"]
    assert (figures["judge"]["win_rate"]["value"], figures["judge"]["agreement"]["value"]) == (0.5, 1.0)
    nonsense = luthier.compare(evaluated, one, other, judge=lambda _: "well").to_json()
    assert (nonsense["judge"]["votes"], nonsense["judge"]["unusable"]) == (0, figures["pairs"])


def test_what_cannot_be_compared(evaluated, evaluated_shop):
    one, other = models(evaluated)
    with pytest.raises(EvaluationError, match="is no model to compare"):
        luthier.compare(evaluated, one, evaluated.registry.latest("dataset").id)
    with (
        luthier.open_project(evaluated_shop, overrides=["evaluation={gates: {loss: no_worse}}"]) as project,
        pytest.raises(RecipeError, match="no questions to compare"),
    ):
        luthier.compare(project, one, other)
