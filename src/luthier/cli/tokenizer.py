"""`luthier tokenizer`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import luthier
from luthier.cli.console import print_json, print_table, print_text
from luthier.cli.options import AsJson, help_without_command, open_here

if TYPE_CHECKING:
    from luthier.pipeline.tokenizer import FertilityReport, MeasuredTokenizer

app = typer.Typer(
    help="How well a tokenizer fits the rows; make or extend one.",
    callback=help_without_command,
    invoke_without_command=True,
)
Dataset = Annotated[str | None, typer.Argument(help="A dataset, for its training rows; the latest if none is named.")]
SHOWN_WORDS = 10


class Kind(StrEnum):
    bpe = "bpe"
    wordpiece = "wordpiece"
    unigram = "unigram"


@app.command()
def train(
    dataset: Dataset = None,
    *,
    kind: Annotated[Kind, typer.Option(help="How it learns.")] = Kind.bpe,
    size: Annotated[int, typer.Option(min=1, help="Tokens to know, at most.")] = 16_000,
    folder: Annotated[Path, typer.Option("-o", "--output", help="A new folder to write it to.")],
    as_json: AsJson = False,
) -> None:
    """Learn a tokenizer of your own from the rows."""
    with open_here() as project:
        trained = luthier.train_tokenizer(project, kind.value, size, folder, dataset)
    if as_json:
        print_json(trained.to_json())
        return
    _print(trained.report)
    print_text(f"\nIt lies in {trained.path}; transformers' AutoTokenizer loads it.")


@app.command()
def report(
    dataset: Dataset = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Folder of another tokenizer to compare with.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print how many tokens the base model's tokenizer makes of a word."""
    with open_here() as project:
        found = luthier.report_fertility(project, dataset, tokenizer)
    if as_json:
        print_json(found.to_json())
        return
    _print(found)
    _print_most_split(found.other or found.base)


@app.command()
def extend(
    dataset: Dataset = None,
    *,
    words: Annotated[int | None, typer.Option(min=1, help="So many frequent words that are split today.")] = None,
    listed: Annotated[Path | None, typer.Option("--list", help="The words of this file, one a line.")] = None,
    folder: Annotated[Path, typer.Option("-o", "--output", help="A new folder to write the model to.")],
    as_json: AsJson = False,
) -> None:
    """Give the base model words of your domain as tokens."""
    with open_here() as project:
        extended = luthier.extend_vocabulary(project, folder, words, listed, dataset)
    if as_json:
        print_json(extended.to_json())
        return
    print_table(("new word", "occurrences", "tokens saved"), extended.saved_by_word[:SHOWN_WORDS])
    if (more := len(extended.saved_by_word) - SHOWN_WORDS) > 0:
        print_text(f"and {more:,} more")
    print_text()
    _print(extended.report)
    print_text(
        f"\nThe model lies in {extended.path}. To start from it, set in luthier.yaml: model.base: {extended.base}"
    )


def _print(report: "FertilityReport") -> None:
    measured = [report.base, *([report.other] if report.other else [])]
    header = ("tokenizer", "vocabulary", "tokens", "tokens per word", "characters per token", "words split")
    print_table(header, [_line(each) for each in measured])


def _line(measured: "MeasuredTokenizer") -> tuple[str, ...]:
    figures = measured.fertility
    per_word, per_token, split = figures.tokens_per_word, figures.characters_per_token, figures.split_share
    return (
        measured.name,
        f"{measured.vocabulary:,}",
        f"{figures.tokens:,}",
        "" if per_word is None else f"{per_word:.2f}",
        "" if per_token is None else f"{per_token:.2f}",
        "" if split is None else f"{split:.1%}",
    )


def _print_most_split(measured: "MeasuredTokenizer") -> None:
    words = measured.fertility.most_split[:SHOWN_WORDS]
    if words:
        print_text(f"\nWords that {measured.name} splits at the highest cost:\n")
        rows = [(word.word, word.occurrences, f"{word.tokens / word.occurrences:.1f}") for word in words]
        print_table(("word", "occurrences", "tokens each"), rows)
