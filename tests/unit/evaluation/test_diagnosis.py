"""Curves with known answers, and real trainings made to learn by heart, to diverge and to learn nothing."""

import json
import math

import numpy as np
import pytest

from luthier.evaluation.diagnosis import diagnose, smoothed


def curve(losses, every=1):
    return [{"step": every * (place + 1), "loss": float(loss)} for place, loss in enumerate(losses)]


def noisy(losses, seed, scatter=0.05):
    return losses + np.random.default_rng(seed).normal(0, scatter, len(losses))


def falling(steps, start, level, pace):
    """Exponential descent from `start` to `level`; `pace` steps take it to a third of the way."""
    return level + (start - level) * np.exp(-np.arange(steps) / pace)


def every(losses, stride):
    """The validations of a curve of steps."""
    return curve(np.asarray(losses)[stride - 1 :: stride], stride)


def still_learning(case):
    steps, start, pace, scatter = [(180, 3.0, 120, 0.1), (60, 2.4, 50, 0.02), (600, 2.0, 500, 0.2), (30, 4.0, 20, 0.0),
                                   (90, 1.2, 70, 0.05)][case]  # fmt: skip
    train = falling(steps, start, start / 4, pace)
    held_out = falling(steps, start, start / 3, pace)
    return curve(noisy(train, case, scatter)), every(noisy(held_out, case, scatter / 10), steps // (3 + case)), None


def converged(case):
    steps, start, level, pace, scatter = [(300, 3.0, 1.5, 20, 0.1), (120, 2.5, 2.0, 8, 0.02), (600, 4.0, 0.4, 40, 0.05),
                                          (200, 1.5, 1.1, 12, 0.15), (400, 2.0, 1.0, 30, 0.0)][case]  # fmt: skip
    train, held_out = falling(steps, start, level, pace), falling(steps, start + 0.1, level + 0.2, pace)
    expected = pace * math.log((start - level) / 0.03)
    return curve(noisy(train, case, scatter)), every(held_out, steps // 10), expected


def overfitting(case):
    steps, best, rise, scatter = [
        (180, 60, 0.4, 0.1), (200, 100, 0.1, 0.02), (500, 100, 1.5, 0.2), (120, 80, 0.15, 0.0), (1000, 250, 0.3, 0.1)
    ][case]  # fmt: skip
    train = falling(steps, 2.8, 0.3, steps / 4)
    place = np.arange(1, steps + 1)
    held_out = np.where(place <= best, 3 - place / best, 2 + rise * (place - best) / (steps - best))
    return curve(noisy(train, case, scatter)), every(held_out, 20), best


def underfitting(case):
    steps, start, fall, scatter = [
        (200, 2.5, 0.02, 0.1), (100, 3.0, 0, 0.03), (400, 1.8, 0.03, 0.15), (60, 4.0, 0.1, 0), (150, 2.0, 0.05, 0.05)
    ][case]  # fmt: skip
    train = start - fall * np.arange(steps) / steps
    return curve(noisy(train, case, scatter)), every(train + 0.05, steps // 5), None


def diverged(case):
    steps, turn, top, scatter = [(200, 50, 9.0, 0.1), (100, 60, 4.0, 0.05), (300, 5, 7.0, 0.2), (60, 30, 3.5, 0.0)][
        case % 4
    ]
    place = np.arange(steps)
    train = np.where(place < turn, 3 - place / turn, np.minimum(2 + 0.3 * (place - turn), top))
    train = noisy(train, case, scatter)
    if case == 4:
        train[turn:] = np.nan
    return curve(train), every(train, steps // 4), turn


def unstable(case):
    steps = [200, 120, 400, 80, 240][case]
    train = noisy(falling(steps, 2.8, 1.2, steps / 6), case, 0.05)
    held_out = falling(steps, 2.8, 1.4, steps / 6)
    if case < 3:
        train[steps // 4 :: steps // 5] += 2.0
        return curve(train), every(held_out, steps // 5), steps // 4
    swinging = held_out + np.where((np.arange(steps) // (steps // 8)) % 2 == 1, 0.6, 0.0)
    return curve(train), every(swinging, steps // 8), None


KNOWN = {
    "still learning": still_learning,
    "converged": converged,
    "overfitting": overfitting,
    "underfitting": underfitting,
    "diverged": diverged,
    "unstable": unstable,
}


@pytest.mark.parametrize("case", range(5))
@pytest.mark.parametrize("state", KNOWN)
def test_curves_with_a_known_answer(state, case):
    train, validation, step = KNOWN[state](case)
    found = diagnose(train, validation)
    assert found.state == state, found
    if step is None:
        return
    assert found.step is not None
    spacing = validation[1]["step"] - validation[0]["step"]
    assert abs(found.step - step) <= max(spacing, 0.1 * len(train)), found
    if state == "overfitting":
        rise = validation[-1]["loss"] - min(point["loss"] for point in validation)
        assert f"risen by {rise:.3f} since" in found.sentence


def with_rates(train, peak=2e-4, warmup=0.05):
    """The curve with the rates of a warm-up and half a cosine down to zero, as `Schedule` has them."""
    steps = len(train)
    rising = max(1, round(warmup * steps))
    rates = [
        peak * min((step + 1) / rising, 0.5 * (1 + math.cos(math.pi * max(0, step - rising) / (steps - rising))))
        for step in range(steps)
    ]
    return [point | {"learning_rate": rate} for point, rate in zip(train, rates, strict=True)]


def learning_at(rates, start, level, pace):
    """Descent in proportion to the rate: at a constant one, `pace` is what all steps take off, in powers of e."""
    rates = np.asarray(rates)
    return level + (start - level) * np.exp(-pace * np.cumsum(rates) / rates.sum())


def cosine(steps):
    return [point["learning_rate"] for point in with_rates(curve(np.zeros(steps)))]


@pytest.mark.parametrize("case", range(5))
@pytest.mark.parametrize("state", KNOWN)
def test_the_known_curves_are_the_same_under_a_decaying_rate(state, case):
    train, validation, _ = KNOWN[state](case)
    assert diagnose(with_rates(train), validation).state == state


SPENT = [(200, 3.0, 1.5, 3.0, 0.0), (60, 2.9, 1.2, 3.0, 0.01), (400, 2.4, 1.4, 3.5, 0.05), (110, 3.5, 2.0, 3.0, 0.02),
         (1000, 2.5, 0.5, 4.0, 0.1)]  # fmt: skip


@pytest.mark.parametrize(("steps", "start", "level", "pace", "scatter"), SPENT)
@pytest.mark.parametrize("validations", [0, 3, 10])
def test_a_loss_that_is_level_since_the_rate_decayed_is_not_called_converged(
    steps, start, level, pace, scatter, validations
):
    losses = learning_at(cosine(steps), start, level, pace)
    train = with_rates(curve(noisy(losses, steps, scatter)))
    validation = every(losses + 0.1, steps // validations) if validations else []
    found = diagnose(train, validation, epochs=1)
    assert found.state == "rate decayed", found
    assert "no proof of convergence. Each row was read only once." in found.sentence
    assert "num_train_epochs" in found.advice
    assert "only once" not in diagnose(train, validation, epochs=3).sentence
    assert found.step is not None
    assert found.step > steps / 3 or validations == 3


@pytest.mark.parametrize("pace", [10.0, 20.0, 40.0])
@pytest.mark.parametrize("validations", [0, 3, 10])
def test_a_loss_that_was_level_while_the_rate_was_high_has_converged(pace, validations):
    losses = learning_at(cosine(300), 3.0, 1.5, pace)
    validation = every(losses + 0.1, 300 // validations) if validations else []
    assert diagnose(with_rates(curve(noisy(losses, 0, 0.05))), validation, epochs=1).state == "converged"


def test_validations_that_begin_when_the_rate_has_decayed_do_not_prove_convergence():
    losses = learning_at(cosine(110), 3.0, 1.8, 3.0)
    validation = [{"step": step, "loss": 2.3} for step in (70, 90, 110)]
    found = diagnose(with_rates(curve(losses)), validation, epochs=1)
    assert found.state == "rate decayed"
    assert "the validation loss has been level since step 70" in found.sentence.lower()
    assert "before, the training loss was falling" in found.sentence


def test_a_level_loss_under_a_constant_rate_has_converged():
    train, validation, _ = converged(0)
    assert diagnose([point | {"learning_rate": 1e-4} for point in train], validation).state == "converged"


def test_what_it_says_has_numbers_and_what_to_change():
    train, validation, _ = overfitting(0)
    found = diagnose(train, validation)
    assert found.sentence.startswith("The validation loss was best at step 60 (2.000) and has risen by 0.400 since")
    assert "load_best_model_at_end" in found.advice
    assert "were kept" in diagnose(train, validation, kept_step=60).advice
    assert json.loads(json.dumps(found.to_json()))["step"] == 60


def test_the_training_loss_is_judged_alone_where_there_is_no_validation():
    found = diagnose(converged(0)[0], [])
    assert found.state == "converged"
    assert "Without three validations" in found.sentence
    assert diagnose(still_learning(0)[0], []).state == "still learning"


def test_validations_alone_are_judged():
    assert diagnose([], overfitting(0)[1]).state == "overfitting"
    assert diagnose([], converged(0)[1]).state == "converged"


def test_few_points_tell_nothing():
    found = diagnose(curve([3, 2, 1]), curve([3, 2]))
    assert (found.state, found.step) == ("too short to tell", None)
    assert "3 steps and 2 validations" in found.sentence
    assert diagnose([], []).state == "too short to tell"


def test_a_validation_that_is_not_a_number_is_divergence():
    found = diagnose(curve(falling(30, 3, 1, 5)), curve([2, 1.5, math.nan], 10))
    assert (found.state, found.step) == ("diverged", 30)


def test_steps_that_changed_no_weight_count_as_upsets():
    train, validation, _ = converged(1)
    assert diagnose(train, validation, upsets=2).state == "converged"
    found = diagnose(train, validation, upsets=3)
    assert found.state == "unstable"
    assert "3 steps" in found.sentence


def test_a_model_that_knows_it_all_beforehand_does_not_underfit():
    assert diagnose(curve(np.full(50, 0.1)), curve(np.full(5, 0.1), 10)).state == "converged"


def test_much_learnt_in_the_first_steps_is_no_underfitting():
    train = np.concatenate([[2.0, 1.8, 1.6, 1.5], np.full(596, 1.45)])
    assert diagnose(curve(noisy(train, 0, 0.02)), []).state == "converged"


def test_smoothing_keeps_the_mean_and_short_curves():
    short = np.array([3.0, 1.0, 2.0])
    assert smoothed(short).tolist() == short.tolist()
    assert smoothed(np.ones(100)).tolist() == pytest.approx([1.0] * 100)


@pytest.fixture
def run_training(tiny_model, random_rows, tmp_path):
    """`run_training(rows, learning_rate=…)`: the state after a real training of the tiny model."""
    from luthier.core.recipe import AdapterSection, TrainingSection
    from luthier.models.adapter import trainable
    from luthier.models.losses import RowsLoss
    from luthier.models.methods import prepare
    from luthier.training import CausalObjective, Checkpoint, MasterWeights, Schedule, Training, fit

    def run(rows, learning_rate, epochs):
        tiny_model.get_output_embeddings().weight.data.mul_(20)  # else all tokens stay about equally likely
        model = prepare(tiny_model, AdapterSection(r=16), seed=0)
        settings = TrainingSection(
            num_train_epochs=epochs, learning_rate=learning_rate, eval_steps=10, early_stopping_patience=None
        )
        schedule = Schedule.of(rows, settings, 64)
        held_out = random_rows([20] * 10, seed=99)
        weights = MasterWeights(trainable(model))
        training = Training(CausalObjective(RowsLoss(model)), weights, schedule, held_out, settings)
        return fit(training, Checkpoint(tmp_path), resume=False, on_step=lambda _: None)

    return run


def test_a_real_training_made_to_learn_by_heart(run_training, random_rows):
    state = run_training(random_rows([20] * 6), 1e-2, 60)
    found = diagnose(state.train_curve, state.validation_curve)
    assert found.state == "overfitting", found


def test_a_real_training_made_to_diverge(run_training, random_rows):
    rows = random_rows([20] * 6, seed=1)
    repeated = [type(row)(row.id, row.input_ids[:1] * 20, row.targets) for row in rows]
    state = run_training(repeated, 0.8, 30)
    found = diagnose(state.train_curve, state.validation_curve, state.skipped_steps + state.spiked_steps)
    assert found.state == "diverged", found


def test_a_real_training_made_to_learn_nothing(run_training, random_rows):
    state = run_training(random_rows([20] * 6), 1e-6, 20)
    found = diagnose(state.train_curve, state.validation_curve)
    assert found.state == "underfitting", found
