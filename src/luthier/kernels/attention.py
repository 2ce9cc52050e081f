"""Causal attention within each row of a flat batch: no token sees another row, and padding costs little.

Batched products over rows of like length, whatever their length; of long rows a block of queries at a time. A row may
stand after a prefix that other rows share: its keys and values are computed once. Queries and keys are turned by their
positions (rotary embedding, Su et al. 2021) on their way into the products.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from luthier.kernels import native
from luthier.kernels.layout import Bucket, Prefix, RowLayout
from luthier.kernels.padded_heads import Turns, pad_heads, unpad_heads

QUERY_BLOCK = 256
"""A longer row is attended in blocks of so many queries, each to the keys up to its end."""
KEPT_KEYS = 512
"""The attention weights of rows with more keys are not kept for the gradient but computed once more."""
_NO_WINDOW = 2**62


def rows_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: RowLayout,
    scaling: float,
    sliding_window: int | None = None,
    turns: Turns | None = None,
) -> torch.Tensor:
    """Attention of every token to itself, the tokens before it in its own row and those of the row's prefix.

    query: [T, heads, head_dim]; key, value: [before + T, key_value_heads, head_dim], heads a multiple of
    key_value_heads; `turns` has an angle for each key, or is None where they are turned already.
    Returns [T, heads, head_dim].
    """
    cosine, sine = (turns.cosine, turns.sine) if turns else (None, None)
    output: torch.Tensor = _RowsAttention.apply(  # type: ignore[no-untyped-call]
        query, key, value, cosine, sine, layout, scaling, sliding_window or _NO_WINDOW
    )
    return output


class _RowsAttention(torch.autograd.Function):
    """Softmax attention by batched products over buckets of rows, with its gradient written out.

    Per row and key/value head: P = softmax(scaling Q K^T + mask), O = P V. With D = rowsum(dP * P), dP = dO V^T:
    dV = P^T dO, dS = P * (dP - D), dQ = scaling dS K, dK = scaling dS^T Q. Each token is a query of one bucket at
    most; tokens of no bucket get zeros. What several rows add to the keys of their prefix is summed in fp32.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        cosine: torch.Tensor | None,
        sine: torch.Tensor | None,
        layout: RowLayout,
        scaling: float,
        window: int,
    ) -> torch.Tensor:
        turns = Turns(cosine, sine) if cosine is not None and sine is not None else None
        output = _result(query.shape, query, layout)
        saved: list[torch.Tensor | None] = [cosine, sine]
        for bucket in layout.buckets:
            q, k, v = _padded(query, key, value, turns, bucket, layout.before, scaling)
            attended = []
            saved += [q, k, v]
            for block in _blocks(bucket):
                weights = torch.bmm(_queries(q, block), _keys(k, block).transpose(1, 2))
                log_sums = _softmax(weights, block, q.shape[3], window)
                attended.append(torch.bmm(weights, _keys(v, block)).view(_part(q, block).shape))
                saved += [weights if _is_kept(k) else None, log_sums]
            unpad_heads(_joined(attended), 0, bucket.tokens, output)
        ctx.save_for_backward(*saved)
        ctx.layout, ctx.scaling, ctx.window, ctx.keys = layout, scaling, window, len(key)
        return output

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        layout: RowLayout = ctx.layout
        grad, before = grads[0], layout.before
        cosine, sine, *saved = ctx.saved_tensors
        turns = None if cosine is None else Turns(cosine, sine)
        groups, head_dim = saved[1].shape[1], saved[1].shape[4]
        d_query = _result(grad.shape, grad, layout)
        d_key, d_value = (_result((ctx.keys, groups, head_dim), grad, layout) for _ in range(2))
        of_prefixes: dict[Prefix, list[torch.Tensor]] = {}
        for bucket in layout.buckets:
            q, k, v = saved[:3]
            blocks = _blocks(bucket)
            kept, saved = saved[3 : 3 + 2 * len(blocks)], saved[3 + 2 * len(blocks) :]
            d_out = pad_heads(grad, bucket.tokens, groups)
            d_q, d_k, d_v = [], _Sum(k), _Sum(v)
            for block, weights, log_sums in zip(blocks, kept[::2], kept[1::2], strict=True):
                own_k, own_v, own_q, own_d_out = (
                    _keys(k, block),
                    _keys(v, block),
                    _queries(q, block),
                    _queries(d_out, block),
                )
                if weights is None:
                    weights = torch.bmm(own_q, own_k.transpose(1, 2))
                    _weights(weights, log_sums, block, q.shape[3], ctx.window)
                d_scores = torch.bmm(own_d_out, own_v.transpose(1, 2))
                _softmax_backward(d_scores, weights)
                d_q.append(torch.bmm(d_scores, own_k).view(_part(q, block).shape))
                d_k.add(torch.bmm(d_scores.transpose(1, 2), own_q))
                d_v.add(torch.bmm(weights.transpose(1, 2), own_d_out))
            prefix, places = bucket.prefix_length, _in_keys(bucket.tokens, before)
            unpad_heads(_joined(d_q), 0, bucket.tokens, d_query, _after(turns, before), ctx.scaling)
            unpad_heads(d_k.total, prefix, places, d_key, turns)
            unpad_heads(d_v.total, prefix, places, d_value)
            if bucket.prefix:
                sums = [d.total[:, :, :prefix].sum(0, dtype=native.wide(grad.dtype)) for d in (d_k, d_v)]
                known = of_prefixes.setdefault(bucket.prefix, sums)
                if known is not sums:
                    for total, more in zip(known, sums, strict=True):
                        total += more
        for shared, (sum_k, sum_v) in of_prefixes.items():
            _add_to_prefix(d_key, sum_k, shared, turns)
            _add_to_prefix(d_value, sum_v, shared, None)
        return d_query, d_key, d_value, None, None, None, None, None


