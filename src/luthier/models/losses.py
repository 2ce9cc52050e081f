"""Cross-entropy of a causal language model on flat batches, by the plain path or the fast one.

Both take the same batches. The plain path is transformers' own forward pass with torch's attention under a mask, and
whole logits of the target tokens. The fast path is `luthier.models.fast_path`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from transformers import PreTrainedModel

from luthier.core.errors import LuthierError, ModelError
from luthier.core.rows import RowLoss, TokenRow
from luthier.kernels.loss import target_losses, target_scores
from luthier.models.adapter import without_adapter
from luthier.models.batch import FlatBatch
from luthier.models.fast_path import FAST_ATTENTION, enable_fast_path, keeps_rows_apart, shares_prefixes
from luthier.models.loading import plain_attention
from luthier.models.padded import learned_positions
from luthier.models.prefixes import passes, shared_prefixes
from luthier.models.sharding import is_sharded
from luthier.models.shared_states import SharedStates

BATCH_TOKENS = 4096
"""Of rows that are measured together, where logits are computed in chunks."""
PLAIN_BATCH_TOKENS = 512
"""The same on the plain path, where all logits of a batch exist at once: up to 1.6 GB for a vocabulary of 256,000."""


class RowsLoss:
    """The loss of a model, with or without a PEFT adapter, on rows.

    `fast_path` is "on", or "off: " and the reason; the fast path is used only after its loss and gradients have been
    found equal to the plain path's on a probe, and not on weights in shards, which come together in the model's own
    forward pass. Where the plain path would mix the rows of a batch, it takes them one at a time. `shares_prefixes`
    tells whether what rows open with is computed once, which a probe has to allow as well. A row with more tokens than
    the model has embeddings of positions for is a ModelError.
    """

    def __init__(self, model: Any, fast: bool = True) -> None:
        self._model = model
        self._causal: PreTrainedModel = without_adapter(model)
        self._max_tokens = learned_positions(self._causal)
        self._one_row_at_a_time = False
        try:
            self._one_row_at_a_time = not keeps_rows_apart(self._causal, self.plain_sum)
        except LuthierError:
            raise
        except Exception as error:  # whatever an unknown architecture raises
            raise ModelError(
                f"the model cannot be run: {type(error).__name__}: {error}",
                allowed="another base model, or adapter.target_modules that leave out what is no plain layer",
            ) from error
        reason = enable_fast_path(model, self._causal, self.plain_sum, self._fast_sum) if fast else "not asked for"
        self._path = f"off: {reason}" if reason else "on"
        self._shares = not reason and shares_prefixes(self._causal, model, self._shared_sums)

    @property
    def fast_path(self) -> str:
        return "off: the weights lie in shards" if is_sharded(self._causal) else self._path

    @property
    def shares_prefixes(self) -> bool:
        return self._shares and self.fast_path == "on"

    @contextmanager
    def without_adapter(self) -> Iterator[None]:
        """Within it the losses of a model with a PEFT adapter are those of the model that it was put on."""
        with self._model.disable_adapter():
            yield

    def batch(self, rows: Sequence[TokenRow]) -> FlatBatch:
        """The rows for one forward pass; what they share is in it once, where the model takes it."""
        return FlatBatch.of(rows, shared_prefixes(rows) if self.shares_prefixes else ())

    def loss_sum(self, batch: FlatBatch) -> torch.Tensor:
        """Sum of the negative log-likelihood over the batch's target tokens, in nats; differentiable."""
        return self._token_losses(batch).sum()

    def row_sums(self, batch: FlatBatch) -> torch.Tensor:
        """`loss_sum` of each row, [R]; differentiable."""
        each = self._token_losses(batch)
        return each.new_zeros(len(batch.rows)).index_add(0, batch.row_of_target, each)

    def loss_sums(self, batches: Sequence[Sequence[TokenRow]], most_tokens: int) -> Iterator[torch.Tensor]:
        """Parts whose sum is the `loss_sum` of all rows: of each batch, or, where rows share prefixes, of other passes
        of at most `most_tokens`, or what the largest batch has, in which each prefix is computed once. Take the
        gradient of each part before the next one is asked for; with the last one the prefixes get theirs."""
        rows = [row for batch in batches for row in batch]
        if self.shares_prefixes and shared_prefixes(rows):
            largest = max(sum(map(len, batch)) for batch in batches)
            yield from self._shared_sums(rows, max(most_tokens, largest))
        else:
            yield from (self.loss_sum(FlatBatch.of(batch)) for batch in batches)

    def _shared_sums(self, rows: Sequence[TokenRow], most_tokens: int) -> Iterator[torch.Tensor]:
        for one in passes(rows, most_tokens):
            whole = FlatBatch.of(one.rows, one.prefixes)
            if len(one.prefixes) != 1 or whole.tokens <= most_tokens:
                yield self._fast_sum(whole)
                continue
            # More rows behind one prefix than fit into a pass, and nothing else: they come in several.
            [prefix] = one.prefixes
            states, length = SharedStates(), len(prefix.tokens)
            self._hidden(FlatBatch.of([TokenRow("prefix", prefix.tokens, (False,) * length)]), enters=states)
            suffixes = sorted(one.rows, key=len)
            room = max(most_tokens - length, len(suffixes[-1]) - length)
            for some in batches_by_tokens(suffixes, room, without=length):
                yield self._fast_sum(FlatBatch.after(some, length), reads=states)
            states.backward()

    def plain_sum(self, batch: FlatBatch) -> torch.Tensor:
        """`loss_sum` by the plain path."""
        return self._plain_token_losses(batch).sum()

    @torch.no_grad()
    def row_losses(self, rows: Sequence[TokenRow], tokens_per_batch: int | None = None) -> list[RowLoss]:
        """The loss of each row, in the order given; without `tokens_per_batch` in batches whose logits fit."""
        if tokens_per_batch is None:
            tokens_per_batch = BATCH_TOKENS if self.fast_path == "on" else PLAIN_BATCH_TOKENS
        losses = []
        for batch_rows in batches_by_tokens(rows, tokens_per_batch):
            batch = self.batch(batch_rows)
            each = torch.stack([scores.double() for scores in self._token_scores(batch)], -1)
            sums = each.new_zeros(len(batch_rows), 2).index_add_(0, batch.row_of_target, each).tolist()
            losses += [
                RowLoss(row.id, loss, row.target_tokens, int(hits))
                for row, (loss, hits) in zip(batch_rows, sums, strict=True)
            ]
        return losses

    def _token_scores(self, batch: FlatBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Of each target, [N]: its negative log-likelihood, and whether it was the likeliest token."""
        if self.fast_path == "on":
            return target_scores(self._hidden(batch), self._head_weight(), batch.labels)
        logits = self._plain_logits(batch)
        return F.cross_entropy(logits, batch.labels, reduction="none"), logits.argmax(-1) == batch.labels

    def _token_losses(self, batch: FlatBatch) -> torch.Tensor:
        return self._fast_token_losses(batch) if self.fast_path == "on" else self._plain_token_losses(batch)

    def _plain_token_losses(self, batch: FlatBatch) -> torch.Tensor:
        return F.cross_entropy(self._plain_logits(batch), batch.labels, reduction="none")

    def _plain_logits(self, batch: FlatBatch) -> torch.Tensor:
        """Logits at the positions that predict targets, in fp32 for narrower types: [N, vocabulary]."""
        if self._one_row_at_a_time and len(batch.rows) > 1:
            if is_sharded(self._causal):
                raise ModelError(
                    "the model reads rows one at a time, and processes with shards must make as many passes each",
                    where="training.sharding",
                    allowed="none, or training.packing: false with per_device_train_batch_size: 1",
                )
            return torch.cat([self._plain_logits(FlatBatch.of([row])) for row in batch.rows])
        self._refuse_too_long(batch)
        self._attend_by(plain_attention(self._causal))
        output = self._causal(
            input_ids=batch.input_ids,
            position_ids=batch.layout.position_ids[None],
            use_cache=False,
            logits_to_keep=batch.predictors,
        )
        logits: torch.Tensor = output.logits[0]
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def _fast_sum(self, batch: FlatBatch, reads: SharedStates | None = None) -> torch.Tensor:
        return self._fast_token_losses(batch, reads).sum()

    def _fast_token_losses(self, batch: FlatBatch, reads: SharedStates | None = None) -> torch.Tensor:
        return target_losses(self._hidden(batch, reads=reads), self._head_weight(), batch.labels)

    def _hidden(
        self, batch: FlatBatch, enters: SharedStates | None = None, reads: SharedStates | None = None
    ) -> torch.Tensor:
        """Last hidden states at the positions that predict targets: [N, hidden_size]."""
        self._refuse_too_long(batch)
        self._attend_by(FAST_ATTENTION)
        output = self._causal.base_model(
            input_ids=batch.input_ids,
            position_ids=batch.layout.position_ids[None],
            use_cache=False,
            layout=batch.layout,
            enters=enters,
            reads=reads,
        )
        hidden: torch.Tensor = output.last_hidden_state
        return hidden[0].index_select(0, batch.predictors)

    def _refuse_too_long(self, batch: FlatBatch) -> None:
        longest = max(batch.rows, key=len)
        if self._max_tokens is not None and len(longest) > self._max_tokens:
            raise ModelError(
                f"{longest.id} has {len(longest)} tokens, and the model reads {self._max_tokens}",
                allowed=f"data.max_length: {self._max_tokens}, then: luthier prepare",
            )

    def _attend_by(self, implementation: str) -> None:
        if self._causal.config._attn_implementation != implementation:
            self._causal.set_attn_implementation(implementation)

    def _head_weight(self) -> torch.Tensor:
        weight = self._causal.get_output_embeddings().weight
        assert isinstance(weight, torch.Tensor)
        return weight


def batches_by_tokens(rows: Sequence[TokenRow], tokens_per_batch: int, without: int = 0) -> list[Sequence[TokenRow]]:
    """Neighbouring rows grouped so that no group exceeds the number of tokens, unless one row does alone. Of each row
    the first tokens, `without` in number, do not count."""
    groups: list[list[TokenRow]] = []
    room = 0
    for row in rows:
        if not groups or len(row) - without > room:
            groups.append([])
            room = tokens_per_batch
        groups[-1].append(row)
        room -= len(row) - without
    return list(groups)
