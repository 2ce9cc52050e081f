import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from luthier.core.errors import TrainingError
from luthier.training import CausalObjective, Checkpoint, Objective, fit
from luthier.training.loop import ADAM_BETAS, MOST_SKIPPED_IN_A_ROW


class ChangedObjective(Objective):
    """A real objective, of which a test replaces one part: `loss(number, loss)` or `validation(number)`.

    `number` counts micro-batches and validations from 1. `validation` gives the mean loss per token that the validation
    is to find.
    """

    fast_path = "on"

    def __init__(self, objective: Objective, loss=None, validation=None) -> None:
        self._objective, self._change, self._validation = objective, loss, validation
        self._batches = self._validations = 0

    def step(self, rows):
        loss_of = self._objective.step(rows)

        def changed(batch):
            self._batches += 1
            loss = loss_of(batch)
            return self._change(self._batches, loss) if self._change else loss

        return changed

    def validation(self, rows):
        self._validations += 1
        return {"loss": self._validation(self._validations)} if self._validation else self._objective.validation(rows)


@pytest.fixture
def checkpoint(tmp_path):
    return Checkpoint(tmp_path)


def _train(training, checkpoint, on_step=lambda _: None, resume=False):
    return fit(training, checkpoint, resume, on_step)


def _changed(training, **changes):
    return dataclasses.replace(training, objective=ChangedObjective(training.objective, **changes))


def _losses(state):
    return [point["loss"] for point in state.train_curve]


def _weights(training):
    return {name: parameter.detach().clone() for name, parameter in training.parameters.items()}


def _equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_loss_falls(new_training, checkpoint):
    training = new_training(num_train_epochs=20, learning_rate=2e-2)
    # A frozen head with tiny weights could say nothing with confidence.
    training.objective._loss._head_weight().mul_(20)
    losses = _losses(_train(training, checkpoint))
    assert losses[0] > math.log(320)
    assert max(losses[-5:]) < 0.5 * losses[0]


def test_the_same_seed_gives_the_same_curve_and_weights(new_training, checkpoint):
    first, second = new_training(seed=5), new_training(seed=5)
    curves = [_train(training, checkpoint).train_curve for training in (first, second)]
    assert curves[0] == curves[1]
    assert _equal(_weights(first), _weights(second))
    assert _losses(_train(new_training(seed=6), checkpoint)) != _losses(_train(new_training(seed=5), checkpoint))


def test_counters_and_curve_tell_what_happened(new_training, checkpoint):
    training = new_training()
    state = _train(training, checkpoint)
    steps = range(len(training.schedule.steps))
    assert [point["step"] for point in state.train_curve] == [step + 1 for step in steps]
    rates = [training.schedule.learning_rate_at(step) for step in steps]
    assert [point["learning_rate"] for point in state.train_curve] == rates
    assert state.tokens == training.schedule.tokens
    rows = [row for step in training.schedule.steps for batch in step for row in batch]
    assert state.target_tokens == sum(row.target_tokens for row in rows)
    assert state.tokens_per_second == state.tokens / state.loop_seconds > 0


