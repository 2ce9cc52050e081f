"""What a detector gives back, and how two findings in one place are settled."""

import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["email", "phone", "iban", "card", "national_id", "ip", "address", "account", "order", "name"]
KINDS: tuple[Kind, ...] = get_args(Kind)
STRUCTURED_KINDS: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "name")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Characters `start` to `end` (exclusive) of a text are of this kind; `value` is how they read."""

    start: int
    end: int
    kind: Kind
    value: str


def settle_overlaps(findings: Iterable[Finding]) -> list[Finding]:
    """Of findings that overlap the one given first stays; sorted by place."""
    kept: list[Finding] = []
    for finding in findings:
        place = bisect_left(kept, finding)
        after = place == len(kept) or finding.end <= kept[place].start
        before = place == 0 or kept[place - 1].end <= finding.start
        if before and after:
            kept.insert(place, finding)
    return kept


def comparable(value: str) -> str:
    """How values are compared: without spaces, case and, but for e-mail addresses, the punctuation inside numbers."""
    squeezed = re.sub(r"\s+", "", value).casefold()
    return squeezed if "@" in squeezed else re.sub(r"[().,\-/]", "", squeezed)
