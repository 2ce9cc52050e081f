"""Gates decide from paired evidence whether a run may be released.

The rule. A gate sets the candidate beside the reference on the same examples.
1. A significant loss of quality (the 95 % interval of the paired difference lies wholly on the worse side) fails,
   however few examples show it (but `MIN_BOOTSTRAP_ROWS`, below which a gate is inconclusive).
2. A pass needs `MIN_PAIRED_EXAMPLES` in the evaluation as a whole: where one gate has them, a loss gate on fewer
   rows may pass, and says how few they were. A facts gate speaks of a share and needs them itself.
3. The verdict is fail if any gate fails, else inconclusive if any is, else pass. Without a gate it is inconclusive.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from luthier.core.recipe import GatesSection
from luthier.evaluation.facts import AnswerScore
from luthier.evaluation.losses import RowLoss, loss_difference, loss_interval
from luthier.evaluation.statistics import paired_difference, share_interval

MIN_PAIRED_EXAMPLES = 200
"""Pairs below which nothing is let through: with 200 yes-or-no answers the 95 % interval of a share is up to ±7
points wide, and a true drop of ten points still has good odds to be seen; with 50 it is ±14, and it has not."""

MIN_BOOTSTRAP_ROWS = 10
"""Rows below which an interval is not believed: drawn again, so few give one that is too narrow (with 5 normal values
it calls 7 % of equal models worse, with 10 about 5 %, with many 2.5 %)."""

Verdict = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True)
class GateResult:
    """What one gate says, and why in a sentence with the numbers."""

    gate: str
    verdict: Verdict
    reason: str

    def to_json(self) -> dict[str, str]:
        return {"gate": self.gate, "verdict": self.verdict, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Measured:
    """What one model did: losses of the splits it was scored on and the scores of its answers.

    `model` is the id of a run, release or base model.
    """

    model: str
    test: Sequence[RowLoss] = ()
    validation: Sequence[RowLoss] = ()
    answers: Sequence[AnswerScore] = ()


def judge(gates: GatesSection, candidate: Measured, reference: Measured) -> list[GateResult]:
    """One result for each gate that is set, or a single inconclusive one where none is. At least one in all.

    `candidate.answers[i]` and `reference.answers[i]` answer the same question. Raises EvaluationError where the losses
    are not of the same rows.
    """
    sizes = [len(candidate.test)] if gates.loss else []
    sizes += [len(candidate.answers)] if gates.facts is not None else []
    if not sizes:
        return [GateResult("evaluation.gates", "inconclusive", "No gate is set in the recipe, so nothing was decided.")]
    results = []
    if gates.loss:
        results.append(_loss_gate(candidate, reference, enough=max(sizes) >= MIN_PAIRED_EXAMPLES))
    if gates.facts is not None:
        results.append(_facts_gate(gates.facts, candidate, reference))
    return results


def overall(results: Sequence[GateResult]) -> Verdict:
    """The verdict of all gates together; `results` is not empty."""
    verdicts = {result.verdict for result in results}
    order: tuple[Verdict, ...] = ("fail", "inconclusive", "pass")
    return next(verdict for verdict in order if verdict in verdicts)


def _loss_gate(candidate: Measured, reference: Measured, enough: bool) -> GateResult:
    rows = len(candidate.test)
    if not rows and not reference.test:
        return GateResult("loss", "inconclusive", "There are no test rows to measure the loss on.")
    difference = loss_difference(candidate.test, reference.test)
    measured = (
        f"test loss {loss_interval(candidate.test).value:.3f} against {loss_interval(reference.test).value:.3f} of "
        f"{reference.model}, difference {difference.value:+.3f} nats per token "
        f"(95 % interval {difference.low:+.3f} to {difference.high:+.3f}, {rows} test rows)"
    )
    if rows < MIN_BOOTSTRAP_ROWS:
        return GateResult("loss", "inconclusive", f"Fewer than {MIN_BOOTSTRAP_ROWS} rows prove nothing: {measured}.")
    if difference.low > 0:
        return GateResult("loss", "fail", f"Worse beyond chance: {measured}.")
    if not enough:
        return GateResult("loss", "inconclusive", f"{_too_few(rows)} Not found worse: {measured}.")
    caution = "" if rows >= MIN_PAIRED_EXAMPLES else " Few rows: a small loss of quality would go unseen."
    return GateResult("loss", "pass", f"Not worse beyond chance: {measured}.{caution}")


def _facts_gate(least: float, candidate: Measured, reference: Measured) -> GateResult:
    ours, theirs = _recalled(candidate), _recalled(reference)
    if not ours:
        return GateResult("facts", "inconclusive", "There are no answers to golden questions.")
    share, base, difference = share_interval(ours), share_interval(theirs), paired_difference(ours, theirs)
    measured = (
        f"{share.value:.1%} of {len(ours)} questions recalled (95 % interval {share.low:.1%} to {share.high:.1%}), "
        f"{reference.model} {base.value:.1%}, difference {100 * difference.value:+.1f} points "
        f"({100 * difference.low:+.1f} to {100 * difference.high:+.1f})"
    )
    if difference.high < 0 and len(ours) >= MIN_BOOTSTRAP_ROWS:
        return GateResult("facts", "fail", f"Recalls fewer facts beyond chance: {measured}.")
    if len(ours) < MIN_PAIRED_EXAMPLES:
        return GateResult("facts", "inconclusive", f"{_too_few(len(ours))} Found: {measured}.")
    if share.value < least:
        return GateResult("facts", "fail", f"Below the {least:.1%} asked for: {measured}.")
    return GateResult("facts", "pass", f"At or above the {least:.1%} asked for: {measured}.")


def _recalled(measured: Measured) -> list[bool]:
    return [score.recalled for score in measured.answers]


def _too_few(pairs: int) -> str:
    return f"{pairs} paired examples are too few to let a run through (at least {MIN_PAIRED_EXAMPLES})."
