"""`luthier plan`."""

from typing import TYPE_CHECKING, Annotated

import typer

import luthier
from luthier.cli.console import print_json, print_table
from luthier.cli.options import AsJson, Overrides, Recipe, open_here
from luthier.core.sizes import gigabytes

if TYPE_CHECKING:
    from luthier.pipeline.plan import Planned
    from luthier.planning import Projection, Range


def plan(
    write: Annotated[bool, typer.Option("--write", help="Write the values that are proposed into the recipe.")] = False,
    recipe: Recipe = None,
    override: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Estimate memory, time and cost of the training, and whether there is enough data."""
    with open_here(recipe, override) as project:
        planned = luthier.plan(project)
        file = recipe or project.workspace.recipe
    if as_json:
        print_json(planned.to_json())
    else:
        _print_plan(planned)
    if write:
        changed = luthier.write_proposals(file, planned.proposals)
        if not as_json:
            fields = ", ".join(proposal.field for proposal in changed)
            print(f"\nWritten into {file}: {fields or 'nothing, all of it stands there'}")


def _print_plan(planned: "Planned") -> None:
    figures = planned.figures
    how = "measured on a few steps" if planned.measured else "calculated from config.json, nothing was run"
    print(f"Time:   {_time(figures.seconds)}, {how}")
    parts = ", ".join(f"{name} {gigabytes(size)}" for name, size in figures.memory.to_json().items())
    print(f"Memory: {gigabytes(figures.memory.total)} ({parts})")
    print(f"Cost:   {_money(figures.cost)} {planned.currency}")
    print(f"Data:   {figures.data.forecast}")
    for advice in figures.advice:
        print(f"- {advice}")
    print("\nThe same training elsewhere, an estimate from what makers publish:\n")
    print_table(
        ("machine", "memory", "needs", "fits", "time", f"{planned.currency}", "kWh"),
        [_machine(machine) for machine in planned.machines],
    )
    for machine in planned.machines:
        if machine.fits and machine.how != "as it is":
            print(f"{machine.name}: fits with {machine.how}.")
    print("\nProposed for the recipe (luthier plan --write puts it there):\n")
    print_table(
        ("field", "proposed", "now", "because"),
        [(one.field, one.value, "same" if one.value == one.now else one.now, one.reason) for one in planned.proposals],
    )
    print("\nOther methods on the same rows here, by calculation:\n")
    print_table(
        ("method", "weights that train", "memory", "fits", "time", "remark"),
        [
            (
                *(one.name, f"{one.trained:,}", gigabytes(one.memory_bytes), "yes" if one.fits else "no"),
                *(_time(one.seconds), one.remark),
            )
            for one in planned.methods
        ],
    )
    print(f"\nDo it, or buy it, by the assumptions in the price file ({planned.currency}):\n")
    print_table(
        ("", "what", "once", "a month", "assumed"),
        [
            (line.side, line.what, f"{line.once:,.0f}", f"{line.a_month:,.0f}", line.assumption)
            for line in planned.do_or_buy.lines
        ],
    )
    print(f"\n{planned.do_or_buy.sentence}")


def _machine(machine: "Projection") -> tuple[str, ...]:
    time, cost, energy = _time(machine.seconds), _money(machine.cost), f"{machine.kilowatt_hours:.2f}"
    return (
        machine.name,
        gigabytes(machine.device_bytes),
        gigabytes(machine.memory_bytes),
        "no" if not machine.fits else "yes" if machine.how == "as it is" else "with a change",
        *((time, cost, energy) if machine.fits else ("", "", "")),
    )


def _time(seconds: "Range") -> str:
    unit, size = ("hours", 3600) if seconds.expected >= 2 * 3600 else ("minutes", 60)
    low, expected, high = (f"{value / size:.1f}" for value in (seconds.low, seconds.expected, seconds.high))
    return f"{expected} {unit} ({low} to {high})"


def _money(cost: "Range") -> str:
    return f"{cost.expected:.2f} ({cost.low:.2f} to {cost.high:.2f})"
