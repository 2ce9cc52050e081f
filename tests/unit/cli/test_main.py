"""How commands end: what is said, and the exit code."""

import errno
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import luthier
from luthier.cli import main as entry
from luthier.cli.main import run


def test_the_version(command, tmp_path):
    assert command(tmp_path, "--version").out == f"luthier {version('luthier')}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["evaluat"], r"'evaluat'.* 'evaluate'\? \(see: luthier --help\)"),
        (["train", "--epochs", "3"], r"--epochs.* \(see: luthier train --help\)"),
        (["train", "more"], r"more.* \(see: luthier train --help\)"),
        (["train", "-o"], r"'-o' requires an argument"),
        (["data", "wy"], r"'wy'.* 'why'\? \(see: luthier data --help\)"),
        (["data", "show", "--limit", "0"], r"'--limit'.* 1 \(see: luthier data show --help\)"),
        (["data", "show", "--split", "dev"], r"'--split'.*'dev'.*'train', 'validation', 'test'"),
        (["registry", "show"], r"[Mm]issing argument 'reference'. \(see: luthier registry show --help\)"),
        (["monitor", "--hours", "many"], r"'--hours'.* number"),
    ],
)
def test_wrong_arguments_are_one_sentence(command, tmp_path, arguments, sentence):
    ended = command(tmp_path, *arguments)
    assert (ended.code, ended.out) == (1, "")
    assert re.fullmatch(rf"luthier: .*{sentence}.*\n", ended.err)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [([], "prepare"), (["data"], "export"), (["release"], "promote"), (["registry"], "lineage")],
)
def test_no_command_prints_which_there_are(command, tmp_path, arguments, named):
    ended = command(tmp_path, *arguments)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"Usage: {' '.join(['luthier', *arguments])} ")
    assert f"\n  {named} " in ended.err


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (luthier.LuthierError("no", where="here", allowed="yes"), 1, "luthier: here: no (yes)\n"),
        (luthier.GateRefused("too bad"), 2, "luthier: too bad\n"),
        (KeyboardInterrupt(), 130, "luthier: stopped\n"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "nnn"), 1, "luthier: nnn: File name too long\n"),
        (OSError(errno.EACCES, "Permission denied", b"closed"), 1, "luthier: closed: Permission denied\n"),
    ],
)
def test_errors_become_sentences_and_exit_codes(capsys, monkeypatch, tmp_path, error, code, sentence):
    def fail(_folder):
        raise error

    monkeypatch.setattr(luthier, "init", fail, raising=False)
    assert run(["init", str(tmp_path)]) == code
    assert capsys.readouterr().err == sentence


def test_a_bug_keeps_its_stack_trace(monkeypatch, tmp_path):
    def fail(_folder):
        raise ZeroDivisionError

    monkeypatch.setattr(luthier, "init", fail, raising=False)
    with pytest.raises(ZeroDivisionError):
        run(["init", str(tmp_path)])


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["nonsense"], 1)])
def test_the_process_ends_with_the_code(monkeypatch, capsys, arguments, code):
    monkeypatch.setattr("sys.argv", ["luthier", *arguments])
    with pytest.raises(SystemExit) as ended:
        entry()
    assert ended.value.code == code
    assert capsys.readouterr()


@pytest.mark.parametrize("arguments", [["init", "a\udcffb"], ["data", "show", "a\udcffb"], ["a\udcffb"]])
def test_an_argument_that_is_no_text_is_one_sentence(command, tmp_path, arguments):
    ended = command(tmp_path, *arguments)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "luthier: the argument a\\udcffb is not text in UTF-8\n"
    assert list(tmp_path.iterdir()) == []


def test_names_of_files_say_nothing_to_the_terminal(command, lay_out_shop, tmp_path):
    lay_out_shop(tmp_path)
    [tickets] = tmp_path.glob("**/tickets.csv")
    tickets.rename(tickets.with_name("\x1b[31mtickets.csv"))
    for arguments in (["prepare"], ["data", "why"], ["data", "show"], ["train", "-r", "\x1b[31m.yaml"]):
        ended = command(tmp_path, *arguments)
        assert "\x1b" not in ended.out + ended.err
        assert "\\x1b[31m" in ended.out + ended.err, arguments


def _ended(program, stdout, unbuffered=""):
    """The exit code of a program that runs a command by `main`, and what it says on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; from luthier.cli import main; {program}main()"],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    return done.returncode, done.stderr


@pytest.fixture
def unread():
    """A pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


FULL = "luthier: cannot write: No space left on device\n"
REFUSED = "sys.modules['luthier.cli.main'].run = lambda _: print('fail') or 2; "


@pytest.mark.parametrize(
    ("program", "unbuffered", "code"),
    [
        *((f"sys.argv = ['luthier', '{said}']; ", how, 1) for said in ("--version", "--help") for how in ("", "1")),
        (REFUSED, "", 2),
    ],
)
def test_what_cannot_be_written_is_one_sentence(program, unbuffered, code):
    """A full disk behind `luthier ... > file`, as the device that is always full shows it."""
    with Path("/dev/full").open("w") as full:
        assert _ended(program, full, unbuffered) == (code, FULL)


LONG = "import luthier; luthier.init = lambda _: print('x' * 99_999); sys.argv = ['luthier', 'init']; "


@pytest.mark.parametrize(
    ("program", "unbuffered", "code"),
    [
        ("sys.argv = ['luthier', '--help']; ", "", 0),
        ("sys.argv = ['luthier', '--version']; ", "1", 0),
        (LONG, "", 0),
        (REFUSED, "", 2),
    ],
)
def test_who_reads_no_further_wants_no_more(unread, program, unbuffered, code):
    assert _ended(program, unread, unbuffered) == (code, "")


def test_another_pipe_that_broke_is_told(capsys, monkeypatch, tmp_path):
    def fail(_folder):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(luthier, "init", fail, raising=False)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))  # typer puts others there
    assert run(["init", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "luthier: cannot write: Broken pipe\n"


def test_an_error_of_the_device_is_no_full_disk(monkeypatch, tmp_path):
    def fail(_folder):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(luthier, "init", fail, raising=False)
    with pytest.raises(OSError, match="Input/output error"):
        run(["init", str(tmp_path)])
