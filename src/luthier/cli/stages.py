"""Commands that make artefacts: prepare, check, train, evaluate, compose."""

from typing import TYPE_CHECKING, Annotated

import typer

import luthier
from luthier.cli.comparison import show_comparison
from luthier.cli.console import print_json, print_table, print_text
from luthier.cli.exit_codes import REFUSED
from luthier.cli.options import AsJson, Overrides, Recipe, open_here

if TYPE_CHECKING:
    from luthier.pipeline.train import Trained

Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")]


def prepare(recipe: Recipe = None, override: Overrides = None, as_json: AsJson = False) -> None:
    """Clean, format and split the source files into a dataset."""
    with open_here(recipe, override) as project:
        made = luthier.prepare(project)
    figures = made.to_json()
    if as_json:
        print_json(figures)
        return
    print_text(f"{made.dataset}: {figures['read']} records read, {figures['kept']} kept, {figures['dropped']} dropped")
    print_text(f"rows: {', '.join(f'{count} {split}' for split, count in made.splits.items())}\n")
    print_table(("file", "format", "read", "kept", "dropped"), made.files)
    if made.reasons:
        print_text()
        print_table(("dropped because", "records"), made.reasons)
    if made.flags:
        print_text()
        print_table(("kept, but flagged", "rows"), made.flags)
    print_text()
    for question, answer, why in made.verdict:
        print_text(f"{question} {answer.capitalize()}. {why}")
    print_text(f"\nReport: {made.page}")
    print_text("Look into it with: luthier data show, luthier data why")


def check(recipe: Recipe = None, override: Overrides = None, as_json: AsJson = False) -> None:
    """Check that the base model is sound and can learn."""
    with open_here(recipe, override) as project:
        checked = luthier.check(project)
    if as_json:
        print_json(checked.to_json())
    else:
        rows = [(f.check, f.verdict, f"{f.value:.4g}", f"{f.limit:.4g}", f.advice) for f in checked.findings]
        print_table(("check", "verdict", "value", "limit", "advice"), rows)
        if checked.suggested_learning_rate:
            print_text(f"Learning rate to start with: {checked.suggested_learning_rate:g}")
        took = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in checked.parts.items())
        print_text(f"Took: {took}")
        print_text(f"Verdict: {checked.verdict}")
    if checked.verdict == "fail":
        raise typer.Exit(REFUSED)


def train(
    recipe: Recipe = None,
    override: Overrides = None,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune the base model on the dataset."""
    with open_here(recipe, override) as project:
        _print_trained(luthier.train(project, resume), as_json)


def pretrain(
    recipe: Recipe = None,
    override: Overrides = None,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Train a model from nothing: the recipe's model.config and model.tokenizer."""
    with open_here(recipe, override) as project:
        _print_trained(luthier.pretrain(project, resume), as_json)


def _print_trained(trained: "Trained", as_json: bool) -> None:
    if as_json:
        print_json(trained.to_json())
        return
    figures = trained.figures
    speed = f"{figures['tokens']} tokens at {figures['tokens_per_second']} tokens/s"
    print_text(f"{trained.run}: {figures['steps']} steps, {speed}, fast path {figures['fast_path']}")
    others = "".join(
        f", {name} {_loss(value)}" for name, value in (figures["validation"] or {}).items() if name != "loss"
    )
    print_text(
        f"train loss {_loss(figures['train_loss'])}, validation loss {_loss(figures['validation_loss'])}{others}"
    )
    print_text(f"It lies in {trained.path}, its curves are drawn in curves.png. Next: luthier evaluate")


def evaluate(
    run: Annotated[str | None, typer.Argument(help="A run; the latest if none is named.")] = None,
    against: Annotated[
        str | None, typer.Option(help="Compare with this run or base model instead of the released run.")
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Instead, show the answers of these two models side by side and take blind votes."),
    ] = None,
    recipe: Recipe = None,
    override: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Measure a run beside what it would replace. Exit code 2 when a gate fails."""
    if compare is not None:
        with open_here(recipe, override) as project:
            show_comparison(luthier.compare(project, *compare), as_json)
        return
    with open_here(recipe, override) as project:
        evaluated = luthier.evaluate(project, run, against)
    if as_json:
        print_json(evaluated.to_json())
    else:
        print_text(evaluated.report())
        print_text(f"Page to read or pass on: {evaluated.page}")
        print_text(f"All answers lie beside it in {evaluated.path}")
    if evaluated.verdict == "fail":
        raise typer.Exit(REFUSED)


def _loss(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def compose(
    runs: Annotated[list[str], typer.Argument(help="Two runs or more, over one base model.")],
    weight: Annotated[
        list[float] | None, typer.Option(help="Of each run, in their order; equal shares if none is given.")
    ] = None,
    ties: Annotated[
        float | None, typer.Option(help="Combine by TIES, keeping so large a share of each adapter, such as 0.5.")
    ] = None,
    recipe: Recipe = None,
    override: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Make one run of the adapters of several: their weighted sum, or TIES."""
    with open_here(recipe, override) as project:
        made = luthier.compose(project, runs, weight or (), ties)
    if as_json:
        print_json(made.to_json())
    else:
        print_text(f"{made.run} is made of {', '.join(made.of)}. Next: luthier evaluate {made.run}")
