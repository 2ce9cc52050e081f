"""The checks that cost seconds: what `luthier check` does first, and `luthier train` by itself before it begins."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from luthier.core.artefacts import Artefact
from luthier.core.errors import DatasetError, GateRefused
from luthier.core.rows import Row, TokenRow
from luthier.data import iterate_rows
from luthier.models.adapter import trainable, without_adapter
from luthier.models.masking import MaskedRow
from luthier.models.padded import learned_positions, position_limit
from luthier.models.plain_text import PlainText
from luthier.models.template import ChatTemplate
from luthier.pipeline.base import Base
from luthier.pipeline.labels import readable
from luthier.pipeline.objectives import Lesson
from luthier.pipeline.project import Project
from luthier.training import (
    AnswerPair,
    CausalObjective,
    Finding,
    Guess,
    RatedAnswer,
    check_added_tokens,
    check_end_known,
    check_ends,
    check_first_pass,
    check_initialisation,
    check_labels,
    check_masks,
    check_round_trip,
    check_rows,
    check_template,
    check_weights,
    few_rows,
)
from luthier.training.first_pass import PASS_TOKENS

NO_GUESS = Guess(math.inf, known=False)
"""Of a loss that is more than cross-entropy, such as one of preferences."""
READ_ROWS = 64
"""Of the training rows, so many are looked at as text."""


@dataclass(frozen=True, slots=True)
class Clock:
    """How long each part of a check took, in seconds."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.monotonic() - begin


def quick_findings(
    project: Project,
    base: Base,
    dataset: Artefact,
    lesson: Lesson[Any],
    clock: Clock,
    most_tokens: int = PASS_TOKENS,
) -> list[Finding]:
    """Findings about rows, weights, and one forward and backward pass of a few rows. No weight changes."""
    with clock.of("rows"):
        findings = _rows(base, lesson) + _texts(project, base, dataset)
    with clock.of("weights"):
        findings += _weights(project, lesson)
    if any(finding.verdict == "fail" for finding in findings if finding.check in ("token_ids", "longest_row")):
        return findings  # such rows cannot be run through the model
    with clock.of("first pass"):
        few = few_rows(lesson.rows, min(PASS_TOKENS, most_tokens))
        guess = lesson.guess if lesson.objective.prediction(few[0]) else NO_GUESS
        findings += check_first_pass(
            lesson.model, trainable(lesson.model), lambda: lesson.objective.step(few)(few), guess
        )
        findings += _predictions(base, lesson, few)
    return findings


def refuse_unreadable(lesson: Lesson[Any], where: str) -> None:
    """Raise DatasetError where a row, of training, validation or replay, cannot be run through the model at all."""
    core = without_adapter(lesson.model)
    rows = as_read([*lesson.rows, *lesson.validation, *lesson.replay])
    readable(rows, learned_positions(core), where)
    words = core.get_input_embeddings().weight.shape[0]
    largest = max(rows, key=lambda row: max(row.input_ids))
    if (token := max(largest.input_ids)) >= words:
        raise DatasetError(
            f"{largest.id} holds token {token} of the tokenizer, and the model has embeddings of {words}",
            where=where,
            allowed="a tokenizer of this model, or: luthier tokenizer extend",
        )


def told(finding: Finding) -> str:
    """A finding in one sentence."""
    return f"{finding.check} is {finding.value:.4g}, limit {finding.limit:.4g}: {finding.advice}"


def refuse_failed(findings: Sequence[Finding]) -> None:
    """Raise GateRefused, naming each, where some of the findings failed."""
    failed = [told(finding) for finding in findings if finding.verdict == "fail"]
    if failed:
        raise GateRefused(
            "this training would be in vain: " + "; ".join(failed),
            allowed="luthier check tells more; training.health: off trains all the same",
        )


def _rows(base: Base, lesson: Lesson[Any]) -> list[Finding]:
    """The rows as tokens."""
    core, tokenizer = without_adapter(lesson.model), base.tokenizer
    embeddings, rows = core.get_input_embeddings().weight, as_read(lesson.rows)
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.cls_token_id
    itself = tokenizer("a")["input_ids"]
    starts = start is not None and itself[:1] == [start]
    findings = check_rows(rows, embeddings.shape[0], position_limit(core), start, starts)
    if ends := _ends(base):
        findings.append(check_ends([row for row in rows if isinstance(row, TokenRow)], ends))
    added = {number: token.content for number, token in tokenizer.added_tokens_decoder.items()}
    if lesson.learnt and findings[0].verdict == "pass":
        learnt = check_added_tokens(rows, embeddings, added, embeddings.requires_grad)
        findings += [learnt] if learnt else []
    return findings


def _texts(project: Project, base: Base, dataset: Artefact) -> list[Finding]:
    """The first training rows, as text."""
    assert dataset.path is not None
    split = (row for row, split in iterate_rows(project.workspace.root / dataset.path) if split == "train")
    rows = list(islice(split, READ_ROWS))
    findings: list[Finding | None] = [check_round_trip([text for row in rows for text in _said(row)], base.tokenizer)]
    if isinstance(base.reader, ChatTemplate):
        control_tokens = base.reader.control_tokens
        findings.append(check_masks(rows, base.tokens(rows), base.tokenizer, control_tokens))
        findings.append(check_template(base.reader, rows, base.tokenizer.get_vocab()))
    return [finding for finding in findings if finding is not None]


def _weights(project: Project, lesson: Lesson[Any]) -> list[Finding]:
    recipe = project.recipe
    findings = check_weights(lesson.model, trainable(lesson.model), recipe.training.learning_rate)
    if recipe.model.config:
        drawn = check_initialisation(lesson.model, recipe.model.initialisation)
        findings += [drawn] if drawn else []
    if lesson.new_weights:
        count = len(lesson.new_weights)
        advice = f"new and random, as the base model has none: {lesson.new_weights[0]}; it trains with the rest"
        findings.append(Finding("new_head", "pass", count, count, advice))
    return findings


def _predictions(base: Base, lesson: Lesson[Any], few: Sequence[Any]) -> list[Finding]:
    """Whether targets are predicted from where they should be, and the model knows when an answer is over."""
    findings: list[Finding | None] = []
    prediction = lesson.objective.prediction(few[0])
    if prediction is not None and prediction.places:
        loss = float(lesson.objective.step(few[:1])(few[:1]).detach())
        findings.append(check_labels(loss, lesson.model, prediction))
    if isinstance(lesson.objective, CausalObjective) and lesson.learnt:
        findings.append(check_end_known(lesson.objective, few, _ends(base), lesson.guess))
    return [finding for finding in findings if finding is not None]


def as_read(examples: Sequence[Any]) -> list[Any]:
    """The examples of any task as rows of tokens."""
    rows: list[Any] = []
    for example in examples:
        if isinstance(example, AnswerPair | RatedAnswer):
            rows += example.rows
        else:
            rows.append(example.row if isinstance(example, MaskedRow) else example)
    return rows


def _ends(base: Base) -> set[int]:
    """The tokens that end what the model writes; none where it writes nothing."""
    eos = set() if base.tokenizer.eos_token_id is None else {int(base.tokenizer.eos_token_id)}
    if isinstance(base.reader, PlainText):
        return eos if base.reader.learns == "next token" else set()
    return {base.reader.end_token_id} | eos


def _said(row: Row) -> list[str]:
    return [message["content"] for message in row.messages] if row.messages else [row.text]
