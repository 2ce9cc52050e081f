"""Is a dataset enough, clean, balanced? Plain answers out of the figures of its report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from luthier.data.boilerplate import REMOVED

Answer = Literal["yes", "partly", "no"]

MUCH_DROPPED = 0.3
"""A share of records dropped from which somebody should look at the files."""
MUCH_FLAGGED = 0.05
LARGEST_CLASS = 0.5
FEWEST_OF_A_CLASS = 10
LARGEST_TOPIC = 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question, and why."""

    question: str
    answer: Answer
    why: str

    def to_json(self) -> dict[str, str]:
        return {"question": self.question, "answer": self.answer, "why": self.why}


def judge(figures: Mapping[str, Any], enough: tuple[bool, str]) -> list[Finding]:
    """The three answers. `figures` are those of a report, `enough` whether the training rows suffice, and why."""
    return [
        Finding("Is it enough?", "yes" if enough[0] else "no", f"{enough[1]}{_without_rows(figures['splits'])}"),
        _is_it_clean(figures),
        _is_it_balanced(figures),
    ]


def _without_rows(splits: Mapping[str, int]) -> str:
    """A sentence where there is nothing to watch the training on, or to evaluate it on."""
    empty = " and ".join(split for split in ("validation", "test") if not splits.get(split))
    if not empty:
        return ""
    return f" No row is for {empty}: there are few, or those that are alike stay together, or data.split asks for none."


def _is_it_clean(figures: Mapping[str, Any]) -> Finding:
    read, dropped = figures["read"], figures["dropped"]
    rows = max(1, sum(figures["splits"].values()))
    worst = next(iter(figures["reasons"]), None)
    faults = []
    if dropped > MUCH_DROPPED * read:
        faults.append(f"{dropped / read:.0%} of the records were dropped, most of them as {worst}: look at these first")
    faults += [
        f"{count:,} rows are flagged: {kind}"
        for kind, count in figures["flags"].items()
        if count > MUCH_FLAGGED * rows and kind != REMOVED
    ]
    if left := figures["personal_data"]["residual_rows"]:
        share = left / max(1, figures["personal_data"]["residual_sampled"])
        faults.append(f"about {share:.1%} of the rows may still hold personal data: read the samples")
    if leaks := figures["leakage"]["found"]:
        counted = ", ".join(f"{leak['rows']:,} of {leak['of']:,} in {leak['one']}" for leak in leaks)
        faults.append(f"rows of one split are like rows of another: {counted}")
    if not figures["leakage"]["complete"]:
        faults.append("the rows are too many and too alike to compare every pair of splits")
    if not faults:
        return Finding(
            "Is it clean?", "yes", f"{dropped:,} of {read:,} records were dropped; what is left has no remark."
        )
    severe = leaks or dropped > MUCH_DROPPED * read
    return Finding("Is it clean?", "no" if severe else "partly", _sentences(faults))


def _is_it_balanced(figures: Mapping[str, Any]) -> Finding:
    question = "Is it balanced?"
    labels: Mapping[str, int] = figures["labels"].get("train", {})
    if labels:
        return _are_classes_balanced(question, labels)
    topics = figures["topics"]
    sampled = sum(topic["texts"] for topic in topics)
    if not topics:
        return Finding(question, "partly", "There are too few rows to tell topics apart.")
    first = topics[0]
    name = ", ".join(first["terms"][:3])
    share = first["texts"] / sampled
    if share > LARGEST_TOPIC:
        return Finding(question, "partly", f"One topic ({name}) makes up {share:.0%} of the rows that were looked at.")
    return Finding(question, "yes", f"No topic dominates; the largest ({name}) has {share:.0%} of the rows looked at.")


def _are_classes_balanced(question: str, labels: Mapping[str, int]) -> Finding:
    total = sum(labels.values())
    largest, most = max(labels.items(), key=lambda item: item[1])
    rare = [label for label, count in labels.items() if count < FEWEST_OF_A_CLASS]
    faults = []
    if len(labels) == 1:
        faults.append(f"there is only one class, {largest}")
    elif most > LARGEST_CLASS * total:
        faults.append(f"{most / total:.0%} of the training rows are of one class, {largest}")
    if rare:
        named = ", ".join(rare[:5]) + (", …" if len(rare) > 5 else "")
        faults.append(f"{len(rare)} of {len(labels)} classes have fewer than {FEWEST_OF_A_CLASS} rows: {named}")
    if faults:
        return Finding(question, "no" if len(labels) == 1 else "partly", _sentences(faults))
    fewest = min(labels.values())
    return Finding(question, "yes", f"{len(labels)} classes of {fewest:,} to {most:,} training rows.")


def _sentences(faults: list[str]) -> str:
    return " ".join(f"{fault[:1].upper()}{fault[1:]}." for fault in faults)
