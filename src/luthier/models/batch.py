"""Rows laid end to end for one forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from luthier.core.rows import TokenRow
from luthier.kernels.layout import RowLayout


@dataclass(frozen=True, slots=True)
class FlatBatch:
    """T tokens of R rows without padding, N of them targets, in the order of `rows`.

    input_ids: [1, T]; predictors: [N], the position before each target; labels: [N]; row_of_target: [N], 0 to R - 1.
    """

    rows: tuple[TokenRow, ...]
    input_ids: torch.Tensor
    layout: RowLayout
    predictors: torch.Tensor
    labels: torch.Tensor
    row_of_target: torch.Tensor

    @classmethod
    def of(cls, rows: Sequence[TokenRow]) -> "FlatBatch":
        lengths = [len(row) for row in rows]
        ids = torch.tensor([token for row in rows for token in row.input_ids])
        is_target = torch.tensor([target for row in rows for target in row.targets])
        targets = is_target.nonzero()[:, 0]
        row_of_token = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(lengths))
        return cls(tuple(rows), ids[None], RowLayout.of(lengths), targets - 1, ids[targets], row_of_token[targets])

    @property
    def tokens(self) -> int:
        return self.input_ids.shape[1]

    @property
    def target_tokens(self) -> int:
        return len(self.labels)
