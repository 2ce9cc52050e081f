"""Load tokenizer and weights of a base model. Nothing here runs code that a model brings along."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from luthier.core.errors import ModelError
from luthier.models.sources import BaseFiles, refuse_untrusted

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


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


def load_model(files: BaseFiles, dtype: str) -> PreTrainedModel:
    """The causal language model with weights of `dtype` ("bfloat16" or "float32"), in evaluation mode, on the CPU.

    Raises ModelError for weights that are missing, of another architecture, or not finite.
    """
    refuse_untrusted(files.folder, files.name)
    transformers_logging.disable_progress_bar()
    loader: Any = AutoModelForCausalLM
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
    if missing := sorted(report["missing_keys"]):
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
