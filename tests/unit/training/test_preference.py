"""Each objective beside its formula, written out in float64 on transformers' own logits."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from luthier.core.rows import TokenRow
from luthier.training import (
    AnswerPair,
    Checkpoint,
    DpoObjective,
    KtoObjective,
    OrpoObjective,
    RatedAnswer,
    fit,
    log_likelihoods,
)

BETA = 0.3
WEIGHTS = {True: 1.5, False: 0.7}
KINDS = ("dpo", "orpo", "kto")


def _row(name, prompt, answer):
    return TokenRow(name, prompt + answer, (False,) * len(prompt) + (True,) * len(answer))


@pytest.fixture
def pairs(rows):
    """Eight pairs of answers of different lengths."""
    prompts = [row.input_ids[:4] for row in rows]
    return [
        AnswerPair(
            _row(f"pair-{number}", prompts[number], rows[number].input_ids[4:12]),
            _row(f"pair-{number}/rejected", prompts[number], rows[number + 4].input_ids[3:10]),
        )
        for number in range(8)
    ]


@pytest.fixture
def rated(pairs):
    """Nine answers, four of them liked, each with the answer of the one before behind its prompt."""
    answers = [pair.chosen for pair in pairs[:4]] + [pair.rejected for pair in pairs[:5]]
    return [
        RatedAnswer(row, number < 4, _row(f"{row.id}/mismatched", row.input_ids[:4], answers[number - 1].input_ids[4:]))
        for number, row in enumerate(answers)
    ]


@pytest.fixture
def learn(pairs, rated):
    """`learn(kind)`: what `new_training` takes to learn by this objective."""

    def by(kind):
        def examples_and_objective(loss):
            if kind == "orpo":
                return pairs, OrpoObjective(loss, BETA)
            examples = pairs if kind == "dpo" else rated
            reference = log_likelihoods(loss, [row for example in examples for row in example.rows])
            if kind == "dpo":
                return pairs, DpoObjective(loss, reference, BETA)
            return rated, KtoObjective(loss, reference, BETA, WEIGHTS[True], WEIGHTS[False])

        return examples_and_objective

    return by


def _nudge(training):
    """Move what trains away from the start, the same way each time."""
    generator = torch.Generator().manual_seed(4)
    for parameter in training.parameters.values():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype), alpha=0.2)


def _log_likelihood(model, row):
    log_probabilities = torch.log_softmax(model(input_ids=torch.tensor([row.input_ids])).logits[0], -1)
    return sum(
        log_probabilities[place - 1, token]
        for place, (token, target) in enumerate(zip(row.input_ids, row.targets, strict=True))
        if target
    )


def _formula(kind, examples, now, start):
    """The loss of the papers; `now` and `start` give the log-likelihood of a row."""
    if kind == "dpo":
        margins = [
            BETA * (now(pair.chosen) - start(pair.chosen)) - BETA * (now(pair.rejected) - start(pair.rejected))
            for pair in examples
        ]
        return -sum(torch.log(1 / (1 + torch.exp(-margin))) for margin in margins) / len(examples)
    if kind == "orpo":
        tokens = sum(pair.chosen.target_tokens for pair in examples)
        likelihood = sum(now(pair.chosen) for pair in examples) / tokens
        odds = [[_odds(now(row), row.target_tokens) for row in pair.rows] for pair in examples]
        ratios = [chosen / rejected for chosen, rejected in odds]
        return -likelihood - BETA * sum(torch.log(ratio / (1 + ratio)) for ratio in ratios) / len(ratios)
    moved = max(0.0, sum((now(one.mismatched) - start(one.mismatched)).item() for one in examples) / len(examples))
    total = 0.0
    for one in examples:
        beyond = BETA * (now(one.row) - start(one.row) - moved)
        total += WEIGHTS[one.liked] * (1 - 1 / (1 + torch.exp(-beyond if one.liked else beyond)))
    return total / len(examples)


def _odds(log_likelihood, tokens):
    probability = torch.exp(log_likelihood / tokens)
    return probability / (1 - probability)


@pytest.mark.parametrize("adapter", [{}, {"method": "full"}], ids=["lora", "full"])
@pytest.mark.parametrize("size", [1, 3, 9])
@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_gradients_equal_the_formula(new_training, plain, learn, kind, size, adapter):
    ours, other = (new_training(learn=learn(kind), adapter=adapter, dtype=torch.float64) for _ in range(2))
    assert ours.objective.fast_path == "on"
    examples, _ = learn(kind)(ours.objective._loss)
    model = plain(other)
    with torch.no_grad():
        start = {row.id: _log_likelihood(model, row) for example in examples for row in example.rows}
    _nudge(ours)
    _nudge(other)

    if kind == "kto" and not adapter:
        assert ours.objective._moved(examples) > 0
    loss_of = ours.objective.step(examples)
    losses = [loss_of(examples[first : first + size]) for first in range(0, len(examples), size)]
    sum(losses).backward()
    expected = _formula(kind, examples, lambda row: _log_likelihood(model, row), lambda row: start[row.id])
    expected.backward()

    assert sum(losses).item() == pytest.approx(expected.item(), abs=1e-9)
    for name, parameter in other.parameters.items():
        torch.testing.assert_close(ours.parameters[name].grad, parameter.grad, atol=1e-9, rtol=0)
    assert ours.objective.validation(examples)["loss"] == pytest.approx(expected.item(), abs=1e-9)


@pytest.mark.parametrize(("kind", "loss"), [("dpo", math.log(2)), ("kto", (4 * 1.5 + 5 * 0.7) / 9 / 2)])
def test_at_the_start_nothing_is_preferred(new_training, learn, kind, loss):
    training = new_training(learn=learn(kind))
    examples, _ = learn(kind)(training.objective._loss)
    figures = training.objective.validation(examples)
    assert figures["loss"] == pytest.approx(loss, abs=1e-6)
    assert figures["margin"] == pytest.approx(0, abs=1e-6)


def test_a_model_that_moved_away_from_mismatched_answers_has_not_moved(new_training, learn, rated):
    """The estimate of the divergence is never below zero."""
    training = new_training(learn=learn("kto"), dtype=torch.float64)
    objective = training.objective
    far = {name: value + 100.0 * name.endswith("mismatched") for name, value in objective._reference.items()}
    with_far = KtoObjective(objective._loss, far, BETA, WEIGHTS[True], WEIGHTS[False])
    assert with_far.step(rated)(rated).item() == pytest.approx((4 * 1.5 + 5 * 0.7) / 9 / 2)


@pytest.mark.parametrize("kind", KINDS)
def test_figures_of_a_validation(new_training, learn, kind):
    training = new_training(learn=learn(kind), dtype=torch.float64)
    objective = training.objective
    examples, _ = learn(kind)(objective._loss)
    start = getattr(objective, "_reference", {})
    _nudge(training)
    now = log_likelihoods(objective._loss, [row for example in examples for row in example.rows])
    if kind == "kto":
        moved = max(0.0, sum(now[f"{one.id}/mismatched"] - start[f"{one.id}/mismatched"] for one in examples) / 9)
        gains = {one.id: now[one.id] - start[one.id] for one in examples}
        right = [(gains[one.id] > moved) == one.liked for one in examples]
        liked, disliked = ([gains[one.id] for one in examples if one.liked is kind] for kind in (True, False))
        margin = BETA * (sum(liked) / len(liked) - sum(disliked) / len(disliked))
    else:
        gains = {
            row.id: now[row.id] - start[row.id] if kind == "dpo" else now[row.id] / row.target_tokens
            for pair in examples
            for row in pair.rows
        }
        margins = [gains[pair.chosen.id] - gains[pair.rejected.id] for pair in examples]
        right, margin = [each > 0 for each in margins], BETA * sum(margins) / len(margins)
    figures = objective.validation(examples)
    assert 0 < sum(right) < len(right)
    assert figures["accuracy"] == sum(right) / len(right)
    assert figures["margin"] == pytest.approx(margin, abs=1e-9)
    assert objective.validation([]) is None


def test_answers_of_one_kind_have_no_margin(new_training, learn, rated):
    training = new_training(learn=learn("kto"))
    assert set(training.objective.validation(rated[:4])) == {"loss", "accuracy"}


def test_an_answer_that_is_certain_has_finite_odds(new_training, learn, pairs):
    objective = new_training(learn=learn("orpo")).objective
    certain = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    loss = objective._part(pairs[:1], pairs[:1], certain)
    loss.backward()
    assert math.isfinite(loss.item())
    assert torch.isfinite(certain.grad).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_people_prefer_is_learnt(new_training, learn, tmp_path, kind):
    training = new_training(learn=learn(kind), num_train_epochs=8, learning_rate=2e-2)
    examples, _ = learn(kind)(training.objective._loss)
    before = training.objective.validation(examples)
    fit(training, Checkpoint(tmp_path), False, lambda _: None)
    after = training.objective.validation(examples)
    assert after["loss"] < before["loss"] - 0.1
    assert after["accuracy"] == 1
    assert after["margin"] > before["margin"] + 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_accumulation_does_not_change_the_curve(new_training, learn, tmp_path, kind):
    together, apart = (
        fit(
            new_training(
                learn=learn(kind),
                packing=False,
                per_device_train_batch_size=size,
                gradient_accumulation_steps=4 // size,
            ),
            Checkpoint(tmp_path / str(size)),
            False,
            lambda _: None,
        )
        for size in (4, 1)
    )
    losses = [[point["loss"] for point in state.train_curve] for state in (together, apart)]
    assert len(losses[0]) >= 4
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_and_resumed_it_ends_the_same(new_training, learn, pairs, rated, tmp_path, kind):
    """What the answers were worth before training is measured on the model as it was then, also by a resume."""
    validation = rated[:3] if kind == "kto" else pairs[:3]
    ends = {}
    for name in ("undisturbed", "interrupted"):
        settings = {"learn": learn(kind), "eval_steps": 2, "learning_rate": 2e-2}
        checkpoint = Checkpoint(tmp_path / name)
        if name == "interrupted":
            with pytest.raises(KeyboardInterrupt):
                fit(new_training(validation, **settings), checkpoint, False, _stop_after_three)
        training = new_training(validation, **settings)
        state = fit(training, checkpoint, name == "interrupted", lambda _: None)
        weights = {weight: parameter.detach().clone() for weight, parameter in training.parameters.items()}
        ends[name] = dataclasses.replace(state, loop_seconds=0.0), weights
    assert ends["interrupted"][0] == ends["undisturbed"][0]
    for name, weight in ends["undisturbed"][1].items():
        assert torch.equal(ends["interrupted"][1][name], weight), name


def _stop_after_three(state):
    if state.step == 3:
        raise KeyboardInterrupt


def test_tokens_of_a_pair_are_those_of_both(pairs, rated):
    pair = pairs[0]
    assert len(pair) == len(pair.chosen) + len(pair.rejected)
    assert pair.target_tokens == pair.chosen.target_tokens + pair.rejected.target_tokens
    assert len(rated[0]) == len(rated[0].row)


def test_log_sigmoid_of_a_large_margin_is_finite():
    assert math.isfinite(float(DpoObjective._losses(torch.tensor([[-1e4], [1e4]], dtype=torch.float64))))
    assert float(-F.logsigmoid(torch.tensor(-20.0))) == pytest.approx(20.0)
