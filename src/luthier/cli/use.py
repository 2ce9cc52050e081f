"""Commands that use models: chat, serve, monitor."""

from typing import TYPE_CHECKING, Annotated

import typer

import luthier
from luthier.cli.console import print_json
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
    print(f"Talking to {session.model}. An empty line ends it.")
    while True:
        try:
            question = input("\nyou: ").strip()
        except EOFError:
            return
        if not question:
            return
        print("bot: ", end="", flush=True)
        for piece in session.ask(question):
            print(piece, end="", flush=True)
        print()


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
        print(found.report())
