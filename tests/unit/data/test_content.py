"""Lists that stand as JSON text in a cell, and text that only looks like one."""

import pytest

from luthier.data.content import objects_in, parsed_list


def test_a_list_in_a_cell_is_read():
    assert parsed_list(' [1, "a"]') == [1, "a"]
    assert objects_in('[{"a": 1}, 2]') == [{"a": 1}]


@pytest.mark.parametrize("cell", ["[not JSON", "[" * 100_000, f"[{'9' * 5_000}]", "{}"])
def test_what_is_no_list_stays_text(cell):
    assert parsed_list(cell) == cell
    assert objects_in(cell) == []
