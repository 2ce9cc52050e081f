"""Gates decide from paired evidence whether a run may be released.

The rule. A gate sets the candidate beside the reference on the same examples.
1. A significant loss of quality (the 95 % interval of the paired difference lies wholly on the worse side) fails,
   however few examples show it (but `MIN_BOOTSTRAP_ROWS`, below which a gate is inconclusive).
2. A pass needs `MIN_PAIRED_EXAMPLES` in the evaluation as a whole: where one gate has them, a loss gate on fewer
   rows may pass, and says how few they were. A facts gate speaks of a share and needs them itself.
3. A limit that the recipe sets is compared with the figure itself.
4. Rows or questions that leaked into training fail, whatever the figures.
5. The verdict is fail if any gate fails, else inconclusive if any is, else pass. Without a gate it is inconclusive.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from luthier.core.recipe import GatesSection
from luthier.evaluation.losses import loss_difference, loss_interval
from luthier.evaluation.measured import Measured
from luthier.evaluation.skills import lost_skills
from luthier.evaluation.statistics import mean_interval, paired_difference, share_interval

MIN_PAIRED_EXAMPLES = 200
"""Pairs below which nothing is let through: with 200 yes-or-no answers the 95 % interval of a share is up to ±7
points wide, and a true drop of ten points still has good odds to be seen; with 50 it is ±14, and it has not."""

MIN_BOOTSTRAP_ROWS = 10
"""Rows below which an interval is not believed: drawn again, so few give one that is too narrow (with 5 normal values
it calls 7 % of equal models worse, with 10 about 5 %, with many 2.5 %)."""

_LEAKS_NAMED = 3

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
class Leak:
    """A test row or golden question whose words are `likeness` alike (Jaccard) to those of a training row."""

    tested: str
    trained: str
    likeness: float

    def to_json(self) -> dict[str, object]:
        return {"tested": self.tested, "trained": self.trained, "likeness": self.likeness}


def judge(
    gates: GatesSection,
    candidate: Measured,
    reference: Measured,
    base: Measured | None = None,
    leaks: Sequence[Leak] | None = None,
) -> list[GateResult]:
    """One result for each gate that is set, or a single inconclusive one where none is; and one for leakage, unless
    `leaks` is None: nobody looked. At least one in all.

    `candidate.answers[i]` and `reference.answers[i]` answer the same question. What was forgotten is told by the
    general text and skills of `base`, the model before any tuning. Raises EvaluationError where losses are not of the
    same rows.
    """
    sizes = [len(candidate.test)] if gates.loss or gates.accuracy is not None else []
    sizes += [len(candidate.preferences)] if gates.accuracy is not None else []
    sizes += [len(candidate.answers)] if gates.facts is not None or gates.unsupported_facts is not None else []
    enough = max(sizes, default=0) >= MIN_PAIRED_EXAMPLES
    results = []
    if gates.loss:
        results.append(_loss_gate(candidate, reference, enough))
    if gates.facts is not None:
        results.append(_facts_gate(gates.facts, candidate, reference))
    if gates.accuracy is not None:
        results.append(_accuracy_gate(gates.accuracy, candidate, reference))
    if gates.unsupported_facts is not None:
        results.append(_unsupported_gate(gates.unsupported_facts, candidate, reference))
    if gates.forgetting is not None:
        results.append(_forgetting_gate(gates.forgetting, candidate, base))
    if gates.latency is not None:
        results.append(_latency_gate(gates.latency, candidate))
    if not results:
        results.append(
            GateResult("evaluation.gates", "inconclusive", "No gate is set in the recipe, so nothing was decided.")
        )
    elif not enough:
        results = [_held_back(result, max(sizes, default=0)) for result in results]
    if leaks is not None:
        results.append(_leakage_gate(leaks))
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
        f"{reference.model}, difference {difference.value:+.3f} nats per {'text' if candidate.labels else 'token'} "
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
    return _share_gate("facts", least, ours, theirs, "questions recalled", "Recalls fewer facts", reference.model)


def _accuracy_gate(least: float, candidate: Measured, reference: Measured) -> GateResult:
    if candidate.preferences:
        ours, theirs = ([score.right for score in two.preferences] for two in (candidate, reference))
        what, worse = "test pairs' chosen answers found likelier", "Finds fewer chosen answers likelier"
        return _share_gate("accuracy", least, ours, theirs, what, worse, reference.model)
    ours, theirs = (
        [one.given == one.expected for one in sorted(two.labelled, key=lambda one: one.row_id)]
        for two in (candidate, reference)
    )
    if not ours:
        return GateResult("accuracy", "inconclusive", "There are no test rows with a label or a rejected answer.")
    what, worse = "test texts labelled right", "Labels fewer texts right"
    return _share_gate("accuracy", least, ours, theirs, what, worse, reference.model)


def _share_gate(
    gate: str, least: float, ours: Sequence[bool], theirs: Sequence[bool], what: str, worse: str, reference: str
) -> GateResult:
    """A share that is to reach `least`, and not to fall below the reference's beyond chance."""
    share, base, difference = share_interval(ours), share_interval(theirs), paired_difference(ours, theirs)
    measured = (
        f"{share.value:.1%} of {len(ours)} {what} (95 % interval {share.low:.1%} to {share.high:.1%}), "
        f"{reference} {base.value:.1%}, difference {100 * difference.value:+.1f} points "
        f"({100 * difference.low:+.1f} to {100 * difference.high:+.1f})"
    )
    if difference.high < 0 and len(ours) >= MIN_BOOTSTRAP_ROWS:
        return GateResult(gate, "fail", f"{worse} beyond chance: {measured}.")
    if len(ours) < MIN_PAIRED_EXAMPLES:
        return GateResult(gate, "inconclusive", f"{_too_few(len(ours))} Found: {measured}.")
    if share.value < least:
        return GateResult(gate, "fail", f"Below the {least:.1%} asked for: {measured}.")
    return GateResult(gate, "pass", f"At or above the {least:.1%} asked for: {measured}.")


