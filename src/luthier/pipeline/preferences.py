"""Preferences of people as examples: pairs of answers and rated ones."""

import random
from collections.abc import Sequence

from luthier.core.rows import Row, TokenRow
from luthier.pipeline.base import Base
from luthier.training import AnswerPair, RatedAnswer


def answer_pairs(base: Base, rows: Sequence[Row]) -> list[AnswerPair]:
    """The rows that have a rejected answer."""
    return [AnswerPair(_answer(base, row), _rejected(base, row)) for row in rows if row.rejected]


def rated_answers(base: Base, rows: Sequence[Row], seed: int, max_length: int) -> list[RatedAnswer]:
    """The answers with their ratings; a pair is one that was liked and one that was not. For `mismatched`, a shuffle
    says whose answer comes behind whose prompt; it is cut where that is longer than `max_length` tokens."""
    rated: list[tuple[TokenRow, bool]] = []
    for row in rows:
        rated.append((_answer(base, row), bool(row.rejected) or row.rating == "up"))
        if row.rejected:
            rated.append((_rejected(base, row), False))
    order = list(range(len(rated)))
    random.Random(seed).shuffle(order)
    follows = dict(zip(order, [*order[1:], *order[:1]], strict=True))
    return [
        RatedAnswer(row, liked, _mismatched(row, rated[follows[place]][0], max_length))
        for place, (row, liked) in enumerate(rated)
    ]


def _answer(base: Base, row: Row) -> TokenRow:
    """A row of which only the last turn is target."""
    return base.template.encode(row, len(row.messages) - 1)


def _rejected(base: Base, row: Row) -> TokenRow:
    """A pair with the rejected answer, the target, in place of the last turn."""
    return base.template.encode(row.with_rejected(), len(row.messages) - 1)


def _mismatched(row: TokenRow, other: TokenRow, max_length: int) -> TokenRow:
    """The prompt of a row and the answer of another one, cut where it is longer than rows may be."""
    prompt, answer = row.targets.index(True), other.targets.index(True)
    ids = row.input_ids[:prompt] + other.input_ids[answer:]
    targets = row.targets[:prompt] + other.targets[answer:]
    return TokenRow(f"{row.id}/mismatched", ids[:max_length], targets[:max_length])
