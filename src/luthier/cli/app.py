"""All commands, in the order of the life cycle."""

from typing import Annotated

import typer

from luthier.cli import data, planning, registry, release, stages, start, tokenizer, use
from luthier.cli.console import print_text
from luthier.cli.options import help_without_command

app = typer.Typer(
    name="luthier",
    help="From raw support logs to a fine-tuned, served and monitored chatbot.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print_text(f"luthier {version('luthier')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    help_without_command(context)


app.command()(start.demo)
app.command()(start.init)
app.command()(start.doctor)
app.command()(stages.prepare)
app.add_typer(data.app, name="data")
app.add_typer(tokenizer.app, name="tokenizer")
app.command()(stages.check)
app.command()(planning.plan)
app.command()(stages.train)
app.command()(stages.pretrain)
app.command()(stages.evaluate)
app.command()(stages.compose)
app.command()(use.chat)
app.command()(use.classify)
app.command()(use.export)
app.command()(use.serve)
app.add_typer(release.app, name="release")
app.command()(use.monitor)
app.add_typer(registry.app, name="registry")
