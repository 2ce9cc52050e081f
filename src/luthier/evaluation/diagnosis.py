"""What the curves of a training say in words: was it long enough, too long, too timid, too bold.

The rules compare changes of the loss with two yardsticks: a share of the loss itself, below which a change is of no
use to anybody, and the scatter of the curve, below which it may be chance.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

State = Literal[
    "still learning",
    "rate decayed",
    "converged",
    "overfitting",
    "underfitting",
    "diverged",
    "unstable",
    "too short to tell",
]
Curve = Sequence[Mapping[str, float]]
"""Points `{"step": ..., "loss": ...}` in order; losses in nats per target token. Those of training steps have the
`learning_rate` too."""
Numbers = NDArray[np.float64]

NOTICEABLE = 0.02
"""Share of the loss that a change must reach to be worth a word."""
NOTICEABLE_NATS = 0.02
FEWEST_STEPS = 8
"""Steps below which a curve without three validations says nothing."""
UNDERFITTED = 0.05
"""A training that took less than this share off its first loss has hardly learnt,"""
LEARNT_LOSS = 0.5
"""unless there was so little to learn: nats per token."""
DIVERGED_NATS = 0.3
END = 2 / 3
"""Share of a training after which the loss must stay level for it to count as converged: of its steps, and of the sum
of their learning rates, which a cosine has spent long before the steps are."""
SPIKES = 3
SPIKE_DEVIATIONS = 8.0
SPIKE_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`step` is where the state began, None for states without a beginning. `advice` says what to change."""

    state: State
    step: int | None
    sentence: str
    advice: str

    def to_json(self) -> dict[str, object]:
        return {"state": self.state, "step": self.step, "sentence": self.sentence, "advice": self.advice}


def diagnose(
    train: Curve, validation: Curve, upsets: int = 0, kept_step: int | None = None, epochs: int | None = None
) -> Diagnosis:
    """Judge a training by the loss of its steps and of its validations; either may be empty.

    `upsets` are steps that changed no weight, since their loss or gradient was a spike or not finite: the curve does
    not show them. `kept_step` is the step whose weights were kept and `epochs` how often each row was read, where they
    are known. Where there are fewer than three validations, the training loss is judged alone. A loss that is level
    only since the learning rate has decayed counts as converged only where no learning rates are given.
    """
    trained, held_out = _Points.of(train), _Points.of(validation)
    broken = trained.first_broken if trained.first_broken is not None else held_out.first_broken
    if broken is not None:
        return _diverged(broken, f"The loss was not a number at step {broken}.")
    if len(held_out.losses) < 3 and len(trained.losses) < FEWEST_STEPS:
        return Diagnosis(
            "too short to tell",
            None,
            f"{len(trained.losses)} steps and {len(held_out.losses)} validations are too few to judge a training by.",
            "Lower training.eval_steps, or train for more epochs.",
        )
    return (
        _find_divergence(trained)
        or _find_instability(trained, held_out, upsets)
        or _find_overfitting(trained, held_out, kept_step)
        or _find_underfitting(trained, held_out)
        or _find_progress(trained, held_out)
        or _find_decayed_rate(trained, held_out, _rates(train), epochs)
        or _converged(trained, held_out)
    )


@dataclass(frozen=True, slots=True)
class _Points:
    """A curve as arrays of the same length; `smooth` is free of the scatter of single steps."""

    steps: NDArray[np.int64]
    losses: Numbers
    smooth: Numbers
    scatter: float
    first_broken: int | None

    @classmethod
    def of(cls, curve: Curve) -> "_Points":
        steps = np.array([point["step"] for point in curve], np.int64)
        losses = np.array([point["loss"] for point in curve], np.float64)
        broken = np.flatnonzero(~np.isfinite(losses))
        smooth = smoothed(losses)
        return cls(steps, losses, smooth, _scatter(losses), int(steps[broken[0]]) if len(broken) else None)

    @property
    def noticeable(self) -> float:
        """The smallest change of the smooth curve that counts, in nats."""
        return max(NOTICEABLE_NATS, NOTICEABLE * float(self.smooth.min()), 2 * self.smooth_scatter)

    @property
    def smooth_scatter(self) -> float:
        """What is left of the scatter after smoothing."""
        return self.scatter / math.sqrt(_window(len(self.losses)))


def smoothed(losses: Numbers) -> Numbers:
    """Means over a window of a twelfth of the curve, shape [points]; windows are cut off at the ends of the curve."""
    width = _window(len(losses))
    half = width // 2
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    places = np.arange(len(losses))
    starts, ends = np.maximum(places - half, 0), np.minimum(places + half + 1, len(losses))
    means: Numbers = (sums[ends] - sums[starts]) / (ends - starts)
    return means


