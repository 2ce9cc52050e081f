"""Objectives that learn which answers people prefer: DPO and ORPO from pairs, KTO from ratings.

A reward is `beta` times how much likelier, in nats, an answer has become since training began; with ORPO, which
compares with no start, it is `beta` times the log-likelihood per token.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812

from luthier.core.rows import TokenRow
from luthier.models.losses import RowsLoss
from luthier.training.objective import RowsObjective

Reference = Mapping[str, float]
"""Log-likelihood in nats of a row's targets before training, by the id of the row."""
_ALMOST_CERTAIN = -1e-9
"""Log-likelihood per token above which odds are taken for those of it: they have no bound."""


@dataclass(frozen=True, slots=True)
class AnswerPair:
    """Two answers to one prompt, of which people chose the first. Targets are the tokens of the answers."""

    chosen: TokenRow
    rejected: TokenRow

    @property
    def id(self) -> str:
        return self.chosen.id

    @property
    def rows(self) -> tuple[TokenRow, TokenRow]:
        return self.chosen, self.rejected

    @property
    def target_tokens(self) -> int:
        return self.chosen.target_tokens + self.rejected.target_tokens

    def __len__(self) -> int:
        """The tokens of both."""
        return len(self.chosen) + len(self.rejected)


@dataclass(frozen=True, slots=True)
class RatedAnswer:
    """An answer that people liked or did not, and one to another prompt put in its place.

    Targets are the tokens of the answers. Nothing learns from `mismatched`: it tells how far the model has moved.
    """

    row: TokenRow
    liked: bool
    mismatched: TokenRow

    @property
    def id(self) -> str:
        return self.row.id

    @property
    def rows(self) -> tuple[TokenRow, TokenRow]:
        return self.row, self.mismatched

    @property
    def target_tokens(self) -> int:
        return self.row.target_tokens

    def __len__(self) -> int:
        """The tokens that are learnt from."""
        return len(self.row)


def log_likelihoods(loss: RowsLoss, rows: Sequence[TokenRow]) -> dict[str, float]:
    """The log-likelihood in nats of the targets of each row, by its id, as the model is now."""
    return {row.row_id: -row.loss_sum for row in loss.row_losses(rows)}


class DpoObjective(RowsObjective[AnswerPair]):
    """-log sigmoid(reward of the chosen answer less that of the rejected one), a mean over pairs.

    Source: Rafailov et al. 2023, Direct Preference Optimization, equation 7. `reference` has each row of each pair.
    """

    def __init__(self, loss: RowsLoss, reference: Reference, beta: float) -> None:
        super().__init__(loss)
        self._reference, self._beta = reference, beta

    def step(self, examples: Sequence[AnswerPair]) -> Callable[[Sequence[AnswerPair]], torch.Tensor]:
        """The mean over the pairs of the whole step."""

        def loss_of(batch: Sequence[AnswerPair]) -> torch.Tensor:
            rewards = self._rewards(batch, _trained(self._loss, _both(batch)))
            return self._losses(rewards).sum() / len(examples)

        return loss_of

    def validation(self, examples: Sequence[AnswerPair]) -> dict[str, float] | None:
        """`loss`; `accuracy`, the share of pairs whose chosen answer has the higher reward; `margin`, by how much on
        average."""
        if not examples:
            return None
        rewards = self._rewards(examples, _measured(self._loss, _both(examples)))
        return {"loss": float(self._losses(rewards).mean()), **_figures(rewards)}

    def _rewards(self, pairs: Sequence[AnswerPair], likelihoods: torch.Tensor) -> torch.Tensor:
        """Of the chosen answers, then of the rejected ones: [2, pairs], as `likelihoods` are."""
        start = torch.tensor([self._reference[row.id] for row in _both(pairs)], dtype=likelihoods.dtype)
        return self._beta * (likelihoods - start).view(2, -1)

    @staticmethod
    def _losses(rewards: torch.Tensor) -> torch.Tensor:
        return -F.logsigmoid(rewards[0] - rewards[1])


class OrpoObjective(RowsObjective[AnswerPair]):
    """Cross-entropy of the chosen answers, a mean over their tokens, less `beta` log sigmoid(log odds ratio), a mean
    over pairs. With p the geometric mean of the probabilities of an answer's tokens, its odds are p / (1 - p).

    Source: Hong et al. 2024, ORPO: Monolithic Preference Optimization without Reference Model, equations 4 to 7;
    `beta` is their lambda.
    """

    def __init__(self, loss: RowsLoss, beta: float) -> None:
        super().__init__(loss)
        self._beta = beta

    def step(self, examples: Sequence[AnswerPair]) -> Callable[[Sequence[AnswerPair]], torch.Tensor]:
        """The mean over the chosen tokens, and that over the pairs, of the whole step."""
        return lambda batch: self._part(examples, batch, _trained(self._loss, _both(batch)))

    def validation(self, examples: Sequence[AnswerPair]) -> dict[str, float] | None:
        """`loss`; `accuracy`, the share of pairs whose chosen answer is likelier per token; `margin`, `beta` times by
        how many nats."""
        if not examples:
            return None
        likelihoods = _measured(self._loss, _both(examples))
        rewards = self._beta * _per_token(examples, likelihoods)
        return {"loss": float(self._part(examples, examples, likelihoods)), **_figures(rewards)}

    def _part(self, step: Sequence[AnswerPair], batch: Sequence[AnswerPair], likelihoods: torch.Tensor) -> torch.Tensor:
        """What some pairs of a step add to its loss; `likelihoods` are theirs: chosen, then rejected."""
        chosen_tokens = sum(pair.chosen.target_tokens for pair in step)
        log_odds = _log_odds(_per_token(batch, likelihoods))
        ratios = F.logsigmoid(log_odds[0] - log_odds[1])
        return -likelihoods[: len(batch)].sum() / chosen_tokens - self._beta * ratios.sum() / len(step)


