"""Why a record makes no row. A reason reads `kind: detail`; reports count by kind."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dropped:
    """What a step gives instead of a row."""

    reasons: tuple[str, ...]


def dropped(kind: str, detail: str = "") -> Dropped:
    return Dropped((f"{kind}: {detail}" if detail else kind,))


def reason_kind(reason: str) -> str:
    """`too short: 2 words, …` -> `too short`."""
    return reason.partition(":")[0]
