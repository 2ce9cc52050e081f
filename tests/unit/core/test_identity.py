"""The same content has the same id, other content another."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.core.identity import canonical_json, content_id, file_digest

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def test_canonical_json_has_one_spelling() -> None:
    assert canonical_json({"b": [1, 2.5, None], "a": "Größe"}) == '{"a":"Größe","b":[1,2.5,null]}'


def test_ids_are_the_same_on_every_machine() -> None:
    assert content_id("run", {"a": 1}) == "run-015abd7f5cc5"


@given(st.dictionaries(st.text(), json_values))
def test_order_of_keys_does_not_matter(content: dict[str, object]) -> None:
    turned = dict(reversed(content.items()))

    assert content_id("x", content) == content_id("x", turned)


@given(json_values, json_values)
def test_ids_differ_where_content_differs(one: object, other: object) -> None:
    assert (content_id("x", one) == content_id("x", other)) == (canonical_json(one) == canonical_json(other))


def test_kind_is_part_of_the_id() -> None:
    assert content_id("run", 1).partition("-")[2] == content_id("plan", 1).partition("-")[2]
    assert content_id("run", 1) != content_id("plan", 1)


def test_broken_characters_have_an_id_too() -> None:
    """JSON files may hold half a surrogate pair, which UTF-8 cannot."""
    assert content_id("row", "\ud800") != content_id("row", "\ud801")


def test_file_digest_tells_bytes_and_borders_apart(tmp_path: Path) -> None:
    one, two, both = (tmp_path / name for name in ("one", "two", "both"))
    one.write_bytes(b"first")
    two.write_bytes(b"second")
    both.write_bytes(b"firstsecond")

    assert len(file_digest([one])) == 64
    assert file_digest([one, two]) == file_digest(iter([one, two]))
    assert len({file_digest(paths) for paths in ([], [one], [one, two], [two, one], [both])}) == 5


def test_file_digest_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_digest([tmp_path / "nowhere"])
