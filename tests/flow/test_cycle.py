"""From a folder of raw files to a corrected answer of a served run, by the commands of the README."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import openai
import pytest

SERVE = [sys.executable, "-c", "from luthier.cli import main; main()", "serve"]
READY_SECONDS = 60
QUESTION = [{"role": "user", "content": "How long does delivery take in Ely?"}]


def test_from_raw_files_to_a_corrected_answer(command, lay_out_shop, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    shop = tmp_path / "shop"
    lay_out_shop(shop)
    _learn(command, shop)
    run = _train_and_evaluate(command, shop)
    with _served(shop) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60) as client:
        base = client.models.list().data[0].id
        assert [model.id for model in client.models.list()] == [base, run]
        assert base.startswith("base-")
        _promote(command, shop, run)
        assert [model.id for model in client.models.list()] == ["shop", base, run]  # without a restart
        requests = _ask(client, base, run)
        feedback = _correct(client, requests["shop"])
    _monitor_and_trace(command, shop, requests, feedback)


def _learn(command, shop):
    """Prepare, check, plan."""
    prepared = command(shop, "prepare", "--json")
    assert prepared.code == 0, prepared.err
    for file in prepared.json["files"]:
        assert file["read"] == file["kept"] + file["dropped"], file
    assert {file["path"]: (file["read"], file["dropped"]) for file in prepared.json["files"]} == {
        "raw/chats.jsonl": (48, 0),
        "raw/handbook.md": (2, 0),
        "raw/tickets.csv": (4, 2),
    }
    assert sum(prepared.json["splits"].values()) == prepared.json["kept"] == 52
    assert all(prepared.json["splits"].values())
    checked = command(shop, "check", "--json")
    assert checked.code == (2 if checked.json["verdict"] == "fail" else 0)
    assert "first_loss" in [finding["check"] for finding in checked.json["findings"]]
    planned = command(shop, "plan", "--json")
    assert planned.code == 0, planned.err
    assert planned.json["memory_bytes"] > 0


def _train_and_evaluate(command, shop):
    trained = command(shop, "train", "--json")
    assert trained.code == 0, trained.err
    assert "fast path on" in trained.err
    assert trained.json["train_loss"] < 5.6  # an untrained guess over 320 tokens costs 5.77
    run = trained.json["run"]
    assert (shop / ".luthier" / "runs" / run / "adapter" / "adapter_model.safetensors").is_file()
    evaluated = command(shop, "evaluate", "--json")
    assert evaluated.code == 0, evaluated.err
    assert evaluated.json["verdict"] == "inconclusive"  # a handful of rows proves nothing
    assert evaluated.json["metrics"]["test_loss"]["value"] < evaluated.json["reference_metrics"]["test_loss"]["value"]
    return run


def _promote(command, shop, run):
    """Refused without a reason, exit code 2; with one, the reason is kept."""
    refused = command(shop, "release", "promote")
    assert refused.code == 2
    assert refused.err.startswith(f"luthier: the verdict on {run} is inconclusive: ")
    forced = command(shop, "release", "promote", "--force", "only a trial", "--json")
    assert forced.code == 0, forced.err
    assert forced.json["run"] == run
    shown = command(shop, "registry", "show", "shop", "--json").json
    assert shown["summary"]["forced"] == "only a trial"
    assert shown["summary"]["verdict"] == "inconclusive"


@contextmanager
def _served(shop: Path) -> Iterator[str]:
    """The URL that `luthier serve` names, in a process of its own, which Ctrl-C ends with exit code 0."""
    process = subprocess.Popen(SERVE, cwd=shop, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = []
    try:
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"Serving on (http://\S+)/v1 ", line):
                break
        else:
            pytest.fail(f"not served: {lines}")
        assert httpx.get(f"{found[1]}/readyz", timeout=READY_SECONDS).status_code == 200
        yield found[1]
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=READY_SECONDS)
    assert (process.returncode, out, err) == (0, "", "")


def _ask(client, base, run):
    """One whole answer of each model, and the same one streamed; ids by model."""
    requests, texts = {}, {}
    for model in (base, run, "shop"):
        whole = client.chat.completions.create(model=model, messages=QUESTION, temperature=0)
        requests[model], texts[model] = whole.id, whole.choices[0].message.content
        stream = client.chat.completions.create(model=model, messages=QUESTION, temperature=0, stream=True)
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
        assert "".join(pieces) == texts[model]
    assert texts["shop"] == texts[run] != texts[base]
    with pytest.raises(openai.NotFoundError, match="there is no model 'another'"):
        client.chat.completions.create(model="another", messages=QUESTION)
    return requests


def _correct(client, request):
    body = {"id": request, "rating": "down", "correction": "7 days; mail jo@mail.example."}
    return client.post("/feedback", cast_to=httpx.Response, body=body).json()["id"]


def _monitor_and_trace(command, shop, requests, feedback):
    total = command(shop, "monitor", "--json").json["total"]
    assert (total["requests"], total["errors"], total["down"], total["corrections"]) == (6, 0, 1, 1)
    traced = command(shop, "registry", "lineage", requests["shop"], "--json").json
    kinds = {node["id"]: node["kind"] for node in traced["nodes"]}
    assert set(kinds.values()) == {"source", "dataset", "base", "run", "evaluation", "release", "request", "feedback"}
    assert kinds[feedback] == "feedback"
    text = command(shop, "registry", "lineage", requests["shop"]).out
    for name in ("raw/chats.jsonl", "raw/tickets.csv", "raw/handbook.md", *kinds):
        assert name in text
    raw = next(node["id"] for node in traced["nodes"] if "chats.jsonl" in node["detail"])
    assert requests["shop"] in command(shop, "registry", "lineage", raw).out  # and the other way round
