"""Entry point: runs a command, and turns errors into one sentence and an exit code."""

import gc
import logging
import os
import sys
import warnings
from pathlib import Path

from typer.exceptions import TyperException

from luthier.cli.app import app
from luthier.cli.console import LONE_SURROGATE, print_text
from luthier.cli.exit_codes import INTERRUPTED, USER_ERROR
from luthier.core.errors import LuthierError


def main() -> None:
    """Run `luthier` with the arguments of the process and exit: 0 done, 1 user error, 2 refused by a gate."""
    if os.environ.get("RANK", "0") != "0":  # of the processes that torchrun starts the first one speaks
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (until the end)
    code = run(sys.argv[1:])
    gc.freeze()  # what a process that ends still holds need not be looked through for garbage
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """The exit code of a command; what went wrong is on standard error."""
    _quieten_libraries()
    if unreadable := next((each for each in arguments if LONE_SURROGATE.search(each)), None):
        return _fail(f"the argument {unreadable} is not text in UTF-8", USER_ERROR)
    try:
        code = app(args=arguments, prog_name="luthier", standalone_mode=False)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "luthier"
        return _fail(f"{error.format_message()} (see: {command} --help)", USER_ERROR)
    except LuthierError as error:
        return _fail(str(error), error.exit_code)
    if code == INTERRUPTED:
        return _fail("stopped", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _fail(sentence: str, code: int) -> int:
    print_text(f"luthier: {sentence}", file=sys.stderr)
    return code


def _quieten_libraries() -> None:
    """Notes of libraries to their developers are not for users of the command line."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
