"""Load tokenizer and weights of a base model. Nothing here runs code that a model brings along."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from luthier.core.errors import ModelError
from luthier.core.recipe import Dtype
from luthier.models.sources import BaseFiles, refuse_untrusted

DTYPES: Mapping[Dtype, torch.dtype] = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def resolve_dtype(dtype: Literal["auto"] | Dtype) -> Dtype:
    """What `auto` means on this machine: bfloat16 where the processor has instructions that multiply it.

    Elsewhere each bfloat16 product is taken apart into float32 ones, up to a hundred times slower than plain float32.
    """
    if dtype != "auto":
        return dtype
    capabilities = torch.cpu.get_capabilities()
    native = any(known for name, known in capabilities.items() if str(name).endswith("bf16"))
    return "bfloat16" if native else "float32"


def load_tokenizer(files: BaseFiles) -> PreTrainedTokenizerBase:
    """The model's fast tokenizer. Raises ModelError when it has none."""
    refuse_untrusted(files.folder, files.name)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(files.folder, local_files_only=True)
    except Exception as error:  # damaged files make the libraries raise almost anything
        raise ModelError(f"cannot load the tokenizer: {_in_one_line(error)}", where=files.name) from error
    if not tokenizer.is_fast:
        raise ModelError("only tokenizers of the tokenizers library (tokenizer.json) are supported", where=files.name)
    assert isinstance(tokenizer, PreTrainedTokenizerBase)
    return tokenizer


def load_model(files: BaseFiles, dtype: Dtype) -> PreTrainedModel:
    """The causal language model with weights of `dtype`, in evaluation mode, on the CPU.

    Raises ModelError for weights that are missing, of another architecture, or not finite.
    """
    return load_frozen(AutoModelForCausalLM, files, dtype)


def load_frozen(loader: Any, files: BaseFiles, dtype: Dtype, unused: str | None = None) -> PreTrainedModel:
    """`load_model` for another head: `loader` is one of transformers' AutoModel classes.

    Weights whose names begin with `unused` may be missing, because nobody asks for what they compute.
    """
    refuse_untrusted(files.folder, files.name)
    transformers_logging.disable_progress_bar()
    try:
        model, report = loader.from_pretrained(
            files.folder,
            dtype=DTYPES[dtype],
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # damaged files make the libraries raise almost anything
        raise ModelError(f"cannot load the model: {_in_one_line(error)}", where=files.name) from error
    missing = sorted(name for name in report["missing_keys"] if unused is None or not name.startswith(unused))
    if missing:
        raise ModelError(f"{len(missing)} weights are missing, the first: {missing[0]}", where=files.name)
    for name, weight in model.named_parameters():
        if not bool(torch.isfinite(weight).all()):
            raise ModelError(f"the weights of {name} hold infinite or undefined values", where=files.name)
    model.eval()
    model.requires_grad_(False)
    assert isinstance(model, PreTrainedModel)
    return model


def plain_attention(model: PreTrainedModel) -> str:
    """transformers' own attention for this model: torch's kernel where the model supports it."""
    return "sdpa" if getattr(model, "_supports_sdpa", False) else "eager"


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
