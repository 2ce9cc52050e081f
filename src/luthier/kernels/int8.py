"""Linear layers whose frozen weights are bytes: a scale for each output, symmetric around zero."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from luthier.kernels import native

LARGEST = 127
MOST_ROWS_IN_BFLOAT16 = 32
"""More rows take longer to multiply than to read: processors with units for bfloat16 are then faster with these."""


def quantize(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """weight: [out, in] -> bytes [out, in] and scales [out] in fp32, with weight ~ bytes * scale to half a scale."""
    wide = weight.detach().float()
    scale = wide.abs().amax(dim=1).clamp_(min=torch.finfo(torch.float32).tiny) / LARGEST
    return (wide / scale[:, None]).round_().to(torch.int8), scale


def int8_linear(x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """x: [..., in]; weight: [out, in] in int8; scale: [out]; bias: [out]. Returns [..., out] in the type of x.

    Only bytes are kept for the backward pass; both passes widen them, which is exact in bfloat16 too.
    """
    output: torch.Tensor = _Int8Linear.apply(x, weight, scale)  # type: ignore[no-untyped-call]
    return output if bias is None else output + bias


class _Int8Linear(torch.autograd.Function):
    """y = (x bytes^T) * scale, and dx = (dy * scale) bytes."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(weight, scale)
        return F.linear(x, weight.to(x.dtype)).mul_(scale.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        weight, scale = ctx.saved_tensors
        grad = grads[0]
        return (grad * scale.to(grad.dtype)) @ weight.to(grad.dtype), None, None


@dataclass(frozen=True, slots=True)
class Int8Weight:
    """The weight of a linear layer for inference: `numbers` [out, in] in int8, contiguous; `scale` [out] in fp32."""

    numbers: torch.Tensor
    scale: torch.Tensor

    @classmethod
    def of(cls, weight: torch.Tensor) -> "Int8Weight":
        """weight: [out, in]"""
        return cls(*quantize(weight.contiguous()))

    @classmethod
    def join(cls, weights: Sequence["Int8Weight"]) -> "Int8Weight":
        """The weight of one layer that computes what several do over one input, one after the other."""
        return cls(torch.cat([weight.numbers for weight in weights]), torch.cat([weight.scale for weight in weights]))

    def part(self, outputs: slice) -> "Int8Weight":
        """Views of some outputs."""
        return Int8Weight(self.numbers[outputs], self.scale[outputs])

    @property
    def nbytes(self) -> int:
        return self.numbers.nbytes + self.scale.nbytes

    def dense(self) -> torch.Tensor:
        """What the bytes stand for: [out, in] in fp32."""
        return self.numbers * self.scale[:, None]

    def product(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """x: [T, in]; bias: [out] in the type of x. Returns [T, out] in the type of x.

        The native kernel takes x in whole 8191sts of the greatest of each row, and sums exactly. Eight bits would not
        do: a few activations are so large beside the rest that the perplexity of SmolLM2-135M rises by 4 %.
        """
        outputs, size = self.numbers.shape
        x = x.contiguous()
        if not self.serves(x):
            output = F.linear(x, self.numbers.to(x.dtype)).mul_(self.scale.to(x.dtype))
            return output if bias is None else output.add_(bias)
        output = x.new_empty(len(x), outputs)
        native.run("int8_product", x.dtype, x, self.numbers, self.scale, bias, output, len(x), size, outputs)
        return output

    @staticmethod
    def serves(x: torch.Tensor) -> bool:
        """Whether there is a native kernel for activations [T, ...] that is as fast as torch."""
        if x.dtype == torch.bfloat16:
            return native.serves(x) and len(x) <= MOST_ROWS_IN_BFLOAT16
        return x.dtype == torch.float32 and native.serves(x)

    def norm_product(
        self, x: torch.Tensor, norm: torch.Tensor, epsilon: float, bias: torch.Tensor | None
    ) -> torch.Tensor:
        """`product` of x / sqrt(mean(x^2) + epsilon) * norm, for what `serves`. x: [T, in], contiguous; norm: [in]."""
        outputs, size = self.numbers.shape
        output = x.new_empty(len(x), outputs)
        native.run(
            "int8_norm_product",
            x.dtype,
            x,
            norm,
            epsilon,
            self.numbers,
            self.scale,
            bias,
            output,
            len(x),
            size,
            outputs,
        )
        return output


class Int8LayerEnd:
    """What a decoder layer of Llama's shape computes after its attention, in one call for what `Int8Weight.serves`.

    output: [hidden, attended]; gate_up: [2 * inner, hidden]; down: [hidden, inner]; norm: [hidden].
    """

    def __init__(
        self, output: Int8Weight, norm: torch.Tensor, epsilon: float, gate_up: Int8Weight, down: Int8Weight
    ) -> None:
        weights = (
            output.numbers,
            output.scale,
            norm,
            epsilon,
            gate_up.numbers,
            gate_up.scale,
            down.numbers,
            down.scale,
        )
        self._weights = weights
        self._sizes = (*output.numbers.shape, down.numbers.shape[1])

    def __call__(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """h = x + attended output^T, and h + (silu(gate) * up) down^T, where gate and up are the halves of
        norm(h) gate_up^T. x: [T, hidden]; attended: [T, attended]; both contiguous. Returns [T, hidden]."""
        y = torch.empty_like(x)
        native.run("int8_layer_end", x.dtype, x, attended, *self._weights, y, len(x), *self._sizes)
        return y
