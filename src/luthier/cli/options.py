"""Options that many commands share, and the project they open."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import luthier
from luthier.cli.console import print_text, terminal_reporter
from luthier.cli.exit_codes import USER_ERROR

if TYPE_CHECKING:
    from luthier.pipeline.project import Project

Recipe = Annotated[Path | None, typer.Option("-r", "--recipe", help="Another recipe than luthier.yaml.")]
Overrides = Annotated[
    list[str] | None, typer.Option("-o", help="Override a field: training.learning_rate=1e-3. May be repeated.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def help_without_command(context: typer.Context) -> None:
    """Callback of a group: where no command is named, print which ones there are."""
    if context.invoked_subcommand is None:
        print_text(context.get_help(), file=sys.stderr)
        raise typer.Exit(USER_ERROR)


@contextmanager
def open_here(recipe: Path | None = None, overrides: Sequence[str] | None = None) -> Iterator["Project"]:
    """The project of the folder that the command runs in, telling its progress on standard error."""
    with (
        terminal_reporter() as reporter,
        luthier.open_project(".", recipe=recipe, overrides=overrides or (), reporter=reporter) as project,
    ):
        yield project
