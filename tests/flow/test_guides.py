"""What the guides say to type is typed here, and what they show is what comes out."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pytest
import yaml

import luthier
from luthier.core.recipe import parse_recipe
from luthier.evaluation import read_questions
from luthier.evaluation.report_page import GATE_QUESTIONS
from luthier.training import loop

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ID = re.compile(r"\b([a-z]+)-[0-9a-f]{12,24}\b")
LEFT_OUT = "…"
SAMPLE_DATA = "## With the sample data"
"""The line of the guide to data where its first example ends."""


def blocks(page: str, since: str = "", until: str = "") -> list[tuple[str, str]]:
    """(language, content) of each block of a page, or of what stands between two of its lines."""
    text = (DOCS / page).read_text(encoding="utf-8")
    assert since in text
    assert until in text
    found = BLOCK.findall(text[text.index(since) : text.index(until) if until else len(text)])
    assert found, f"no block in {page}"
    return found


def shown_after(page: str, language: str, since: str = "", until: str = "") -> Iterator[tuple[str, str]]:
    """Each `sh` block, and the content of the block of this language that follows it, empty if none does."""
    found = [*blocks(page, since, until), ("", "")]
    for (kind, code), (next_kind, shown) in pairwise(found):
        if kind == "sh":
            yield code, shown if next_kind == language else ""


def arguments(line: str, ids: dict[str, str]) -> list[str]:
    """What follows `luthier` on a command line, with the ids of the guide replaced by those there are."""
    program, *rest = shlex.split(ID.sub(lambda found: ids.get(found[1], found[0]), line))
    assert program == "luthier", line
    return rest


def assert_shown(shown: str, printed: str) -> None:
    """Each line of the guide stands in the output, up to its `…`; ids may differ."""
    lines = [ID.sub(r"\1-", line) for line in printed.splitlines()]
    for line in ID.sub(r"\1-", shown).splitlines():
        start, cut, _ = line.partition(LEFT_OUT)
        assert any(other.startswith(start) if cut else other == line for other in lines), f"{line!r} not in:\n{printed}"


def test_preparing_an_export_of_a_help_desk(command, tiny_model_folder, tmp_path):
    desk = tmp_path / "desk"
    made, typed, *commands = shown_after("guides/prepare-data.md", "text", until=SAMPLE_DATA)
    assert command(tmp_path, *arguments(made[0], {})).code == 0
    recipe = yaml.safe_load((desk / "luthier.yaml").read_text(encoding="utf-8"))
    recipe["model"]["base"] = str(tiny_model_folder)
    (desk / "luthier.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    subprocess.run(["bash", "-c", typed[0]], cwd=tmp_path, check=True)
    assert len(commands) == 3
    for code, shown in commands:
        ended = command(desk, *arguments(code, {}))
        assert ended.code == 0, ended.err
        assert_shown(shown, ended.out)


def test_preparing_data(command, tiny_model_folder, tmp_path, monkeypatch):
    page = "guides/prepare-data.md"
    monkeypatch.chdir(tmp_path)
    [python] = [code for language, code in blocks(page) if language == "python"]
    exec(compile(python, page, "exec"), {})
    shop = tmp_path / "shop"
    recipe = yaml.safe_load((shop / "luthier.yaml").read_text(encoding="utf-8"))
    recipe["model"]["base"] = str(tiny_model_folder)
    recipe["data"]["max_length"] = 8192  # the tiny tokenizer makes several tokens of a word
    (shop / "luthier.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    commands = list(shown_after(page, "text", since=SAMPLE_DATA))
    assert len(commands) == 9
    ids: dict[str, str] = {}
    for code, shown in commands:
        ended = command(shop, *arguments(code, ids))
        assert ended.code == (1 if shown.startswith("luthier: ") else 0), ended.err
        assert_shown(shown, ended.err if ended.code else ended.out)
        ids.setdefault("dataset", next((shop / ".luthier" / "datasets").iterdir()).name)


def test_tokenizers(command, prepared_shop):
    """The figures of the guide are those of the real base model; the shape of what is printed is the same."""
    [words] = [code for language, code in blocks("guides/tokenizers.md") if language == "txt"]
    (prepared_shop / "words.txt").write_text(words, encoding="utf-8")
    commands = list(shown_after("guides/tokenizers.md", "text"))
    assert len(commands) == 4
    for code, shown in commands:
        ended = command(prepared_shop, *arguments(code, {}))
        assert ended.code == 0, ended.err
        printed = ended.out.splitlines()
        tables = [line.split() for line in shown.splitlines() if line.startswith(("tokenizer ", "word ", "new word "))]
        assert tables
        assert all(header in [line.split() for line in printed] for header in tables)
    recipe = yaml.safe_load((prepared_shop / "luthier.yaml").read_text(encoding="utf-8"))
    [settings] = [yaml.safe_load(code) for language, code in blocks("guides/tokenizers.md") if language == "yaml"]
    (prepared_shop / "luthier.yaml").write_text(yaml.safe_dump(recipe | settings), encoding="utf-8")
    assert command(prepared_shop, "prepare").code == 0


def test_before_you_start(command, prepared_shop):
    (prepared_shop / "qwen-7b").mkdir()
    sizes = {"hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "vocab_size": 152064}
    (prepared_shop / "qwen-7b" / "config.json").write_text(json.dumps(sizes), encoding="utf-8")
    commands = [code for language, code in blocks("guides/before-you-start.md") if language == "sh"]
    lines = [line for code in commands for line in code.splitlines()]
    assert len(lines) == 4
    for line in lines:
        ended = command(prepared_shop, *arguments(line, {}))
        if "learning_curve" in line:
            assert ended.err.endswith("needs at least 128 training rows; there are 42 (leave it out)\n")
        else:
            assert ended.code == 0, ended.err


def test_training_and_evaluating(command, evaluated_shop):
    with luthier.open_project(evaluated_shop) as project:
        ids = {"run": luthier.list_artefacts(project, "run")[0].artefact.id}
    ends = {}
    for code, _ in shown_after("guides/train-and-evaluate.md", "text"):
        ended = command(evaluated_shop, *arguments(code, ids))
        ends[code.strip()] = ended.code
        if "--resume" in code:
            assert ended.err == "luthier: there is nothing to resume: no training was interrupted\n"
    assert ends.pop("luthier check") in (0, 2)  # the tiny model is random
    assert ends == {
        "luthier plan": 0,
        "luthier train": 0,
        "luthier train --resume": 1,
        "luthier evaluate": 0,
        "luthier release promote": 2,
        'luthier release promote --force "pilot with two colleagues, see ticket 12"': 0,
    }


def test_fine_tuning(command, rated_shop):
    page = "guides/fine-tune.md"
    [lines] = [code for language, code in blocks(page) if language == "jsonl"]
    [settings, gates] = [
        yaml.safe_load(code) for language, code in blocks(page, until="## Methods") if language == "yaml"
    ]
    for number, line in enumerate(lines.splitlines()):
        (rated_shop / "raw" / f"guide-{number}.jsonl").write_text(line, encoding="utf-8")
    recipe = yaml.safe_load((rated_shop / "luthier.yaml").read_text(encoding="utf-8"))
    recipe["training"] |= settings.pop("training") | {"learning_rate": 5e-3}
    recipe["evaluation"] |= gates["evaluation"]
    (rated_shop / "luthier.yaml").write_text(yaml.safe_dump(recipe | settings), encoding="utf-8")
    [commands] = [code for language, code in blocks(page) if language == "sh"]
    ended = [command(rated_shop, *arguments(line, {})) for line in commands.splitlines()]
    assert [each.code for each in ended[:2]] == [0, 0], ended
    assert all(f"raw/guide-{number}.jsonl" in ended[0].out for number in range(2))
    assert re.search(r"validation loss \d\.\d+, accuracy \d\.\d+, margin -?\d\.\d+", ended[1].out)
    assert ended[2].code in (0, 2)


def test_classifying_texts(command, tiny_encoder_folder, tmp_path):
    page = "guides/classify.md"
    desk = tmp_path / "desk"
    luthier.init(desk)
    [recipe] = [yaml.safe_load(code) for language, code in blocks(page) if language == "yaml"]
    recipe["model"] = {"base": str(tiny_encoder_folder), "dtype": "float32"}
    recipe["data"]["max_length"] = 64
    recipe["data"]["clean"] |= {"near_duplicates": None}
    (desk / "luthier.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    topics = {"delivery": ("parcel", "arrives"), "returns": ("returns", "refund"), "support": ("support", "help")}
    asked = ("is late", "was asked for", "in March", "on Monday", "for my sister", "as before", "by phone", "at night")
    mails = [
        f"{words[number % 2]} {first} {second} {number},{label}"
        for label, words in topics.items()
        for number, (first, second) in enumerate(permutations(asked, 2))
    ]
    (desk / "raw" / "mails.csv").write_text("body,department\n" + "\n".join(mails), encoding="utf-8")
    commands = list(shown_after(page, "text"))
    assert len(commands) == 4
    for code, shown in commands:
        ended = command(desk, *arguments(code, {}))
        assert ended.code in ((0, 2) if "evaluate" in code else (0,)), ended.err
        assert_shown(shown, ended.out)
    assert set(re.findall(r"(\w+) [0-9.]+%", ended.out)) == set(topics)


def no_input(_):
    raise EOFError


def test_reading_an_evaluation(command, evaluated_shop, monkeypatch):
    """The page has every question that the guide explains, under the names that it uses."""
    page = "guides/did-it-work.md"
    monkeypatch.setattr("builtins.input", no_input)
    with luthier.open_project(evaluated_shop) as project:
        ids = {kind: luthier.list_artefacts(project, kind)[0].artefact.id for kind in ("run", "base")}
    commands = [code for code, _ in shown_after(page, "text")]
    assert len(commands) == 2
    for code in commands:
        ended = command(evaluated_shop, *arguments(code, ids))
        assert ended.code == 0, ended.err
    guide = (DOCS / page).read_text(encoding="utf-8")
    for gate, question in GATE_QUESTIONS.items():
        assert gate == "evaluation.gates" or f"| {question} | `{gate}` |" in guide
    [picture] = re.findall(r"\]\((images/.*?)\)", guide)
    assert (DOCS / "guides" / picture).stat().st_size < 300_000


def test_hallucination(command, evaluated_shop, capsys, monkeypatch):
    page = "guides/hallucination.md"
    monkeypatch.chdir(evaluated_shop)
    monkeypatch.setattr(
        luthier, "open_embed", lambda _: lambda texts: np.eye(2)[[int("pool" in text) for text in texts]]
    )
    found = [*blocks(page), ("", "")]
    ran = 0
    for (language, code), (next_language, shown) in pairwise(found):
        if language == "sh":
            assert command(evaluated_shop, *arguments(code, {})).code == 0
        elif language == "python":
            exec(compile(code, page, "exec"), {})
            printed = capsys.readouterr().out
            assert next_language != "text" or printed == shown
            ran += 1
    assert ran == 3
    assert [line.split()[1] for line in printed.splitlines()] == ["True", "False"]


def test_learning_plain_text(command, prepared_shop):
    page = "guides/pretrain.md"
    path = prepared_shop / "luthier.yaml"
    goes_on, begins = (yaml.safe_load(code) for language, code in blocks(page) if language == "yaml")
    codes = [code for code, _ in shown_after(page, "text")]
    assert len(codes) == 7
    for settings, commands in ((goes_on, codes[:4]), (begins, codes[4:])):
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
        path.write_text(yaml.safe_dump(recipe | {"evaluation": {}} | settings), encoding="utf-8")
        for code in commands:
            ended = command(prepared_shop, *arguments(code, {}))
            assert ended.code in ((0, 2) if "evaluate" in code else (0,)), ended.err
    assert "| test perplexity " in ended.out


def test_serving_and_monitoring(command, evaluated_shop):
    page = "guides/serve-and-monitor.md"
    assert command(evaluated_shop, "release", "promote", "--force", "to try the guide").code == 0
    ids: dict[str, str] = {}
    ran = []
    with luthier.open_project(evaluated_shop) as project, luthier.background_server(project) as url:
        for code, shown in shown_after(page, "json"):
            if code == "luthier serve\n":
                continue
            if code.startswith("luthier"):
                ended = command(evaluated_shop, *arguments(code, ids))
                assert ended.code == 0, ended.err
                printed = ended.out
            else:
                printed = _curl(code, url, ids)
            if shown:
                answer = json.loads(printed)
                assert answer.keys() == json.loads(shown).keys()
                ids[answer["id"].partition("-")[0]] = answer["id"]
            ran.append(printed)
    models, answer, feedback, monitored, lineage = ran
    assert "shop" in [model["id"] for model in json.loads(models)["data"]]
    assert json.loads(answer)["system_fingerprint"].startswith("run-")
    assert "1 of 1 answers rated, 0% of them up; 1 corrected." in monitored
    for identity in (json.loads(answer)["id"], json.loads(feedback)["id"]):
        assert identity in lineage


def _curl(code: str, url: str, ids: dict[str, str]) -> str:
    script = ID.sub(lambda found: ids.get(found[1], found[0]), code.replace("http://127.0.0.1:8000", url))
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("page", sorted(path.name for path in (DOCS / "guides").glob("*.md")))
def test_recipes_in_the_guides_are_valid(page):
    for language, code in blocks(f"guides/{page}"):
        if language == "yaml":
            recipe = {"name": "shop", "model": {"base": "org/name"}, "data": {}} | yaml.safe_load(code)
            recipe["data"].setdefault("sources", [{"path": "raw"}])
            assert parse_recipe(yaml.safe_dump(recipe)).name == recipe["name"]


def test_the_loop_on_its_page_is_the_source():
    source = Path(str(loop.__file__)).read_text(encoding="utf-8")
    quoted = [code for language, code in blocks("concepts/training.md") if language == "python"]
    assert len(quoted) == 2
    assert all(code in source for code in quoted)


def test_golden_questions_in_the_guide_can_be_read(tmp_path):
    [lines] = [code for language, code in blocks("guides/train-and-evaluate.md") if language == "jsonl"]
    path = tmp_path / "golden.jsonl"
    path.write_text(lines, encoding="utf-8")
    assert len(read_questions(path)) == 2
