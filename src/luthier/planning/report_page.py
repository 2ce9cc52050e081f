"""A plan as one page for whoever decides: the answers first."""

from collections.abc import Mapping, Sequence
from importlib.resources import files

from luthier.core.sizes import gigabytes
from luthier.planning.estimate import PlanFigures
from luthier.planning.learning_curve import CurveForecast
from luthier.planning.methods import MethodRow
from luthier.planning.projection import Projection
from luthier.planning.wording import change_text, machine_row, method_row, money_text, time_text
from luthier.text.chart import Series, Spread, line_chart, stacked_bars
from luthier.text.pages import fill_page

SECTIONS = (
    ("memory", "Memory"),
    ("machines", "Time and money"),
    ("data", "Enough data?"),
    ("proposals", "Proposals"),
    ("methods", "Methods"),
    ("buy", "Do or buy"),
)
COLOURS = tuple(f"var(--part{number})" for number in range(1, 7))


def render_page(
    name: str,
    figures: PlanFigures,
    machines: Sequence[Projection],
    methods: Sequence[MethodRow],
    fields: Mapping[str, object],
) -> str:
    """HTML of a plan, its values escaped. `fields` is what `luthier plan --json` prints of it."""
    template = files("luthier.planning").joinpath("report_page.html").read_text(encoding="utf-8")
    measured = bool(fields["measured"])
    return fill_page(
        template,
        name=name,
        plan=fields,
        sections=SECTIONS,
        how="Measured on a few steps of the training." if measured else "Calculated from config.json; nothing was run.",
        here="This machine was measured." if measured else "This machine's own products and memory were timed.",
        answers=_answers(figures, machines),
        headlines=_headlines(figures, machines[0], str(fields["currency"])),
        memory_chart=_memory_chart(figures, machines[0]),
        parts=list(zip(figures.memory.to_json(), COLOURS, strict=True)),
        machines=[machine_row(machine) for machine in machines],
        sources="; ".join(dict.fromkeys(machine.source for machine in machines if machine.source)),
        time_chart=_time_chart(machines),
        curve_chart=curve_chart(figures.data.curve) if figures.data.curve else "",
        methods=[method_row(method) for method in methods],
    )


def curve_chart(curve: CurveForecast) -> str:
    """The trainings on parts of the rows, the law through them, and where it leads."""
    points = sorted((float(point.rows), point.loss) for point in curve.points)
    expected = [(float(curve.rows), curve.at_all.expected), (2.0 * curve.rows, curve.at_double.expected)]
    spreads = [
        Spread(x, loss.low, loss.expected, loss.high, "var(--held-out)")
        for (x, _), loss in zip(expected, (curve.at_all, curve.at_double), strict=True)
    ]
    series = (
        Series("", [points[-1], *expected], "var(--held-out)", 'stroke-width="2" stroke-dasharray="5 4"'),
        Series("trained", points, "var(--bar)", dots=True, line=False),
        Series("forecast", expected, "var(--held-out)", line=False),
    )
    return line_chart(series, "rows", "Loss by the number of rows", float(curve.rows), spreads)


def _answers(figures: PlanFigures, machines: Sequence[Projection]) -> list[tuple[str, str, str, str]]:
    """(question, answer, tone, why)"""
    here, fitting = machines[0], [machine for machine in machines[1:] if machine.fits]
    where = min(fitting, key=lambda machine: machine.cost.expected, default=None)
    elsewhere = f" The cheapest elsewhere: {where.name}, {time_text(where.seconds)}." if where else ""
    change = next((change_text(machine) for machine in machines if change_text(machine)), "")
    data, sum_of = figures.data, f"{len(fitting)} of {len(machines) - 1} machines"
    return [
        ("Does it fit on this machine?", *_yes(here.fits), figures.advice[0]),
        ("Does it fit elsewhere?", *_yes(bool(fitting)), f"{sum_of}.{elsewhere} {change}"),
        ("Is there enough data?", *_yes(data.enough), data.forecast),
    ]


def _yes(fact: bool) -> tuple[str, str]:
    return ("Yes", "yes") if fact else ("No", "no")


def _headlines(figures: PlanFigures, here: Projection, currency: str) -> list[tuple[str, str]]:
    return [
        (time_text(figures.seconds).partition(" (")[0], "for one training here"),
        (gigabytes(figures.memory.total), "of memory at the peak"),
        (f"{money_text(figures.cost).partition(' (')[0]} {currency}", "for one training here"),
        (f"{here.kilowatt_hours:.2f} kWh", "of electricity"),
    ]


def _memory_chart(figures: PlanFigures, here: Projection) -> str:
    needed = list(map(float, figures.memory.to_json().values()))
    free = [0.0] * (len(needed) - 1) + [float(here.device_bytes)]
    rows = (("needed", needed, gigabytes(sum(needed))), ("free here", free, gigabytes(here.device_bytes)))
    return stacked_bars(rows, COLOURS, "Memory by what holds it")


def _time_chart(machines: Sequence[Projection]) -> str:
    rows = [
        (machine.name, (machine.seconds.expected,), time_text(machine.seconds)) for machine in machines if machine.fits
    ]
    return stacked_bars(rows, ("var(--bar)",), "Time by machine")
