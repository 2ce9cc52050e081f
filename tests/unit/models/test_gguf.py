"""A converted GGUF file is the model it was made from."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGMLQuantizationType
from transformers import AutoModelForCausalLM, AutoTokenizer

from luthier.core.errors import ModelError, WorkspaceError
from luthier.models.gguf import convert_gguf

WriteGguf = Callable[..., None]
TEXT = "<|im_start|>user\nIs the order free?<|im_end|>\n"


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        output: torch.Tensor = model(torch.arange(40)[None] * 7).logits
    return output


def test_float_weights_keep_their_precision(tiny_gguf: Path, tiny_model: Any, tmp_path: Path) -> None:
    convert_gguf(tiny_gguf, tmp_path)

    converted: Any = AutoModelForCausalLM.from_pretrained(tmp_path)

    assert converted.dtype == torch.float32
    torch.testing.assert_close(logits(converted), logits(tiny_model))


def test_tokenizer_and_template_come_along(tiny_gguf: Path, tiny_tokenizer: Any, tmp_path: Path) -> None:
    convert_gguf(tiny_gguf, tmp_path)

    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path)

    assert tokenizer.is_fast
    assert tokenizer.chat_template == tiny_tokenizer.chat_template
    assert tokenizer(TEXT, add_special_tokens=False)["input_ids"] == tiny_tokenizer(TEXT)["input_ids"]
    assert tokenizer.eos_token == "<|im_end|>"


def test_quantised_weights_become_bfloat16(
    tiny_model_folder: Path, tiny_model: Any, tmp_path: Path, write_tiny_gguf: WriteGguf
) -> None:
    write_tiny_gguf(tmp_path / "tiny-q8.gguf", tiny_model_folder, GGMLQuantizationType.Q8_0)

    convert_gguf(tmp_path / "tiny-q8.gguf", tmp_path / "out")

    converted: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert converted.dtype == torch.bfloat16
    assert 0 < float((logits(converted).float() - logits(tiny_model)).abs().max()) < 0.05


def test_folder_says_nothing_of_quantisation_or_of_where_it_came_from(tiny_gguf: Path, tmp_path: Path) -> None:
    convert_gguf(tiny_gguf, tmp_path)

    assert {path.name for path in tmp_path.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert "quantization_config" not in json.loads((tmp_path / "config.json").read_text())
    for path in tmp_path.glob("*.json"):
        assert str(tiny_gguf.parent) not in path.read_text(encoding="utf-8"), path.name


@pytest.mark.parametrize("kept", [0, 3, 500, 20_000], ids="{} bytes".format)
def test_damaged_file_is_refused(kept: int, tiny_gguf: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(tiny_gguf.read_bytes()[:kept])

    with pytest.raises(ModelError, match=r"^damaged\.gguf: cannot read this GGUF file"):
        convert_gguf(damaged, tmp_path / "out")


def test_text_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.gguf").write_text("this is no model, whatever its name says")

    with pytest.raises(ModelError, match=r"^notes\.gguf: cannot read this GGUF file"):
        convert_gguf(tmp_path / "notes.gguf", tmp_path / "out")


def test_conversion_prints_nothing(tiny_gguf: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    convert_gguf(tiny_gguf, tmp_path)

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("limit", [100, 40_000], ids="{} bytes".format)
def test_full_disk_is_a_plain_error(
    limit: int, tiny_gguf: Path, tmp_path: Path, file_size_limit: Callable[[int], AbstractContextManager[None]]
) -> None:
    with file_size_limit(limit), pytest.raises(WorkspaceError, match="cannot write"):
        convert_gguf(tiny_gguf, tmp_path / "out")
