"""What a check found."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["pass", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing checked: its value beside its limit, and what to do when it is not well."""

    check: str
    verdict: Verdict
    value: float
    limit: float
    advice: str


def judged(check: str, verdict: Verdict, value: float, limit: float, advice: str) -> Finding:
    """A finding whose advice is given only where it is not a pass."""
    return Finding(check, verdict, value, limit, "" if verdict == "pass" else advice)


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst verdict of all; of none, `pass`."""
    found = set(verdicts)
    return "fail" if "fail" in found else "warn" if "warn" in found else "pass"
