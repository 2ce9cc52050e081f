"""`luthier release`."""

from typing import Annotated

import typer

import luthier
from luthier.cli.console import print_json, print_text
from luthier.cli.options import AsJson, help_without_command, open_here

app = typer.Typer(
    help="Decide which run is served under the recipe's name.",
    callback=help_without_command,
    invoke_without_command=True,
)


@app.command()
def promote(
    run: Annotated[str | None, typer.Argument(help="A run; the latest if none is named.")] = None,
    force: Annotated[
        str | None, typer.Option(help="Release although the verdict is not pass, for this reason, which is kept.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Point the recipe's name to a run whose gate passed. Exit code 2 when it is refused."""
    with open_here() as project:
        promoted = luthier.promote(project, run, force)
    if as_json:
        print_json(promoted.to_json())
    else:
        print_text(f"{promoted.alias} is now {promoted.run} ({promoted.release}). Serve it with: luthier serve")
