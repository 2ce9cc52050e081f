"""Progress on standard error, results on standard output."""

import ast
import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from luthier.cli import console
from luthier.cli.console import (
    TerminalReporter,
    print_json,
    print_table,
    print_text,
    progress_on,
    terminal_reporter,
)


@pytest.fixture
def terminal():
    """A reporter on what it takes for a terminal, and what was written to it."""
    written = io.StringIO()
    return TerminalReporter(progress_on(Console(file=written, force_terminal=True, width=100))), written


def test_without_a_terminal_there_are_a_few_plain_lines(capsys):
    with terminal_reporter() as reporter:
        reporter.say("reading [bold]files[/bold]")
        for step in range(1001):
            reporter.progress("training", step, 1000, f"loss {step}")
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "reading [bold]files[/bold]"
    assert lines[1] == "  training: 0 of 1000, loss 0"
    assert lines[-1] == "  training: 1000 of 1000, loss 1000"
    assert len(lines) == 1 + 11


def test_work_without_a_size_does_no_harm(capsys):
    with terminal_reporter() as reporter:
        reporter.progress("nothing", 0, 0)
    assert capsys.readouterr().err == "  nothing: 0 of 0\n"


def test_a_bar_shows_its_detail_and_stays_when_done(terminal):
    reporter, written = terminal
    reporter.progress("asking [base]", 1, 2, "half [way]")
    reporter.progress("asking [base]", 2, 2, "there")
    reporter.say("done")
    shown = written.getvalue()
    assert "asking [base]" in shown
    assert "there" in shown
    assert shown.rstrip().endswith("done")


def test_the_next_work_does_not_draw_the_last_again(terminal):
    reporter, written = terminal
    reporter.progress("first", 1, 1)
    written.truncate(0)
    reporter.progress("second", 1, 1)
    assert "first" not in written.getvalue()
    assert "second" in written.getvalue()


def test_nothing_is_live_between_two_works(terminal):
    """A chat asks and answers on the same terminal."""
    reporter, _ = terminal
    reporter.progress("loading", 1, 2)
    assert reporter._progress.live.is_started
    reporter.progress("loading", 2, 2)
    assert not reporter._progress.live.is_started


def test_work_that_was_interrupted_is_closed(terminal):
    reporter, _ = terminal
    reporter.progress("training", 1, 2)
    reporter.close()
    assert not reporter._progress.live.is_started
    reporter.close()


def test_results_stay_on_standard_output_while_a_bar_is_drawn(terminal, capsys):
    reporter, written = terminal
    reporter.progress("training", 1, 2)
    sys.stdout.write("a result\n")
    reporter.close()
    assert capsys.readouterr().out == "a result\n"
    assert "a result" not in written.getvalue()


def test_json_is_one_object_in_plain_unicode(capsys):
    print_json({"price": "€14", "loss": float("nan"), "path": io})
    out = capsys.readouterr().out
    assert out.startswith('{\n  "price": "€14",\n  "loss": null,\n  "path": "<module')
    assert out.endswith("}\n")


def test_a_table_is_as_wide_as_it_needs_to_be(capsys):
    print_table(("file", "read"), [("raw/chats.jsonl", 48), ("a", 2)])
    assert capsys.readouterr().out.splitlines() == [
        "file             read",
        "raw/chats.jsonl  48",
        "a                2",
    ]


def test_control_characters_are_shown_and_say_nothing_to_the_terminal(capsys, terminal):
    name = "a\x1b[31m\x07\r\x7f\x9b2J\udcff.csv"
    shown = r"a\x1b[31m\x07\r\x7f\x9b2J\udcff.csv"
    print_text(f"{name}\t1\n2")
    print_table(("file", "rows"), [(name, 3)])
    print_json({"file": name})
    out = capsys.readouterr().out
    assert out.startswith(f"{shown}\t1\n2\nfile ")
    assert f"\n{shown}  3\n" in out
    assert json.loads(out[out.index("{") :]) == {"file": name}
    reporter, written = terminal
    reporter.say(name)
    reporter.progress(name, 1, 2, name)
    reporter.close()
    assert written.getvalue().startswith(f"{shown}\n")
    for control in ("\x1b[31m", "\x07", "\x7f", "\x9b", "\udcff"):
        assert control not in out + written.getvalue()


def test_what_looks_like_a_picture_or_a_style_is_shown_as_it_is(terminal):
    reporter, written = terminal
    for name in ("a:x:b.csv", "[red]c.csv", ":smile:.csv"):
        written.truncate(0)
        reporter.say(name)
        reporter.progress(name, 1, 2, name)
        reporter.close()
        said, *bars = written.getvalue().splitlines()
        assert said.endswith(name)
        assert "".join(bars).count(name) >= 2


def test_all_commands_print_by_the_console():
    """What a command prints by itself could hold a file's name with control characters."""
    modules = [path for path in Path(console.__file__).parent.glob("*.py") if path.name != "console.py"]
    calls = [node.func for path in modules for node in ast.walk(ast.parse(path.read_text())) if type(node) is ast.Call]
    names = [ast.unparse(function).rpartition(".")[2] for function in calls]
    assert "print_text" in names
    assert not {"print", "echo", "secho", "write", "writelines"} & set(names)
