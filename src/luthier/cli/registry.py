"""`luthier registry`."""

import time
from typing import Annotated

import typer

import luthier
from luthier.cli.console import print_json, print_table, print_text
from luthier.cli.options import AsJson, help_without_command, open_here

app = typer.Typer(
    help="What there is, what came from what, and what may go.",
    callback=help_without_command,
    invoke_without_command=True,
)
Reference = Annotated[str, typer.Argument(help="An id, the beginning of one, or an alias.")]


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(help="Only this kind: source, dataset, run, ...")] = None,
    as_json: AsJson = False,
) -> None:
    """List artefacts, the latest first."""
    with open_here() as project:
        entries = luthier.list_artefacts(project, kind)
    if as_json:
        print_json({"artefacts": [entry.to_json() for entry in entries]})
        return
    rows = [
        (entry.artefact.id, ", ".join(entry.aliases), _moment(entry.created_at), entry.artefact.path or "")
        for entry in entries
    ]
    print_table(("id", "alias", "made", "files"), rows)


@app.command()
def show(reference: Reference, as_json: AsJson = False) -> None:
    """Print everything recorded about one artefact."""
    with open_here() as project:
        shown = luthier.show_artefact(project, reference)
    if as_json:
        print_json(shown.to_json())
    else:
        print_text(shown.report(), end="")


@app.command()
def lineage(
    reference: Annotated[str, typer.Argument(help="An artefact, a request (chatcmpl-...) or a feedback.")],
    as_json: AsJson = False,
) -> None:
    """Print what something came from and what came of it."""
    with open_here() as project:
        found = luthier.lineage(project, reference)
    if as_json:
        print_json(found.to_json())
    else:
        print_text(found.report())


@app.command()
def rm(reference: Reference) -> None:
    """Delete an artefact that nothing depends on."""
    with open_here() as project:
        freed = luthier.remove_artefact(project, reference)
    print_text(f"removed {reference}, {freed / 1e6:.1f} MB freed")


@app.command()
def gc(as_json: AsJson = False) -> None:
    """Delete files that no artefact needs."""
    with open_here() as project:
        garbage = luthier.remove_garbage(project)
    if as_json:
        found = {"removed": garbage.removed, "strange": garbage.strange}
        paths = {name: [str(path) for path in each] for name, each in found.items()}
        print_json({**paths, "bytes_freed": garbage.bytes_freed})
        return
    for path in garbage.removed:
        print_text(f"removed {path}")
    for path in garbage.strange:
        print_text(f"kept {path}: older than all that the database knows, so it may be of one that was lost")
    print_text(f"{garbage.bytes_freed / 1e6:.1f} MB freed")


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
