"""Adapters of one base model that answer side by side: read from PEFT's files, and kept within a budget of memory.

LoRA, rsLoRA, DoRA and IA3 on linear layers can be stacked (see `kernels.stacked_lora`). Whatever else an adapter may
change, such as biases, embeddings or whole modules, cannot, and is refused when the adapter is added.
"""

import copy
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, get_peft_model, get_peft_model_state_dict
from peft.tuners.ia3 import IA3Layer
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from luthier.core.errors import ModelError
from luthier.kernels.stacked_lora import AdapterPlan, AdapterSpan, LinearDelta, StackedLinear
from luthier.models.adapter import ADAPTER_NAME, WEIGHTS_NAME, plain_adapter_errors, refuse_unsafe_adapter
from luthier.models.cached_path import weight_of

PEFT_PREFIX = "base_model.model."
STACKED_WEIGHTS = ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector", "ia3_l")
FIRST_SLOTS = 2

Deltas = Mapping[str, LinearDelta]
"""What an adapter changes, by the name of the linear layer."""


class AdapterFiles:
    """An adapter in PEFT's format that fits a model, and can be read from its folder whenever it is needed."""

    def __init__(self, model: PreTrainedModel, folder: Path) -> None:
        """Raises ModelError for an adapter of another model, and for one that changes what cannot be stacked."""
        refuse_unsafe_adapter(folder)
        self.folder, self._model = folder, model
        with plain_adapter_errors(folder):
            skeleton = _skeleton(model, PeftConfig.from_pretrained(str(folder)))
        expected = get_peft_model_state_dict(skeleton, adapter_name=ADAPTER_NAME, save_embedding_layers=False)
        self._shapes = {name: weight.shape for name, weight in expected.items()}
        self._layers: dict[str, float | bool] = {}
        """The layers that it changes: LoRA's scaling, or whether IA3 scales the input."""
        for name, layer in skeleton.base_model.model.named_modules():
            if isinstance(layer, LoraLayer | IA3Layer):
                self._refuse_special(name)
                lora = isinstance(layer, LoraLayer)
                self._layers[name] = layer.scaling[ADAPTER_NAME] if lora else layer.is_feedforward

    def _refuse_special(self, name: str) -> None:
        module = self._model.get_submodule(name)
        if not isinstance(module, nn.Linear | Conv1D) or module is self._model.get_output_embeddings():
            raise _not_beside_others(name, self.folder)

    def read(self) -> dict[str, LinearDelta]:
        """What it changes, by the name of the linear layer. Raises ModelError when the files are gone or damaged."""
        try:
            weights = load_file(self.folder / WEIGHTS_NAME)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"cannot load the adapter: {error}", where=str(self.folder)) from error
        self._refuse_misfits(weights)
        deltas = {}
        for name, kind in self._layers.items():
            prefix = f"{PEFT_PREFIX}{name}."
            own = {key.removeprefix(prefix): weight for key, weight in weights.items() if key.startswith(prefix)}
            deltas[name] = (
                _scale(own, bool(kind)) if "ia3_l" in own else _low_rank(self._model.get_submodule(name), own, kind)
            )
        return deltas

    def _refuse_misfits(self, found: Mapping[str, torch.Tensor]) -> None:
        for name in sorted(self._shapes.keys() | found.keys()):
            if name not in self._shapes or name not in found or self._shapes[name] != found[name].shape:
                raise ModelError(
                    f"cannot load the adapter: its weights are not those of this model, the first: {name}",
                    where=str(self.folder),
                )
            if not name.endswith(STACKED_WEIGHTS):
                raise _not_beside_others(name.removeprefix(PEFT_PREFIX), self.folder)
            if not bool(torch.isfinite(found[name]).all()):
                raise ModelError(f"the weights of {name} hold infinite or undefined values", where=str(self.folder))


def _not_beside_others(name: str, folder: Path) -> ModelError:
    return ModelError(
        f"it changes {name}, which cannot be served beside others",
        where=str(folder),
        allowed="LoRA, DoRA and IA3 on linear layers",
    )


