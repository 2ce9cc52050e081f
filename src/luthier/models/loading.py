"""Load tokenizer and weights of a base model. Nothing here runs code that a model brings along."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from luthier.core.errors import ModelError, WeightsError
from luthier.core.recipe import Dtype
from luthier.models.sources import BaseFiles, refuse_untrusted
from luthier.models.widened import widened

DTYPES: Mapping[Dtype, torch.dtype] = {
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float32": torch.float32,
}


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


def tokenizer_in(folder: Path) -> Any:
    """The tokenizer in a folder, with or without a model beside it. Raises ModelError when there is none."""
    if not (folder / "tokenizer.json").is_file():
        raise ModelError("no tokenizer.json", where=str(folder), allowed="a folder that a tokenizer was saved to")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # damaged files make the libraries raise almost anything
        raise ModelError(f"cannot load the tokenizer: {_in_one_line(error)}", where=str(folder)) from error


def load_config(folder: Path, name: str, **changes: Any) -> Any:
    """A model's configuration with other values in some fields. Raises ModelError where there is none to be read."""
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, **changes)
    except Exception as error:  # damaged files make the libraries raise almost anything
        raise ModelError(f"cannot read its configuration: {_in_one_line(error)}", where=name) from error


def load_model(files: BaseFiles, dtype: Dtype) -> PreTrainedModel:
    """The causal language model with weights of `dtype`, in evaluation mode, on the CPU.

    Raises ModelError for weights of another architecture, WeightsError for some that are missing or not finite.
    """
    return load_frozen(AutoModelForCausalLM, files, dtype)


def load_frozen(loader: Any, files: BaseFiles, dtype: Dtype, unused: str | None = None) -> PreTrainedModel:
    """`load_model` for another head: `loader` is one of transformers' AutoModel classes.

    Weights whose names begin with `unused` may be missing, because nobody asks for what they compute.
    """
    model, missing = _loaded(loader, files, dtype)
    missing = [name for name in missing if unused is None or not name.startswith(unused)]
    if missing:
        raise WeightsError(f"{len(missing)} weights are missing, the first: {missing[0]}", where=files.name)
    return model


@dataclass(frozen=True, slots=True)
class NewHead:
    """A base model with a head for another task, and the names of the weights that are new and random."""

    model: PreTrainedModel
    weights: tuple[str, ...]

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that these weights belong to."""
        return tuple(dict.fromkeys(name.rpartition(".")[0] for name in self.weights))


def load_with_head(loader: Any, files: BaseFiles, dtype: Dtype, seed: int, config: Any = None) -> NewHead:
    """`load_frozen` of a model for a task that the files may have no head for: transformers draws its weights, by
    `seed`.

    Raises WeightsError where weights of the layers below the head are missing too; a pooler counts as part of the head.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, missing = _loaded(loader, files, dtype, config)
    below = f"{model.base_model_prefix}."
    gone = [name for name in missing if name.startswith(below) and not name.startswith(f"{below}pooler.")]
    if gone:
        raise WeightsError(f"{len(gone)} weights are missing, the first: {gone[0]}", where=files.name)
    return NewHead(model, tuple(missing))


def _loaded(loader: Any, files: BaseFiles, dtype: Dtype, config: Any = None) -> tuple[PreTrainedModel, list[str]]:
    """The model and the names of weights that the files do not have, sorted."""
    refuse_untrusted(files.folder, files.name)
    transformers_logging.disable_progress_bar()
    try:
        with _without_remarks():
            model, report = loader.from_pretrained(
                widened(files.folder, dtype),
                config=config,
                dtype=DTYPES[dtype],
                use_safetensors=True,
                local_files_only=True,
                ignore_mismatched_sizes=True,  # refused below, by name
                output_loading_info=True,
            )
    except Exception as error:  # damaged files make the libraries raise almost anything
        raise ModelError(f"cannot load the model: {_in_one_line(error)}", where=files.name) from error
    for name, found, wanted in sorted(report["mismatched_keys"]):
        raise ModelError(
            f"the weights of {name} have the shape {tuple(found)}, config.json makes it {tuple(wanted)}",
            where=files.name,
        )
    for name, weight in model.named_parameters():
        if not bool(torch.isfinite(weight).all()):
            raise WeightsError(f"the weights of {name} hold infinite or undefined values", where=files.name)
    model.eval()
    model.requires_grad_(False)
    assert isinstance(model, PreTrainedModel)
    return model, sorted(report["missing_keys"])


@contextmanager
def _without_remarks() -> Iterator[None]:
    """transformers prints a table of what it did not find; here an error says it, or it is meant."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


def plain_attention(model: PreTrainedModel) -> str:
    """transformers' own attention for this model: torch's kernel where the model supports it."""
    return "sdpa" if getattr(model, "_supports_sdpa", False) else "eager"


def dropout_left_out(model: Any) -> list[str]:
    """Fields of the model's configuration that ask for dropout: none is applied, as models are in evaluation mode also
    where they train."""
    fields = model.config.get_text_config().to_dict()
    asked = (name for name in fields if "dropout" in name or name.endswith("pdrop"))
    return sorted(name for name in asked if isinstance(fields[name], float) and fields[name] > 0)


def _in_one_line(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing in a file, or unknown"
    return " ".join(str(error).split()) or type(error).__name__
