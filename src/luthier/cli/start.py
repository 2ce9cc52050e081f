"""`luthier demo`, `luthier init` and `luthier doctor`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import luthier
from luthier.cli.console import print_json, print_table, print_text, terminal_reporter
from luthier.cli.exit_codes import REFUSED
from luthier.cli.options import AsJson
from luthier.cli.use import talk
from luthier.core.sizes import gigabytes

if TYPE_CHECKING:
    from luthier.pipeline.demo import Demo


def demo(
    folder: Annotated[Path, typer.Argument(help="Where to make the workspace.")] = Path("luthier-demo"),
    as_json: AsJson = False,
) -> None:
    """The whole cycle on the bundled sample data, and a chat at the end."""
    with terminal_reporter() as reporter:
        result = luthier.demo(folder, reporter)
    if as_json:
        print_json(result.to_json())
        return
    _print_demo(result)
    if sys.stdin.isatty() and sys.stdout.isatty():
        with terminal_reporter() as reporter, luthier.open_project(folder, reporter=reporter) as project:
            talk(luthier.open_chat(project))


def _print_demo(result: "Demo") -> None:
    for one in result.asked:
        print_text(
            f"\nQ: {one.question}   (must say: {one.expected})\n  base:  {_line(one.base)}\n  tuned: {_line(one.tuned)}"
        )
    print_text(f"\nWhere the last answer came from:\n{result.lineage}")
    print_text(
        f"\nFacts recalled on unseen questions: base {result.base['facts']:.1%}, tuned {result.tuned['facts']:.1%}"
    )
    print_text(f"Verdict: {result.verdict}" + (f"; released as {result.release}" if result.release else ""))
    print_text(
        f"Everything lies in {result.workspace.resolve()} ({result.seconds / 60:.1f} minutes). Go on there with:"
    )
    print_text(
        f"  cd {result.workspace} && luthier chat      # or: luthier serve, luthier monitor, luthier registry list"
    )


def _line(text: str) -> str:
    return " ".join(text.split())


def init(
    folder: Annotated[Path, typer.Argument(help="The new workspace.")] = Path(),
    config: Annotated[
        Path | None, typer.Option("--from", help="A configuration of LLaMA-Factory, axolotl or TRL to begin with.")
    ] = None,
) -> None:
    """Make a workspace with a commented recipe."""
    if config is None:
        workspace = luthier.init(folder)
    else:
        workspace, read = luthier.init_from(config, folder)
        if read.without_counterpart:
            print_text(f"Of this configuration of {read.tool}, left out because nothing here does the same:")
            print_text("\n".join(f"  {left_out}" for left_out in read.without_counterpart))
        if read.sources:
            print_text(f"Made {workspace.recipe}. Look at it, then run: luthier prepare")
            return
    print_text(f"Made {workspace.recipe}. Put your files into {workspace.root / 'raw'}, then run: luthier prepare")


def doctor(as_json: AsJson = False) -> None:
    """What this machine can do, and how to mend what will not work. Exit code 2 when something will not."""
    found = luthier.doctor()
    if as_json:
        print_json(found.to_json())
    else:
        print_table(
            ("check", "verdict", "found", "advice"),
            [(one.check, one.verdict, one.found, one.advice) for one in found.symptoms],
        )
        print_text("\nTraining LoRA here, by estimate (luthier plan measures):\n")
        print_table(
            ("base model", "memory", "fits", "tokens/s"),
            [
                (
                    f"{round(model.weights / 1e6):,}M weights",
                    gigabytes(model.memory_bytes),
                    "yes" if model.fits else "no",
                    f"{model.tokens_per_second:,.0f}",
                )
                for model in found.prospects
            ],
        )
        print_text()
        print_table(
            ("optional part", "installed", "what it brings"),
            [
                (one.name, "yes" if one.installed else f"pip install 'luthier[{one.name}]'", one.brings)
                for one in found.extras
            ],
        )
    if found.verdict == "fail":
        raise typer.Exit(REFUSED)
