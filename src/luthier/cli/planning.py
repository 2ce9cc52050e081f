"""`luthier plan`."""

from typing import TYPE_CHECKING, Annotated

import typer

import luthier
from luthier.cli.console import print_json, print_table, print_text
from luthier.cli.options import AsJson, Overrides, Recipe, open_here
from luthier.core.sizes import gigabytes

if TYPE_CHECKING:
    from luthier.pipeline.plan import Planned


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
            print_text(f"\nWritten into {file}: {fields or 'nothing, all of it stands there'}")


def _print_plan(planned: "Planned") -> None:
    from luthier.planning import change_text, machine_row, method_row, money_text, time_text

    figures = planned.figures
    how = "measured on a few steps" if planned.measured else "calculated from config.json, nothing was run"
    print_text(f"Time:   {time_text(figures.seconds)}, {how}")
    parts = ", ".join(f"{name} {gigabytes(size)}" for name, size in figures.memory.to_json().items())
    print_text(f"Memory: {gigabytes(figures.memory.total)} ({parts})")
    print_text(f"Cost:   {money_text(figures.cost)} {planned.currency}")
    print_text(f"Data:   {figures.data.forecast}")
    for advice in figures.advice:
        print_text(f"- {advice}")
    print_text("\nThe same training elsewhere, an estimate from what makers publish:\n")
    print_table(
        ("machine", "memory", "needs", "fits", "time", planned.currency, "kWh"),
        [tuple(machine_row(machine).values()) for machine in planned.machines],
    )
    for change in filter(None, map(change_text, planned.machines)):
        print_text(change)
    print_text("\nProposed for the recipe (luthier plan --write puts it there):\n")
    print_table(
        ("field", "proposed", "now", "because"),
        [(one.field, one.value, "same" if one.value == one.now else one.now, one.reason) for one in planned.proposals],
    )
    print_text("\nOther methods on the same rows here, by calculation:\n")
    print_table(
        ("method", "weights that train", "memory", "fits", "time", "remark"),
        [tuple(method_row(method).values()) for method in planned.methods],
    )
    print_text(f"\nDo it, or buy it, by the assumptions in the price file ({planned.currency}):\n")
    print_table(
        ("", "what", "once", "a month", "assumed"),
        [
            (line.side, line.what, f"{line.once:,.0f}", f"{line.a_month:,.0f}", line.assumption)
            for line in planned.do_or_buy.lines
        ],
    )
    print_text(f"\n{planned.do_or_buy.sentence}")
    print_text(f"\nPage to read or pass on: {planned.page}")
