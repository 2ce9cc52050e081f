"""A step of AdamW on moments that take a byte a number instead of four.

Sources: Dettmers et al. 2021, 8-bit Optimizers via Block-wise Quantization (blocks, and codes by dynamic trees);
Loshchilov and Hutter 2017, Decoupled Weight Decay Regularization.
"""

import functools
import struct
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812

from luthier.kernels import native

BLOCK = 256
"""Numbers that share a scale, the largest of them. The native form has room for no more."""
_BLOCKS_AT_ONCE = 1024
"""That are wide at a time."""
_SIGN = 128
_SHIFT = 12
"""Bits that a share of a block's largest number, a float32, is shortened by to look its code up: 11 of its fraction are
left."""
_LOWEST, _HIGHEST = (struct.unpack("<i", struct.pack("<f", share))[0] >> _SHIFT for share in (2.0**-24, 1.0))
"""First bits of the shares between which there are codes."""


class Moment(NamedTuple):
    """A moment of n numbers in blocks: codes [blocks, size] in bytes, scales [blocks, 1] in float32."""

    codes: torch.Tensor
    scales: torch.Tensor

    @classmethod
    def zeros(cls, numbers: int, device: torch.device) -> "Moment":
        """One of as many numbers, all zero; size is BLOCK, or less where there are fewer."""
        size = max(1, min(BLOCK, numbers))
        blocks = -(-numbers // size)
        codes = torch.zeros(blocks, size, dtype=torch.uint8, device=device)
        return cls(codes, torch.zeros(blocks, 1, device=device))


class Step(NamedTuple):
    """What a step is made with; `number` counts from 1."""

    number: int
    learning_rate: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float


def adamw_8bit(weights: torch.Tensor, gradients: torch.Tensor, first: Moment, root: Moment, step: Step) -> None:
    """Change weights [n] and moments by gradients [n] of the same type; `root` is that of the second moment.

    A step divides by the root: it has half the decades of the second moment, and so more codes for each. None is
    rounded to zero, because a first moment over next to nothing would be a leap.
    """
    correction1, correction2 = 1 - step.beta1**step.number, 1 - step.beta2**step.number
    size = first.codes.shape[1]
    if native.serves(weights, gradients):
        tables = (*_tables(True, weights.device), *_tables(False, weights.device))
        numbers = (step.beta1, step.beta2, step.eps * correction2**0.5, 1 - step.learning_rate * step.weight_decay)
        rate = step.learning_rate / correction1 * correction2**0.5
        sizes = (weights.numel(), size, _LOWEST, _HIGHEST - _LOWEST, _SHIFT)
        native.run("adamw_8bit", weights.dtype, weights, gradients, *first, *root, *tables, *sizes, *numbers, rate)
        return
    for start in range(0, len(first.codes), _BLOCKS_AT_ONCE):
        blocks = slice(start, start + _BLOCKS_AT_ONCE)
        part = slice(start * size, (start + _BLOCKS_AT_ONCE) * size)
        gradient = _in_blocks(gradients[part].float(), size)
        moment = decode(Moment(first.codes[blocks], first.scales[blocks]), signed=True)
        scale = decode(Moment(root.codes[blocks], root.scales[blocks]), signed=False)
        moment.lerp_(gradient, 1 - step.beta1)
        scale.square_().mul_(step.beta2).addcmul_(gradient, gradient, value=1 - step.beta2).sqrt_()
        encode(moment, Moment(first.codes[blocks], first.scales[blocks]), signed=True)
        encode(scale, Moment(root.codes[blocks], root.scales[blocks]), signed=False)
        change = moment.div_(scale.div_(correction2**0.5).add_(step.eps)).flatten()[: len(weights[part])]
        weights[part].mul_(1 - step.learning_rate * step.weight_decay).sub_(
            change, alpha=step.learning_rate / correction1
        )


def decode(moment: Moment, signed: bool) -> torch.Tensor:
    """The numbers of a moment, float32 [blocks, size]."""
    values, _ = _tables(signed, moment.codes.device)
    return values.index_select(0, moment.codes.flatten().int()).view(moment.codes.shape).mul_(moment.scales)


def encode(numbers: torch.Tensor, moment: Moment, signed: bool) -> None:
    """Put numbers, float32 [blocks, size], into a moment: of each the nearest code. Those that are not `signed` get no
    code of zero, unless their whole block is zero."""
    _, lookup = _tables(signed, numbers.device)
    sizes = numbers.abs()
    torch.amax(sizes, 1, keepdim=True, out=moment.scales)
    shares = sizes.div_(moment.scales.clamp_min(torch.finfo(torch.float32).tiny))
    places = (shares.view(torch.int32) >> _SHIFT).sub_(_LOWEST).clamp_(0, _HIGHEST - _LOWEST)
    moment.codes.copy_(lookup.index_select(0, places.flatten()).view(numbers.shape))
    if signed:
        moment.codes.add_(numbers.signbit(), alpha=_SIGN)


def code_values(bits: int) -> torch.Tensor:
    """The values of dynamic tree codes of so many bits, rising, from 0 to 1: float32 [2 ^ bits].

    The zeros in front of a code's first one say how many decades below 1 its value lies; the bits behind it divide that
    decade evenly.
    """
    codes = torch.arange(1, 2**bits, dtype=torch.float64)
    fraction_bits = codes.log2().floor()
    steps = 2**fraction_bits
    values = 10 ** (fraction_bits - bits + 1) * (0.1 + 0.9 * (codes - steps + 1) / steps)
    return torch.cat([torch.zeros(1, dtype=torch.float64), values]).float()


def _in_blocks(numbers: torch.Tensor, size: int) -> torch.Tensor:
    """[n] as [blocks, size], zeros at the end."""
    return F.pad(numbers, (0, -len(numbers) % size)).view(-1, size)


@functools.cache
def _tables(signed: bool, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The value of each code, float32 [256]; and the nearest code to a share of a block's largest number, by its first
    bits: bytes."""
    values = code_values(7 if signed else 8)
    places = torch.arange(_LOWEST, _HIGHEST + 1, dtype=torch.int32)
    middles = ((places << _SHIFT) + (1 << (_SHIFT - 1))).view(torch.float32)
    lookup = torch.bucketize(middles, (values[1:] + values[:-1]) / 2)
    lookup[0] = 0
    if signed:
        values = torch.cat([values, -values])
    else:
        lookup.clamp_(min=1)
    return values.to(device), lookup.to(device, torch.uint8)
