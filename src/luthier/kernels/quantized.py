"""Linear layers with weights in few bits, for inference: reading them is what bounds a step for few tokens.

int8 has a byte for each weight and a scale for each output. int4 has groups of 32 weights of an output, in half a byte
each, a whole number of steps from the least of their group.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812

from luthier.kernels import native
from luthier.kernels.int8 import quantize

Bits = Literal[4, 8]
GROUP = 32
STEPS = 15
"""Between the least and the greatest of a group."""
SHIFTS = (0, 4, 8, 12)
"""Where four weights lie in 16 bits."""
MOST_ROWS_IN_BFLOAT16 = 32
"""More rows take longer to multiply than to read: processors with units for bfloat16 are then faster with these."""


@dataclass(frozen=True, slots=True)
class QuantizedWeight:
    """The weight of a linear layer, [out, size].

    `numbers` are of 8 bits [out, size] in int8; or of 4 bits [out, groups / 2, 16] in int16, of which number i has,
    from its lowest bits on, weights i and 16 + i of one group and those of the next. `scale` is [out] in fp32, or
    [out, groups] in int32: two numbers in bfloat16, above the least of the group and below the step. All contiguous.
    """

    bits: Bits
    size: int
    numbers: torch.Tensor
    scale: torch.Tensor

    @classmethod
    def of(cls, weight: torch.Tensor, bits: Bits) -> "QuantizedWeight":
        """weight: [out, size]"""
        quantized = quantize(weight.contiguous()) if bits == 8 else _in_groups(weight.float())
        return cls(bits, weight.shape[1], *quantized)

    @classmethod
    def join(cls, weights: Sequence["QuantizedWeight"]) -> "QuantizedWeight":
        """The weight of one layer that computes what several do over one input, one after the other."""
        numbers, scale = (torch.cat([getattr(weight, name) for weight in weights]) for name in ("numbers", "scale"))
        return cls(weights[0].bits, weights[0].size, numbers, scale)

    def part(self, outputs: slice) -> "QuantizedWeight":
        """Views of some outputs."""
        return QuantizedWeight(self.bits, self.size, self.numbers[outputs], self.scale[outputs])

    @property
    def outputs(self) -> int:
        return len(self.numbers)

    @property
    def nbytes(self) -> int:
        return self.numbers.nbytes + self.scale.nbytes

    def dense(self) -> torch.Tensor:
        """What the numbers stand for: [out, size] in fp32."""
        if self.bits == 8:
            return self.numbers * self.scale[:, None]
        steps = torch.stack([self.numbers >> shift & STEPS for shift in SHIFTS], 2).view(*self.scale.shape, GROUP)
        least, step = _taken_apart(self.scale)
        return (steps * step[..., None] + least[..., None]).flatten(1)[:, : self.size]

    @staticmethod
    def serves(x: torch.Tensor) -> bool:
        """Whether there is a native kernel for activations [T, ...] that is as fast as torch."""
        if x.dtype == torch.bfloat16:
            return native.serves(x) and len(x) <= MOST_ROWS_IN_BFLOAT16
        return x.dtype == torch.float32 and native.serves(x)

    def product(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """x: [T, size]; bias: [out] in the type of x. Returns [T, out] in the type of x.

        The native kernels take x in whole 8191sts of the greatest of each row, and sum exactly. Eight bits would not
        do: a few activations are so large beside the rest that the perplexity of SmolLM2-135M rises by 4 %.
        """
        x = x.contiguous()
        if not self.serves(x):
            return self._by_torch(x, bias)
        output = x.new_empty(len(x), self.outputs)
        sizes = (len(x), self.size, self.outputs)
        native.run(f"int{self.bits}_product", x.dtype, x, self.numbers, self.scale, bias, output, *sizes)
        return output

    def _by_torch(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if self.bits == 4:
            return F.linear(x, self.dense().to(x.dtype), bias)
        output = F.linear(x, self.numbers.to(x.dtype)).mul_(self.scale.to(x.dtype))
        return output if bias is None else output.add_(bias)

    def norm_product(
        self, x: torch.Tensor, norm: torch.Tensor, epsilon: float, bias: torch.Tensor | None
    ) -> torch.Tensor:
        """`product` of x / sqrt(mean(x^2) + epsilon) * norm, for what `serves`. x: [T, size], contiguous; norm:
        [size]."""
        output = x.new_empty(len(x), self.outputs)
        weight = (self.numbers, self.scale)
        sizes = (len(x), self.size, self.outputs)
        native.run(f"int{self.bits}_norm_product", x.dtype, x, norm, epsilon, *weight, bias, output, *sizes)
        return output


class QuantizedLayerEnd:
    """What a decoder layer of Llama's shape computes after its attention, in one call.

    For what `QuantizedWeight.serves`.
    output: [hidden, attended]; gate_up: [2 * inner, hidden]; down: [hidden, inner], of as many bits; norm: [hidden].
    """

    def __init__(
        self,
        output: QuantizedWeight,
        norm: torch.Tensor,
        epsilon: float,
        gate_up: QuantizedWeight,
        down: QuantizedWeight,
    ) -> None:
        attention, inner, last = ((weight.numbers, weight.scale) for weight in (output, gate_up, down))
        self._kernel = f"int{output.bits}_layer_end"
        self._weights = (*attention, norm, epsilon, *inner, *last)
        self._sizes = (output.outputs, output.size, down.size)

    def __call__(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """h = x + attended output^T, and h + (silu(gate) * up) down^T, where gate and up are the halves of
        norm(h) gate_up^T. x: [T, hidden]; attended: [T, attended]; both contiguous. Returns [T, hidden]."""
        y = torch.empty_like(x)
        native.run(self._kernel, x.dtype, x, attended, *self._weights, y, len(x), *self._sizes)
        return y


def _in_groups(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """weight: [out, size] in fp32 -> numbers and scales of 4 bits."""
    outputs, size = weight.shape
    missing = -size % (2 * GROUP)
    # What fills the last group is there already, so that it changes neither the least nor the greatest.
    filled = torch.cat([weight, weight[:, -1:].expand(-1, missing)], 1).view(outputs, -1, GROUP)
    least, most = filled.aminmax(dim=2)
    least = least.to(torch.bfloat16)
    step = ((most - least) / STEPS).to(torch.bfloat16)
    scale = (least.view(torch.int16).int() << 16) | (step.view(torch.int16).int() & 0xFFFF)
    wide = step.float().clamp(min=torch.finfo(torch.float32).tiny)
    steps = ((filled - least.float()[..., None]) / wide[..., None]).round_().clamp_(0, STEPS).int()
    quarters = steps.view(outputs, -1, len(SHIFTS), GROUP // 2)
    return (quarters << torch.tensor(SHIFTS)[:, None].int()).sum(2).to(torch.int16), scale


def _taken_apart(scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The least and the step of each group in fp32, of what `_in_groups` put into 32 bits."""
    return (scale & -65536).view(torch.float32), (scale << 16).view(torch.float32)
