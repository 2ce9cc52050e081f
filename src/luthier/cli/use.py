"""Commands that use models: chat, classify, export, serve, monitor."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import luthier
from luthier.cli.console import print_json, print_text
from luthier.cli.options import AsJson, Overrides, Recipe, open_here

if TYPE_CHECKING:
    from luthier.pipeline.chat import ChatSession


def chat(
    model: Annotated[str | None, typer.Argument(help="A run, the released name or the base model.")] = None,
    recipe: Recipe = None,
    override: Overrides = None,
) -> None:
    """Talk to a model in the terminal."""
    with open_here(recipe, override) as project:
        talk(luthier.open_chat(project, model))


def talk(session: "ChatSession") -> None:
    """Questions from standard input, answers to standard output, until an empty line or the end of input."""
    print_text(f"Talking to {session.model}. An empty line ends it.")
    while True:
        try:
            question = input("\nyou: ").strip()
        except EOFError:
            return
        if not question:
            return
        print_text("bot: ", end="", flush=True)
        for piece in session.ask(question):
            print_text(piece, end="", flush=True)
        print_text()


def classify(
    texts: Annotated[list[str], typer.Argument(help="A text; several are labelled together.")],
    model: Annotated[str | None, typer.Option(help="A run; the released or latest one if none is named.")] = None,
    recipe: Recipe = None,
    override: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Print the labels that a trained classifier gives to texts."""
    with open_here(recipe, override) as project:
        found = luthier.classify(project, texts, model)
    if as_json:
        print_json({"texts": [one.to_json() for one in found]})
        return
    for one in found:
        print_text(f"{one.text}\n  {', '.join(f'{label} {probability:.1%}' for label, probability in one.labels)}")


def export(
    folder: Annotated[Path, typer.Argument(help="A new folder for the model.")],
    run: Annotated[str | None, typer.Option(help="A run or the released name; the latest run if none.")] = None,
    recipe: Recipe = None,
    override: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Write a run as a model of its own, its adapter merged into the weights."""
    with open_here(recipe, override) as project:
        made = luthier.export(project, folder, run)
    if as_json:
        print_json(made.to_json())
    else:
        print_text(
            f"{made.run} is now a model in {made.path}, in {made.dtype}; its logits differ by {made.difference:.1e}"
        )


def serve(recipe: Recipe = None, override: Overrides = None) -> None:
    """Serve an OpenAI-compatible API on this machine."""
    with open_here(recipe, override) as project:

        def tell(url: str) -> None:
            project.reporter.say(f"Serving on {url}/v1 - models: {url}/v1/models - Ctrl-C ends it")

        luthier.serve(project, tell)


def monitor(
    hours: Annotated[float | None, typer.Option(help="Only the last hours.")] = None, as_json: AsJson = False
) -> None:
    """Traffic, latency and ratings of what was served."""
    with open_here() as project:
        found = luthier.monitor(project, hours)
    if as_json:
        print_json(found.to_json())
    else:
        print_text(found.report())
