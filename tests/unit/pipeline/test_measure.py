import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

import luthier
from luthier.core.errors import EvaluationError
from luthier.core.rows import Origin, Row
from luthier.evaluation import GoldenQuestion
from luthier.models.losses import RowsLoss
from luthier.pipeline.base import open_base
from luthier.pipeline.engine import RunsGenerator
from luthier.pipeline.measure import MOST_REPLIES, find_tested_leaks, measure_models, set_exam

QUESTION = GoldenQuestion("How much is it?", ("€3",))


def row(number, *turns, **fields):
    roles = ("user", "assistant") * len(turns)
    messages = tuple({"role": role, "content": turn} for role, turn in zip(roles, turns, strict=False))
    return Row(f"row-{number}", Origin("chats.jsonl", number), messages, **fields)


def test_prompts_are_those_of_rows_that_end_with_an_answer_and_leave_room(evaluated):
    test = [
        row(1, "Is it there?", "Yes, it is."),
        row(2, "Is it there?", "Yes.", "And now?", "It is gone."),
        row(3, "word " * 200, "Too long a question."),
        row(4, "Who asks?"),
        row(5, "Call it.", "Done.", tools=({"type": "function"},)),
        Row("row-6", Origin("book.md", 6), text="Plain text has no prompt."),
    ]
    exam = set_exam(open_base(evaluated), [], [], [one for one in test if one.id != "row-5"], [QUESTION], longest=120)
    assert [(reply.row_id, reply.expected) for reply in exam.replies] == [
        ("row-1", "Yes, it is."),
        ("row-2", "It is gone."),
    ]
    assert [len(prompt) for prompt in exam.prompts] == [1, 3]
    assert exam.replies[1].prompt == "And now?"


def test_at_most_so_many_test_rows_are_answered(evaluated):
    test = [row(number, f"Question {number}?", "Yes, it is.") for number in range(MOST_REPLIES + 5)]
    assert len(set_exam(open_base(evaluated), [], [], test, [], longest=200).replies) == MOST_REPLIES


def test_what_is_known_of_test_rows(evaluated):
    test = [row(1, "How do I return the chair that came on Monday?", "Returns are free within 30 days, it is €3.")]
    found = set_exam(open_base(evaluated), [], [], test, [], longest=200).held_out["row-1"]
    assert (found.source, found.language, found.words) == ("chats.jsonl", "en", 19)
    assert found.target_bytes == len("Returns are free within 30 days, it is €3.\n".encode()) - 1


def test_customers_support_no_value_and_agents_do(evaluated):
    trained = [row(1, "Is it €9 at the Marlow shop?", "No, it is €3.")]
    support = set_exam(open_base(evaluated), trained, [], [], [], longest=200).trained
    assert {fact.value for fact in support.facts} == {"3.00 EUR"}
    assert "marlow" in support.words


def test_of_very_many_training_texts_some_are_read(evaluated, monkeypatch):
    monkeypatch.setattr("luthier.pipeline.measure.MOST_TEXTS", 10)
    trained = [row(number, "What is it?", f"It costs €{number}.") for number in range(1, 96)]
    support = set_exam(open_base(evaluated), trained, [], [], [], longest=200).trained
    assert len(support.facts) == 10


def test_a_question_that_is_timed_is_computed_again(evaluated, monkeypatch):
    asked = []

    def noted(generator, requests):
        asked.extend(requests)
        yield from stream(generator, requests)

    stream = RunsGenerator.stream
    monkeypatch.setattr(RunsGenerator, "stream", noted)
    base = open_base(evaluated)
    model = base.artefact.id
    exam = replace(set_exam(base, [], [], [], [QUESTION], longest=200), general=(), skills=())
    measured = measure_models(evaluated, base, exam, [model], closely=model)[model]
    [timed] = [request for request in asked if request.cache_salt]
    assert len(measured.seconds) == 1
    assert timed.messages in [request.messages for request in asked if request is not timed]


def test_what_the_base_model_said_is_not_computed_again(evaluated_shop, monkeypatch):
    asked, read = [], []

    def noted(generator, requests):
        asked.extend(request.messages[-1]["content"] for request in requests)
        yield from stream(generator, requests)

    def noted_losses(loss, rows, tokens_per_batch=None):
        read.append([row.id for row in rows])
        return row_losses(loss, rows, tokens_per_batch)

    stream, row_losses = RunsGenerator.stream, RowsLoss.row_losses
    monkeypatch.setattr(RunsGenerator, "stream", noted)
    monkeypatch.setattr(RowsLoss, "row_losses", noted_losses)

    def measured(questions, rows, quantization="null"):
        asked.clear()
        read.clear()
        with luthier.open_project(evaluated_shop, overrides=[f"serving.quantization={quantization}"]) as project:
            base = open_base(project)
            exam = replace(set_exam(base, [], [], rows, questions, longest=200), general=(), skills=())
            model = base.artefact.id
            return measure_models(project, base, exam, [model], closely=None)[model]

    rows = [row(1, "Is it there?", "Yes, it is."), row(2, "Where is it?", "Over there.")]
    other = GoldenQuestion("Who is it for?", ("Ely",))
    first = measured([QUESTION], rows[:1])
    assert (asked, read) == ([QUESTION.question, "Is it there?"], [["row-1"]])
    assert measured([QUESTION], rows[:1]) == first
    assert (asked, read) == ([], [])
    more = measured([other, QUESTION], rows[::-1])
    assert (asked, read) == ([other.question, "Where is it?"], [["row-2"]])
    assert (more.answers[1], more.replies[1], more.test[1]) == (first.answers[0], first.replies[0], first.test[0])
    measured([QUESTION], rows[:1], "int8")
    assert (asked, read) == ([QUESTION.question, "Is it there?"], [["row-1"]])
    for path in (evaluated_shop / ".luthier" / "measured").rglob("*.jsonl"):
        path.write_text("broken", encoding="utf-8")
    assert measured([QUESTION], rows[:1]).answers == first.answers, "a file that cannot be read is made anew"
    assert asked


