"""Heads of a flat batch to rows padded to one length and back, turned by their positions on the way."""

from typing import NamedTuple

import torch

from luthier.kernels import native


class Turns(NamedTuple):
    """The angle of each token: cosine, sine: [T, turned], `turned` of a head's numbers, halves together."""

    cosine: torch.Tensor
    sine: torch.Tensor


def pad_heads(
    flat: torch.Tensor, tokens: torch.Tensor, groups: int, turns: Turns | None = None, scale: float = 1.0
) -> torch.Tensor:
    """[T, groups * group, head_dim] -> [rows, groups, length, group, head_dim].

    tokens: [rows, length] which token lies where, -1 where none does: there are zeros.
    """
    (_, heads, size), (rows, length) = flat.shape, tokens.shape
    group = heads // groups
    if native.serves(flat, *(turns or ())) and flat.stride(2) == 1:
        padded = flat.new_empty(rows, groups, length, group, size)
        cosine, sine, turned = _contiguous(turns)
        strides, shape = (flat.stride(0), flat.stride(1)), (rows, length, groups, group, size)
        native.run(
            "pad_heads",
            flat.dtype,
            flat,
            *strides,
            tokens.contiguous(),
            *shape,
            cosine,
            sine,
            turned,
            float(scale),
            padded,
        )
        return padded
    picked = flat.index_select(0, tokens.clamp(min=0).flatten())
    if turns:
        picked = _turned(picked, Turns(*(part.index_select(0, tokens.clamp(min=0).flatten()) for part in turns)), 1)
    picked = picked.mul(scale).masked_fill_((tokens < 0).flatten()[:, None, None], 0.0)
    return picked.view(rows, length, groups, group, size).transpose(1, 2).contiguous()


def unpad_heads(
    padded: torch.Tensor,
    first: int,
    tokens: torch.Tensor,
    flat: torch.Tensor,
    turns: Turns | None = None,
    scale: float = 1.0,
) -> None:
    """The way back, which is also that of gradients: turned the other way, and scaled.

    padded: contiguous [rows, groups, first + length, group, head_dim]; tokens: [rows, length]; flat: contiguous
    [T, groups * group, head_dim], in which the tokens named are set.
    """
    rows, groups, in_all, group, size = padded.shape
    length = in_all - first
    if native.serves(padded, flat, *(turns or ())):
        cosine, sine, turned = _contiguous(turns)
        shape = (rows, length, groups, group, size)
        native.run(
            "unpad_heads", padded.dtype, padded, first, tokens.contiguous(), *shape, cosine, sine, turned, float(scale),
            flat, flat.stride(0),
        )  # fmt: skip
        return
    there = tokens.flatten() >= 0
    places = tokens.flatten()[there]
    picked = padded[:, :, first:].transpose(1, 2).reshape(rows * length, groups * group, size)[there]
    if turns:
        picked = _turned(picked, Turns(*(part.index_select(0, places) for part in turns)), -1)
    flat.index_copy_(0, places, picked.mul(scale))


def _contiguous(turns: Turns | None) -> tuple[torch.Tensor | None, torch.Tensor | None, int]:
    if turns is None:
        return None, None, 0
    return turns.cosine.contiguous(), turns.sine.contiguous(), turns.cosine.shape[1]


def _turned(heads: torch.Tensor, turns: Turns, direction: int) -> torch.Tensor:
    """[tokens, heads, head_dim] turned by each token's angle, forward (1) or back (-1)."""
    cosine, sine = (part[:, None] for part in turns)
    turned = cosine.shape[-1]
    a, b = heads[..., :turned].chunk(2, -1)
    if direction > 0:
        across = torch.cat([-b, a], -1) * sine
    else:
        low, high = sine.chunk(2, -1)
        across = torch.cat([b * high, -(a * low)], -1)
    return torch.cat([heads[..., :turned] * cosine + across, heads[..., turned:]], -1)
