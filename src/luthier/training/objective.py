"""What the loop minimises: the loop knows examples and this interface, no task."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812

from luthier.core.rows import LabelledTokens, TokenRow
from luthier.models.losses import RowsLoss
from luthier.models.masking import MaskedLoss, MaskedRow

PLAIN = "off: texts are read by transformers' own code"


class Example(Protocol):
    """What one training row has become: tokens to run through the model, some of them targets."""

    @property
    def id(self) -> str: ...

    @property
    def target_tokens(self) -> int: ...

    def __len__(self) -> int:
        """Tokens, unpadded."""
        ...


E = TypeVar("E", bound=Example)
"""The kind of example that an objective takes."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the loss of an example is about: the tokens that are read, the places in the logits where something is
    predicted, and the number of what is right at each."""

    input_ids: Sequence[int]
    places: Sequence[int]
    labels: Sequence[int]


class Objective(ABC, Generic[E]):
    """A loss over examples, in nats."""

    @property
    @abstractmethod
    def fast_path(self) -> str:
        """ "on", or "off: " and the reason."""

    @property
    def shares_prefixes(self) -> bool:
        """Whether what examples of a step open with is computed once."""
        return False

    @abstractmethod
    def step(self, examples: Sequence[E]) -> Callable[[Sequence[E]], torch.Tensor]:
        """The loss of an optimiser step on these examples, as a function of one of its micro-batches: a differentiable
        scalar. What it gives for all micro-batches, in whatever way the examples are dealt out, adds up to the loss."""

    @abstractmethod
    def validation(self, examples: Sequence[E]) -> dict[str, float] | None:
        """Mean `loss` of examples that nothing learns from, with other figures of the task; None where there is
        nothing to be right about."""

    def prediction(self, example: E) -> Prediction | None:  # noqa: ARG002
        """What the mean loss of this example alone is about; None where it is more than cross-entropy."""
        return None

    def parts(
        self,
        examples: Sequence[E],
        batches: Sequence[Sequence[E]],
        most_tokens: int,  # noqa: ARG002
    ) -> Iterator[torch.Tensor]:
        """What these micro-batches add to the loss of a step on `examples`, in differentiable parts: of each batch, or
        of other ones of at most `most_tokens` tokens. The caller takes the gradient of each part before the next."""
        loss_of = self.step(examples)
        yield from map(loss_of, batches)


class RowsObjective(Objective[E]):
    """One that is made of the losses of a causal language model on rows."""

    def __init__(self, loss: RowsLoss) -> None:
        self._loss = loss

    @property
    def fast_path(self) -> str:
        return self._loss.fast_path

    @property
    def shares_prefixes(self) -> bool:
        return self._loss.shares_prefixes


class CausalObjective(RowsObjective[TokenRow]):
    """Cross-entropy of each target token after those before it, in nats."""

    def step(self, examples: Sequence[TokenRow]) -> Callable[[Sequence[TokenRow]], torch.Tensor]:
        """The mean over the target tokens of the whole step."""
        target_tokens = _target_tokens(examples)
        return lambda batch: self._loss.loss_sum(self._loss.batch(batch)) / target_tokens

    def parts(
        self, examples: Sequence[TokenRow], batches: Sequence[Sequence[TokenRow]], most_tokens: int
    ) -> Iterator[torch.Tensor]:
        """Tokens that rows of the step share are computed once."""
        target_tokens = _target_tokens(examples)
        for part in self._loss.loss_sums(batches, most_tokens):
            yield part / target_tokens

    def prediction(self, example: TokenRow) -> Prediction | None:
        """Each target, at the place before it."""
        places = [place for place, target in enumerate(example.targets) if target]
        labels = [example.input_ids[place] for place in places]
        return Prediction(example.input_ids, [place - 1 for place in places], labels)

    def validation(self, examples: Sequence[TokenRow]) -> dict[str, float] | None:
        losses = self._loss.row_losses(examples)
        target_tokens = sum(row.target_tokens for row in losses)
        return {"loss": sum(row.loss_sum for row in losses) / target_tokens} if target_tokens else None


class MaskedObjective(Objective[MaskedRow]):
    """Cross-entropy of masked tokens, in nats."""

    @property
    def fast_path(self) -> str:
        return PLAIN

    def __init__(self, loss: MaskedLoss) -> None:
        self._loss = loss

    def step(self, examples: Sequence[MaskedRow]) -> Callable[[Sequence[MaskedRow]], torch.Tensor]:
        """The mean over the masked tokens of the whole step."""
        target_tokens = _target_tokens(examples)
        return lambda batch: self._loss.loss_sum(batch) / target_tokens

    def prediction(self, example: MaskedRow) -> Prediction | None:
        """Each hidden token, at its own place."""
        read, places = self._loss.read(example)
        return Prediction(read, places, [example.input_ids[place] for place in places])

    def validation(self, examples: Sequence[MaskedRow]) -> dict[str, float] | None:
        """Beside the loss `accuracy`, the share of masked tokens that are found the likeliest."""
        losses = self._loss.row_losses(examples)
        target_tokens = sum(row.target_tokens for row in losses)
        if not target_tokens:
            return None
        correct = sum(row.correct_tokens for row in losses)
        return {"loss": sum(row.loss_sum for row in losses) / target_tokens, "accuracy": correct / target_tokens}


class LabelObjective(Objective[LabelledTokens]):
    """Cross-entropy of the label of each text, in nats.

    `logits` gives [texts, labels] for token ids.
    """

    @property
    def fast_path(self) -> str:
        return PLAIN

    def __init__(self, logits: Callable[[Sequence[Sequence[int]]], torch.Tensor]) -> None:
        self._logits = logits

    def step(self, examples: Sequence[LabelledTokens]) -> Callable[[Sequence[LabelledTokens]], torch.Tensor]:
        """The mean over the texts of the whole step."""
        return lambda batch: F.cross_entropy(*self._scored(batch), reduction="sum") / len(examples)

    def prediction(self, example: LabelledTokens) -> Prediction | None:
        """The label, the only thing in the logits."""
        return Prediction(example.input_ids, [0], [example.label])

    @torch.no_grad()
    def validation(self, examples: Sequence[LabelledTokens]) -> dict[str, float] | None:
        """Beside the loss `accuracy` and `macro_f1`, the mean F1 of the labels that occur or are given."""
        if not examples:
            return None
        from sklearn.metrics import f1_score  # takes a second to import, and few trainings are of labels

        logits, labels = self._scored(examples)
        given = logits.argmax(dim=1)
        return {
            "loss": float(F.cross_entropy(logits, labels)),
            "accuracy": float((given == labels).double().mean()),
            "macro_f1": float(f1_score(labels.numpy(), given.numpy(), average="macro", zero_division=0)),
        }

    def _scored(self, examples: Sequence[LabelledTokens]) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.tensor([example.label for example in examples])
        return self._logits([example.input_ids for example in examples]), labels


def _target_tokens(examples: Sequence[Example]) -> int:
    return sum(example.target_tokens for example in examples)
