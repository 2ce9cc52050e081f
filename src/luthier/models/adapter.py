"""Adapters by PEFT: put on, saved and loaded in PEFT's own format."""

import copy
import difflib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import IA3Config, LoraConfig, PeftConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import Linear as LoraLinear
from peft.utils.constants import SEQ_CLS_HEAD_NAMES
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from luthier.core.errors import LuthierError, ModelError, WorkspaceError
from luthier.core.recipe import AdapterSection

ADAPTER_NAME = "default"
LORA_MATRICES = ("lora_A", "lora_B")
_FAST_PISSA = "pissa_niter_16"
"""By sixteen subspace iterations, close to the exact decomposition at a fraction of its time."""
WEIGHTS_NAME = "adapter_model.safetensors"


def attach_adapter(model: PreTrainedModel, settings: AdapterSection, seed: int, new_weights: Sequence[str] = ()) -> Any:
    """The model with a fresh adapter in fp32: a PeftModel whose adapter trains. LoRA or IA3.

    Modules with `new_weights`, which are random, train too and are saved with the adapter: the head of a classifier.
    Raises ModelError for a model that PEFT refuses or whose words are predicted by a new head, and as `_lora_config`
    does.
    """
    config = _lora_config(model, settings) if settings.method == "lora" else _ia3_config(model)
    config.task_type = task_type(model)
    modules = dict.fromkeys(name.rpartition(".")[0] for name in new_weights)
    if modules and config.task_type != "SEQ_CLS":
        raise ModelError(
            "the model has no head that predicts words, and the new one has to train with all of it",
            where="adapter.method",
            allowed="full, freeze",
        )
    # The head of a classifier PEFT itself adds to these.
    config.modules_to_save = [name for name in modules if name.partition(".")[0] not in SEQ_CLS_HEAD_NAMES] or None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            adapted = get_peft_model(model, config, adapter_name=ADAPTER_NAME)
        except ValueError as error:
            raise ModelError(f"cannot put an adapter on this model: {error}", where="adapter") from error
    if settings.init_lora_weights == "pissa":
        for layer in lora_layers(adapted):
            for name in LORA_MATRICES:
                start = getattr(layer, name)[ADAPTER_NAME].weight.detach().clone()
                layer.register_buffer(f"{name}_start", start, persistent=False)
    return adapted


def _lora_config(model: PreTrainedModel, settings: AdapterSection) -> LoraConfig:
    """LoRA (Hu et al. 2021) and its variants.

    A is random by `seed` and B zero, or, with PiSSA (Meng et al. 2024), both come from the largest singular values of
    each weight, which is left with the rest. rsLoRA: Kalajdzievski 2023. DoRA: Liu et al. 2024.
    Raises ModelError when a target names no module, with the names that come close.
    """
    targets: str | list[str] = "all-linear"
    if settings.target_modules != "all-linear":
        # A list even for one name: PEFT takes a single string for a regular expression.
        named = settings.target_modules
        targets = [named] if isinstance(named, str) else list(named)
        _refuse_unknown_targets(model, targets)
    return LoraConfig(
        r=settings.r,
        lora_alpha=settings.lora_alpha,
        target_modules=targets,
        use_rslora=settings.use_rslora,
        use_dora=settings.use_dora,
        init_lora_weights=_FAST_PISSA if settings.init_lora_weights == "pissa" else True,
        bias=settings.bias,
        fan_in_fan_out=_keeps_weights_transposed(model),
    )


def _ia3_config(model: PreTrainedModel) -> IA3Config:
    """Factors on keys, values and the inner layer of the feed-forward part (Liu et al. 2022), by the names that PEFT
    knows for the architecture."""
    return IA3Config(fan_in_fan_out=_keeps_weights_transposed(model))


def task_type(model: Any) -> str | None:
    """PEFT's name for what the model is for; it has none for an encoder that predicts masked words."""
    name = type(model).__name__
    if name.endswith("ForMaskedLM"):
        return None
    return "SEQ_CLS" if name.endswith("ForSequenceClassification") else "CAUSAL_LM"


def _keeps_weights_transposed(model: PreTrainedModel) -> bool:
    return any(isinstance(module, Conv1D) for module in model.modules())


