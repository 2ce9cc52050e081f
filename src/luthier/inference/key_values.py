"""Where keys and values of running requests lie.

A prompt has a store of its own while it is computed. Rows that decode share a band: one dense tensor for rows of like
length, so that a step attends over all of them in one product without gathering anything. A band grows by blocks of
tokens as its longest row grows; a row that outgrows its band moves to the next, of twice the length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from luthier.kernels.cached_attention import AttentionArguments, cached_attention, decode_attention, visible
from luthier.models.cached_path import AttentionStep

BLOCK = 32
"""Tokens by which stores grow, and of which prefixes are made."""
SHORTEST_BAND = 256
ROWS_AT_ONCE = 8
"""Rows by which a band grows at most."""


@dataclass(frozen=True, slots=True)
class KeyValueShape:
    """What a token takes: `layers` times `heads` times `head_dim` numbers for its keys, and as many for its values."""

    layers: int
    heads: int
    head_dim: int
    dtype: torch.dtype

    @property
    def token_bytes(self) -> int:
        return 2 * self.layers * self.heads * self.head_dim * self.dtype.itemsize

    def empty(self, *rows: int, length: int) -> torch.Tensor:
        """Room of shape [layers, 2, *rows, heads, length, head_dim]; the 2 are keys and values."""
        return torch.empty(self.layers, 2, *rows, self.heads, length, self.head_dim, dtype=self.dtype)


class Segment(AttentionStep, Protocol):
    """Tokens of one flat batch that attend together."""

    tokens: int


class PromptStore:
    """Keys and values of one prompt: `states` is [layers, 2, heads, length, head_dim]."""

    def __init__(self, shape: KeyValueShape, length: int) -> None:
        self.states = shape.empty(length=length)


class PromptSegment:
    """Tokens `start` to `end` of a prompt, those before them computed already."""

    def __init__(self, store: PromptStore, start: int, end: int) -> None:
        self.tokens, self._store, self._start, self._end = end - start, store, start, end
        self._masks: dict[int | None, torch.Tensor] = {}

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, arguments: AttentionArguments
    ) -> torch.Tensor:
        keys, values = self._store.states[layer]
        keys[:, self._start : self._end] = key.transpose(0, 1)
        values[:, self._start : self._end] = value.transpose(0, 1)
        window = arguments.sliding_window
        if window not in self._masks:
            positions = torch.arange(self._start, self._end)
            self._masks[window] = visible(positions, self._end, window, query.dtype)
        attended = cached_attention(
            query.transpose(0, 1)[None],
            keys[None, :, : self._end],
            values[None, :, : self._end],
            self._masks[window],
            arguments.scaling,
            arguments.softcap,
        )
        return attended[0].transpose(0, 1)


class Band:
    """Rows that decode, each with up to `limit` tokens. Row numbers are dense: the last one fills a gap.

    `owners` are whoever the rows belong to, in row order; `lengths` how many tokens each has.
    """

    def __init__(self, shape: KeyValueShape, limit: int) -> None:
        self.limit = limit
        self.owners: list[Any] = []
        self.lengths: list[int] = []
        self._shape = shape
        self._states = shape.empty(0, length=0)
        self._layers: list[LayerStates] = []
        """Views of the rows there are, made anew when rows come or go or the band grows."""

    @property
    def token_slots(self) -> int:
        """Tokens for which there is room now."""
        return self._states.shape[2] * self._states.shape[4]

    def join(self, owner: Any, states: torch.Tensor) -> None:
        """Add a row with the keys and values of its first tokens: [layers, 2, heads, length, head_dim]."""
        length = states.shape[3]
        self._make_room(len(self.owners) + 1, length)
        row = self._states[:, :, len(self.owners)]
        row[:, :, :, :length] = states
        # What lies there may be NaN, which would come through a product with zero.
        row[:, :, :, length:].zero_()
        self.owners.append(owner)
        self.lengths.append(length)
        self._layers = []

    def states(self, owner: Any) -> torch.Tensor:
        """Keys and values of a row: [layers, 2, heads, length, head_dim], a view."""
        row = self.owners.index(owner)
        return self._states[:, :, row, :, : self.lengths[row]]

    def leave(self, owner: Any) -> None:
        row, last = self.owners.index(owner), len(self.owners) - 1
        self._states[:, :, row] = self._states[:, :, last]
        self.owners[row], self.lengths[row] = self.owners[last], self.lengths[last]
        self.owners.pop()
        self.lengths.pop()
        self._layers = []
        if not self.owners:
            self._states = self._shape.empty(0, length=0)

    def _make_room(self, rows: int, length: int) -> None:
        have_rows, have_length = self._states.shape[2], self._states.shape[4]
        if rows <= have_rows and length <= have_length:
            return
        rows = max(rows, min(2 * have_rows, have_rows + ROWS_AT_ONCE)) if rows > have_rows else have_rows
        length = max(have_length, min(self.limit, -(-length // BLOCK) * BLOCK))
        states = self._shape.empty(rows, length=length)
        states[:, :, :have_rows, :, :have_length] = self._states
        states[:, :, :have_rows, :, have_length:].zero_()
        self._states, self._layers = states, []

    def next_tokens(self) -> "BandSegment":
        """One more token for every row, in row order."""
        self._make_room(len(self.owners), max(self.lengths) + 1)
        self.lengths = [length + 1 for length in self.lengths]
        if not self._layers:
            rows = self._states[:, :, : len(self.owners)]
            self._layers = [LayerStates(keys, values) for keys, values in (layer.unbind() for layer in rows.unbind())]
        return BandSegment(self._layers, self.lengths)


class LayerStates:
    """Keys and values of one layer, [rows, heads, length, head_dim], and flat: [rows * heads * length, head_dim]."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        self.keys, self.values = keys, values
        self.flat_keys, self.flat_values = keys.view(-1, keys.shape[3]), values.view(-1, values.shape[3])


