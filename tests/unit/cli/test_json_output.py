"""`--json` prints one object with the fields that are promised, all of them documented."""

import json
import runpy
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).parents[3]
DOCUMENTED = runpy.run_path(str(ROOT / "scripts" / "write_cli_reference.py"))["JSON_FIELDS"]
PROMISED = {
    "prepare": {"dataset", "path", "read", "kept", "dropped", "splits", "files", "seconds"},
    "data stats": {"dataset", "read", "kept", "dropped", "splits", "tokens", "languages", "topics", "verdict"},
    "data leakage train test": {"rows", "complete", "leaks"},
    "tokenizer train --size 400 -o mine": {"path", "dataset", "base", "other"},
    "tokenizer report": {"dataset", "base", "other"},
    "tokenizer extend --words 3 -o extended": {"path", "model_base", "words", "dataset", "base", "other"},
    "check": {"verdict", "findings", "seconds"},
    "plan": {"memory_bytes", "seconds", "cost", "advice", "data"},
    "train": {
        *("run", "path", "rows", "tokens", "target_tokens", "tokens_per_second", "dtype", "fast_path", "train_loss"),
        *("validation_loss", "peak_memory_bytes", "seconds"),
    },
    "evaluate": {"evaluation", "verdict", "metrics", "gates"},
    "monitor": {"total", "models"},
    "release promote --force trial": {"release", "alias", "run", "evaluation", "forced"},
    "registry list": {"artefacts"},
    "registry show run": {"id", "kind", "parents", "summary", "environment"},
    "registry lineage run": {"reference", "nodes", "edges"},
    "registry gc": {"removed", "strange", "bytes_freed"},
}


@pytest.fixture
def reported(command, evaluated_shop):
    """`reported("train")`: what the command prints with `--json`; the word `run` stands for the run that there is."""
    [run] = (path.name for path in (evaluated_shop / ".luthier" / "runs").iterdir())

    def call(line):
        ended = command(evaluated_shop, *(run if word == "run" else word for word in line.split()), "--json")
        assert ended.code in (0, 2), ended.err
        return ended.json

    return call


@pytest.mark.parametrize("line", PROMISED)
def test_the_promised_fields(reported, line):
    found = reported(line)
    assert PROMISED[line] <= set(found)
    name = next(name for name in DOCUMENTED if line.startswith(name))
    assert set(found) == set(DOCUMENTED[name])


def test_prepare_counts_each_record_of_each_file(reported):
    found = reported("prepare")
    assert found["read"] == found["kept"] + found["dropped"] == 54
    assert found["splits"].keys() == {"train", "validation", "test"}
    assert sum(found["splits"].values()) == found["kept"]
    for file in found["files"]:
        assert set(file) == {"path", "read", "kept", "dropped"}
        assert file["read"] == file["kept"] + file["dropped"]
    assert sum(file["read"] for file in found["files"]) == found["read"]
    assert found["reasons"] == {"too short": 1, "exact duplicate": 1}
    assert found["redactions"] == {"email": 1}


def test_check_reports_findings(reported):
    for finding in reported("check")["findings"]:
        assert set(finding) == {"check", "verdict", "value", "limit", "advice"}
        assert finding["verdict"] in ("pass", "warn", "fail")


def test_plan_reports_ranges(reported):
    found = reported("plan")
    assert found["seconds"]["low"] <= found["seconds"]["expected"] <= found["seconds"]["high"]
    assert 0 < found["cost"]["low"] <= found["cost"]["expected"] <= found["cost"]["high"]
    assert set(found["data"]) == {"enough", "forecast", "curve"}
    assert found["data"]["curve"] is None
    assert found["data"]["enough"] is False
    assert found["memory_bytes"] == sum(found["memory"].values())


def test_plan_is_as_its_schema_says(reported):
    schema = json.loads((ROOT / "docs" / "reference" / "plan.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    found = reported("plan")
    jsonschema.validate(found, schema)
    assert set(schema["required"]) == set(schema["properties"]) == set(found)
    assert json.loads((Path(found["path"]) / "plan.json").read_text(encoding="utf-8")) == found
    with pytest.raises(jsonschema.ValidationError, match="'memory' is a required property"):
        jsonschema.validate({name: value for name, value in found.items() if name != "memory"}, schema)


def test_train_reports_numbers(reported):
    found = reported("train")
    assert found["fast_path"] == "on"
    assert 0 < found["target_tokens"] < found["tokens"]
    assert found["tokens_per_second"] > 0
    assert found["peak_memory_bytes"] > 100e6
    assert found["validation_loss"] > 0
    assert Path(found["path"], "adapter", "adapter_config.json").is_file()


def test_evaluate_reports_intervals_and_gates(reported):
    found = reported("evaluate")
    assert {"validation_loss", "test_loss", "test_perplexity", "facts_recalled"} <= set(found["metrics"])
    for metric in found["metrics"].values():
        assert metric["low"] <= metric["value"] <= metric["high"]
    assert [gate["gate"] for gate in found["gates"]] == ["loss", "facts", "leakage"]
    assert all(set(gate) == {"gate", "verdict", "reason"} for gate in found["gates"])


def test_export_writes_lines_with_their_source(command, prepared_shop):
    dataset = command(prepared_shop, "registry", "list", "dataset", "--json").json["artefacts"][0]["id"]
    ended = command(prepared_shop, "data", "export", dataset, "out")
    assert ended.out.splitlines() == ["out/train.jsonl", "out/validation.jsonl", "out/test.jsonl", "out/ledger.jsonl"]
    lines = {
        path: [json.loads(line) for line in (prepared_shop / path).read_text().splitlines()]
        for path in ended.out.splitlines()
    }
    for each in [line for some in lines.values() for line in some]:
        assert set(each["source"]) == {"file", "row"}
        assert each["source"]["row"] >= 1
    ledger = lines.pop("out/ledger.jsonl")
    assert len(ledger) == 54
    dropped = [line for line in ledger if line["reasons"]]
    assert [line["source"] for line in dropped] == [{"file": "raw/tickets.csv", "row": row} for row in (3, 4)]
    assert sum(map(len, lines.values())) == 52
