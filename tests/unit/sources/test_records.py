import json
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.sources.records import column_names, plain_value, without_lone_surrogates


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (datetime(2025, 2, 8, 16, 57, tzinfo=UTC), "2025-02-08T16:57:00+00:00"),
        (date(2025, 2, 8), "2025-02-08"),
        (Decimal("12.50"), "12.50"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (float("nan"), None),
        (float("inf"), None),
        ("text", "text"),
        (b"text", "text"),
        (b"\xff\xfe\x00", "[3 bytes]"),
        ({1: (b"a", None)}, {"1": ["a", None]}),
        (True, True),
    ],
)
def test_values_become_plain(value: object, plain: object) -> None:
    assert plain_value(value) == plain


def test_halves_of_pairs_are_mended_wherever_they_stand() -> None:
    assert without_lone_surrogates({"\ud83d": ["a\udc00b", 1, "😀"]}) == {"\ufffd": ["a\ufffdb", 1, "😀"]}


@given(st.lists(st.sampled_from(["a", "a_2", " a ", "", "column_1", "b"]), max_size=8))
def test_column_names_are_unique(names: list[str]) -> None:
    found = column_names(names)
    assert len(found) == len(set(found)) == len(names)
    assert json.dumps(found)