def save_adapter(model: Any, folder: Path, base_name: str) -> None:
    """Write the adapter in PEFT's format, with the base model's name in its configuration instead of a path here.

    What PiSSA trained is B A on weights without their part B0 A0; on the weights as they were that is the adapter
    [B, -B0] [A; A0] of twice the rank, which is what gets written.
    Raises WorkspaceError when the disk is full or the place cannot be written.
    """
    config = replace(model.peft_config[ADAPTER_NAME], base_model_name_or_path=base_name, inference_mode=True)
    weights = get_peft_model_state_dict(model, adapter_name=ADAPTER_NAME, save_embedding_layers=False)
    if getattr(config, "init_lora_weights", True) == _FAST_PISSA:
        weights = _relative_to_base(model, weights)
        growth = math.sqrt(2) if config.use_rslora else 2
        config = replace(config, r=2 * config.r, lora_alpha=growth * config.lora_alpha, init_lora_weights=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config.save_pretrained(str(folder))
        if config.task_type == "SEQ_CLS":  # the labels
            classifier = model.get_base_model()
            labels = copy.deepcopy(classifier.config)
            labels.architectures = [type(classifier).__name__]  # a new head is no part of the base model's own name
            labels.save_pretrained(folder)
        contiguous = {name: weight.contiguous() for name, weight in weights.items()}
        save_file(contiguous, folder / WEIGHTS_NAME, metadata={"format": "pt"})
    except (OSError, SafetensorError) as error:
        raise WorkspaceError(f"cannot write: {error}", where=str(folder)) from error


def _relative_to_base(model: Any, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """PiSSA's weights as those of an adapter on the base model's own weights."""
    modules = dict(model.named_modules())

    def composed(name: str, weight: torch.Tensor) -> torch.Tensor:
        layer, _, kind = name.removesuffix(".weight").rpartition(".")
        start = modules[layer].get_buffer(f"{kind}_start")
        return torch.cat([weight, start]) if kind == "lora_A" else torch.cat([weight, -start], dim=1)

    return {name: composed(name, weight) for name, weight in weights.items()}


def refuse_unloadable(model: Any, folder: Path) -> None:
    """Raise ModelError unless PEFT can load this adapter beside the one that the model has."""
    name = "as saved"
    found = model.load_adapter(str(folder), name, is_trainable=False)
    model.delete_adapter(name)
    if strange := [*found.missing_keys, *found.unexpected_keys]:
        raise ModelError(f"what was saved does not fit the model again, the first: {strange[0]}", where=str(folder))


def load_adapter(model: PreTrainedModel, folder: Path) -> Any:
    """The model with the adapter that `save_adapter` wrote, frozen. Raises ModelError when it does not fit."""
    refuse_unsafe_adapter(folder)
    with plain_adapter_errors(folder):
        adapted = PeftModel(model, PeftConfig.from_pretrained(str(folder)), ADAPTER_NAME)
        found = adapted.load_adapter(str(folder), ADAPTER_NAME, is_trainable=False)
    if strange := [*found.missing_keys, *found.unexpected_keys]:
        raise ModelError(
            f"the adapter is of another model: its weights do not fit, the first: {strange[0]}", where=str(folder)
        )
    return adapted.eval().requires_grad_(False)


@contextmanager
def plain_adapter_errors(folder: Path) -> Iterator[None]:
    """Turn what PEFT raises over the files in `folder` into a ModelError."""
    try:
        yield
    except LuthierError:
        raise
    except Exception as error:  # damaged files make the libraries raise almost anything
        settings = isinstance(error, KeyError | TypeError | AttributeError)
        reason = "adapter_config.json has fields or values that PEFT does not know" if settings else error
        raise ModelError(f"cannot load the adapter: {' '.join(str(reason).split())}", where=str(folder)) from error


def refuse_unsafe_adapter(folder: Path) -> None:
    """Raise ModelError unless the adapter's weights are in safetensors: PEFT would read a pickle too."""
    if not (folder / WEIGHTS_NAME).is_file():
        raise ModelError(f"no {WEIGHTS_NAME}; other formats can hold code and are refused", where=str(folder))


def without_adapter(model: Any) -> Any:
    """The base model under a PEFT adapter; a model without one is itself."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Name -> parameter of all that trains."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def learning_rate_ratios(parameters: Iterable[str], loraplus: float) -> dict[str, float]:
    """The ratio of LoRA+ for each of these parameters that is a matrix B, which learns so much faster than the rest.

    Source: Hayou et al. 2024, LoRA+: Efficient Low Rank Adaptation of Large Models.
    """
    return {name: loraplus for name in parameters if ".lora_B." in name}


def lora_layers(model: nn.Module) -> Iterator[Any]:
    """PEFT's linear layers with an adapter."""
    return (module for module in model.modules() if isinstance(module, LoraLinear))


def _linear_modules(model: PreTrainedModel) -> Iterator[tuple[str, nn.Module]]:
    head = model.get_output_embeddings()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | Conv1D) and module is not head:
            yield name, module


def _refuse_unknown_targets(model: PreTrainedModel, targets: Sequence[str]) -> None:
    known = sorted({name.rpartition(".")[2] for name, _ in _linear_modules(model)})
    for target in targets:
        if target not in known:
            close = difflib.get_close_matches(target, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"all-linear, or some of: {', '.join(known)}"
            raise ModelError(f"no linear layer is called {target!r}", where="adapter.target_modules", allowed=hint)