class _Block(NamedTuple):
    """Queries `first` to `end` of each row of a bucket; the first of them has `place` keys before it."""

    first: int
    end: int
    place: int

    @property
    def keys(self) -> int:
        """Keys that the last query sees."""
        return self.place + self.end - self.first


class _Sum:
    """The gradient of padded keys or values: a sum over blocks, each of which reaches some of the first places."""

    def __init__(self, like: torch.Tensor) -> None:
        self._shape = like.shape
        self.total = like.new_empty(0)

    def add(self, piece: torch.Tensor) -> None:
        if piece.shape[1] == self._shape[2] and not self.total.numel():
            self.total = piece.view(self._shape)
            return
        if not self.total.numel():
            self.total = piece.new_zeros(self._shape)
        rows = self.total.view(piece.shape[0], -1, piece.shape[2])
        rows[:, : piece.shape[1]] += piece


def _padded(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    turns: Turns | None,
    bucket: Bucket,
    before: int,
    scaling: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(queries, scaled: [rows, key_value_heads, length, group, head_dim]; keys and values with the prefix in front:
    [rows, key_value_heads, prefix + length, 1, head_dim])"""
    groups, places = key.shape[1], _in_keys(bucket.tokens, before)
    if bucket.prefix:
        prefix = torch.arange(bucket.prefix.start, sum(bucket.prefix)).expand(bucket.rows, -1)
        places = torch.cat([prefix, places], 1)
    return (
        pad_heads(query, bucket.tokens, groups, _after(turns, before), scaling),
        pad_heads(key, places, groups, turns),
        pad_heads(value, places, groups),
    )


def _in_keys(tokens: torch.Tensor, before: int) -> torch.Tensor:
    """Where the tokens' keys lie."""
    return torch.where(tokens < 0, tokens, tokens + before) if before else tokens


def _after(turns: Turns | None, before: int) -> Turns | None:
    """Those of the queries."""
    return Turns(turns.cosine[before:], turns.sine[before:]) if turns else None


def _blocks(bucket: Bucket) -> list[_Block]:
    step = QUERY_BLOCK if bucket.length > 2 * QUERY_BLOCK else bucket.length
    return [
        _Block(first, min(first + step, bucket.length), bucket.prefix_length + first)
        for first in range(0, bucket.length, step)
    ]


def _is_kept(k: torch.Tensor) -> bool:
    return k.shape[2] <= KEPT_KEYS


def _joined(parts: list[torch.Tensor]) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, 2)