def _unsupported_gate(most: float, candidate: Measured, reference: Measured) -> GateResult:
    gate = "unsupported_facts"
    if not candidate.answers:
        return GateResult(gate, "inconclusive", "There are no answers to golden questions.")
    ours, theirs = (share_interval([bool(one.unsupported) for one in two.answers]) for two in (candidate, reference))
    example = next((one for one in candidate.answers if one.unsupported), None)
    measured = (
        f"{ours.value:.1%} of {len(candidate.answers)} answers state something that neither question nor training rows "
        f"do (95 % interval {ours.low:.1%} to {ours.high:.1%}), {reference.model} {theirs.value:.1%}"
    )
    measured += f"; for one, {example.unsupported[0]!r}" if example else ""
    if ours.low > most:
        return GateResult(gate, "fail", f"More than the {most:.1%} allowed, beyond chance: {measured}.")
    if len(candidate.answers) < MIN_PAIRED_EXAMPLES:
        return GateResult(gate, "inconclusive", f"{_too_few(len(candidate.answers))} Found: {measured}.")
    if ours.value > most:
        return GateResult(gate, "fail", f"More than the {most:.1%} allowed: {measured}.")
    return GateResult(gate, "pass", f"Within the {most:.1%} allowed: {measured}.")


def _forgetting_gate(most: float, candidate: Measured, base: Measured | None) -> GateResult:
    if base is None or not candidate.general or not base.general:
        return GateResult("forgetting", "inconclusive", "The loss on general text was not measured.")
    rise = loss_difference(candidate.general, base.general)
    lost = lost_skills(candidate.skills, base.skills)
    measured = (
        f"the loss on general text is {loss_interval(candidate.general).value:.3f} nats per token, "
        f"{rise.value:+.3f} beside {base.model} (95 % interval {rise.low:+.3f} to {rise.high:+.3f})"
    )
    skills = f" Skills lost: {', '.join(lost)}." if lost else " No skill was lost beyond chance."
    if rise.value > most:
        return GateResult("forgetting", "fail", f"More than the {most:g} allowed: {measured}.{skills}")
    return GateResult("forgetting", "pass", f"Within the {most:g} allowed: {measured}.{skills}")


def _latency_gate(most: float, candidate: Measured) -> GateResult:
    if not candidate.seconds:
        return GateResult("latency", "inconclusive", "No answer was timed.")
    mean = mean_interval(candidate.seconds)
    measured = f"{mean.value:.2f} seconds an answer on average over {len(candidate.seconds)}, asked one at a time"
    if mean.value > most:
        return GateResult("latency", "fail", f"More than the {most:g} seconds allowed: {measured}.")
    return GateResult("latency", "pass", f"Within the {most:g} seconds allowed: {measured}.")


def _leakage_gate(leaks: Sequence[Leak]) -> GateResult:
    if not leaks:
        return GateResult(
            "leakage", "pass", "No test row or question shares 80 % of its words with a row that was trained on."
        )
    named = "; ".join(f"{leak.tested} is {leak.likeness:.0%} like {leak.trained}" for leak in leaks[:_LEAKS_NAMED])
    more = f"; and {len(leaks) - _LEAKS_NAMED} more" if len(leaks) > _LEAKS_NAMED else ""
    return GateResult(
        "leakage", "fail", f"What is tested was trained on, so that figures prove nothing: {named}{more}."
    )


def _held_back(result: GateResult, pairs: int) -> GateResult:
    """A pass without enough pairs in the whole evaluation is none."""
    if result.verdict != "pass":
        return result
    return GateResult(result.gate, "inconclusive", f"{_too_few(pairs)} {result.reason}")


def _recalled(measured: Measured) -> list[bool]:
    return [score.recalled for score in measured.answers]


def _too_few(pairs: int) -> str:
    return f"{pairs} paired examples are too few to let a run through (at least {MIN_PAIRED_EXAMPLES})."
