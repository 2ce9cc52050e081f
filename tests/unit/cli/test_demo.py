"""The chat at the end of the demo opens on a terminal only."""

from pathlib import Path
from types import SimpleNamespace

import pytest

import luthier
from luthier.cli import start
from luthier.pipeline.demo import Asked, Demo

RESULT = Demo(
    workspace=Path(),
    base={"facts": 0.031},
    tuned={"facts": 0.72},
    verdict="pass",
    train={"run": "run-1"},
    asked=(Asked("How long?", "7 days", "I do\nnot know.", "7 days."),),
    lineage="source-1\n└─ run-1",
    release="release-1",
    seconds=300.0,
)


@pytest.fixture
def demonstrated(command, prepared_shop, monkeypatch):
    """`demonstrated("--json", terminal=True)`: what was printed, and the models that were talked to."""
    talked = []
    monkeypatch.setattr(luthier, "demo", lambda _folder, _reporter: RESULT, raising=False)
    monkeypatch.setattr(start, "talk", lambda session: talked.append(session.model))

    def call(*arguments, terminal):
        stream = SimpleNamespace(isatty=lambda: terminal)
        monkeypatch.setattr(start, "sys", SimpleNamespace(stdin=stream, stdout=stream))
        return command(prepared_shop, "demo", ".", *arguments), talked

    return call


def test_a_terminal_gets_a_chat(demonstrated):
    ended, talked = demonstrated(terminal=True)
    assert ended.code == 0, ended.err
    assert [model.startswith("base-") for model in talked] == [True]  # no run in this workspace


@pytest.mark.parametrize(("arguments", "terminal"), [([], False), (["--json"], True)])
def test_nothing_else_does(demonstrated, arguments, terminal):
    ended, talked = demonstrated(*arguments, terminal=terminal)
    assert ended.code == 0, ended.err
    assert talked == []


def test_what_is_printed(demonstrated):
    ended, _ = demonstrated(terminal=False)
    assert ended.out.startswith(
        "\nQ: How long?   (must say: 7 days)\n  base:  I do not know.\n  tuned: 7 days.\n"
        "\nWhere the last answer came from:\nsource-1\n└─ run-1\n"
        "\nFacts recalled on unseen questions: base 3.1%, tuned 72.0%\n"
        "Verdict: pass; released as release-1\n"
    )
    assert "(5.0 minutes)" in ended.out


def test_json(demonstrated):
    ended, _ = demonstrated("--json", terminal=False)
    assert ended.json["asked"] == [
        {"question": "How long?", "expected": "7 days", "base": "I do\nnot know.", "tuned": "7 days."}
    ]
    assert ended.json["lineage"] == ["source-1", "└─ run-1"]
