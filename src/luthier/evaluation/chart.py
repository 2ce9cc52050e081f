"""The curves of a training as a picture: SVG for the report, PNG beside the run."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from luthier.evaluation.diagnosis import Curve, smoothed
from luthier.text.chart import Point, Series, line_chart

FEW = 40
"""Points up to which a curve is drawn with a dot for each."""


def curves_svg(train: Curve, validation: Curve, mark: int | None = None) -> str:
    """Training loss (each step faint, the smooth curve strong) and validation loss over steps; `mark` is a step to
    point out. Points whose loss is not finite are left out; an empty string where none is left.

    Colours come from the page's CSS variables --train, --held-out and --quiet.
    """
    steps, held_out = _finite(train), _finite(validation)
    series = (
        Series("", steps, "var(--train)", 'stroke-opacity="0.25"'),
        Series("training", _even(steps), "var(--train)"),
        Series("validation", held_out, "var(--held-out)", dots=True),
    )
    return line_chart(series, "step", "Loss over steps", mark)


def curves_png(curves: Mapping[str, Curve], title: str, path: Path) -> None:
    """Write a picture of the curves of a training, `train` and `validation`, over steps: both losses with the best
    validation marked, learning rate and gradient norm.

    Lines differ in dashes and in how dark they are, not in colour alone. Points that are not finite are left out.
    """
    # Imported here, since that takes longer than to draw, and most commands draw nothing.
    import matplotlib
    from matplotlib.figure import Figure

    train = curves["train"]
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user has set for pictures of their own
        figure = Figure(figsize=(8, 7), dpi=110)
        losses, rates, norms = figure.subplots(3, sharex=True, height_ratios=(4, 1, 1.3))
        # Margins by hand: to have them computed doubles the time.
        figure.subplots_adjust(left=0.11, right=0.98, bottom=0.07, top=0.91, hspace=0.1)
        figure.suptitle(title, x=0.11, y=0.985, ha="left", fontsize=11)
        _draw_losses(losses, train, curves["validation"])
        rates.plot(*_columns(_finite(train, "learning_rate")), color="black", linewidth=1.2)
        norms.plot(*_columns(_finite(train, "gradient_norm")), color="black", linewidth=0.8)
        for axes, name in ((losses, "loss (nats)"), (rates, "learning rate"), (norms, "gradient norm")):
            axes.set_ylabel(name)
            axes.yaxis.set_label_coords(-0.09, 0.5)
            axes.yaxis.set_major_formatter("{x:.3g}")
            axes.grid(color="0.9", linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            axes.margins(x=0.01)
        norms.set_xlabel("step")
        figure.savefig(path)


def _draw_losses(axes: Any, train: Curve, validation: Curve) -> None:
    steps, held_out = _finite(train), _finite(validation)
    axes.plot(*_columns(steps), color="0.75", linewidth=0.8, marker="." if len(steps) <= FEW else "", label="each step")
    axes.plot(*_columns(_even(steps)), color="tab:blue", linewidth=2, label="training")
    axes.plot(*_columns(held_out), color="black", linewidth=1.5, linestyle="--", marker="o", label="validation")
    if held_out:
        step, loss = min(held_out, key=lambda point: point[1])
        axes.axvline(step, color="0.4", linewidth=1, linestyle=":")
        name = f"best validation: {loss:.3f} at step {step:.0f}"
        axes.plot(step, loss, color="tab:orange", marker="*", markersize=17, markeredgecolor="black", ls="", label=name)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize=9, borderaxespad=0)


def _columns(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [step for step, _ in points], [value for _, value in points]


def _even(steps: Sequence[Point]) -> list[Point]:
    """The smooth curve through these points."""
    return list(zip([step for step, _ in steps], smoothed(np.array([loss for _, loss in steps])), strict=True))


def _finite(curve: Curve, name: str = "loss") -> list[Point]:
    return [(point["step"], point[name]) for point in curve if math.isfinite(point[name])]
