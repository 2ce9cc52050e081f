"""Rows laid end to end for one forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from luthier.core.rows import TokenRow
from luthier.kernels.layout import Prefix, RowLayout
from luthier.models.prefixes import SharedPrefix


@dataclass(frozen=True, slots=True)
class FlatBatch:
    """T tokens of R rows without padding, N of them targets, in the order of `rows`; before them what rows share.

    input_ids: [1, T]; predictors: [N], the position before each target; labels: [N]; row_of_target: [N], 0 to R - 1.
    """

    rows: tuple[TokenRow, ...]
    input_ids: torch.Tensor
    layout: RowLayout
    predictors: torch.Tensor
    labels: torch.Tensor
    row_of_target: torch.Tensor

    @classmethod
    def of(cls, rows: Sequence[TokenRow], prefixes: Sequence[SharedPrefix] = ()) -> "FlatBatch":
        """`prefixes` are laid once in front of all rows, and the rows that share one go on behind it."""
        before: list[Prefix | None] = [None] * len(rows)
        start = 0
        for prefix in prefixes:
            for row in prefix.rows:
                before[row] = Prefix(start, len(prefix.tokens))
            start += len(prefix.tokens)
        return cls._laid(rows, [prefix.tokens for prefix in prefixes], before, 0)

    @classmethod
    def after(cls, rows: Sequence[TokenRow], length: int) -> "FlatBatch":
        """The rows without the first `length` tokens, which all of them share and another pass computes."""
        return cls._laid(rows, [], [Prefix(0, length)] * len(rows), length)

    @classmethod
    def _laid(
        cls,
        rows: Sequence[TokenRow],
        in_front: Sequence[tuple[int, ...]],
        before: Sequence[Prefix | None],
        outside: int,
    ) -> "FlatBatch":
        cuts = [prefix.length if prefix else 0 for prefix in before]
        parts = [*in_front, *(row.input_ids[cut:] for row, cut in zip(rows, cuts, strict=True))]
        untaught = [False] * sum(map(len, in_front))
        is_target = torch.tensor(
            [*untaught, *(target for row, cut in zip(rows, cuts, strict=True) for target in row.targets[cut:])]
        )
        ids = torch.tensor([token for part in parts for token in part])
        targets = is_target.nonzero()[:, 0]
        row_of_part = torch.tensor([0] * len(in_front) + list(range(len(rows))))
        row_of_token = torch.repeat_interleave(row_of_part, torch.tensor([len(part) for part in parts]))
        layout = RowLayout.of([len(part) for part in parts], [None] * len(in_front) + list(before), outside)
        return cls(tuple(rows), ids[None], layout, targets - 1, ids[targets], row_of_token[targets])

    @property
    def tokens(self) -> int:
        """Tokens that are computed."""
        return self.input_ids.shape[1]

    @property
    def target_tokens(self) -> int:
        return len(self.labels)