def _window(points: int) -> int:
    """An odd number of points; 1 for short curves, which are not smoothed."""
    return 2 * (points // 24) + 1


def _scatter(losses: Numbers) -> float:
    """Standard deviation of single points around the curve, from second differences, which leave out its slope.

    The median makes it robust to spikes: 1.4826 is the normal quantile, the second difference has variance 6.
    """
    if len(losses) < 6:
        return 0.0
    return 1.4826 * float(np.median(np.abs(np.diff(losses, 2)))) / math.sqrt(6)


def _diverged(step: int, sentence: str) -> Diagnosis:
    advice = "Divide training.learning_rate by three to ten, raise warmup_ratio, or set model.dtype: float32."
    return Diagnosis("diverged", step, sentence, advice)


def _find_divergence(trained: _Points) -> Diagnosis | None:
    """The loss of the training rows themselves has risen and stayed up."""
    if len(trained.losses) < FEWEST_STEPS:
        return None
    best, last = int(trained.smooth.argmin()), float(trained.smooth[-1])
    lowest, scatter = float(trained.smooth[best]), trained.smooth_scatter
    if trained.losses[0] < lowest:  # it went wrong in the first steps, which smoothing hides
        best, lowest, scatter = 0, float(trained.losses[0]), trained.scatter
    fallen = max(float(trained.smooth[0]), float(trained.losses[0])) - lowest if best else 0.0
    rise = last - lowest
    if rise < max(DIVERGED_NATS, 0.5 * fallen, 6 * scatter):
        return None
    beyond = trained.losses[best:] > lowest + 0.25 * rise
    step = int(trained.steps[best + int(beyond.argmax())])
    return _diverged(
        step,
        f"The training loss was at {lowest:.2f}, rose from step {step} on, and ended at {last:.2f} nats per token.",
    )


def _find_instability(trained: _Points, held_out: _Points, upsets: int) -> Diagnosis | None:
    """Spikes, or a validation loss that goes up and down again."""
    spikes = _spikes(trained)
    swings = _swings(held_out)
    if len(spikes) + upsets < SPIKES and swings < 2:
        return None
    found = []
    if len(spikes) + upsets >= SPIKES:
        found.append(f"{len(spikes) + upsets} steps had a loss far above that of their neighbours or none at all")
    if swings >= 2:
        found.append(f"the validation loss rose and fell again {swings} times")
    step = int(trained.steps[spikes[0]]) if len(spikes) else None
    return Diagnosis(
        "unstable",
        step,
        f"{' and '.join(found).capitalize()}.",
        "Halve training.learning_rate or double gradient_accumulation_steps; look for rows unlike all others.",
    )


def _spikes(trained: _Points) -> NDArray[np.int64]:
    """Places of steps far above the median of the eleven around them."""
    if len(trained.losses) < FEWEST_STEPS:
        return np.array([], np.int64)
    padded = np.pad(trained.losses, 5, mode="reflect")
    medians = np.median(np.lib.stride_tricks.sliding_window_view(padded, 11), axis=1)
    above = trained.losses - medians
    return np.flatnonzero((above > SPIKE_DEVIATIONS * trained.scatter) & (above > SPIKE_SHARE * medians))


def _swings(held_out: _Points) -> int:
    """How often the validation loss rose by a twentieth and by 0.1 nats at least, and came down by as much again."""
    swings, low, high = 0, math.inf, -math.inf
    rising = False
    for loss in held_out.losses.tolist():
        least = max(0.1, 0.05 * loss)
        if rising:
            high = max(high, loss)
            if loss < high - least:
                swings, rising, low = swings + 1, False, loss
        else:
            low = min(low, loss)
            if loss > low + least:
                rising, high = True, loss
    return swings


def _find_overfitting(trained: _Points, held_out: _Points, kept_step: int | None) -> Diagnosis | None:
    """The validation loss has risen from its best while the training loss went on falling."""
    if len(held_out.losses) < 2:
        return None
    best = int(held_out.losses.argmin())
    rise = float(held_out.losses[-1] - held_out.losses[best])
    if best == len(held_out.losses) - 1 or rise < max(held_out.noticeable, 3 * held_out.scatter):
        return None
    step = int(held_out.steps[best])
    then = (
        f"The validation loss was best at step {step} ({held_out.losses[best]:.3f}) and has risen by {rise:.3f} since"
    )
    if len(trained.losses):
        since = trained.smooth[trained.steps >= step]
        then += f", while the training loss went from {since[0]:.3f} to {since[-1]:.3f}" if len(since) else ""
    if kept_step == step:
        advice = f"The weights of step {step} were kept. A lower loss needs more rows, or more wordings of each."
    else:
        advice = (
            f"For tone and wording keep step {step} (load_best_model_at_end: true), train fewer epochs, or add rows. "
            "Facts that shall be learnt by heart may go on improving: there the golden questions decide."
        )
    return Diagnosis("overfitting", step, f"{then}.", advice)


def _find_underfitting(trained: _Points, held_out: _Points) -> Diagnosis | None:
    """The loss has hardly moved. Its first value is that of the first steps: much may be learnt in a few."""
    curve = trained if len(trained.losses) >= FEWEST_STEPS else held_out
    first, last = max(float(curve.smooth[0]), float(curve.losses[:3].mean())), float(curve.smooth[-1])
    fallen = first - last
    if fallen >= UNDERFITTED * first or last < LEARNT_LOSS:
        return None
    return Diagnosis(
        "underfitting",
        None,
        f"The {'training' if curve is trained else 'validation'} loss went from {first:.3f} to {last:.3f} only.",
        "Multiply training.learning_rate by three to ten, raise adapter.r, train more epochs, or see with luthier data "
        "tokens whether the rows' targets are what shall be learnt.",
    )


def _find_progress(trained: _Points, held_out: _Points) -> Diagnosis | None:
    """The loss is at its best at the end, and the last third of the steps still brought something."""
    curve = held_out if len(held_out.losses) >= 3 else trained
    steps, losses = curve.steps, curve.smooth
    since = min(int(np.searchsorted(steps, steps[0] + (steps[-1] - steps[0]) * END)), len(steps) - 2)
    gain = float(losses[since] - losses[-1])
    if gain < curve.noticeable:
        return None
    name = "validation" if curve is held_out else "training"
    per_hundred = 100 * gain / float(steps[-1] - steps[since])
    return Diagnosis(
        "still learning",
        None,
        f"The {name} loss was still falling at the end, by {per_hundred:.3f} per 100 steps, and stands at "
        f"{losses[-1]:.3f}.",
        "Train longer: raise training.num_train_epochs by half, or training.learning_rate.",
    )


def _rates(train: Curve) -> Numbers:
    """The learning rate of each training step; empty where they are not known."""
    return np.array([point["learning_rate"] for point in train if "learning_rate" in point], np.float64)


def _find_decayed_rate(trained: _Points, held_out: _Points, rates: Numbers, epochs: int | None) -> Diagnosis | None:
    """The loss was falling while the learning rate was high, and is level since too little of it is left.

    Progress is measured against the sum of the learning rates so far, which is as steps are where the rate is constant:
    the last third of that sum must have brought nothing.
    """
    if len(rates) < len(trained.steps) or not rates.any() or rates[-1] > rates.max() / 2:
        return None
    spent = np.cumsum(rates) / rates.sum()

    def spent_at(curve: _Points) -> Numbers:
        shares: Numbers = np.interp(curve.steps, trained.steps, spent)
        return shares

    curve = held_out if len(held_out.losses) >= 3 else trained
    judged = curve if spent_at(curve)[0] <= END else trained  # validations that begin late tell nothing of before
    gain = float(np.interp(END, spent_at(judged), judged.smooth) - judged.smooth[-1])
    if gain < judged.noticeable:
        return None
    step, level = _level_since(curve)
    share = float(np.interp(step, trained.steps, rates)) / float(rates.max())
    once = " Each row was read only once." if epochs == 1 else ""
    return Diagnosis(
        "rate decayed",
        step,
        f"The {_name(curve, trained)} loss has been level since step {step}, at {level:.3f} nats per token, but by "
        f"then the learning rate had decayed to {share:.0%} of its peak; before, the {_name(judged, trained)} loss was "
        f"falling. That is no proof of convergence.{once}",
        "Raise training.num_train_epochs, so that the rate stays high for more steps, or training.learning_rate.",
    )


def _name(curve: _Points, trained: _Points) -> str:
    return "training" if curve is trained else "validation"


def _level_since(curve: _Points) -> tuple[int, float]:
    """The step from which the loss stayed within what is noticeable of its last value, and that value."""
    level = float(curve.smooth[-1])
    away = np.flatnonzero(np.abs(curve.smooth - level) > curve.noticeable)
    place = int(away[-1]) + 1 if len(away) else 0
    return int(curve.steps[place]), level


def _converged(trained: _Points, held_out: _Points) -> Diagnosis:
    """Where the loss came within what is noticeable of its last value, for good."""
    curve = held_out if len(held_out.losses) >= 3 else trained
    step, level = _level_since(curve)
    sentence = f"The {_name(curve, trained)} loss has been level since step {step}, at {level:.3f} nats per token."
    if curve is trained:
        sentence += " Without three validations nothing tells whether it learns by heart."
    return Diagnosis(
        "converged",
        step,
        sentence,
        "More steps of the same will not help. Better data, more wordings or a larger model may.",
    )
