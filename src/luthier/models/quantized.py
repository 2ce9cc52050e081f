"""A frozen base model with weights in few bits: to train an adapter on, and to answer faster."""

import importlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from luthier.core.errors import ModelError, WeightsError
from luthier.core.recipe import BaseQuantization, Quantization
from luthier.kernels.int8 import int8_linear, quantize
from luthier.kernels.quantized import Bits, QuantizedWeight

BITS: Mapping[Quantization, Bits] = {"int8": 8, "int4": 4}
HEAD_BITS: Bits = 8
"""Of the head at least: its error goes straight into the logits."""


class Int8Linear(nn.Linear):
    """A linear layer with the weights of another, in bytes. PEFT puts adapters on it as on any other."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer.in_features, layer.out_features, bias=False, device="meta")
        weight, scale = quantize(layer.weight)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.register_buffer("scale", scale)
        self.bias = layer.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return int8_linear(x, self.weight, self.get_buffer("scale"), self.bias)


def require_quantizer(quantization: BaseQuantization | None) -> None:
    """Raise ModelError where what this way of keeping the base weights needs is not installed."""
    if quantization == "nf4":
        _bitsandbytes()


def _bitsandbytes() -> Any:
    try:
        return importlib.import_module("bitsandbytes")
    except ImportError as error:
        raise ModelError(
            "nf4 needs bitsandbytes, which is not installed",
            where="model.quantization",
            allowed="pip install 'luthier[nf4]', or int8, which needs nothing else",
        ) from error


def _nf4_linear(layer: nn.Linear) -> Any:
    """A bitsandbytes `Linear4bit` with the weights of another layer in NF4, scales quantised once more, which computes
    in the type that they had (Dettmers et al. 2023, QLoRA)."""
    linear4bit = _bitsandbytes().nn.Linear4bit(
        layer.in_features, layer.out_features, bias=False, compute_dtype=layer.weight.dtype, device="meta"
    )
    parameter = _bitsandbytes().nn.Params4bit(layer.weight.detach(), quant_type="nf4", module=linear4bit)
    linear4bit.weight = parameter.to(layer.weight.device)
    linear4bit.bias = layer.bias
    # On processors with AVX-512 BF16 it would rearrange the weights in the first pass without gradients, for a product
    # that none flow through.
    linear4bit.support_avx512bf16_for_cpu = False
    return linear4bit


_MADE: Mapping[BaseQuantization, Callable[[nn.Linear], nn.Linear]] = {"int8": Int8Linear, "nf4": _nf4_linear}


def quantize_linears(
    model: PreTrainedModel, keep: Collection[str] = (), quantization: BaseQuantization = "int8"
) -> int:
    """Put the weights of all linear layers into few bits, but those of the head and of modules to `keep`, to train an
    adapter on; how many layers that were.

    Raises ModelError for a model that has none, and as `require_quantizer` does.
    """
    head = model.get_output_embeddings()
    linears = [
        (name, module)
        for name, module in model.named_modules()
        if type(module) is nn.Linear and module is not head and name not in keep
    ]
    if not linears:
        raise ModelError("the model has no linear layers of the common kind", where="model.quantization")
    for name, module in linears:
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, _MADE[quantization](module))
    return len(linears)


def weight_count(model: nn.Module) -> int:
    """How many weights a model has, whatever number of bits each takes: NF4 keeps two in a byte."""
    states = ((parameter, getattr(parameter, "quant_state", None)) for parameter in model.parameters())
    return sum(state.shape.numel() if state else parameter.numel() for parameter, state in states)


class QuantizedLinear(nn.Linear):
    """A linear layer for inference, in place of one of the common kind or of GPT-2's.

    `quantized` is its weight; `weight` has the shape and type that it stands for, and no numbers.
    """

    def __init__(self, quantized: QuantizedWeight, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
        super().__init__(quantized.size, quantized.outputs, bias=False, device="meta", dtype=dtype)
        self.requires_grad_(False)
        self.quantized = quantized
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias.detach(), requires_grad=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        product = self.quantized.product(x.reshape(-1, self.in_features), self.bias)
        return product.view(*x.shape[:-1], self.out_features)


def quantize_for_inference(model: PreTrainedModel, quantization: Quantization) -> Callable[[], None]:
    """Give every linear layer of a model, the head's too, weights in few bits; returns what puts its own ones back.

    Embeddings stay, also where the head shares their weights. Raises ModelError for a model without such layers,
    WeightsError for weights that are not finite.
    """
    quantized = {
        name: QuantizedLinear(
            _quantized(name, layer, _bits(model, layer, quantization)), layer.bias, layer.weight.dtype
        )
        for name, layer in _linears(model)
    }
    own = {name: model.get_submodule(name) for name in quantized}
    _put(model, quantized)
    return lambda: _put(model, own)


def is_quantized(model: nn.Module) -> bool:
    """Whether `quantize_for_inference` has been here."""
    return any(isinstance(module, QuantizedLinear) for module in model.modules())


def weight_bytes(model: nn.Module) -> int:
    """What a step reads of a model's linear layers, as they are when it is loaded or has just been quantised."""
    linears = [module for module in model.modules() if isinstance(module, nn.Linear | Conv1D)]
    return sum(one.quantized.nbytes if isinstance(one, QuantizedLinear) else one.weight.nbytes for one in linears)


def round_weights(model: PreTrainedModel, quantization: Quantization) -> PreTrainedModel:
    """Give every linear layer, in its own type, the weights that `quantize_for_inference` would keep: to measure what
    that does by any other path. Raises as that does. Returns the model."""
    for name, layer in list(_linears(model)):
        rounded = _quantized(name, layer, _bits(model, layer, quantization)).dense().to(layer.weight.dtype)
        rounded = rounded.t().contiguous() if isinstance(layer, Conv1D) else rounded
        layer.weight = nn.Parameter(rounded, requires_grad=False)
    return model


def _linears(model: PreTrainedModel) -> Iterator[tuple[str, Any]]:
    found = [(name, module) for name, module in model.named_modules() if type(module) in (nn.Linear, Conv1D)]
    if not found:
        raise ModelError("the model has no linear layers of the common kind", where="serving.quantization")
    return iter(found)


def _bits(model: PreTrainedModel, layer: nn.Module, quantization: Quantization) -> Bits:
    return HEAD_BITS if layer is model.get_output_embeddings() else BITS[quantization]


def _quantized(name: str, layer: Any, bits: Bits) -> QuantizedWeight:
    weight = layer.weight.t() if isinstance(layer, Conv1D) else layer.weight
    if not bool(torch.isfinite(weight).all()):
        raise WeightsError(f"the weights of {name} hold infinite or undefined values", where="serving.quantization")
    return QuantizedWeight.of(weight, bits)


def _put(model: PreTrainedModel, layers: Mapping[str, nn.Module]) -> None:
    for name, layer in layers.items():
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, layer)