def test_a_question_that_the_model_cannot_read_is_named(evaluated):
    base = open_base(evaluated)
    model = base.artefact.id
    long = GoldenQuestion("How much is it? " * 500, ("€3",))
    exam = replace(set_exam(base, [], [], [], [QUESTION, long], longest=200), general=(), skills=())
    sentence = (
        rf"^{model}: no answer to 'How much is it\?.* …': \d+ prompt tokens and 4 new ones exceed .* \(2048 tokens"
    )
    with pytest.raises(EvaluationError, match=sentence) as caught:
        measure_models(evaluated, base, exam, [model], closely=None)
    assert len(str(caught.value)) < 250


def test_a_model_without_usable_numbers_is_named_before_it_is_asked(evaluated, reporter):
    run, base = evaluated.registry.latest("run"), open_base(evaluated)
    [path] = (evaluated.workspace.root / run.path).rglob("adapter_model.safetensors")
    weights = load_file(path)
    save_file({name: torch.full_like(weight, 1e30) for name, weight in weights.items()}, path)
    exam = set_exam(base, [], [], [row(1, "Is it there?", "Yes, it is.")], [QUESTION], longest=200)
    rows = len(exam.test) + len(exam.general)
    with pytest.raises(EvaluationError, match=f"^{run.id}: the loss of {rows} of {rows} rows is not a number, such as"):
        measure_models(evaluated, base, exam, [run.id], closely=run.id)
    assert not reporter.steps
    exam = replace(exam, test=(), general=())
    with pytest.raises(EvaluationError, match=f"^{run.id}: no answer to '.*': the model computed no usable numbers"):
        measure_models(evaluated, base, exam, [run.id], closely=run.id)


@pytest.mark.parametrize("quantization", ["null", "int8"])
def test_the_base_model_is_measured_under_the_adapter_of_a_run(evaluated_shop, monkeypatch, quantization):
    made = []

    def noted(loss, model):
        made.append(model)
        init(loss, model)

    init = RowsLoss.__init__
    monkeypatch.setattr(RowsLoss, "__init__", noted)
    rows = [row(1, "Is it there?", "Yes, it is."), row(2, "Where is it?", "Over there.")]
    found = []
    for together in (True, False):
        shutil.rmtree(evaluated_shop / ".luthier" / "measured")
        with luthier.open_project(evaluated_shop, overrides=[f"serving.quantization={quantization}"]) as project:
            base, run = open_base(project), project.registry.latest("run").id
            exam = replace(set_exam(base, [], [], rows, [], longest=200), skills=(), replies=(), prompts=())
            models = [base.artefact.id, run]
            groups = [models] if together else [[model] for model in models]
            measured = {}
            for group in groups:
                measured |= measure_models(project, base, exam, group, closely=None)
            assert list(measured) == models
            found.append([measured[model] for model in models])
    assert len(made) == 1 + 2
    assert found[0] == found[1]
    assert found[0][0].test != found[0][1].test, "the adapter is off"


def test_losses_are_those_of_the_weights_that_answer(evaluated_shop, monkeypatch):
    losses = {}
    for quantization, most_changed in (("null", 1.0), ("int8", 1.0), ("int4", -1.0)):  # the last is refused
        monkeypatch.setattr("luthier.inference.runner.MOST_CHANGED", most_changed)
        with luthier.open_project(evaluated_shop, overrides=[f"serving.quantization={quantization}"]) as project:
            base = open_base(project)
            models = [base.artefact.id, project.registry.latest("run").id]
            exam = set_exam(base, [], [], [row(1, "Is it there?", "Yes, it is.")], [], longest=200)
            exam = replace(exam, general=(), skills=(), replies=(), prompts=())
            measured = measure_models(project, base, exam, models, closely=None)
            losses[quantization] = [measured[model].test[0].loss_sum for model in models]
    for own, rounded, kept in zip(*losses.values(), strict=True):
        assert kept == own
        assert rounded != own
        assert rounded == pytest.approx(own, rel=1e-2)


def test_leaks_are_named():
    trained = [row(1, "How much is the green chair in the shop today?", "It is €3.")]
    test = [row(7, "How much is the green chair in the shop today?", "It is €3.")]
    questions = [QUESTION, GoldenQuestion("how much is the green chair in the shop, today", ("€3",))]
    found = find_tested_leaks(trained, test, questions)
    assert [(leak.tested, leak.trained) for leak in found] == [
        ("chats.jsonl row 7", "chats.jsonl row 1"),
        ("question 2", "chats.jsonl row 1"),
    ]
    assert find_tested_leaks(trained, [], [QUESTION]) == []