def test_gradients_of_each_layer_are_noted_before_each_validation(new_training, checkpoint):
    training = new_training(eval_steps=4, max_grad_norm=1e-3)
    state = _train(training, checkpoint)
    steps = len(training.schedule.steps)
    assert [point["step"] for point in state.gradient_curve] == [*range(4, steps, 4), steps]
    for point in state.gradient_curve:
        assert set(point) == {"step", "layer 0", "layer 1"}
        whole = sum(norm**2 for name, norm in point.items() if name != "step") ** 0.5
        assert whole == pytest.approx(state.train_curve[int(point["step"]) - 1]["gradient_norm"], rel=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"packing": False, "per_device_train_batch_size": 3},
        {"weight_decay": 0.1, "gradient_accumulation_steps": 2},
        {"loraplus_lr_ratio": 16.0, "learning_rate": 3e-4},
        {"adapter": {"use_rslora": True}},
        {"adapter": {"use_dora": True}},
        {"adapter": {"init_lora_weights": "pissa"}},
        {"adapter": {"method": "ia3"}},
        {"adapter": {"method": "full"}, "learning_rate": 3e-4},
        {"adapter": {"method": "freeze", "last_layers": 1, "train_modules": ["norm"]}},
        {"adapter": {"method": "full"}, "learning_rate": 3e-4, "l2_sp": 0.5, "gradient_accumulation_steps": 2},
        {"adapter": {"method": "freeze", "last_layers": 1}, "l2_sp": 0.01},
    ],
    ids=str,
)
def test_loss_gradients_and_weights_equal_a_plain_loop(new_training, plain, checkpoint, settings):
    """transformers and PEFT alone: padded rows under an attention mask, whole logits, AdamW, clipping."""
    ours, other = (new_training(**settings, dtype=torch.float64) for _ in range(2))
    assert ours.objective.fast_path == "on"
    seen = []
    state = _train(ours, checkpoint, lambda _: seen.append((_gradients(ours), _weights(ours))))
    expected = _plain_loop(other, plain(other))
    assert len(expected) == len(seen) >= 4
    for point, (gradients, weights), (loss, plain_gradients, plain_weights) in zip(
        state.train_curve, seen, expected, strict=True
    ):
        assert point["loss"] == pytest.approx(loss, abs=1e-9)
        for name in weights:
            torch.testing.assert_close(gradients[name], plain_gradients[name], atol=1e-9, rtol=0)
            torch.testing.assert_close(weights[name], plain_weights[name], atol=1e-7, rtol=0)


def _gradients(training):
    return {name: parameter.grad.clone() for name, parameter in training.parameters.items()}


def _plain_loop(training, model):
    """(loss, gradients, weights) of each step."""
    settings = training.settings
    parameters = list(training.parameters.values())
    faster = [parameter for name, parameter in training.parameters.items() if "lora_B" in name]
    others = [parameter for name, parameter in training.parameters.items() if "lora_B" not in name]
    groups = [{"params": others}, {"params": faster}]
    start = [parameter.detach().clone() for parameter in parameters]
    optimizer = torch.optim.AdamW(groups, lr=0.0, betas=ADAM_BETAS, weight_decay=settings.weight_decay)
    found = []
    for number, step in enumerate(training.schedule.steps):
        optimizer.param_groups[0]["lr"] = training.schedule.learning_rate_at(number)
        optimizer.param_groups[1]["lr"] = settings.loraplus_lr_ratio * optimizer.param_groups[0]["lr"]
        optimizer.zero_grad()
        tokens = sum(row.target_tokens for batch in step for row in batch)
        total = 0.0
        for batch in step:
            inputs = _padded(batch)
            labels = inputs.pop("labels")
            logits = model(**inputs).logits
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction="sum") / tokens
            loss.backward()
            total += loss.item()
        away = sum(((now - then) ** 2).sum() for now, then in zip(parameters, start, strict=True))
        (settings.l2_sp / 2 * away).backward()
        torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        optimizer.step()
        found.append((total, _gradients(training), _weights(training)))
    return found


def _padded(rows):
    width = max(len(row) for row in rows)
    ids = [list(row.input_ids) + [0] * (width - len(row)) for row in rows]
    mask = [[1] * len(row) + [0] * (width - len(row)) for row in rows]
    labels = [
        [token if target else -100 for token, target in zip(row.input_ids, row.targets, strict=True)]
        + [-100] * (width - len(row))
        for row in rows
    ]
    tensors = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    return {name: torch.tensor(values) for name, values in tensors.items()}


@pytest.mark.parametrize(("size", "accumulation"), [(4, 8), (32, 1)])
def test_accumulation_does_not_change_the_curve(new_training, random_rows, checkpoint, size, accumulation):
    """The loss is a mean over target tokens of the step, however its 32 rows are dealt out."""
    rows = random_rows([5, 30, 17, 8, 12] * 20)

    def losses(size, accumulation):
        dealt = {"per_device_train_batch_size": size, "gradient_accumulation_steps": accumulation, "packing": False}
        training = new_training(learn=lambda loss: (rows, CausalObjective(loss)), num_train_epochs=1, **dealt)
        assert [sum(map(len, step)) for step in training.schedule.steps] == [32, 32, 32, 4]
        return _losses(_train(training, checkpoint))

    assert losses(size, accumulation) == pytest.approx(losses(1, 32), abs=1e-6)


