"""A cheap look before a costly search."""

from collections.abc import Iterable


def holds_any(text: str, hints: Iterable[str]) -> bool:
    """Whether a text holds any of the hints, without one of which a search would find nothing."""
    for hint in hints:  # noqa: SIM110 a loop takes half the time of any() over a generator
        if hint in text:
            return True
    return False
