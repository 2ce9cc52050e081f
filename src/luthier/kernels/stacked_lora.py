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
        self.others = (self.slots[:, None] != torch.arange(1, self.highest + 1))[:, :, None]
        """[tokens, highest, 1]: whether a slot is not the token's own."""


@dataclass(slots=True)
class AdapterPlan:
    """Which tokens of the flat batch that is being computed take which adapters; those in no span take none."""

    spans: Sequence[AdapterSpan] = ()


NEUTRAL = {"input_scale": 1.0, "output_scale": 1.0, "output_shift": 0.0}
"""The vectors of a delta, and what stands in them where an adapter has none."""


class StackedLinear:
    """A linear layer with the adapters of all slots.

    `base` computes [T, in] -> [T, out]. Several layers that read the same input may be one: `parts` are their names and
    columns of the output, in order.
    """

    def __init__(
        self,
        base: Callable[[torch.Tensor], torch.Tensor],
        in_features: int,
        parts: dict[str, slice],
        plan: AdapterPlan,
        dtype: torch.dtype,
    ) -> None:
        self.base, self.parts, self._plan, self._dtype = base, parts, plan, dtype
        self.in_features = in_features
        self.out_features: int = sum(columns.stop - columns.start for columns in parts.values())
        self._vectors: dict[str, torch.Tensor] = {}
        self._make(0, 0)

    def _make(self, slots: int, rank: int) -> None:
        """Zeros: A of [slots, parts, rank, in], and for each part B of [slots, rank, out of the part]."""
        self.slots, self.rank = slots, rank
        self._a = torch.zeros(slots, len(self.parts), rank, self.in_features, dtype=self._dtype)
        widths = [columns.stop - columns.start for columns in self.parts.values()]
        self._b = [torch.zeros(slots, rank, width, dtype=self._dtype) for width in widths]

    def rank_of(self, deltas: Mapping[str, LinearDelta]) -> int:
        """The rank of an adapter on this layer: the largest of all parts."""
        return max((delta.rank for part, delta in deltas.items() if part in self.parts), default=0)

    def slot_bytes(self, rank: int) -> int:
        return rank * (len(self.parts) * self.in_features + self.out_features) * int(self._dtype.itemsize)

    def resize(self, kept: Sequence[int], slots: int, rank: int) -> None:
        """Make room for `slots` adapters of `rank`; those that are in the slots `kept` come first, in that order."""
        had, a, b = self.slots, self._a, self._b
        rows, count, old = torch.tensor(kept, dtype=torch.long), len(kept), min(rank, self.rank)
        self._make(slots, rank)
        if not had:
            return
        self._a[:count, :, :old] = a[rows - 1, :, :old]
        for ours, theirs in zip(self._b, b, strict=True):
            ours[:count, :old] = theirs[rows - 1, :old]
        for name, vectors in self._vectors.items():
            self._vectors[name] = torch.full((slots + 1, vectors.shape[1]), NEUTRAL[name], dtype=vectors.dtype)
            self._vectors[name][1 : count + 1] = vectors[rows]

    def fill(self, slot: int, deltas: Mapping[str, LinearDelta]) -> None:
        """Put an adapter into a slot, by the names of the parts; a layer that it leaves alone becomes the base's."""
        for matrix in (self._a, *self._b):
            matrix[slot - 1].zero_()
        for name, vectors in self._vectors.items():
            vectors[slot] = NEUTRAL[name]
        for number, (part, columns) in enumerate(self.parts.items()):
            delta = deltas.get(part, LinearDelta())
            if delta.a is not None and delta.b is not None:
                self._a[slot - 1, number, : delta.rank] = delta.a
                self._b[number][slot - 1, : delta.rank] = delta.b.t()
            self._fill_vector(slot, "input_scale", slice(0, self.in_features), delta.input_scale)
            self._fill_vector(slot, "output_scale", columns, delta.output_scale)
            self._fill_vector(slot, "output_shift", columns, delta.output_shift)

    def _fill_vector(self, slot: int, name: str, columns: slice, vector: torch.Tensor | None) -> None:
        if vector is None:
            return
        if name not in self._vectors:
            features = self.in_features if name == "input_scale" else self.out_features
            self._vectors[name] = torch.full((self.slots + 1, features), NEUTRAL[name], dtype=self._dtype)
        self._vectors[name][slot, columns] = vector.to(self._dtype)

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
        """Add B A x of each token's own adapter to [tokens, out], part by part."""
        taken = slice(0, span.highest) if span.only is None else slice(span.only - 1, span.only)
        narrow = (x @ self._a[taken].flatten(0, 2).t()).view(len(x), -1, len(self.parts) * self.rank)
        if span.only is None:
            narrow.masked_fill_(span.others, 0)
        if len(self.parts) == 1:
            output.addmm_(narrow.flatten(1), self._b[0][taken].flatten(0, 1))
            return
        for number, (columns, b) in enumerate(zip(self.parts.values(), self._b, strict=True)):
            own = narrow[:, :, number * self.rank : (number + 1) * self.rank].flatten(1)
            output[:, columns].add_(own @ b[taken].flatten(0, 1))

    def _of_tokens(self, name: str, span: AdapterSpan) -> torch.Tensor:
        """[tokens, features], or [features] where all tokens take one slot."""
        vectors = self._vectors[name]
        return vectors[span.only] if span.only is not None else vectors.index_select(0, span.slots)
