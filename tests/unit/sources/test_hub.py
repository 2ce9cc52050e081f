from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest

from luthier.core.errors import SourceError
from luthier.sources.hub import fetch_dataset, files_of_split

COMMIT = "0123456789ab" + "c" * 28
CARD = """---
license: mit
configs:
- config_name: default
  data_files:
  - {split: train, path: data/part-*}
  - {split: test, path: [held.csv]}
---
# A data set
"""
FILES = ("data/part-1.parquet", "data/part-2.parquet", "held.csv", "dataset_infos.json")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A Hub with one data set; what was asked of it."""
    asked: list[str] = []

    def info(_: object, repository: str, revision: str | None = None) -> object:
        asked.append(f"info {repository} {revision}")
        return SimpleNamespace(sha=COMMIT)

    def download(repository: str, *, revision: str, local_dir: Path, **_: object) -> None:
        asked.append(f"download {repository} {revision}")
        for name in (*FILES, "README.md", ".cache/huggingface/x.json"):
            (Path(local_dir) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(local_dir) / name).write_text(CARD if name == "README.md" else "x")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return asked


def fetched(place: Path, hub: str, split: str = "") -> list[str]:
    return [path.relative_to(place).as_posix() for path in fetch_dataset(hub, split, place, lambda _: None)]


def test_files_of_a_commit_are_fetched_once(tmp_path: Path, calls: list[str]) -> None:
    folder = "org--name@0123456789ab"
    expected = [f"{folder}/data/part-1.parquet", f"{folder}/data/part-2.parquet", f"{folder}/held.csv"]
    assert fetched(tmp_path, "org/name") == expected
    assert fetched(tmp_path, "org/name@main", "test") == expected[2:]
    assert fetched(tmp_path, f"org/name@{COMMIT}", "train") == expected[:2]
    assert calls == ["info org/name None", f"download org/name {COMMIT}", "info org/name main"]


def test_an_unknown_split_is_told(tmp_path: Path, calls: list[str]) -> None:  # noqa: ARG001
    with pytest.raises(SourceError, match=r"^org/name: has no split 'dev' \(its files are: data/part-1.parquet, "):
        fetched(tmp_path, "org/name", "dev")


def test_without_a_card_names_tell_the_split() -> None:
    names = ["data/test-0.parquet", "data/train-0.parquet", "training.csv", "en/train.jsonl"]
    assert files_of_split(names, "train", "") == ["data/train-0.parquet", "en/train.jsonl"]
    for card in (": [broken", "date: 2024-13-45", "a: " + "[" * 600):
        assert files_of_split(names, "train", f"---\n{card}\n---\n") == ["data/train-0.parquet", "en/train.jsonl"]


def test_no_network_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("Name or service\nnot known")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", fail)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    for hub in ("org/name", f"org/name@{COMMIT}"):
        with pytest.raises(SourceError) as refusal:
            fetched(tmp_path, hub)
        assert str(refusal.value) == f"{hub}: cannot reach the Hub: Name or service not known"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hub", ["name", "https://x/y/z", "org/name@", "../.."])
def test_what_is_no_id_is_told(tmp_path: Path, hub: str) -> None:
    with pytest.raises(SourceError, match=r"is no Hub id \(org/name or org/name@revision\)"):
        fetched(tmp_path, hub)