class BandSegment:
    """One token for each row; `lengths` count it."""

    def __init__(self, layers: Sequence[LayerStates], lengths: list[int]) -> None:
        self.tokens, self._layers = len(lengths), layers
        rows, heads, self._length = layers[0].keys.shape[:3]
        self._new = rows * heads
        self._positions = torch.tensor(lengths) - 1
        firsts = torch.arange(self._new) * self._length
        self._places = firsts + self._positions.repeat_interleave(heads)
        self._masks: dict[int | None, torch.Tensor] = {}

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, arguments: AttentionArguments
    ) -> torch.Tensor:
        states = self._layers[layer]
        states.flat_keys.index_copy_(0, self._places, key.reshape(self._new, -1))
        states.flat_values.index_copy_(0, self._places, value.reshape(self._new, -1))
        window = arguments.sliding_window
        if window not in self._masks:
            self._masks[window] = visible(self._positions, self._length, window, query.dtype)[:, None, None]
        attended = cached_attention(
            query.unsqueeze(2),
            states.keys,
            states.values,
            self._masks[window],
            arguments.scaling,
            arguments.softcap,
        )
        return attended[:, :, 0]

    def attend_turning(
        self, layer: int, states: torch.Tensor, turns: tuple[torch.Tensor, torch.Tensor], arguments: AttentionArguments
    ) -> torch.Tensor | None:
        """See `TurningStep.attend_turning`."""
        kept = self._layers[layer]
        return decode_attention(states, *turns, kept.keys, kept.values, self._positions, arguments)


class Bands:
    """All rows that decode, by length."""

    def __init__(self, shape: KeyValueShape) -> None:
        self._shape = shape
        self._bands: dict[int, Band] = {}

    def __iter__(self) -> Iterator[Band]:
        """Bands that have rows, the shortest first."""
        return (self._bands[limit] for limit in sorted(self._bands) if self._bands[limit].owners)

    def join(self, owner: Any, states: torch.Tensor) -> None:
        """Add a row to the band where it has room for one more token at least."""
        limit = band_limit(states.shape[3] + 1)
        self._bands.setdefault(limit, Band(self._shape, limit)).join(owner, states)

    def of(self, owner: Any) -> Band:
        """The band that a row is in."""
        return next(band for band in self if owner in band.owners)

    def make_room(self) -> None:
        """Move rows that fill their band to the next."""
        for band in list(self):
            for owner in [o for o, length in zip(band.owners, band.lengths, strict=True) if length == band.limit]:
                self.join(owner, band.states(owner))
                band.leave(owner)

    @property
    def token_slots(self) -> int:
        return sum(band.token_slots for band in self._bands.values())


def band_limit(length: int) -> int:
    """The length of the band for a row of this many tokens: what it may take in the store at most."""
    return max(SHORTEST_BAND, 1 << (length - 1).bit_length())
