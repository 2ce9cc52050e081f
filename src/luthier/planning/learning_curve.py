"""How the loss falls with the number of rows: a power law with a floor, fitted on small trainings and carried on.

loss(n) = floor + scale n^-power, as in Hestness et al. 2017 (Deep Learning Scaling is Predictable, Empirically) and,
for fine-tuning, Zhang et al. 2024 (When Scaling Meets LLM Finetuning). Three or four points do not settle three
numbers, so all triples that go with the points are weighed by how well they do; what they say of more rows is a range.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from luthier.planning.duration import Range

Floats = npt.NDArray[np.float64]

NOISE = 0.01
"""How far the loss of a training lies from the law, relatively, where repeats do not tell."""
NOISE_WEIGHT = 4
"""Repeats that this is worth."""
SMALLER_IS_LESS_SURE = 0.5
"""For each halving of the rows a point counts as so much noisier: the law holds less where steps are few."""
POWERS = (0.05, 1.5)
COVERED = 0.9
"""Share of the weight that a range holds."""
WORTH_IT = 0.02
"""Relative fall of the loss by doubling from which more data is worth getting."""
_Z = np.array([-1.59, -0.97, -0.59, -0.28, 0.0, 0.28, 0.59, 0.97, 1.59])
"""Middles of ninths of a normal distribution."""


@dataclass(frozen=True, slots=True)
class Point:
    """A training on so many rows, and its loss on held-out rows."""

    rows: int
    loss: float


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Laws that go with the points, each with its weight; arrays of one length."""

    points: tuple[Point, ...]
    noise: float
    floors: Floats = field(repr=False)
    scales: Floats = field(repr=False)
    powers: Floats = field(repr=False)
    weights: Floats = field(repr=False)

    @classmethod
    def fit(cls, points: Sequence[Point]) -> "LearningCurve":
        """From at least three different numbers of rows, each once or more often. Raises ValueError for fewer."""
        if len({point.rows for point in points}) < 3:
            raise ValueError("a learning curve needs at least three numbers of rows")
        rows = np.array([point.rows for point in points], dtype=float)
        losses = np.array([point.loss for point in points])
        noise = _noise(points)
        sigma = noise * losses * (1 + SMALLER_IS_LESS_SURE * np.log2(rows.max() / rows))
        powers, floors = (
            grid.ravel()
            for grid in np.meshgrid(np.geomspace(*POWERS, 60), losses.min() * np.linspace(0, 0.999, 80), indexing="ij")
        )
        # Rows in units of the most there were, so that no number gets out of hand.
        x = (rows / rows.max())[None] ** -powers[:, None]
        precision = (x**2 / sigma**2).sum(1)
        scales = np.maximum(0.0, ((losses[None] - floors[:, None]) * x / sigma**2).sum(1) / precision)
        misfit = (((losses[None] - floors[:, None] - scales[:, None] * x) / sigma) ** 2).sum(1)
        spread = precision**-0.5
        weights = np.exp(-0.5 * (misfit - misfit.min())) * spread
        each = np.maximum(0.0, scales[:, None] + _Z * spread[:, None])
        repeat = len(_Z)
        return cls(
            tuple(points),
            noise,
            np.repeat(floors, repeat),
            (each * rows.max() ** powers[:, None]).ravel(),
            np.repeat(powers, repeat),
            np.repeat(weights / weights.sum() / repeat, repeat),
        )

    def at(self, rows: int) -> Range:
        """The loss that a training on so many rows would have."""
        lawful = self._laws(rows)
        found = (lawful[:, None] * (1 + self.noise * _Z)).ravel()
        return self._range(found, np.repeat(self.weights / len(_Z), len(_Z)))

    def gain(self, rows: int, more: int) -> Range:
        """By how much the loss would fall from so many rows to more of them, as a share of what it is."""
        now = self._laws(rows)
        return self._range((now - self._laws(more)) / now, self.weights)

    @property
    def floor(self) -> float:
        """The loss that no number of rows gets below, as far as the points tell."""
        return self._range(self.floors, self.weights).expected

    @property
    def power(self) -> float:
        return self._range(self.powers, self.weights).expected

    def _laws(self, rows: int) -> Floats:
        laws: Floats = self.floors + self.scales * float(rows) ** -self.powers
        return laws

    @staticmethod
    def _range(values: Floats, weights: Floats) -> Range:
        order = np.argsort(values)
        reached = np.cumsum(weights[order])
        tail = (1 - COVERED) / 2
        places = np.searchsorted(reached, np.array([tail, 0.5, 1 - tail]) * reached[-1]).clip(max=len(values) - 1)
        low, middle, high = values[order][places].tolist()
        return Range(low, middle, high)


def _noise(points: Sequence[Point]) -> float:
    """Relative spread of the losses of trainings on equally many rows, beside what is usual."""
    squares, count = NOISE_WEIGHT * NOISE**2, float(NOISE_WEIGHT)
    for rows in {point.rows for point in points}:
        losses = np.array([point.loss for point in points if point.rows == rows])
        if len(losses) > 1:
            squares += float(((losses / losses.mean() - 1) ** 2).sum())
            count += len(losses) - 1
    return float((squares / count) ** 0.5)


@dataclass(frozen=True, slots=True)
class CurveForecast:
    """What the curve says of all rows that there are, and of twice as many."""

    points: tuple[Point, ...]
    rows: int
    at_all: Range
    at_double: Range
    gain: Range
    floor: float
    power: float

    @classmethod
    def of(cls, points: Sequence[Point], rows: int) -> "CurveForecast":
        """Of `rows` there are, from trainings on parts of them. Raises ValueError as `LearningCurve.fit` does."""
        curve = LearningCurve.fit(points)
        gain = curve.gain(rows, 2 * rows)
        return cls(tuple(points), rows, curve.at(rows), curve.at(2 * rows), gain, curve.floor, curve.power)

    @property
    def enough(self) -> bool:
        """Whether twice the rows would hardly help."""
        return self.gain.expected < WORTH_IT

    @property
    def sentence(self) -> str:
        low, expected, high = (f"{value:.1%}" for value in (self.gain.low, self.gain.expected, self.gain.high))
        worth = "that is hardly worth it" if self.enough else "more data would help"
        return (
            f"On all {self.rows:,} rows the loss should be {_loss(self.at_all)}; twice as many would bring "
            f"{_loss(self.at_double)}, which is {expected} less ({low} to {high}): {worth}."
        )

    def to_json(self) -> dict[str, object]:
        return {
            "points": [{"rows": point.rows, "loss": point.loss} for point in self.points],
            "rows": self.rows,
            "at_all": self.at_all.to_json(),
            "at_double": self.at_double.to_json(),
            "gain": self.gain.to_json(),
            "floor": self.floor,
            "power": self.power,
        }


def _loss(loss: Range) -> str:
    return f"{loss.expected:.2f} ({loss.low:.2f} to {loss.high:.2f})"
