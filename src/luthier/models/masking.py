"""Masked language modelling: which tokens of a text are hidden, and how well an encoder tells what they were.

Source: Devlin et al. 2019, BERT, section 3.1: 15 % of the tokens, of which 80 % become the mask, 10 % another token and
10 % stay.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from transformers import AutoModelForMaskedLM

from luthier.core.recipe import Dtype
from luthier.core.rows import RowLoss, TokenRow
from luthier.models.adapter import without_adapter
from luthier.models.loading import NewHead, load_with_head
from luthier.models.padded import TOKENS_PER_BATCH, batches_by_length, padded, position_limit
from luthier.models.sources import BaseFiles

MASKED_SHARE = 0.15
REPLACED_SHARE, KEPT_SHARE = 0.1, 0.1
HELD_OUT = "held out"
"""The draw by which rows are masked that nothing learns from: always the same, so that figures can be compared."""


@dataclass(frozen=True, slots=True)
class MaskedRow:
    """A text of which some of the tokens that may be are to be predicted; which ones, row and `draw` decide."""

    row: TokenRow
    draw: str

    @property
    def id(self) -> str:
        return self.row.id

    @property
    def input_ids(self) -> tuple[int, ...]:
        """Before any is masked."""
        return self.row.input_ids

    @property
    def target_tokens(self) -> int:
        """A share of those that may be predicted, one at least; none where none may."""
        maskable = self.row.target_tokens
        return min(maskable, max(1, round(MASKED_SHARE * maskable)))

    def __len__(self) -> int:
        return len(self.row)

    def masked(self, mask: int, tokens: Sequence[int]) -> tuple[list[int], list[int]]:
        """What the model reads, and the places to predict; `tokens` are those that may stand in for another."""
        source = random.Random(f"{self.draw}/{self.id}")
        maskable = [place for place, may in enumerate(self.row.targets) if may]
        places = sorted(source.sample(maskable, self.target_tokens))
        ids = list(self.row.input_ids)
        for place in places:
            chance = source.random()
            if chance < REPLACED_SHARE:
                ids[place] = source.choice(tokens)
            elif chance >= REPLACED_SHARE + KEPT_SHARE:
                ids[place] = mask
        return ids, places


class MaskedLoss:
    """Cross-entropy of masked tokens by an encoder of transformers, with or without a PEFT adapter.

    `max_tokens` is how long a text may be, None where the model says not.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self._core: Any = without_adapter(model)
        self.max_tokens = position_limit(self._core)
        self._mask, self._padding = int(tokenizer.mask_token_id), int(tokenizer.pad_token_id or 0)
        special = set(tokenizer.all_special_ids)
        self._tokens = [token for token in range(len(tokenizer)) if token not in special]

    def read(self, row: MaskedRow) -> tuple[list[int], list[int]]:
        """The tokens that the model reads of a row, and the places where it is to predict."""
        return row.masked(self._mask, self._tokens)

    def loss_sum(self, rows: Sequence[MaskedRow]) -> torch.Tensor:
        """Sum over the masked tokens of all rows, in nats; differentiable."""
        return torch.stack([each.sum() for _, each, _ in self._batches(rows)]).sum()

    @torch.no_grad()
    def row_losses(self, rows: Sequence[MaskedRow]) -> list[RowLoss]:
        """The loss of each row that has a token to predict, in the order given."""
        found: dict[int, RowLoss] = {}
        for batch, each, correct in self._batches(rows):
            start = 0
            for place in batch:
                end = start + rows[place].target_tokens
                loss, right = float(each[start:end].double().sum()), int(correct[start:end].sum())
                found[place] = RowLoss(rows[place].id, loss, end - start, right)
                start = end
        return [found[place] for place in sorted(found) if found[place].target_tokens]

    def _batches(self, rows: Sequence[MaskedRow]) -> list[tuple[list[int], torch.Tensor, torch.Tensor]]:
        """(places of rows, losses of their masked tokens in that order, whether each is found the likeliest)."""
        scored = []
        for batch in batches_by_length([len(row) for row in rows], TOKENS_PER_BATCH):
            read = [self.read(rows[place]) for place in batch]
            lines = [number for number, (_, places) in enumerate(read) for _ in places]
            columns = [place for _, places in read for place in places]
            labels = torch.tensor(
                [
                    rows[number].row.input_ids[place]
                    for number, (_, places) in zip(batch, read, strict=True)
                    for place in places
                ],
                dtype=torch.long,
            )
            logits = self._logits(
                padded([ids for ids, _ in read], self._padding),
                torch.tensor(lines, dtype=torch.long),
                torch.tensor(columns, dtype=torch.long),
            )
            wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
            each = F.cross_entropy(wide, labels, reduction="none")
            scored.append((batch, each, logits.argmax(dim=1) == labels))
        return scored

    def _logits(self, inputs: dict[str, torch.Tensor], lines: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """[masked tokens, vocabulary]: the head, which treats each token alone, gets only those that count."""

        def select(_module: Any, _inputs: Any, output: Any) -> Any:
            output.last_hidden_state = output.last_hidden_state[lines, columns][None]
            return output

        handle = self._core.base_model.register_forward_hook(select)
        try:
            logits: torch.Tensor = self.model(**inputs).logits[0]
        finally:
            handle.remove()
        return logits


def load_masked(files: BaseFiles, dtype: Dtype, seed: int) -> NewHead:
    """The encoder in these files with a head that predicts words, frozen; where the files have none it is random by
    `seed`. Raises ModelError as `load_model` does."""
    return load_with_head(AutoModelForMaskedLM, files, dtype, seed)
