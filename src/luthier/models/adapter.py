"""Low-rank adapters by PEFT: put on, saved and loaded in PEFT's own format."""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear as LoraLinear
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from luthier.core.errors import ModelError

ADAPTER_NAME = "default"


def attach_lora(model: PreTrainedModel, r: int, lora_alpha: int, target_modules: str | Sequence[str], seed: int) -> Any:
    """The model with fresh LoRA layers (A random by `seed`, B zero, both fp32): a PeftModel whose adapter trains.

    Raises ModelError when a target names no module, with the names that come close.
    """
    if target_modules != "all-linear":
        _refuse_unknown_targets(model, [target_modules] if isinstance(target_modules, str) else target_modules)
    targets = target_modules if isinstance(target_modules, str) else list(target_modules)
    config = LoraConfig(r=r, lora_alpha=lora_alpha, target_modules=targets, task_type="CAUSAL_LM")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get_peft_model(model, config, adapter_name=ADAPTER_NAME)


def save_adapter(model: Any, folder: Path, base_name: str) -> None:
    """Write the adapter in PEFT's format, with the base model's name in its configuration instead of a path here."""
    model.peft_config[ADAPTER_NAME].base_model_name_or_path = base_name
    model.save_pretrained(str(folder))


def load_adapter(model: PreTrainedModel, folder: Path) -> Any:
    """The model with the adapter that `save_adapter` wrote, frozen. Raises ModelError when it does not fit."""
    try:
        return PeftModel.from_pretrained(model, str(folder), adapter_name=ADAPTER_NAME, is_trainable=False)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(f"cannot load the adapter: {error}", where=str(folder)) from error


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
