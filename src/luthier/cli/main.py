"""Entry point: runs a command, and turns errors into one sentence and an exit code."""

import errno
import gc
import logging
import os
import select
import sys
import warnings
from pathlib import Path

from typer.exceptions import TyperException

from luthier.cli.app import app
from luthier.cli.console import print_text
from luthier.cli.exit_codes import INTERRUPTED, REFUSED, USER_ERROR
from luthier.core.characters import LONE_SURROGATE
from luthier.core.errors import LuthierError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What writing to a full disk or past a limit ends in. Such an error without a file's name is one of a stream."""
_REFUSED_PATHS = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM)
"""What looking at a path that a user named may end in."""
_STANDARD_OUTPUT = 1


def main() -> None:
    """Run `luthier` with the arguments of the process and exit: 0 done, 1 user error, 2 refused by a gate."""
    if os.environ.get("RANK", "0") != "0":  # of the processes that torchrun starts the first one speaks
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (until the end)
    code = _delivered(run(sys.argv[1:]))
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
    except OSError as error:
        if error.errno in _FULL and error.filename is None:
            return _fail(f"cannot write: {error.strerror}", USER_ERROR)
        if error.errno in _REFUSED_PATHS and error.filename is not None:
            return _fail(f"{os.fsdecode(error.filename)}: {error.strerror}", USER_ERROR)
        raise
    except SystemExit as ended:  # what typer makes of a broken pipe, whichever it was
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        return 0 if _nobody_reads() else _fail(f"cannot write: {ended.__context__.strerror}", USER_ERROR)
    if code == INTERRUPTED:
        return _fail("stopped", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _nobody_reads() -> bool:
    """Whether standard output is a pipe that nobody reads any more, as `head` that has its lines."""
    watched = select.poll()
    watched.register(_STANDARD_OUTPUT, 0)
    return bool(watched.poll(0))


def _delivered(code: int) -> int:
    """The exit code of a command, 1 where one that was done cannot write after all what it printed."""
    try:
        if sys.stdout is not None:  # None where it was closed from the start
            sys.stdout.flush()
    except OSError as error:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 (for its descriptor)
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # the rest, which Python would try to write at its end
        if code in (0, REFUSED) and error.errno != errno.EPIPE:  # who reads no further wants no more
            return _fail(f"cannot write: {error.strerror}", code or USER_ERROR)
    return code


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
