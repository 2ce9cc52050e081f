import json
from pathlib import Path

import pytest
from sqlalchemy import insert

from luthier.core.artefacts import Artefact, BaseModel, Dataset, Evaluation, Feedback, Release, Run, Source
from luthier.core.errors import RegistryError
from luthier.registry import Registry, render_lineage
from luthier.registry.lineage import REQUESTS_SHOWN
from luthier.store import Store
from luthier.store.artefacts import put_artefact
from luthier.store.tables import feedback, requests

ARTEFACTS: tuple[Artefact, ...] = (
    Source(id="source-aaaa", path=Path("raw/tickets.csv"), summary={"rows": 3}),
    Source(id="source-bbbb", path=Path("raw/chats.jsonl")),
    BaseModel(id="base-cccc"),
    Dataset(id="dataset-dddd", parents=("source-aaaa", "source-bbbb"), summary={"rows": 5}),
    Dataset(id="dataset-ffff", parents=("source-aaaa",)),
    Run(id="run-eeee", parents=("dataset-dddd", "base-cccc"), summary={"loss": 1.23456, "packed": True}),
    Evaluation(id="evaluation-9999", parents=("run-eeee", "dataset-dddd"), summary={"verdict": "pass"}),
    Release(id="release-8888", parents=("run-eeee", "evaluation-9999")),
)


def ask(store: Store, id: str, run: str = "run-eeee", release: str | None = None, created: float = 0.0) -> None:
    messages = [{"role": "system", "content": "You help."}, {"role": "user", "content": "When do you\nopen?"}]
    row = {"id": id, "run": run, "release": release, "created": created, "messages": messages, "model": "support"}
    counts = {"answer": "At nine.", "status": 200, "prompt_tokens": 5, "completion_tokens": 3, "seconds": 0.5}
    with store.write() as connection:
        connection.execute(insert(requests).values(row | counts))


def judge(registry: Registry, store: Store, id: str, request_id: str) -> None:
    registry.add(Feedback(id=id, summary={"rating": "down"}))
    with store.write() as connection:
        connection.execute(insert(feedback).values(id=id, request_id=request_id, rating="down", created_at=1.0))


@pytest.fixture
def shop(registry: Registry, store: Store) -> Registry:
    """A whole turn of the loop, and a dataset beside it."""
    for artefact in ARTEFACTS:
        registry.add(artefact)
    registry.set_alias("support", "release-8888", "the gate passed")
    ask(store, "chatcmpl-7777", release="release-8888")
    judge(registry, store, "feedback-6666", "chatcmpl-7777")
    registry.add(Source(id="source-5555", parents=("feedback-6666",), path=Path("corrections.jsonl")))
    return registry


def test_from_the_raw_file_to_the_correction_and_back(shop: Registry) -> None:
    everything = {artefact.id for artefact in ARTEFACTS} | {"chatcmpl-7777", "feedback-6666", "source-5555"}
    lineage = shop.lineage("source-5555")
    assert set(lineage.nodes) == everything - {"dataset-ffff"}
    assert lineage.edges.count(("release-8888", "chatcmpl-7777")) == 1
    assert ("chatcmpl-7777", "feedback-6666") in lineage.edges
    assert ("feedback-6666", "source-5555") in lineage.edges
    assert ("run-eeee", "chatcmpl-7777") not in lineage.edges
    assert set(shop.lineage("source-aaaa").nodes) == everything - {"source-bbbb", "base-cccc"}


def test_a_request_is_no_artefact_yet_has_a_lineage(shop: Registry) -> None:
    assert shop.lineage("chatcmpl-7777").nodes["chatcmpl-7777"].detail == '"When do you open?"'
    with pytest.raises(RegistryError, match="nothing is called 'chatcmpl-7777'"):
        shop.get("chatcmpl-7777")
    with pytest.raises(RegistryError, match="nothing is called 'chatcmpl-0000'"):
        shop.lineage("chatcmpl-0000")


def test_the_beginning_of_a_request_id_will_do(shop: Registry, store: Store) -> None:
    ask(store, "chatcmpl-0123456789abcdef", run="base-cccc")
    assert shop.lineage("chatcmpl-0123").reference == "chatcmpl-0123456789abcdef"
    assert set(shop.lineage("chatcmpl-0123").nodes) == {"chatcmpl-0123456789abcdef", "base-cccc"}