def test_gradients_are_clipped_and_the_curve_holds_their_norm_before(new_training, checkpoint):
    training = new_training(max_grad_norm=0.01)
    norms = []
    state = _train(training, checkpoint, lambda _: norms.append(_norm(_gradients(training))))
    assert min(point["gradient_norm"] for point in state.train_curve) > 0.1
    assert norms == pytest.approx([0.01] * len(norms), rel=1e-3)


def _norm(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors.values()]).norm().item()


def test_a_step_that_is_not_finite_changes_no_weight_and_is_counted(new_training, checkpoint):
    training = _changed(new_training(), loss=lambda number, loss: loss * math.nan if number in (2, 4) else loss)
    weights = [_weights(training)]
    state = _train(training, checkpoint, lambda _: weights.append(_weights(training)))
    assert state.skipped_steps == 2
    assert state.step == len(training.schedule.steps)
    kept = [step for step in range(1, state.step + 1) if step not in (2, 4)]
    assert [point["step"] for point in state.train_curve] == kept
    unchanged = [step for step in range(1, state.step + 1) if _equal(weights[step - 1], weights[step])]
    assert unchanged == [2, 4]


LONG = {"num_train_epochs": 6, "eval_steps": 9, "load_best_model_at_end": False}


def _spiking(training, *steps):
    return _changed(training, loss=lambda number, loss: loss * 20 if number in steps else loss)


def test_a_single_spike_changes_no_weight(new_training, checkpoint):
    training = _spiking(new_training(**LONG), 20, 23)
    weights = [_weights(training)]
    state = _train(training, checkpoint, lambda _: weights.append(_weights(training)))
    assert (state.spiked_steps, state.rollbacks, state.step) == (2, 0, len(training.schedule.steps))
    unchanged = [step for step in range(1, state.step + 1) if _equal(weights[step - 1], weights[step])]
    assert unchanged == [20, 23]
    assert {20, 23}.isdisjoint(point["step"] for point in state.train_curve)


def test_two_spikes_in_a_row_bring_back_weights_and_moments_of_the_last_validation(new_training, checkpoint):
    training = _spiking(new_training(**LONG), 22, 23)
    weights = [_weights(training)]
    state = _train(training, checkpoint, lambda _: weights.append(_weights(training)))
    assert (state.spiked_steps, state.rollbacks) == (2, 1)
    assert _equal(weights[23], weights[18])
    assert not _equal(weights[24], weights[23])


def test_early_losses_are_no_spikes(new_training, checkpoint):
    state = _train(_spiking(new_training(**LONG), 2, 3, 16), checkpoint)
    assert state.spiked_steps == 0


def test_spikes_that_come_again_end_the_training(new_training, checkpoint):
    training = _spiking(new_training(**LONG), *range(20, 40))
    with pytest.raises(TrainingError, match=r"step 27: the loss spiked again after 3 returns to earlier weights"):
        _train(training, checkpoint)


def test_an_infinite_gradient_of_a_finite_loss_is_skipped_too(new_training, checkpoint):
    def steep(number, loss):
        if number == 1:
            loss.register_hook(lambda gradient: gradient * math.inf)
        return loss

    state = _train(_changed(new_training(), loss=steep), checkpoint)
    assert (state.skipped_steps, state.train_curve[0]["step"]) == (1, 2)


@pytest.mark.parametrize("factor", [math.inf, math.nan])
def test_a_gradient_that_is_not_finite_before_a_validation_enters_no_curve(new_training, checkpoint, factor):
    def steep(number, loss):
        if number == 4:
            loss.register_hook(lambda gradient: gradient * factor)
        return loss

    state = _train(_changed(new_training(eval_steps=2), loss=steep), checkpoint)
    assert [point["step"] for point in state.gradient_curve] == [2, *range(6, state.step + 1, 2)]
    assert all(math.isfinite(norm) for point in state.gradient_curve for norm in point.values())


def test_many_steps_in_a_row_without_a_finite_loss_end_the_training(new_training, checkpoint):
    training = new_training(num_train_epochs=6)
    last_good = 3
    broken = _changed(training, loss=lambda number, loss: loss if number <= last_good else loss * math.nan)
    with pytest.raises(
        TrainingError, match=f"{MOST_SKIPPED_IN_A_ROW} steps in a row .*training.learning_rate"
    ) as error:
        _train(broken, checkpoint)
    assert error.value.where == f"step {last_good + MOST_SKIPPED_IN_A_ROW}"


