"""`luthier data`."""

import json
from collections.abc import Sequence
from enum import StrEnum
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.style import Style
from rich.text import Text

import luthier
from luthier.cli.console import has_colours, print_coloured, print_json, print_table, print_text, printable
from luthier.cli.options import AsJson, help_without_command, open_here

if TYPE_CHECKING:
    from luthier.models.token_view import Run

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
    flag: Annotated[str | None, typer.Option(help="Only rows flagged as this, or what begins so.")] = None,
) -> None:
    """Print rows, with what they are flagged as."""
    with open_here() as project:
        rows = luthier.show_rows(project, dataset, split.value, limit, flag)
    for row in rows:
        print_text(f"--- {row.id}  {row.origin.file} row {row.origin.row}")
        for remark in row.flags:
            print_text(f"flagged: {remark}")
        for message in row.messages:
            print_text(f"{message['role']}: {message['content']}")
        if not row.messages:
            print_text(row.text)


@app.command()
def tokens(
    dataset: Reference = None,
    split: Annotated[SplitName, typer.Option(help="Which rows.")] = SplitName.train,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 3,
    row: Annotated[str | None, typer.Option(help="Only the row with this id, in whatever split.")] = None,
) -> None:
    """Print rows as the model reads them, the tokens that it learns to write marked."""
    with open_here() as project:
        rows = luthier.show_tokens(project, dataset, split.value, limit, row)
    coloured = has_colours()
    print_text(f"What the model learns to write is {'green' if coloured else 'between ⟦ and ⟧'}.")
    for read in rows:
        origin, counts = read.row.origin, f"{len(read.tokens):,} tokens, {read.tokens.target_tokens:,} targets"
        print_text(f"--- {read.row.id}  {origin.file} row {origin.row}: {counts}")
        if coloured:
            print_coloured(_coloured(read.runs))
        else:
            print_text(_marked(read.runs))


@app.command()
def stats(dataset: Reference = None, as_json: AsJson = False) -> None:
    """Print the figures of the report: rows, lengths, languages, topics, verdict."""
    with open_here() as project:
        found = luthier.dataset_stats(project, dataset)
    if as_json:
        print_json(found)
        return
    print_text(
        f"{found['dataset']}: {found['read']:,} records read, {found['kept']:,} kept, {found['dropped']:,} dropped\n"
    )
    lengths = [(split, rows, found["words"][split]["longest"]) for split, rows in found["splits"].items()]
    print_table(("split", "rows", "longest, in words"), lengths)
    tokens = found["tokens"]
    averages = f"{tokens['mean']:.0f} tokens on average, {tokens['mean_targets']:.0f} of them targets"
    print_text(f"\nA row has {averages}; the longest {tokens['longest']:,}.")
    print_text(f"Looked at for tokens, languages and topics: {tokens['rows']:,} rows.")
    topics = [(", ".join(topic["terms"]), topic["texts"]) for topic in found["topics"]]
    labels = [(f"{label} ({split})", rows) for split, some in found["labels"].items() for label, rows in some.items()]
    counted = {"tokens": tokens["bars"], "kind": found["kinds"].items(), "language": found["languages"].items()}
    counted |= {"topic": topics, "label": labels, "remark": found["flags"].items()}
    for what, rows in counted.items():
        if rows:
            print_text()
            print_table((what, "rows"), list(rows))
    print_text()
    for finding in found["verdict"]:
        print_text(f"{finding['question']} {finding['answer'].capitalize()}. {finding['why']}")


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
            said = "; ".join(entry.reasons or ("kept", *entry.flags))
            print_text(f"{entry.origin.file} row {entry.origin.row}: {said}")
            if record is None:
                print_text(f"    {_shorten(entry.original)}")
            else:
                _print_record(entry.original)


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
        print_text(f"{example.origin.file} row {example.origin.row}: {example.what}")


@app.command()
def leakage(
    known: Annotated[str, typer.Argument(help="train, validation, test, a dataset's id, or a file.")],
    held_out: Annotated[str, typer.Argument(help="The same: rows that must be new to what learns from the first.")],
    limit: Annotated[int, typer.Option(min=1, help="How many pairs to print at most.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Find rows to evaluate on that are like rows to train on: 80 % of their words or more are the same."""
    with open_here() as project:
        found = luthier.leakage(project, known, held_out)
    if as_json:
        print_json(found.to_json())
        return
    print_text(f"{len(found.leaks):,} of {found.rows:,} rows of {held_out} are like rows of {known}")
    if not found.complete:
        print_text("The rows are too many and too alike to compare every pair; there may be more.")
    for leak in found.leaks[:limit]:
        print_text(f"--- {leak.likeness:.0%} alike")
        for side in (leak.held_out, leak.known):
            print_text(f"{side.file} row {side.row}: {_on_one_line(side.text)}")


@app.command()
def export(
    dataset: Annotated[str, typer.Argument(help="A dataset.")],
    folder: Annotated[Path, typer.Argument(help="Where to write the files.")],
) -> None:
    """Write train, validation, test and ledger as JSONL."""
    with open_here() as project:
        paths = luthier.export_dataset(project, dataset, folder)
    for path in paths:
        print_text(path)


def _coloured(runs: Sequence["Run"]) -> Text:
    """Targets green, special tokens dim."""
    text = Text()
    for run in runs:
        style = Style(color="green" if run.target else None, dim=run.special)
        text.append(printable(run.text), style)
    text.rstrip()
    return text


def _marked(runs: Sequence["Run"]) -> str:
    parts = ((target, "".join(run.text for run in some)) for target, some in groupby(runs, lambda run: run.target))
    return "".join(f"⟦{text}⟧" if target else text for target, text in parts).rstrip("\n")


def _print_record(original: str) -> None:
    try:
        record = json.loads(original)
    except ValueError:
        print_text(original)
    else:
        print_json(record)


def _shorten(original: str) -> str:
    """An original record on one line."""
    try:
        text = json.dumps(json.loads(original), ensure_ascii=False)
    except ValueError:
        text = original
    return _on_one_line(text)


def _on_one_line(text: str, longest: int = 160) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