def _part(q: torch.Tensor, block: _Block) -> torch.Tensor:
    return q[:, :, block.first : block.end]


def _queries(q: torch.Tensor, block: _Block) -> torch.Tensor:
    """[rows * key_value_heads, queries * group, head_dim]"""
    rows, groups, _, group, head_dim = q.shape
    return _part(q, block).reshape(rows * groups, (block.end - block.first) * group, head_dim)


def _keys(k: torch.Tensor, block: _Block) -> torch.Tensor:
    """[rows * key_value_heads, keys, head_dim]"""
    rows, groups, length, _, head_dim = k.shape
    return k.view(rows * groups, length, head_dim)[:, : block.keys]


def _add_to_prefix(total: torch.Tensor, piece: torch.Tensor, prefix: Prefix, turns: Turns | None) -> None:
    """Add [key_value_heads, length, 1, head_dim], of turned keys, to the gradient of the prefix's tokens."""
    part = slice(prefix.start, prefix.start + prefix.length)
    flat = total.new_empty(prefix.length, *total.shape[1:])
    own_turns = Turns(turns.cosine[part], turns.sine[part]) if turns else None
    unpad_heads(piece.to(total.dtype)[None].contiguous(), 0, torch.arange(prefix.length)[None], flat, own_turns)
    total[part] += flat


def _result(shape: Sequence[int], like: torch.Tensor, layout: RowLayout) -> torch.Tensor:
    """To be filled by the buckets where they cover every token, else zeros."""
    covered = sum(layout.lengths) == shape[0]
    return like.new_empty(shape) if covered else like.new_zeros(shape)


def _softmax(scores: torch.Tensor, block: _Block, group: int, window: int) -> torch.Tensor:
    """Turn scores [batch, queries * group, keys] into weights, in place. Returns the logarithms of the sums that they
    were divided by, [batch, queries * group]."""
    if native.serves(scores):
        log_sums = scores.new_empty(scores.shape[:2], dtype=native.wide(scores.dtype))
        native.run("causal_softmax", scores.dtype, scores, log_sums, *_shape(scores, block, group), window, 0)
        return log_sums
    wide = scores.to(native.wide(scores.dtype)).masked_fill(_forbidden(block, group, window), float("-inf"))
    log_sums = wide.logsumexp(-1)
    scores.copy_((wide - log_sums[..., None]).exp_())
    return log_sums


def _weights(scores: torch.Tensor, log_sums: torch.Tensor, block: _Block, group: int, window: int) -> None:
    """Turn scores into the weights that they had in the forward pass, in place."""
    if native.serves(scores):
        native.run("causal_softmax", scores.dtype, scores, log_sums, *_shape(scores, block, group), window, 1)
        return
    scores.copy_((scores - log_sums[..., None]).exp_().masked_fill_(_forbidden(block, group, window), 0.0))


def _softmax_backward(d_weights: torch.Tensor, weights: torch.Tensor) -> None:
    """Turn the gradient of the weights into that of the scores, in place."""
    if native.serves(d_weights, weights):
        keys = weights.shape[-1]
        native.run("softmax_backward", weights.dtype, d_weights, weights, weights.numel() // keys, keys)
        return
    d_weights.sub_((d_weights * weights).sum(-1, keepdim=True)).mul_(weights)


def _shape(scores: torch.Tensor, block: _Block, group: int) -> tuple[int, int, int, int, int]:
    """(batch, queries, group, keys, place of the first query)"""
    return scores.shape[0], block.end - block.first, group, scores.shape[2], block.place


def _forbidden(block: _Block, group: int, window: int) -> torch.Tensor:
    """[queries * group, keys] where a query may not see a key."""
    distance = torch.arange(block.place, block.keys)[:, None] - torch.arange(block.keys)[None]
    return ((distance < 0) | (distance >= window)).repeat_interleave(group, 0)
