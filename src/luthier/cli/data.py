"""`luthier data`."""

import json
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

import luthier
from luthier.cli.console import print_json, print_table
from luthier.cli.options import AsJson, help_without_command, open_here

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
def why(
    dataset: Reference = None,
    reason: Annotated[str | None, typer.Option(help="Only records dropped for this, or what begins so.")] = None,
    record: Annotated[str | None, typer.Option(help="One record, kept or not: a row's id, or FILE:ROW.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="How many at most.")] = None,
) -> None:
    """Print records that were dropped, all reasons, and the original; of one record, all of it."""
    with open_here() as project:
        for entry in islice(luthier.dropped_records(project, dataset, reason, record), limit):
            print(f"{entry.origin.file} row {entry.origin.row}: {'; '.join(entry.reasons) or 'kept'}")
            if record is None:
                print(f"    {_shorten(entry.original)}")
            else:
                print(json.dumps(json.loads(entry.original), indent=2, ensure_ascii=False))


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A dataset.")],
    after: Annotated[str, typer.Argument(help="Another one.")],
    as_json: AsJson = False,
) -> None:
    """Compare two datasets record by record."""
    with open_here() as project:
        found = luthier.diff(project, before, after)
    if as_json:
        print_json(found.to_json())
        return
    print_table(("what became of a record", "records"), [("the same", found.same), *found.counts.items()])
    for example in found.examples:
        print(f"{example.origin.file} row {example.origin.row}: {example.what}")


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
