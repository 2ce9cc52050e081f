import json
from pathlib import Path

import pytest

from luthier.core.errors import SourceError
from luthier.sources import Record
from luthier.sources.json_values import read_json, read_json_lines


def json_records(folder: Path, text: str) -> list[Record]:
    path = folder / "t.json"
    path.write_text(text, encoding="utf-8")
    return list(read_json(path, "t.json"))


def line_records(folder: Path, text: str) -> list[Record]:
    path = folder / "t.jsonl"
    path.write_text(text, encoding="utf-8")
    return list(read_json_lines(path, "t.jsonl"))


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    found = line_records(tmp_path, '{"a": 1}\n\n{"a": 2}\n')
    assert [(record.origin.row, record.line, record.fields) for record in found] == [
        (1, 1, {"a": 1}),
        (3, 3, {"a": 2}),
    ]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('{"a": 1', "not valid JSON: Expecting ',' delimiter at column 8"),
        ('{"a": 1} x', "not valid JSON: Extra data at column 9"),
        ("17", "expected an object with named fields, found a number"),
        ("null", "expected an object with named fields, found null"),
        ("[" * 100_000, "not valid JSON: "),
    ],
)
def test_a_bad_line_is_one_unreadable_record(tmp_path: Path, line: str, error: str) -> None:
    good, bad, after = line_records(tmp_path, f'{{"a": 1}}\n{line}\n{{"a": 2}}\n')
    assert good.error is None
    assert after.fields == {"a": 2}
    assert bad.error is not None
    assert bad.error.startswith(error)
    assert bad.text == line
    assert bad.line == 2


def test_strings_and_lists_of_turns_are_records_too(tmp_path: Path) -> None:
    text, turns = line_records(tmp_path, '"hello"\n[{"role": "user", "content": "hi"}]\n')
    assert text.fields == {"text": "hello"}
    assert turns.fields == {"messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    "wrap", [lambda rows: rows, lambda rows: {"data": rows, "other": [1]}, lambda rows: {"version": 1, "items": rows}]
)
def test_arrays_are_found(tmp_path: Path, wrap) -> None:  # type: ignore[no-untyped-def]
    rows = [{"a": number, "b": "x" * 40_000} for number in range(5)]
    found = json_records(tmp_path, json.dumps(wrap(rows), indent=2))
    assert [record.fields for record in found] == rows
    assert [record.origin.row for record in found] == [1, 2, 3, 4, 5]


def test_an_array_streams_and_knows_its_lines(tmp_path: Path) -> None:
    found = json_records(tmp_path, '[\n{"a": 1},\n\n{"a":\n 2}\n]\n')
    assert [record.line for record in found] == [2, 4]


def test_one_conversation_is_one_record(tmp_path: Path) -> None:
    turns = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}
    (record,) = json_records(tmp_path, json.dumps(turns))
    assert record.fields == turns


def test_json_lines_in_a_json_file(tmp_path: Path) -> None:
    assert [record.fields for record in json_records(tmp_path, '{"a": 1}\n{"a": 2}\n')] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[\n{"a": 1},\n{"a": }\n]', "t.json, line 3, column 7: not valid JSON: Expecting value"),
        ('[{"a": 1} {"a": 2}]', "t.json, line 1, column 11: not valid JSON: expected ',' or ']' after an element"),
        ('[{"a": 1}', "t.json, line 1, column 10: not valid JSON: expected ',' or ']' after an element"),
        ('[{"a": 1}]]', "t.json, line 1, column 11: not valid JSON: extra data after the array"),
        ('{"a": ', "t.json, line 1, column 7: not valid JSON: Expecting value"),
        ('{"a": [{}], "b": [{}]}', "t.json: holds several arrays: a, b"),
    ],
)
def test_a_broken_file_is_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError) as refusal:
        json_records(tmp_path, text)
    assert message in str(refusal.value)


def test_tickets_with_the_users_who_wrote_in_them(tmp_path: Path) -> None:
    comments = [{"author_id": 1, "body": "hi"}, {"author_id": 2, "body": "hello"}]
    export = {
        "users": [{"id": number, "role": "agent", "name": "x", "notes": "y"} for number in (1, 2, 3)],
        "tickets": [{"id": 7, "requester_id": 1, "comments": comments}, {"id": 8, "comments": None}],
        "count": 2,
    }
    ticket, bare = json_records(tmp_path, json.dumps(export))
    assert ticket.fields["users"] == [{"id": number, "role": "agent", "name": "x"} for number in (1, 2)]
    assert bare.fields == {"id": 8, "comments": None}


def test_a_single_ticket_is_one_record(tmp_path: Path) -> None:
    ticket = {"id": 7, "custom_fields": [{"id": 1, "value": "x"}], "comments": [{"author_id": 1, "public": True}]}
    (record,) = json_records(tmp_path, json.dumps(ticket))
    assert record.fields == ticket


def test_posts_are_records_whoever_wrote_them(tmp_path: Path) -> None:
    posts = [{"author_id": 1, "text": "hi"}, {"author_id": 2, "text": "hello"}]
    assert [record.fields for record in json_records(tmp_path, json.dumps({"posts": posts}))] == posts
