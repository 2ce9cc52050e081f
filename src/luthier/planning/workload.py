"""What there is to train on, in numbers, and the steps that it makes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from luthier.core.recipe import TrainingSection
from luthier.planning.duration import Schedule
from luthier.planning.memory import ForwardPass


@dataclass(frozen=True, slots=True)
class Workload:
    """Rows of the training split: `row_tokens` is the mean over tokens of how long their row is. `source` says in words
    where the numbers come from."""

    rows: int
    tokens: int
    target_tokens: int
    longest: int
    row_tokens: int
    validation_tokens: int
    source: str

    @classmethod
    def of(cls, lengths: Sequence[int], target_tokens: int, validation_tokens: int, source: str) -> "Workload":
        """Of rows with so many tokens each; at least one."""
        tokens = sum(lengths)
        squares = sum(length * length for length in lengths)
        return cls(len(lengths), tokens, target_tokens, max(lengths), squares // tokens, validation_tokens, source)

    def to_json(self) -> dict[str, object]:
        return {
            "rows": self.rows,
            "tokens": self.tokens,
            "target_tokens": self.target_tokens,
            "longest": self.longest,
            "source": self.source,
        }

    def steps(self, settings: TrainingSection, pack_tokens: int) -> tuple[Schedule, ForwardPass]:
        """The steps that these rows would make, and the largest forward pass, before anything is laid out. A pack takes
        so many tokens, or the longest row."""
        pack = max(pack_tokens, self.longest) if settings.packing else math.ceil(self.tokens / self.rows)
        batch = min(self.tokens, settings.per_device_train_batch_size * pack)
        schedule = Schedule(
            tokens_per_epoch=self.tokens,
            num_train_epochs=settings.num_train_epochs,
            tokens_per_step=min(self.tokens, batch * settings.gradient_accumulation_steps),
            validation_tokens=self.validation_tokens,
            eval_steps=settings.eval_steps,
        )
        largest = batch if settings.packing else max(batch, self.longest)
        targets = max(1, largest * self.target_tokens // self.tokens)
        return schedule, ForwardPass(largest, targets, self.row_tokens)
