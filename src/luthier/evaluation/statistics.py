"""Means with 95 % intervals. Everything is seeded: the same numbers give the same interval."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from luthier.core.errors import EvaluationError

LEVEL = 0.95
RESAMPLES = 2000
"""Enough that the ends of an interval move by a few per cent of its width from seed to seed (Efron & Tibshirani,
An Introduction to the Bootstrap, 1993, section 13.3, ask for 1,000 or more)."""

_NORMAL_QUANTILE = 1.959963984540054
_CELLS_AT_ONCE = 1_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the interval that holds its true value at 95 %; `low <= value <= high`."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


Numbers = NDArray[np.float64]
Figure = Callable[[Numbers], Numbers]
"""From sums over rows, shape [..., columns], to a figure, shape [...]: `ratio`, for one."""


def ratio(sums: Numbers) -> Numbers:
    """The first column over the second."""
    quotient: Numbers = sums[..., 0] / sums[..., 1]
    return quotient


def figure_interval(rows: ArrayLike, figure: Figure, seed: int = 0) -> Interval:
    """A figure of the sums of all rows, shape [rows, columns], such as loss per token.

    The interval is the percentile bootstrap over rows (Efron 1979): rows are drawn again with replacement, all columns
    of a row together. Raises EvaluationError where there is no row or a value is not finite.
    """
    array = _checked(rows)
    drawn = np.concatenate([figure(_sums(array, places)) for places in _resamples(len(array), seed)])
    return _interval(float(figure(array.sum(axis=0))), drawn)


def paired_figure_difference(candidate: ArrayLike, reference: ArrayLike, figure: Figure, seed: int = 0) -> Interval:
    """The figure of the candidate less that of the reference, shape [rows, columns] each, row by row.

    Each resample draws the same rows of both, so that what makes a row hard for both does not widen the interval.
    """
    ours, theirs = _checked(candidate), _checked(reference)
    if ours.shape != theirs.shape:
        raise ValueError(f"shapes {ours.shape} and {theirs.shape} do not pair")
    drawn = np.concatenate(
        [figure(_sums(ours, places)) - figure(_sums(theirs, places)) for places in _resamples(len(ours), seed)]
    )
    return _interval(float(figure(ours.sum(axis=0)) - figure(theirs.sum(axis=0))), drawn)


def mean_interval(values: ArrayLike, seed: int = 0) -> Interval:
    """Mean of one value a row, shape [rows], with its interval as of `figure_interval`."""
    array = np.asarray(values, dtype=np.float64)
    return figure_interval(np.stack([array, np.ones_like(array)], axis=-1), ratio, seed)


def paired_difference(candidate: ArrayLike, reference: ArrayLike, seed: int = 0) -> Interval:
    """Mean of `candidate - reference`, shape [rows] each, row by row, with its bootstrap interval."""
    ours, theirs = np.asarray(candidate, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if ours.shape != theirs.shape:
        raise ValueError(f"shapes {ours.shape} and {theirs.shape} do not pair")
    return mean_interval(ours - theirs, seed)


def share_interval(hits: Sequence[bool]) -> Interval:
    """Share of rows that hit, with the score interval of Wilson (1927).

    A bootstrap of 0 hits, or of hits only, has no width whatever the number of rows; this one has.
    """
    if not hits:
        raise EvaluationError("nothing to count: there are no rows")
    rows, share, square = len(hits), sum(hits) / len(hits), _NORMAL_QUANTILE**2
    centre = (share + square / (2 * rows)) / (1 + square / rows)
    half = math.sqrt(share * (1 - share) / rows + square / (4 * rows**2)) * _NORMAL_QUANTILE / (1 + square / rows)
    return Interval(share, max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share)))


def _checked(rows: ArrayLike) -> Numbers:
    array = np.asarray(rows, dtype=np.float64)
    if array.ndim != 2:
        raise ValueError(f"shape {array.shape} is not one list of columns a row")
    if not len(array):
        raise EvaluationError("nothing to average: there are no rows")
    if not np.isfinite(array).all():
        raise EvaluationError("a value is not a finite number, so there is no average")
    return array


def _sums(array: Numbers, places: NDArray[np.int32]) -> Numbers:
    """Sums over the rows of each resample: [resamples, columns] of array [rows, columns], places [resamples, rows]."""
    own_range = places + len(array) * np.arange(len(places))[:, None]
    counts = np.bincount(own_range.ravel(), minlength=places.size).reshape(places.shape)
    sums: Numbers = counts.astype(np.float64) @ array
    return sums


def _interval(value: float, drawn: Numbers) -> Interval:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, min(float(low), value), max(float(high), value))


def _resamples(rows: int, seed: int) -> Iterator[NDArray[np.int32]]:
    """Row numbers of all resamples, shape [some, rows] at a time."""
    generator = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // rows)
    for start in range(0, RESAMPLES, at_once):
        yield generator.integers(0, rows, size=(min(at_once, RESAMPLES - start), rows), dtype=np.int32)
