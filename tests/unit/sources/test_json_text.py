"""JSON is read value by value, whatever its length; faults name their line and column."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.core.errors import SourceError
from luthier.sources import json_text, lines
from luthier.sources.json_text import JsonText, Skipped, decode

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def opened(text: str) -> JsonText:
    return JsonText(io.StringIO(text), "raw/a.json")


def elements(text: str) -> list[tuple[int, object]]:
    return list(opened(text).elements())


def members(text: str) -> list[tuple[str, object]]:
    read = opened(text)
    found = [(name, read.value("a value")) for name in read.names()]
    read.end("the object")
    return found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (' {"a": [1, 2.5, null]} ', {"a": [1, 2.5, None]}),
        ("[NaN, Infinity, -Infinity]", [None, None, None]),
        ("[1e999, -1e999]", ["1e999", "-1e999"]),
        ("9" * 5000, "9" * 5000),
        (r'"\ud83d\ude00"', "😀"),
        (r'"a\ud83d"', "a\ufffd"),
        (r'{"\udc00": ["\uDC00"]}', {"\ufffd": ["\ufffd"]}),
    ],
)
def test_values(text: str, value: object) -> None:
    assert decode(text) == value


@pytest.mark.parametrize("text", ["", "{", "[1] 2", "{'a': 1}", '"a', "tru"])
def test_what_is_no_json_is_an_error(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        decode(text)


def test_elements_know_their_lines() -> None:
    assert elements('\ufeff [\n1,\n\n {"a":\n2}, "x"\n]') == [(2, 1), (4, {"a": 2}), (5, "x")]
    assert elements("[]") == []


def test_names_are_read_one_by_one() -> None:
    assert members('{"a": 1, "b": [2, 3], "": null} ') == [("a", 1), ("b", [2, 3]), ("", None)]
    assert members("{}") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected an array, line 1, column 1"),
        ("{}", "expected an array, line 1, column 1"),
        ("[1\n 2]", "expected ',' or ']' after an element, line 2, column 2"),
        ("[1,", "Expecting value, line 1, column 4"),
        ("[1,\n\n  nil]", "Expecting value, line 3, column 3"),
        ('["a', "Unterminated string starting, line 1, column 2"),
    ],
)
def test_faults_name_their_place(text: str, message: str) -> None:
    what, place = message.split(", line ")
    with pytest.raises(SourceError) as fault:
        elements(text)
    assert str(fault.value) == f"raw/a.json, line {place}: not valid JSON: {what}"


@pytest.mark.parametrize(
    ("text", "what"),
    [('{a: 1}', "expected a name in double quotes"), ('{"a" 1}', "expected ':' after a name"),
     ('{"a": 1 "b"}', "expected ',' or '}' after a value")],
)  # fmt: skip
def test_faults_of_objects(text: str, what: str) -> None:
    with pytest.raises(SourceError, match=what):
        members(text)


def test_nothing_may_follow() -> None:
    text = opened("[1]\n x")
    assert list(text.elements()) == [(1, 1)]
    with pytest.raises(SourceError, match=r"line 2, column 2: not valid JSON: extra data after the array"):
        text.end("the array")


def test_a_value_that_is_too_long_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_CHARACTERS", 50)
    monkeypatch.setattr(json_text, "_CHUNK_CHARACTERS", 8)
    long = json.dumps({"text": 'a "]}, \\' * 40, "more": [[1], {"b": "]"}]})
    [(_, first), (line, skipped), (_, last)] = elements(f'[1,\n{long},\n"end"]')
    assert (first, line, last) == (1, 2, "end")
    assert isinstance(skipped, Skipped)
    assert skipped.alone
    assert skipped.error == "an element of more than 50 characters"
    assert long.startswith(skipped.start)


def test_a_value_that_is_nested_too_deeply_is_passed_over() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    (_, skipped), (_, last) = elements(f"[{deep}, 2]")
    assert isinstance(skipped, Skipped)
    assert (skipped.error, skipped.alone, last) == ("nested too deeply", False, 2)
    with pytest.raises(RecursionError):
        decode(deep)


@given(st.lists(VALUES, max_size=6), st.integers(1, 20), st.sampled_from([None, 1]))
def test_pieces_of_any_size_give_what_the_whole_gives(values: list[object], chunk: int, indent: int | None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "_CHUNK_CHARACTERS", chunk)
        text = json.dumps(values, indent=indent)
        read = elements(text)
    assert [value for _, value in read] == values
    assert [line for line, _ in read] == sorted(line for line, _ in read)
