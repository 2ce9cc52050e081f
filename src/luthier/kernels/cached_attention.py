"""Attention of new tokens to keys and values that were computed before, for inference.

For one new token a row, torch's attention on CPU reads keys and values once and wins. For prompts, plain batched
products are faster up to about 500 tokens, three times at 128.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812

from luthier.kernels import native

LONGEST_PLAIN_PROMPT = 512


class AttentionArguments(NamedTuple):
    """How a layer attends: the factor of its scores, how many keys a token sees at most, and what bends the scores."""

    scaling: float
    sliding_window: int | None = None
    softcap: float | None = None


def cached_attention(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor,
    scaling: float,
    softcap: float | None = None,
) -> torch.Tensor:
    """softmax(scaling Q K^T + mask) V for each row, with the scores bent to softcap tanh(scores / softcap) if given.

    query: [rows, heads, new, head_dim]; keys, values: [rows, key_value_heads, length, head_dim], heads a multiple of
    key_value_heads; mask: [rows or 1, 1, new, length], to be added. Returns [rows, heads, new, head_dim].
    """
    new, length = query.shape[2], keys.shape[2]
    if softcap is None and (new == 1 or length > LONGEST_PLAIN_PROMPT):
        return F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=scaling, enable_gqa=True)
    return _by_products(query, keys, values, mask, scaling, softcap)


def decode_attention(
    states: torch.Tensor,
    cosine: torch.Tensor,
    sine: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    places: torch.Tensor,
    arguments: AttentionArguments,
) -> torch.Tensor | None:
    """Turn queries and keys of one new token a row by its position, keep keys and values, and attend; None where there
    is no native kernel for that.

    states: [rows, heads + 2 * key_value_heads, head_dim], queries, keys and values; cosine, sine: [rows, head_dim], as
    Llama turns its heads; keys, values: [rows, key_value_heads, length, head_dim], in which those of the new tokens
    are stored at `places` [rows]. Returns [rows, heads, head_dim].
    """
    rows, key_heads, length, size = keys.shape
    heads = states.shape[1] - 2 * key_heads
    turned = (states, cosine, sine)
    if (
        arguments.softcap is not None
        or cosine.shape != (rows, size)
        or not all(tensor.is_contiguous() for tensor in turned)
        or not native.serves(*turned, keys)
    ):
        return None
    out = states.new_empty(rows, heads, size)
    window = arguments.sliding_window or length
    sizes = (rows, heads, key_heads, length, size, window)
    native.run("decode_attention", states.dtype, *turned, keys, values, places, *sizes, arguments.scaling, out)
    return out


def _by_products(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor,
    scaling: float,
    softcap: float | None,
) -> torch.Tensor:
    rows, heads, new, head_dim = query.shape
    batch, length = rows * keys.shape[1], keys.shape[2]
    q = (query * scaling).reshape(batch, -1, head_dim)
    scores = torch.bmm(q, keys.reshape(batch, length, head_dim).transpose(1, 2))
    if softcap is not None:
        scores = scores.div_(softcap).tanh_().mul_(softcap)
    scores.view(rows, heads, new, length).add_(mask)
    attended = torch.bmm(torch.softmax(scores, -1), values.reshape(batch, length, -1))
    return attended.view(rows, heads, new, -1)


def visible(positions: torch.Tensor, length: int, sliding_window: int | None, dtype: torch.dtype) -> torch.Tensor:
    """What to add to scores: 0 where a token at `positions` sees a key, -inf elsewhere.

    positions: [...] of the new tokens. Returns [..., length]: keys up to the token itself, and no more than
    `sliding_window` of them.
    """
    ages = positions.unsqueeze(-1) - torch.arange(length)
    hidden = ages < 0
    if sliding_window is not None:
        hidden |= ages >= sliding_window
    return torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, float("-inf"))