def _skeleton(model: PreTrainedModel, config: Any) -> Any:
    """The model as PEFT would adapt it, without any weights: names, shapes and scalings of all that it adds."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bare: Any = type(model)(copy.deepcopy(model.config))
        return get_peft_model(bare, config, adapter_name=ADAPTER_NAME, low_cpu_mem_usage=True)


def _low_rank(base: nn.Module, weights: Mapping[str, torch.Tensor], scaling: float) -> LinearDelta:
    """LoRA (Hu et al. 2021), and DoRA (Liu et al. 2024): each row of W + B A scaled to its own magnitude."""
    a, b = weights["lora_A.weight"], scaling * weights["lora_B.weight"]
    magnitude = weights.get("lora_magnitude_vector")
    if magnitude is None:
        return LinearDelta(a, b)
    weight, bias = weight_of(base).float(), getattr(base, "bias", None)
    directions = (weight.t() if isinstance(base, Conv1D) else weight) + b.float() @ a.float()
    scale = magnitude.float() / torch.linalg.vector_norm(directions, dim=1)
    return LinearDelta(a, b, output_scale=scale, output_shift=None if bias is None else (1 - scale) * bias.float())


def _scale(weights: Mapping[str, torch.Tensor], of_input: bool) -> LinearDelta:
    """IA3 (Liu et al. 2022): the input of feed-forward layers scaled, the output of others."""
    vector = weights["ia3_l"].flatten()
    return LinearDelta(input_scale=vector) if of_input else LinearDelta(output_scale=vector)


class AdapterStack:
    """The adapters that a model can answer with. Used by one thread at a time.

    `linears` are layers that stand in for several of the model's own; the others are put in place when an adapter
    first needs them. Weights lie in slots; beyond `budget_bytes` the adapter that was used longest ago gives its slot
    up and is read from its folder again when it is next asked for.
    """

    def __init__(
        self, model: PreTrainedModel, linears: Iterable[StackedLinear], plan: AdapterPlan, budget_bytes: int
    ) -> None:
        self._model, self._plan, self._budget = model, plan, budget_bytes
        self._linears: dict[str, StackedLinear] = {part: linear for linear in linears for part in linear.parts}
        self._files: dict[str, AdapterFiles] = {}
        self._slots: dict[str, int] = {}
        """Resident adapters, the one used longest ago first."""
        self._capacity = 0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._files)

    @property
    def resident(self) -> tuple[str, ...]:
        """Adapters whose weights are in memory, the one used longest ago first."""
        return tuple(self._slots)

    def add(self, name: str, files: AdapterFiles, deltas: Deltas, in_use: Sequence[str]) -> None:
        """Offer an adapter, read already, under a name; resident at once where those `in_use` leave room."""
        self._files[name] = files
        self._settle(name, deltas, in_use)

    def remove(self, name: str) -> None:
        """Offer it no longer. No row may be using it."""
        del self._files[name]
        self._slots.pop(name, None)

    def prepare(self, name: str, in_use: Sequence[str]) -> bool:
        """Have an adapter resident; False when those `in_use` leave no room for it.

        Raises ModelError when its files are gone or changed.
        """
        if name in self._slots:
            self._slots[name] = self._slots.pop(name)
            return True
        linears = list(self._each_linear())
        if len(in_use) >= self._most(linears, [linear.rank for linear in linears]):
            return False  # before its files are read: while it waits it is asked for at every step
        return self._settle(name, self._files[name].read(), in_use)

    def take(self, spans: Iterable[tuple[int, int, Sequence[str | None]]]) -> None:
        """Plan the next forward pass: for each span of tokens, start and end, the adapter of each token."""
        planned = []
        for start, end, names in spans:
            slots = [0 if name is None else self._slots[name] for name in names]
            if any(slots):
                planned.append(AdapterSpan(start, end, slots))
        self._plan.spans = planned

    def _settle(self, name: str, deltas: Deltas, in_use: Sequence[str]) -> bool:
        """Put an adapter into a slot, which may cost others theirs; False when those `in_use` leave no room."""
        for part in deltas:
            if part not in self._linears:
                self._linears[part] = _put_in_place(self._model, part, self._plan)
        linears = list(self._each_linear())
        ranks = [max(linear.rank, linear.rank_of(deltas)) for linear in linears]
        most = self._most(linears, ranks)
        if len(in_use) >= most:
            return False
        while len(self._slots) >= most:
            del self._slots[next(other for other in self._slots if other not in in_use)]
        capacity = self._capacity if len(self._slots) < self._capacity <= most else 2 * len(self._slots) + FIRST_SLOTS
        self._make_room(linears, ranks, min(most, capacity))
        free = min(set(range(1, self._capacity + 1)) - set(self._slots.values()))
        for linear in linears:
            linear.fill(free, deltas)
        self._slots[name] = free
        return True

    def _most(self, linears: Sequence[StackedLinear], ranks: Sequence[int]) -> int:
        """How many adapters of such ranks fit the budget, at least one."""
        slot_bytes = sum(linear.slot_bytes(rank) for linear, rank in zip(linears, ranks, strict=True))
        return max(1, self._budget // max(1, slot_bytes))

    def _make_room(self, linears: Sequence[StackedLinear], ranks: Sequence[int], capacity: int) -> None:
        have = [(linear.slots, linear.rank) for linear in linears]
        if have == [(capacity, rank) for rank in ranks]:
            return
        for linear, rank in zip(linears, ranks, strict=True):
            linear.resize(list(self._slots.values()), capacity, rank)
        self._slots = {name: number for number, name in enumerate(self._slots, start=1)}
        self._capacity = capacity

    def _each_linear(self) -> Iterator[StackedLinear]:
        return iter({id(linear): linear for linear in self._linears.values()}.values())


def _put_in_place(model: PreTrainedModel, name: str, plan: AdapterPlan) -> StackedLinear:
    """Give one of the model's linear layers a `forward` that adds what the adapters change."""
    module: Any = model.get_submodule(name)
    plain = type(module).forward
    rows, columns = module.weight.shape
    into, out = (rows, columns) if isinstance(module, Conv1D) else (columns, rows)
    linear = StackedLinear(lambda x: plain(module, x), into, {name: slice(0, out)}, plan, module.weight.dtype)
    module.forward = lambda x: linear(x.reshape(-1, into)).view(*x.shape[:-1], out)
    return linear
