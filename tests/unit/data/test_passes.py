"""Passes run in turn over what the ones before them left, and say why."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pytest

from luthier.core.rows import Origin, Row
from luthier.data.passes import CorpusPass, Remarks, run_passes
from luthier.data.staged import Stage

Rows = Iterable[tuple[int, Row]]


@pytest.fixture
def stage(staged: Callable[..., Stage]) -> Stage:
    rows = [Row(f"row-{number}", Origin("f", number + 1), text=f"text {number}") for number in range(5)]
    return staged(rows[:3], rows[3:])


def finding(found: Mapping[int, str], seen: list[list[int]] | None = None) -> Callable[[Rows], Mapping[int, str]]:
    def find(rows: Rows) -> Mapping[int, str]:
        numbers = [number for number, _ in rows]
        if seen is not None:
            seen.append(numbers)
        return found

    return find


def test_a_pass_sees_what_earlier_ones_left(stage: Stage) -> None:
    seen: list[list[int]] = []
    kept = np.array([True, True, False, True, True])
    passes = [
        CorpusPass(finding({1: "a: x"}, seen), drops=True),
        CorpusPass(finding({3: "b: y", 0: "b: z"}, seen), drops=False),
        CorpusPass(finding({3: "c: w", 4: "c: v"}, seen), drops=True),
    ]
    remarks = run_passes(stage, kept, passes)
    assert seen == [[0, 1, 3, 4], [0, 3, 4], [0, 3, 4]]
    assert kept.tolist() == [True, False, False, False, False]
    assert remarks.reasons == {1: ["a: x"], 3: ["c: w"], 4: ["c: v"]}
    assert remarks.flags == {0: ["b: z"], 3: ["b: y"]}


def test_a_row_may_be_flagged_more_than_once(stage: Stage) -> None:
    passes = [CorpusPass(finding({2: remark}), drops=False) for remark in ("a: x", "b: y")]
    kept = np.ones(5, np.bool_)
    assert run_passes(stage, kept, passes).flags == {2: ["a: x", "b: y"]}
    assert kept.all()


def test_without_passes_nothing_is_read(stage: Stage) -> None:
    assert run_passes(stage, np.ones(5, np.bool_), []) == Remarks({}, {})


def test_a_remark_on_a_row_that_is_gone_is_a_fault(stage: Stage) -> None:
    kept = np.array([True, False, True, True, True])
    with pytest.raises(AssertionError, match="row 1, which is not kept"):
        run_passes(stage, kept, [CorpusPass(finding({1: "a: x"}), drops=True)])
