"""What rows share is found, and it is what saves most."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.core.rows import TokenRow
from luthier.models.prefixes import SHORTEST_PREFIX, SharedPrefix, passes, shared_prefixes

POLICY = tuple(range(100, 120))
OTHER = tuple(range(200, 212))


def row(*parts: tuple[int, ...], targets: int = 1) -> TokenRow:
    """Of the tokens of these parts, the last `targets` are targets."""
    ids = sum(parts, ())
    return TokenRow(f"row-{ids}", ids, (False,) * (len(ids) - targets) + (True,) * targets)


def test_rows_that_open_alike_share_all_that_they_have_in_common() -> None:
    rows = [row(POLICY, (1, 2, 3)), row((9,) * 30), row(POLICY, (1, 4, 5)), row(POLICY, (6, 7))]

    assert shared_prefixes(rows) == (SharedPrefix(POLICY, (0, 2, 3)),)


def test_two_documents_under_one_policy_are_shared_apart_where_that_saves_more() -> None:
    one, two = tuple(range(300, 340)), tuple(range(400, 440))
    rows = [row(POLICY, document, (number, 1)) for number in range(3) for document in (one, two)]

    assert shared_prefixes(rows) == (
        SharedPrefix(POLICY + one, (0, 2, 4)),
        SharedPrefix(POLICY + two, (1, 3, 5)),
    )


def test_what_predicts_the_first_target_is_not_shared() -> None:
    first = row(POLICY, (1, 2), targets=2)
    second = row(POLICY, (1, 3), targets=3)

    assert shared_prefixes([first, second]) == (SharedPrefix(POLICY[:18], (0, 1)),)


def test_short_beginnings_and_single_rows_are_left_alone() -> None:
    short = POLICY[: SHORTEST_PREFIX - 1]

    assert shared_prefixes([row(short, (1, 2)), row(short, (3, 4))]) == ()
    assert shared_prefixes([row(POLICY, (1, 2))]) == ()
    assert shared_prefixes([]) == ()
    assert shared_prefixes([row((1,), targets=1), row((1,), targets=0)]) == ()


@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=24), max_size=12), st.integers(1, 5))
def test_each_row_has_one_prefix_at_most_and_opens_with_it(ids: list[list[int]], targets: int) -> None:
    rows = [row(tuple(tokens), targets=min(targets, len(tokens))) for tokens in ids]

    placed = []
    for prefix in shared_prefixes(rows):
        assert len(prefix.tokens) >= SHORTEST_PREFIX
        assert len(prefix.rows) >= 2
        for place in prefix.rows:
            assert rows[place].input_ids[: len(prefix.tokens)] == prefix.tokens
            assert not any(rows[place].targets[: len(prefix.tokens) + 1])
        placed += prefix.rows
    assert len(placed) == len(set(placed))


def test_passes_hold_every_row_once_and_keep_a_prefix_together() -> None:
    rows = [row(POLICY, (number, 1, 2)) for number in range(5)] + [row(OTHER, (1,)), row(OTHER, (2,)), row((3,) * 9)]

    found = list(passes(rows, most_tokens=36))

    assert sorted(len(one.rows) for one in found) == [3, 5]
    assert sorted(member.id for one in found for member in one.rows) == sorted(member.id for member in rows)
    for one in found:
        for prefix in one.prefixes:
            assert all(one.rows[place].input_ids[: len(prefix.tokens)] == prefix.tokens for place in prefix.rows)
    assert [len(prefix.tokens) for prefix in found[0].prefixes] == [len(POLICY)]


@pytest.mark.parametrize("most_tokens", [1, 30, 60])
def test_a_pass_that_is_too_large_holds_the_rows_of_one_prefix_or_one_row(most_tokens: int) -> None:
    rows = [row(POLICY, (number, 1, 2)) for number in range(5)] + [row((number,) * 40) for number in range(3)]

    for one in passes(rows, most_tokens):
        shared = sum((len(prefix.rows) - 1) * len(prefix.tokens) for prefix in one.prefixes)
        if sum(map(len, one.rows)) - shared > most_tokens:
            assert (len(one.prefixes) == 1 and len(one.prefixes[0].rows) == len(one.rows)) or len(one.rows) == 1
