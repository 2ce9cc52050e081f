"""GGUF files turned into a folder that transformers loads."""

import contextlib
import io
from pathlib import Path
from typing import Any

import torch
from gguf import GGMLQuantizationType, GGUFReader
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from luthier.core.errors import ModelError, WorkspaceError

FLOAT_TYPES = {GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.BF16}


def convert_gguf(gguf: Path, target: Path) -> None:
    """Write config, tokenizer and weights of `gguf` into folder `target` as safetensors.

    Quantised weights become bfloat16, which holds all that 4 to 8 bits say; float weights keep full precision.
    Raises ModelError for a file that is no GGUF or has an architecture that transformers cannot read, WorkspaceError
    when the disk is full or the place cannot be written.
    """
    with contextlib.redirect_stderr(io.StringIO()):
        model, tokenizer = _read(gguf)
        try:
            model.save_pretrained(target)
            tokenizer.save_pretrained(target)
        except (OSError, SafetensorError) as error:
            raise WorkspaceError(f"cannot write: {error}", where=str(target)) from error


def _read(gguf: Path) -> tuple[Any, Any]:
    """Model and tokenizer, without what tells of quantisation."""
    try:
        dtype = torch.bfloat16 if _is_quantised(gguf) else torch.float32
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        loaded: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    except (ValueError, OSError, KeyError, IndexError, NotImplementedError) as error:
        raise ModelError(f"cannot read this GGUF file: {error}", where=gguf.name) from error
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config._name_or_path = ""
    config.dtype = dtype
    fresh: Any = type(loaded)(config)
    fresh.load_state_dict(loaded.state_dict())
    fresh.tie_weights()
    return fresh.to(dtype), tokenizer


def _is_quantised(gguf: Path) -> bool:
    return any(tensor.tensor_type not in FLOAT_TYPES for tensor in GGUFReader(gguf).tensors)
