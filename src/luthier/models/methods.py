"""The methods of fine-tuning. They differ in which parameters train and in how these are saved, nothing else."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from luthier.core.errors import ModelError, WorkspaceError
from luthier.core.recipe import AdapterSection, Dtype
from luthier.models.adapter import (
    ADAPTER_NAME,
    attach_adapter,
    load_adapter,
    plain_adapter_errors,
    refuse_unloadable,
    save_adapter,
    trainable,
)
from luthier.models.loading import load_model
from luthier.models.sources import BaseFiles

ADAPTER, MODEL = "adapter", "model"
"""Folders of a run: it has one or the other."""
_LAYER = re.compile(r"(?:^|\.)(\d+)\.")


def prepare(model: PreTrainedModel, settings: AdapterSection, seed: int, new_weights: Sequence[str] = ()) -> Any:
    """The frozen model made ready: what the method trains requires gradients, nothing else does. Weights that are new
    train whatever the method.

    Raises ModelError where the settings name layers or modules that the model does not have.
    """
    if settings.method in ("lora", "ia3"):
        return attach_adapter(model, settings, seed, new_weights)
    if settings.method == "full":
        return model.requires_grad_(True)
    for parameter in _unfrozen(model, settings):
        parameter.requires_grad_(True)
    for name in new_weights:
        model.get_parameter(name).requires_grad_(True)
    return model


def save_trained(model: Any, folder: Path, base_name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write what `prepare` made and training changed: `folder/adapter` in PEFT's format, or `folder/model`, which
    transformers loads, with its tokenizer.

    Raises WorkspaceError when the disk is full or the place cannot be written.
    """
    if hasattr(model, "peft_config"):
        save_adapter(model, folder / ADAPTER, base_name)
        return
    try:
        model.save_pretrained(folder / MODEL)
        tokenizer.save_pretrained(folder / MODEL)
    except (OSError, SafetensorError) as error:
        raise WorkspaceError(f"cannot write: {error}", where=str(folder / MODEL)) from error


def refuse_lossy(model: Any, folder: Path) -> None:
    """Raise ModelError unless what `save_trained` has just written of this model holds every weight that trains as it
    is, and PEFT finds each where it looks for it."""
    found = trained_folder(folder)
    saved: dict[str, torch.Tensor] = {}
    for path in sorted(found.glob("*.safetensors")):
        saved |= load_file(path)
    for name, parameter in trainable(model).items():
        written = saved.get(_name_in_file(name))
        if written is None:
            raise ModelError(f"a weight that trains was not saved: {name}", where=str(found))
        # Of PiSSA's matrices the file has twice the rank.
        if not torch.equal(written[tuple(slice(0, size) for size in parameter.shape)], parameter):
            raise ModelError(f"a weight was saved with other values: {name}", where=str(found))
    if found.name == ADAPTER and shares_base(folder):
        refuse_unloadable(model, found)


def _name_in_file(name: str) -> str:
    """PEFT leaves out of the names of weights what the adapter is called, that a module was copied for it, and that
    DoRA's magnitudes are the weight of a module."""
    plain = name.replace(f".{ADAPTER_NAME}", "").replace(".modules_to_save", "")
    return plain.replace(".lora_magnitude_vector.weight", ".lora_magnitude_vector")


def load_trained(
    folder: Path,
    base: Callable[[], PreTrainedModel],
    dtype: Dtype,
    load: Callable[[BaseFiles, Dtype], PreTrainedModel] = load_model,
) -> Any:
    """The model that `save_trained` wrote, frozen; `base` loads what an adapter is put on, `load` a whole model.

    Raises ModelError when its files are gone or do not fit.
    """
    found = trained_folder(folder)
    if found.name == MODEL:
        return load(BaseFiles(folder.name, found, ""), dtype)
    return load_adapter(base(), found)


def trained_folder(folder: Path) -> Path:
    """Where `save_trained` put a model or an adapter. Raises ModelError when it is gone."""
    for name in (MODEL, ADAPTER):
        if (folder / name).is_dir():
            return folder / name
    raise ModelError("the trained weights are gone", where=str(folder), allowed="train again: luthier train")


def shares_base(folder: Path) -> bool:
    """Whether what `save_trained` wrote leaves the base model's own weights alone, so that both can be used at once.

    Raises ModelError for an adapter whose settings cannot be read.
    """
    adapter = folder / ADAPTER
    if not adapter.is_dir():
        return False
    with plain_adapter_errors(adapter):
        return getattr(PeftConfig.from_pretrained(str(adapter)), "bias", "none") == "none"


def _unfrozen(model: PreTrainedModel, settings: AdapterSection) -> Iterator[nn.Parameter]:
    """The parameters of the layers and modules that the settings name."""
    numbered = [
        (int(found[1]), parameter) for name, parameter in model.named_parameters() if (found := _LAYER.search(name))
    ]
    layers = max((number for number, _ in numbered), default=-1) + 1
    for field, wanted in (("first_layers", settings.first_layers), ("last_layers", settings.last_layers)):
        if wanted > layers:
            raise ModelError(f"the model has {layers} layers", where=f"adapter.{field}", allowed=f"up to {layers}")
    for number, parameter in numbered:
        if number < settings.first_layers or number >= layers - settings.last_layers:
            yield parameter
    modules = dict(model.named_modules())
    for pattern in settings.train_modules:
        matching = [module for name, module in modules.items() if name and _matches(name, pattern)]
        if not matching:
            raise ModelError(
                f"no module is called {pattern!r}", where="adapter.train_modules", allowed=_names_like(pattern, modules)
            )
        for module in matching:
            yield from module.parameters()


def _matches(name: str, pattern: str) -> bool:
    """Whether a pattern is for a module, by its whole name or the last part of it."""
    return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition(".")[2], pattern)


def _names_like(pattern: str, modules: Iterable[str]) -> str:
    """What the user may have meant, or all names of modules, numbers left out."""
    known = sorted({name.rpartition(".")[2] for name in modules if not name.rpartition(".")[2].isdigit()} - {""})
    close = difflib.get_close_matches(pattern, known, n=1)
    return f"did you mean {close[0]}?" if close else f"such as {', '.join(known)}"
