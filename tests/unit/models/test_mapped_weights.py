"""Frozen base weights are pages of their file: shared between processes, and nobody's own."""

import gc
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from transformers import LlamaConfig, LlamaForCausalLM

from luthier.core.files import default_cache_root
from luthier.core.recipe import AdapterSection, TrainingSection
from luthier.kernels.allocator import release_free_pages
from luthier.models.adapter import trainable
from luthier.models.loading import load_model
from luthier.models.losses import RowsLoss
from luthier.models.methods import prepare
from luthier.models.sources import BaseFiles
from luthier.training import CausalObjective, Checkpoint, MasterWeights, Schedule, Training, fit

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").is_file(), reason="Linux tells what is mapped")
READER = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    sum(pages[place] for place in range(0, len(pages), 4096))
    print("read", flush=True)
    sys.stdin.read()
"""


def save(folder: Path, dtype: torch.dtype) -> Path:
    """A model of 40 MB in float32, its embeddings the half of it."""
    config = LlamaConfig(
        vocab_size=20_000,
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=5,
        num_attention_heads=4,
        tie_word_embeddings=True,
    )
    model: Any = LlamaForCausalLM(config)
    model.to(dtype).save_pretrained(folder)
    return folder


@pytest.fixture
def float32_folder(tmp_path: Path) -> Path:
    return save(tmp_path / "wide", torch.float32)


@pytest.fixture
def cached_folder() -> Iterator[Path]:
    """A model in bfloat16 as a GGUF file leaves it in the cache."""
    yield save(default_cache_root() / "models" / "narrow", torch.bfloat16)
    for folder in (default_cache_root() / "models").glob("narrow*"):
        shutil.rmtree(folder)


def private_kilobytes() -> int:
    """Pages of this process that no file holds, without those that are free inside the heap."""
    gc.collect()
    release_free_pages()
    return kilobytes("Anonymous")


def kilobytes(field: str, of: Path | None = None) -> int:
    """What the system says of all pages of this process, or of those of a file."""
    lines = Path("/proc/self/smaps_rollup" if of is None else "/proc/self/smaps").read_text().splitlines()
    total, counts = 0, of is None
    for line in lines:
        name, *rest = line.split()
        if not name.endswith(":"):
            counts = of is None or rest[-1] == str(of)
        elif counts and name[:-1] == field:
            total += int(rest[0])
    return total


def mapped(model: torch.nn.Module, file: Path) -> list[str]:
    """The parameters that lie in pages of this file."""
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(file))]
    ranges = [tuple(int(place, 16) for place in line[0].split("-")) for line in lines]
    return [
        name
        for name, parameter in model.named_parameters()
        if any(start <= parameter.data_ptr() < end for start, end in ranges)
    ]


def train(model: Any, rows: Any, folder: Path, settings: AdapterSection) -> Any:
    """A few steps of the method on the model; what came of it."""
    adapted = prepare(model, settings, 0)
    section = TrainingSection(num_train_epochs=2, learning_rate=1e-2)
    weights = MasterWeights(trainable(adapted))
    training = Training(CausalObjective(RowsLoss(adapted)), weights, Schedule.of(rows, section, 40), (), section)
    fit(training, Checkpoint(folder), False, lambda _: None)
    return adapted


def test_training_an_adapter_takes_no_private_memory_for_the_base(
    float32_folder: Path, random_rows: Callable[..., Any], tmp_path: Path
) -> None:
    file = float32_folder / "model.safetensors"
    size = file.stat().st_size // 1024
    before = private_kilobytes()
    model = load_model(BaseFiles("wide", float32_folder, ""), "float32")
    names = [name for name, _ in model.named_parameters()]
    assert mapped(model, file) == names
    assert kilobytes("Rss", of=file) > 0.95 * size  # looked at: all are finite
    assert private_kilobytes() - before < 0.3 * size

    adapted = train(model, random_rows([20, 30, 25, 12]), tmp_path, AdapterSection(r=4))

    assert len(mapped(adapted, file)) == len(names)
    assert kilobytes("Anonymous", of=file) == 0  # no page was written to, which would have made a copy of it
    assert private_kilobytes() - before < 0.8 * size  # the training's own

    alone = kilobytes("Pss", of=file)
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "read\n"
        assert kilobytes("Pss", of=file) < 0.55 * alone
        other.communicate()


def test_of_frozen_layers_only_those_that_train_become_private(
    float32_folder: Path, random_rows: Callable[..., Any], tmp_path: Path
) -> None:
    file = float32_folder / "model.safetensors"
    model = load_model(BaseFiles("wide", float32_folder, ""), "float32")
    settings = AdapterSection(method="freeze", last_layers=1)
    adapted = train(model, random_rows([20, 30, 25, 12]), tmp_path, settings)
    trained = sum(parameter.nbytes for parameter in adapted.parameters() if parameter.requires_grad) // 1024
    assert 0.9 * trained < kilobytes("Anonymous", of=file) < 1.1 * trained


def test_a_narrower_model_of_the_cache_is_widened_once_and_mapped(cached_folder: Path) -> None:
    files = BaseFiles("narrow", cached_folder, "")
    model = load_model(files, "float32")
    wide = cached_folder.with_name("narrow-float32") / "model.safetensors"
    written = wide.stat().st_mtime_ns
    assert mapped(model, wide) == [name for name, _ in model.named_parameters()]
    plain: Any = LlamaForCausalLM.from_pretrained(cached_folder, dtype=torch.float32)
    for name, parameter in plain.named_parameters():
        assert torch.equal(model.get_parameter(name), parameter), name
    load_model(files, "float32")
    assert wide.stat().st_mtime_ns == written
    assert mapped(load_model(files, "bfloat16"), cached_folder / "model.safetensors")


def test_where_it_cannot_be_written_the_model_is_loaded_all_the_same(
    cached_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise SafetensorError("No space left on device")

    monkeypatch.setattr("luthier.models.widened.save_file", full)
    model = load_model(BaseFiles("narrow", cached_folder, ""), "float32")
    assert model.dtype == torch.float32
    assert [path.name for path in cached_folder.parent.glob("narrow*")] == ["narrow"]


def test_of_other_folders_no_copies_are_made(tmp_path: Path) -> None:
    folder = save(tmp_path / "theirs", torch.bfloat16)
    assert load_model(BaseFiles("theirs", folder, ""), "float32").dtype == torch.float32
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]
