"""A frozen base model in a fraction of its memory, to train an adapter on."""

from collections.abc import Collection

import torch
from torch import nn
from transformers import PreTrainedModel

from luthier.core.errors import ModelError
from luthier.kernels.int8 import int8_linear, quantize


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


def quantize_linears(model: PreTrainedModel, keep: Collection[str] = ()) -> int:
    """Turn the weights of all linear layers into bytes, but those of the head and of modules to `keep`; how many
    layers that were.

    Raises ModelError for a model that has none.
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
        setattr(model.get_submodule(parent), own, Int8Linear(module))
    return len(linears)
