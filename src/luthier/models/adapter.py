"""Low-rank adapters by PEFT: put on, saved and loaded in PEFT's own format."""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear as LoraLinear
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from luthier.core.errors import ModelError, WorkspaceError

ADAPTER_NAME = "default"
WEIGHTS_NAME = "adapter_model.safetensors"


def attach_lora(model: PreTrainedModel, r: int, lora_alpha: int, target_modules: str | Sequence[str], seed: int) -> Any:
    """The model with fresh LoRA layers (A random by `seed`, B zero, both fp32): a PeftModel whose adapter trains.

    Raises ModelError when a target names no module, with the names that come close, and for a model that PEFT refuses.
    """
    targets: str | list[str] = "all-linear"
    if target_modules != "all-linear":
        # A list even for one name: PEFT takes a single string for a regular expression.
        targets = [target_modules] if isinstance(target_modules, str) else list(target_modules)
        _refuse_unknown_targets(model, targets)
    config = LoraConfig(
        r=r,
        lora_alpha=lora_alpha,
        target_modules=targets,
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return get_peft_model(model, config, adapter_name=ADAPTER_NAME)
        except ValueError as error:
            raise ModelError(f"cannot put an adapter on this model: {error}", where="adapter") from error


def save_adapter(model: Any, folder: Path, base_name: str) -> None:
    """Write the adapter in PEFT's format, with the base model's name in its configuration instead of a path here.

    Raises WorkspaceError when the disk is full or the place cannot be written.
    """
    model.peft_config[ADAPTER_NAME].base_model_name_or_path = base_name
    try:
        # Left to itself, PEFT asks the Hub whether the vocabulary grew.
        model.save_pretrained(str(folder), save_embedding_layers=False)
        # An empty form, but for the path of the base model.
        (folder / "README.md").unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        raise WorkspaceError(f"cannot write: {error}", where=str(folder)) from error


def load_adapter(model: PreTrainedModel, folder: Path) -> Any:
    """The model with the adapter that `save_adapter` wrote, frozen. Raises ModelError when it does not fit."""
    refuse_unsafe_adapter(folder)
    try:
        adapted = PeftModel(model, PeftConfig.from_pretrained(str(folder)), ADAPTER_NAME)
        found = adapted.load_adapter(str(folder), ADAPTER_NAME, is_trainable=False)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise ModelError(f"cannot load the adapter: {error}", where=str(folder)) from error
    if strange := [*found.missing_keys, *found.unexpected_keys]:
        raise ModelError(
            f"the adapter is of another model: its weights do not fit, the first: {strange[0]}", where=str(folder)
        )
    return adapted.eval().requires_grad_(False)


def refuse_unsafe_adapter(folder: Path) -> None:
    """Raise ModelError unless the adapter's weights are in safetensors: PEFT would read a pickle too."""
    if not (folder / WEIGHTS_NAME).is_file():
        raise ModelError(f"no {WEIGHTS_NAME}; other formats can hold code and are refused", where=str(folder))


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Name -> parameter of all that trains."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def lora_layers(model: nn.Module) -> Iterator[Any]:
    """PEFT's linear layers with an adapter."""
    return (module for module in model.modules() if isinstance(module, LoraLinear))


def linear_shapes(model: PreTrainedModel, target_modules: str | Sequence[str]) -> list[tuple[int, int]]:
    """(in_features, out_features) of each linear layer that an adapter would be put on, the head left out."""
    named = dict(_linear_modules(model))
    if target_modules != "all-linear":
        wanted = {target_modules} if isinstance(target_modules, str) else set(target_modules)
        named = {name: module for name, module in named.items() if name.rpartition(".")[2] in wanted}
    return [_shape(module) for module in named.values()]


def _linear_modules(model: PreTrainedModel) -> Iterator[tuple[str, nn.Module]]:
    head = model.get_output_embeddings()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | Conv1D) and module is not head:
            yield name, module


def _shape(module: nn.Module) -> tuple[int, int]:
    weight = module.weight
    assert isinstance(weight, torch.Tensor)
    rows, columns = weight.shape
    return (rows, columns) if isinstance(module, Conv1D) else (columns, rows)


def _refuse_unknown_targets(model: PreTrainedModel, targets: Sequence[str]) -> None:
    known = sorted({name.rpartition(".")[2] for name, _ in _linear_modules(model)})
    for target in targets:
        if target not in known:
            close = difflib.get_close_matches(target, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"all-linear, or some of: {', '.join(known)}"
            raise ModelError(f"no linear layer is called {target!r}", where="adapter.target_modules", allowed=hint)