class KtoObjective(RowsObjective[RatedAnswer]):
    """1 - sigmoid(reward - z) for answers that were liked and 1 - sigmoid(z - reward) for the others, each times the
    weight of its kind, a mean over answers.

    z is `beta` times how far the model has moved: the mean over the step's mismatched answers of how much likelier they
    have become, 0 where they have not; nothing learns from it. Source: Ethayarajh et al. 2024, KTO: Model Alignment as
    Prospect Theoretic Optimization, section 4.1. `reference` has both rows of each example.
    """

    def __init__(
        self,
        loss: RowsLoss,
        reference: Reference,
        beta: float,
        desirable_weight: float = 1.0,
        undesirable_weight: float = 1.0,
    ) -> None:
        super().__init__(loss)
        self._reference, self._beta = reference, beta
        self._weights = {True: desirable_weight, False: undesirable_weight}

    def step(self, examples: Sequence[RatedAnswer]) -> Callable[[Sequence[RatedAnswer]], torch.Tensor]:
        """The mean over the answers of the whole step, whose mismatched answers are read first."""
        moved = self._moved(examples)

        def loss_of(batch: Sequence[RatedAnswer]) -> torch.Tensor:
            rewards = self._rewards(batch, _trained(self._loss, [example.row for example in batch]))
            return self._losses(batch, rewards - moved).sum() / len(examples)

        return loss_of

    def validation(self, examples: Sequence[RatedAnswer]) -> dict[str, float] | None:
        """`loss`; `accuracy`, the share of answers whose reward lies on the right side of z; `margin`, the mean reward
        of liked answers less that of the others, where there are both."""
        if not examples:
            return None
        moved = self._moved(examples)
        rewards = self._rewards(examples, _measured(self._loss, [example.row for example in examples]))
        liked = torch.tensor([example.liked for example in examples])
        figures = {
            "loss": float(self._losses(examples, rewards - moved).mean()),
            "accuracy": float(((rewards > moved) == liked).double().mean()),
        }
        if liked.any() and not liked.all():
            figures["margin"] = float(rewards[liked].mean() - rewards[~liked].mean())
        return figures

    def _moved(self, examples: Sequence[RatedAnswer]) -> float:
        rows = [example.mismatched for example in examples]
        start = torch.tensor([self._reference[row.id] for row in rows], dtype=torch.float64)
        return self._beta * max(0.0, float((_measured(self._loss, rows) - start).mean()))

    def _rewards(self, examples: Sequence[RatedAnswer], likelihoods: torch.Tensor) -> torch.Tensor:
        start = torch.tensor([self._reference[example.id] for example in examples], dtype=likelihoods.dtype)
        return self._beta * (likelihoods - start)

    def _losses(self, examples: Sequence[RatedAnswer], beyond: torch.Tensor) -> torch.Tensor:
        """`beyond` are the rewards less z."""
        signs = torch.tensor([1.0 if example.liked else -1.0 for example in examples], dtype=beyond.dtype)
        weights = torch.tensor([self._weights[example.liked] for example in examples], dtype=beyond.dtype)
        return weights * torch.sigmoid(-signs * beyond)


def _both(pairs: Sequence[AnswerPair]) -> list[TokenRow]:
    """The rows of all chosen answers, then those of all rejected ones."""
    return [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]


def _trained(loss: RowsLoss, rows: Sequence[TokenRow]) -> torch.Tensor:
    """Log-likelihoods, [rows], differentiable; in float64, since what follows takes differences of them."""
    return -loss.row_sums(loss.batch(rows)).double()


def _measured(loss: RowsLoss, rows: Sequence[TokenRow]) -> torch.Tensor:
    """Log-likelihoods, [rows], of as many rows as there are."""
    return torch.tensor([-row.loss_sum for row in loss.row_losses(rows)], dtype=torch.float64)


def _per_token(pairs: Sequence[AnswerPair], likelihoods: torch.Tensor) -> torch.Tensor:
    """Mean log-likelihoods of a token: [2, pairs], chosen and rejected."""
    tokens = torch.tensor([row.target_tokens for row in _both(pairs)], dtype=likelihoods.dtype)
    return (likelihoods / tokens).view(2, -1)


def _log_odds(likelihoods: torch.Tensor) -> torch.Tensor:
    """log(p / (1 - p)) of p = exp(likelihoods)."""
    below_one = likelihoods.clamp(max=_ALMOST_CERTAIN)
    return below_one - torch.log(-torch.expm1(below_one))


def _figures(rewards: torch.Tensor) -> dict[str, float]:
    """`accuracy` and `margin` of rewards [2, pairs], chosen and rejected."""
    margins = rewards[0] - rewards[1]
    return {"accuracy": float((margins > 0).double().mean()), "margin": float(margins.mean())}