def test_the_tree_has_every_node_once(shop: Registry) -> None:
    assert render_lineage(shop.lineage("chatcmpl-7777")).splitlines() == [
        "source-aaaa  raw/tickets.csv, rows 3",
        "base-cccc",
        "source-bbbb  raw/chats.jsonl",
        "└─ dataset-dddd  rows 5  (also from source-aaaa)",
        "   └─ run-eeee  loss 1.235  (also from base-cccc)",
        "      └─ evaluation-9999  verdict pass",
        "         └─ release-8888  [support]",
        '            └─ chatcmpl-7777  "When do you open?"  <- this',
        "               └─ feedback-6666  rating down",
        "                  └─ source-5555  corrections.jsonl",
    ]


def test_branches_are_drawn(shop: Registry) -> None:
    shop.add(Run(id="run-2222", parents=("dataset-ffff",)))
    assert render_lineage(shop.lineage("source-aaaa")).splitlines()[:4] == [
        "source-aaaa  raw/tickets.csv, rows 3  <- this",
        "├─ dataset-dddd  rows 5",
        "│  └─ run-eeee  loss 1.235",
        "│     └─ evaluation-9999  verdict pass",
    ]
    assert render_lineage(shop.lineage("source-aaaa")).splitlines()[-2:] == ["└─ dataset-ffff", "   └─ run-2222"]


def test_json_holds_plain_values(shop: Registry) -> None:
    lineage = shop.lineage("run-eeee").as_json()
    assert json.loads(json.dumps(lineage)) == lineage
    nodes = lineage["nodes"]
    assert isinstance(nodes, list)
    assert nodes[0]["id"] == lineage["reference"] == "run-eeee"
    assert {node["id"]: node["aliases"] for node in nodes}["release-8888"] == ["support"]
    edges = lineage["edges"]
    assert isinstance(edges, list)
    assert ["dataset-dddd", "run-eeee"] in edges


def test_a_removed_run_is_still_named(shop: Registry, store: Store) -> None:
    ask(store, "chatcmpl-1111", run="run-gone", release="release-gone")
    lineage = shop.lineage("chatcmpl-1111")
    assert {(node.id, node.kind) for node in lineage.nodes.values() if node.removed} == {
        ("run-gone", "run"),
        ("release-gone", "release"),
    }
    assert "run-gone  (removed)" in render_lineage(lineage)


def test_many_requests_are_counted_not_listed(shop: Registry, store: Store) -> None:
    for number in range(REQUESTS_SHOWN + 7):
        ask(store, f"chatcmpl-{number:012}", release="release-8888", created=float(number))
    ask(store, "chatcmpl-direct", run="run-eeee", created=1e9)
    lineage = shop.lineage("run-eeee")
    shown = [node.id for node in lineage.nodes.values() if node.kind == "request"]
    assert len(shown) == REQUESTS_SHOWN + 2
    assert {"chatcmpl-7777", "chatcmpl-direct", f"chatcmpl-{REQUESTS_SHOWN + 6:012}"} <= set(shown)
    assert lineage.omitted == {"release-8888": 7}
    assert "└─ … and 7 more of kind request" in render_lineage(lineage)
    early = shop.lineage("chatcmpl-000000000000")
    assert [node.id for node in early.nodes.values() if node.kind == "request"] == ["chatcmpl-000000000000"]


def test_a_dataset_of_many_corrections_stays_readable(shop: Registry, store: Store) -> None:
    ids = [f"feedback-{number:04}" for number in range(60)]
    for number, id in enumerate(ids):
        ask(store, f"chatcmpl-x{number:04}", release="release-8888")
        judge(shop, store, id, f"chatcmpl-x{number:04}")
    shop.add(Source(id="source-many", parents=tuple(ids)))
    lineage = shop.lineage("source-many")
    assert sum(node.kind == "feedback" for node in lineage.nodes.values()) == 60
    lines = render_lineage(lineage).splitlines()
    assert sum("<- this" in line for line in lines) == 1
    assert len(lines) < 60
    assert any("… and 40 more of kind request" in line for line in lines)
    assert any("source-many" in line and "and 39 more" in line for line in lines)


def test_content_made_again_from_what_came_of_it_does_not_hang(shop: Registry) -> None:
    shop.add(Source(id="source-aaaa", parents=("dataset-dddd",)))
    text = render_lineage(shop.lineage("dataset-dddd"))
    assert sum(line.lstrip("├└│─ ").startswith("source-aaaa") for line in text.splitlines()) == 1


def test_many_turns_of_the_loop_can_be_drawn(registry: Registry, store: Store) -> None:
    with store.write() as connection:
        for number in range(1200):
            parents = (f"dataset-{number - 1:04}",) if number else ()
            put_artefact(connection, Dataset(id=f"dataset-{number:04}", parents=parents))
    assert len(render_lineage(registry.lineage("dataset-0600")).splitlines()) == 1200
