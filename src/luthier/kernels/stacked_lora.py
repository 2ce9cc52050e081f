"""Many adapters on one linear layer, each token by its own, in one product for all of them.

The matrices A and B of all adapters lie stacked in slots. Tokens that share an adapter take that slot alone; mixed ones
multiply by all slots at once, and what belongs to other adapters is set to zero between the two products. That reads
each matrix once, where a product for each adapter would cost a call for each, and a gathered copy for each token the
memory of a weight.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class LinearDelta:
    """What an adapter makes of a linear layer: y = output_scale (W (input_scale x) + bias + B A x) + output_shift.

    a: [r, in]; b: [out, r], its scaling in it; input_scale: [in]; output_scale, output_shift: [out].
    """

    a: torch.Tensor | None = None
    b: torch.Tensor | None = None
    input_scale: torch.Tensor | None = None
    output_scale: torch.Tensor | None = None
    output_shift: torch.Tensor | None = None

    @property
    def rank(self) -> int:
        return 0 if self.a is None else len(self.a)


class AdapterSpan:
    """Tokens `start` to `end` of a flat batch and the slot of each: 1 for the first adapter, 0 for none."""

    def __init__(self, start: int, end: int, slots: Sequence[int]) -> None:
        self.tokens = slice(start, end)
        distinct = set(slots)
        self.only = distinct.pop() if len(distinct) == 1 else None
        self.highest = max(slots)
        self.slots = torch.tensor(slots)
        self._masks: dict[int, torch.Tensor] = {}

    def others(self, rank: int) -> torch.Tensor:
        """[tokens, highest * rank]: True in the columns of slots that are not the token's own."""
        if rank not in self._masks:
            other = self.slots[:, None] != torch.arange(1, self.highest + 1)
            self._masks[rank] = other.repeat_interleave(rank, 1)
        return self._masks[rank]


@dataclass(slots=True)
class AdapterPlan:
    """Which tokens of the flat batch that is being computed take which adapters; those in no span take none."""

    spans: Sequence[AdapterSpan] = ()


NEUTRAL = {"input_scale": 1.0, "output_scale": 1.0, "output_shift": 0.0}
"""The vectors of a delta, and what stands in them where an adapter has none."""


class StackedLinear:
    """A linear layer with the adapters of all slots.

    `base` computes [T, in] -> [T, out]. Several layers that read the same input may be one: `parts` are their names and
    columns of the output.
    """

    def __init__(
        self,
        base: Callable[[torch.Tensor], torch.Tensor],
        in_features: int,
        parts: dict[str, slice],
        plan: AdapterPlan,
        dtype: torch.dtype,
    ) -> None:
        self.base, self.parts, self._plan = base, parts, plan
        self.in_features = in_features
        self.out_features: int = sum(columns.stop - columns.start for columns in parts.values())
        self._a = torch.zeros(0, 0, in_features, dtype=dtype)
        self._b = torch.zeros(0, 0, self.out_features, dtype=dtype)
        self._vectors: dict[str, torch.Tensor] = {}

    @property
    def slots(self) -> int:
        return len(self._a)

    @property
    def rank(self) -> int:
        """The rank that each slot has room for."""
        return self._a.shape[1]

    def rank_of(self, deltas: Mapping[str, LinearDelta]) -> int:
        """The rank of an adapter on this layer: that of all parts together."""
        return sum(delta.rank for part, delta in deltas.items() if part in self.parts)

    def slot_bytes(self, rank: int) -> int:
        return rank * (self.in_features + self.out_features) * int(self._a.dtype.itemsize)

    def resize(self, kept: Sequence[int], slots: int, rank: int) -> None:
        """Make room for `slots` adapters of `rank`; those that are in the slots `kept` come first, in that order."""
        a, b = self._a.new_zeros(slots, rank, self.in_features), self._b.new_zeros(slots, rank, self.out_features)
        if self.slots:
            rows, count, old = torch.tensor(kept, dtype=torch.long), len(kept), min(rank, self.rank)
            a[:count, :old], b[:count, :old] = self._a[rows - 1, :old], self._b[rows - 1, :old]
            for name, vectors in self._vectors.items():
                self._vectors[name] = torch.full((slots + 1, vectors.shape[1]), NEUTRAL[name], dtype=vectors.dtype)
                self._vectors[name][1 : count + 1] = vectors[rows]
        self._a, self._b = a, b

    def fill(self, slot: int, deltas: Mapping[str, LinearDelta]) -> None:
        """Put an adapter into a slot, by the names of the parts; a layer that it leaves alone becomes the base's."""
        self._a[slot - 1].zero_()
        self._b[slot - 1].zero_()
        for name, vectors in self._vectors.items():
            vectors[slot] = NEUTRAL[name]
        first = 0
        for part, columns in self.parts.items():
            delta = deltas.get(part, LinearDelta())
            if delta.a is not None and delta.b is not None:
                last = first + len(delta.a)
                self._a[slot - 1, first:last] = delta.a
                self._b[slot - 1, first:last, columns] = delta.b.t()
                first = last
            self._fill_vector(slot, "input_scale", slice(0, self.in_features), delta.input_scale)
            self._fill_vector(slot, "output_scale", columns, delta.output_scale)
            self._fill_vector(slot, "output_shift", columns, delta.output_shift)

    def _fill_vector(self, slot: int, name: str, columns: slice, vector: torch.Tensor | None) -> None:
        if vector is None:
            return
        if name not in self._vectors:
            features = self.in_features if name == "input_scale" else self.out_features
            neutral = torch.full((len(self._a) + 1, features), NEUTRAL[name], dtype=self._a.dtype)
            self._vectors[name] = neutral
        self._vectors[name][slot, columns] = vector.to(self._a.dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """x: [T, in], the T tokens of the plan. Returns [T, out]."""
        spans = self._plan.spans
        if not spans:
            return self.base(x)
        if "input_scale" in self._vectors:
            x = x.clone()
            for span in spans:
                x[span.tokens].mul_(self._of_tokens("input_scale", span))
        output = self.base(x)
        for span in spans:
            part = output[span.tokens]
            if self.rank:
                self._add_low_rank(x[span.tokens], part, span)
            if "output_scale" in self._vectors:
                part.mul_(self._of_tokens("output_scale", span))
            if "output_shift" in self._vectors:
                part.add_(self._of_tokens("output_shift", span))
        return output

    def _add_low_rank(self, x: torch.Tensor, output: torch.Tensor, span: AdapterSpan) -> None:
        if span.only is not None:
            output.addmm_(x @ self._a[span.only - 1].t(), self._b[span.only - 1])
            return
        a, b = self._a[: span.highest].flatten(0, 1), self._b[: span.highest].flatten(0, 1)
        output.addmm_((x @ a.t()).masked_fill_(span.others(self.rank), 0), b)

    def _of_tokens(self, name: str, span: AdapterSpan) -> torch.Tensor:
        """[tokens, features], or [features] where all tokens take one slot."""
        vectors = self._vectors[name]
        return vectors[span.only] if span.only is not None else vectors.index_select(0, span.slots)
