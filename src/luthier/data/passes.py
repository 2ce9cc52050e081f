"""Passes over the whole corpus: what only all rows together show."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from luthier.core.rows import Row
from luthier.data.staged import Mask, Stage

Find = Callable[[Iterable[tuple[int, Row]]], Mapping[int, str]]
"""From (index, row) of the rows still kept, in order, to {index: remark}; a remark reads `kind: detail`."""


@dataclass(frozen=True, slots=True)
class CorpusPass:
    """What to look for, and whether it drops the rows that it finds or only flags them."""

    find: Find
    drops: bool


@dataclass(frozen=True, slots=True)
class Remarks:
    """By index: reasons to drop a row, and flags of rows that stay."""

    reasons: Mapping[int, list[str]] = field(default_factory=dict)
    flags: Mapping[int, list[str]] = field(default_factory=dict)


def run_passes(stage: Stage, kept: Mask, passes: Sequence[CorpusPass]) -> Remarks:
    """Run the passes in turn over the rows `kept`, from which it takes out what they drop."""
    reasons: dict[int, list[str]] = defaultdict(list)
    flags: dict[int, list[str]] = defaultdict(list)
    for each in passes:
        for index, remark in sorted(each.find(stage.rows(kept)).items()):
            assert kept[index], f"a remark on row {index}, which is not kept"
            (reasons if each.drops else flags)[index].append(remark)
            kept[index] &= not each.drops
    return Remarks(dict(reasons), dict(flags))