def test_single_bad_steps_do_not_add_up(new_training, checkpoint):
    training = new_training(num_train_epochs=8)
    bad = _changed(training, loss=lambda number, loss: loss * math.nan if number % 2 else loss)
    state = _train(bad, checkpoint)
    assert state.skipped_steps > MOST_SKIPPED_IN_A_ROW
    assert state.step == len(training.schedule.steps)


def test_validation_every_eval_steps_and_at_the_end(new_training, checkpoint, rows):
    training = new_training(rows[:3], eval_steps=2, num_train_epochs=3)
    total = len(training.schedule.steps)
    assert total % 2 == 1
    state = _train(training, checkpoint)
    assert [point["step"] for point in state.validation_curve] == [*range(2, total, 2), total]
    expected = training.objective.step(rows[:3])(rows[:3]).item()
    assert state.validation_curve[-1]["loss"] == state.best_loss == pytest.approx(expected)


@pytest.mark.parametrize(("load_best", "kept"), [(True, 2), (False, 5)])
def test_the_weights_of_the_best_validation_are_kept_or_the_last(new_training, checkpoint, rows, load_best, kept):
    training = _changed(
        new_training(rows[:1], eval_steps=1, num_train_epochs=1, load_best_model_at_end=load_best),
        validation=lambda number: [3.0, 2.0, 2.5, 2.0, 4.0][number - 1],
    )
    weights = {}
    state = _train(training, checkpoint, lambda state: weights.update({state.step: _weights(training)}))
    assert state.step == 5
    assert (state.best_step, state.best_loss) == (2, 2.0)
    assert _equal(_weights(training), weights[kept])
    assert not _equal(weights[2], weights[5])


def test_training_stops_when_validation_gets_no_better(new_training, checkpoint, rows):
    settings = {"eval_steps": 2, "num_train_epochs": 5, "early_stopping_patience": 2}
    curve = [3.0, 2.0, 2.5, 1.5, 1.5, 1.6, 1.0]
    training = _changed(new_training(rows[:1], **settings), validation=lambda number: curve[number - 1])
    state = _train(training, checkpoint)
    assert state.stopped_early
    assert (state.step, state.best_step, state.best_loss) == (12, 8, 1.5)
    again = _train(_changed(training, validation=lambda _: curve[5]), checkpoint, resume=True)
    assert dataclasses.replace(again, loop_seconds=0.0) == dataclasses.replace(state, loop_seconds=0.0)


def test_without_patience_training_goes_to_the_end(new_training, checkpoint, rows):
    training = _changed(new_training(rows[:1], eval_steps=1), validation=float)
    state = _train(training, checkpoint)
    assert (state.step, state.best_step, state.stopped_early) == (len(training.schedule.steps), 1, False)


def test_a_validation_loss_that_is_not_finite_is_never_the_best(new_training, checkpoint, rows):
    training = _changed(
        new_training(rows[:1], eval_steps=1, num_train_epochs=1),
        validation=lambda number: math.nan if number in (1, 4) else 5.0 - number,
    )
    state = _train(training, checkpoint)
    assert (state.best_step, state.best_loss) == (5, 0.0)


@pytest.mark.parametrize("load_best", [True, False])
def test_without_validation_rows_the_last_weights_are_kept(new_training, checkpoint, load_best):
    training = new_training(eval_steps=2, early_stopping_patience=1, load_best_model_at_end=load_best)
    weights = []
    state = _train(training, checkpoint, lambda _: weights.append(_weights(training)))
    assert (state.validation_curve, state.best_loss, state.stopped_early) == ([], None, False)
    assert state.best_step == state.step == len(training.schedule.steps)
    assert _equal(_weights(training), weights[-1])


def test_gradients_left_by_somebody_else_do_not_count(new_training, checkpoint):
    clean, littered = new_training(), new_training()
    for parameter in littered.parameters.values():
        parameter.grad = torch.ones_like(parameter)
    assert _losses(_train(clean, checkpoint)) == _losses(_train(littered, checkpoint))


def test_nothing_to_train_on_trains_nothing(new_training, checkpoint):
    training = new_training()
    empty = dataclasses.replace(training, schedule=dataclasses.replace(training.schedule, steps=()))
    before = _weights(training)
    assert _train(empty, checkpoint).step == 0
    assert _equal(_weights(training), before)
