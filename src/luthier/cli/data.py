"""`luthier data`."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import luthier
from luthier.cli.options import help_without_command, open_here

app = typer.Typer(help="Look into a dataset.", callback=help_without_command, invoke_without_command=True)
Reference = Annotated[str | None, typer.Argument(help="A dataset; the latest if none is named.")]


class SplitName(StrEnum):
    train = "train"
    validation = "validation"
    test = "test"


@app.command()
def show(
    dataset: Reference = None,
    split: Annotated[SplitName, typer.Option(help="Which rows.")] = SplitName.train,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 10,
) -> None:
    """Print rows."""
    with open_here() as project:
        rows = luthier.show_rows(project, dataset, split.value, limit)
    for row in rows:
        print(f"--- {row.id}  {row.origin.file} row {row.origin.row}")
        for message in row.messages:
            print(f"{message['role']}: {message['content']}")
        if not row.messages:
            print(row.text)


@app.command()
def why(dataset: Reference = None) -> None:
    """Print every record that was dropped, and all reasons."""
    with open_here() as project:
        for entry in luthier.dropped_records(project, dataset):
            print(f"{entry.origin.file} row {entry.origin.row}: {'; '.join(entry.reasons)}")
            print(f"    {_shorten(entry.original)}")


@app.command()
def export(
    dataset: Annotated[str, typer.Argument(help="A dataset.")],
    folder: Annotated[Path, typer.Argument(help="Where to write the files.")],
) -> None:
    """Write train, validation, test and ledger as JSONL."""
    with open_here() as project:
        paths = luthier.export_dataset(project, dataset, folder)
    for path in paths:
        print(path)


def _shorten(original: str, longest: int = 160) -> str:
    """An original record on one line."""
    try:
        text = json.dumps(json.loads(original), ensure_ascii=False)
    except ValueError:
        text = " ".join(original.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
