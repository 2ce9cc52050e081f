"""What a person sees: progress on standard error, results on standard output."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from luthier.core.characters import LONE_SURROGATE
from luthier.core.plain_json import finite

_CONTROL = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f]|{LONE_SURROGATE.pattern}")


def printable(text: str) -> str:
    """The text with every control character but tab and line feed, and every lone surrogate, as in `\\x1b`: a file's
    name or a model's answer says nothing to the terminal itself."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def print_text(text: object = "", end: str = "\n", flush: bool = False, file: TextIO | None = None) -> None:
    """What `print` does for text that may hold anything; every command prints by this. `file` is standard output
    unless another one is given."""
    print(printable(str(text)), end=end, flush=flush, file=file)


class TerminalReporter:
    """A `Reporter` that draws a bar on a terminal and prints plain lines, a few for each work, where there is none.

    Bars are live only while there is work, so that commands can ask and answer on the same terminal.
    """

    LINES_PER_WORK = 10

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._printed: dict[str, int] = {}

    def say(self, text: str) -> None:
        self._progress.console.print(Text(printable(text)), highlight=False, soft_wrap=True)

    def progress(self, what: str, done: int, total: int, detail: str = "") -> None:
        if not self._progress.console.is_terminal:
            self._print_now_and_then(what, done, total, detail)
            return
        if what not in self._tasks:
            self._progress.start()
            self._tasks[what] = self._progress.add_task(printable(what), total=total, detail="")
        self._progress.update(self._tasks[what], completed=done, total=total, detail=printable(detail))
        if done >= total:
            self._progress.stop_task(self._tasks.pop(what))
            if not self._tasks:
                self._freeze()

    def close(self) -> None:
        """End the bars of work that did not come to its end."""
        if self._tasks:
            self._tasks.clear()
            self._freeze()

    def _freeze(self) -> None:
        """Leave the bars as they are on the terminal."""
        self._progress.stop()
        for task in self._progress.tasks:
            self._progress.remove_task(task.id)

    def _print_now_and_then(self, what: str, done: int, total: int, detail: str) -> None:
        part = done * self.LINES_PER_WORK // max(1, total)
        if self._printed.get(what) != part:
            self._printed[what] = part
            self.say(f"  {what}: {done} of {total}{f', {detail}' if detail else ''}")


@contextmanager
def terminal_reporter() -> Iterator[TerminalReporter]:
    """A reporter on standard error."""
    reporter = TerminalReporter(progress_on(Console(stderr=True)))
    try:
        yield reporter
    finally:
        reporter.close()


def progress_on(console: Console) -> Progress:
    """Bars of work as they look: what it is, how far it is, and a detail, all of them as they are said."""
    what, detail = (TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[detail]}"))
    # Results that are printed meanwhile stay on standard output.
    return Progress(what, BarColumn(), MofNCompleteColumn(), detail, console=console, redirect_stdout=False)


def has_colours() -> bool:
    """Whether colours can be seen on standard output."""
    console = Console()
    return console.color_system is not None and not console.no_color


def print_coloured(text: Text) -> None:
    """`print_text` for text with colours."""
    Console(highlight=False).print(text, soft_wrap=True)


def print_json(value: object) -> None:
    """One JSON object on standard output; null stands where a number is not finite."""
    text = json.dumps(finite(value), indent=2, ensure_ascii=False, default=str)
    print(_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text))  # JSON's own way to write them


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Columns as wide as they need to be, on standard output."""
    cells = [list(header), *([printable(str(value)) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        print("  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip())
