"""Causal attention within each row of a flat batch: no token sees another row, and padding costs little.

In bf16 on CPU, plain batched products are faster than torch's flash attention for rows up to about 512 tokens
(three times at 128); longer rows take torch's kernel.
"""

import functools
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from luthier.kernels.layout import Bucket, RowLayout

LONGEST_PLAIN_ROW = 512


def rows_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: RowLayout,
    scaling: float,
    sliding_window: int | None = None,
) -> torch.Tensor:
    """Attention of every token to itself and the tokens before it in its own row.

    query: [T, heads, head_dim]; key, value: [T, key_value_heads, head_dim], heads a multiple of key_value_heads.
    Returns [T, heads, head_dim].
    """
    short = [bucket for bucket in layout.buckets if bucket.length <= LONGEST_PLAIN_ROW]
    long = [bucket for bucket in layout.buckets if bucket.length > LONGEST_PLAIN_ROW]
    output: torch.Tensor = _ShortRows.apply(query, key, value, short, scaling, sliding_window)  # type: ignore[no-untyped-call]
    for bucket in long:
        output = output.index_copy(0, bucket.tokens, _long_rows(query, key, value, bucket, scaling, sliding_window))
    return output


def _padded(flat: torch.Tensor, bucket: Bucket) -> torch.Tensor:
    """[T, heads, head_dim] -> [rows, heads, length, head_dim], contiguous."""
    heads, head_dim = flat.shape[1:]
    picked = flat.index_select(0, bucket.gather)
    return picked.view(bucket.rows, bucket.length, heads, head_dim).transpose(1, 2).contiguous()


def _unpadded(padded: torch.Tensor, bucket: Bucket) -> torch.Tensor:
    """[rows, heads, length, head_dim] -> [tokens of the bucket, heads, head_dim]."""
    heads, head_dim = padded.shape[1], padded.shape[3]
    return padded.transpose(1, 2).reshape(-1, heads, head_dim).index_select(0, bucket.slots)


def _forbidden(length: int, sliding_window: int | None, dtype: torch.dtype) -> torch.Tensor:
    """[length, length] to be added to scores: -inf where a query may not see a key."""
    mask = torch.full((length, length), float("-inf"), dtype=dtype).triu(1)
    if sliding_window is not None and sliding_window < length:
        mask += torch.full((length, length), float("-inf"), dtype=dtype).tril(-sliding_window)
    return mask


_forbidden_in_short_rows = functools.lru_cache(maxsize=64)(_forbidden)
"""At most 64 masks of LONGEST_PLAIN_ROW squared; those of longer rows would fill the memory."""


def _long_rows(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bucket: Bucket,
    scaling: float,
    sliding_window: int | None,
) -> torch.Tensor:
    """torch's attention on one bucket: [tokens of the bucket, heads, head_dim]."""
    windowed = sliding_window is not None and sliding_window < bucket.length
    attended = F.scaled_dot_product_attention(
        _padded(query, bucket),
        _padded(key, bucket),
        _padded(value, bucket),
        attn_mask=_forbidden(bucket.length, sliding_window, query.dtype) if windowed else None,
        is_causal=not windowed,
        scale=scaling,
        enable_gqa=True,
    )
    return _unpadded(attended, bucket)


class _ShortRows(torch.autograd.Function):
    """Softmax attention by batched products over buckets of rows, with its gradient written out.

    Per row and key/value head: P = softmax(scaling Q K^T + mask), O = P V. With D = rowsum(dO * O):
    dV = P^T dO, dS = P * (dO V^T - D), dQ = scaling dS K, dK = scaling dS^T Q. Each token is in one bucket, so that
    buckets write to disjoint parts of one result. Tokens of no bucket get zeros.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        buckets: list[Bucket],
        scaling: float,
        sliding_window: int | None,
    ) -> torch.Tensor:
        heads, key_value_heads, head_dim = query.shape[1], key.shape[1], query.shape[2]
        output = _empty_or_zeros(query, buckets)
        saved = []
        for bucket in buckets:
            batch, length = bucket.rows * key_value_heads, bucket.length
            group = heads // key_value_heads
            q = _padded(query, bucket).mul_(scaling).view(batch, group * length, head_dim)
            k = _padded(key, bucket).view(batch, length, head_dim)
            v = _padded(value, bucket).view(batch, length, head_dim)
            scores = torch.bmm(q, k.transpose(1, 2))
            scores.view(batch, group, length, length).add_(
                _forbidden_in_short_rows(length, sliding_window, scores.dtype)
            )
            weights = torch.softmax(scores, -1)
            attended = torch.bmm(weights, v)
            output.index_copy_(0, bucket.tokens, _unpadded(attended.view(bucket.rows, heads, length, head_dim), bucket))
            saved += [q, k, v, weights, attended]
        ctx.save_for_backward(*saved)
        ctx.buckets, ctx.scaling, ctx.heads = buckets, scaling, (heads, key_value_heads)
        return output

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grad = grads[0]
        heads, key_value_heads = ctx.heads
        saved = ctx.saved_tensors
        d_query = _empty_or_zeros(grad, ctx.buckets)
        d_key, d_value = (_empty_or_zeros(grad[:, :key_value_heads], ctx.buckets) for _ in range(2))
        for number, bucket in enumerate(ctx.buckets):
            q, k, v, weights, attended = saved[5 * number : 5 * number + 5]
            d_out = _padded_gradient(grad, bucket).view(q.shape)
            d_scores = torch.bmm(d_out, v.transpose(1, 2))
            d_scores.sub_((d_out * attended).sum(-1, keepdim=True)).mul_(weights)
            pieces = (
                (d_query, heads, torch.bmm(d_scores, k).mul_(ctx.scaling)),
                (d_key, key_value_heads, torch.bmm(d_scores.transpose(1, 2), q)),
                (d_value, key_value_heads, torch.bmm(weights.transpose(1, 2), d_out)),
            )
            for target, count, piece in pieces:
                padded = piece.view(bucket.rows, count, bucket.length, piece.shape[2])
                target.index_copy_(0, bucket.tokens, _unpadded(padded, bucket))
        return d_query, d_key, d_value, None, None, None


def _padded_gradient(grad: torch.Tensor, bucket: Bucket) -> torch.Tensor:
    """Like `_padded`, with zeros in the padding: nothing flows back from there."""
    heads, head_dim = grad.shape[1:]
    padded = grad.new_zeros(bucket.rows * bucket.length, heads, head_dim)
    padded.index_copy_(0, bucket.slots, grad.index_select(0, bucket.tokens))
    return padded.view(bucket.rows, bucket.length, heads, head_dim).transpose(1, 2).contiguous()


def _empty_or_zeros(like: torch.Tensor, buckets: list[Bucket]) -> torch.Tensor:
    """A result of this shape: to be filled by the buckets where they cover every token, else zeros."""
    covered = sum(len(bucket.tokens) for bucket in buckets) == like.shape[0]
    return like.new_empty(like.shape) if covered else like.new_zeros(like.shape)
