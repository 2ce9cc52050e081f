import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from luthier.core.errors import DatasetError, RecipeError, SourceError, TemplateError, WorkspaceError
from luthier.core.recipe import DataSection
from luthier.core.rows import SPLITS, Row
from luthier.data import Prepared, prepare, read_ledger, read_report, read_rows
from luthier.data.report import Purpose
from luthier.data.semantic import Embed, Vectors
from luthier.data.stage import TokenCounter
from luthier.text import jaccard, words

NOUNS = ["chair", "table", "lamp", "stool", "shelf", "bench", "desk", "bed", "sofa", "rug", "knife", "board", "bowl"]
FILLER = [f"detail{number}" for number in range(400)]


def conversation(draw: random.Random, number: int) -> dict[str, str]:
    question = f"How much is the {draw.choice(NOUNS)} number {number} with {' '.join(draw.sample(FILLER, 12))}?"
    answer = f"It costs {number} pounds and comes with {' '.join(draw.sample(FILLER, 12))}."
    return {"body": question, "reply": answer, "customer_id": f"C{number % 70}"}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Raw files with 100 good tickets and chats, and one record for each way to be dropped."""
    draw = random.Random(5)
    tickets = [conversation(draw, number) for number in range(100)]
    tickets[50:50] = [
        {**tickets[3], "body": "ann@mail.example " + tickets[3]["body"].upper()},
        {**tickets[3], "body": "bob@mail.example " + tickets[3]["body"]},
        {**tickets[4], "reply": tickets[4]["reply"] + " Bye."},
        {"body": "hi", "reply": "yo", "customer_id": ""},
        {"body": "No answer yet to this one", "reply": "", "customer_id": "C1"},
        {
            "body": "Wo ist denn meine Bestellung geblieben?",
            "reply": "Sie ist schon unterwegs zu Ihnen.",
            "customer_id": "",
        },
        {"body": "A very long one", "reply": " ".join(FILLER), "customer_id": ""},
        {"body": "Break the template please now", "reply": "with this answer here", "customer_id": ""},
    ]
    raw = tmp_path / "raw"
    raw.mkdir()
    with (raw / "tickets.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, ["body", "reply", "customer_id"])
        writer.writeheader()
        writer.writerows(tickets)
    chats = []
    for number in range(200, 320):
        exchange = conversation(draw, number)
        turns = [{"role": "user", "content": exchange["body"]}, {"role": "assistant", "content": exchange["reply"]}]
        chats.append(json.dumps({"messages": turns}))
    chats[16] = '{"messages": ['
    (raw / "chats.jsonl").write_text("\n".join(chats) + "\n", encoding="utf-8")
    (raw / "book.md").write_text("# Returns\n\nSend it back within thirty days.\n", encoding="utf-8")
    return tmp_path


def section(**changes: object) -> DataSection:
    fields = {
        "sources": [
            {"path": "raw/tickets.csv", "columns": {"prompt": "body", "completion": "reply"}},
            {"path": "raw/chats.jsonl"},
            {"path": "raw/book.md"},
        ],
        "system": "Be brief.",
        "clean": {"languages": ["en"]},
        "max_length": 100,
    }
    return DataSection.model_validate({**fields, **changes})


def words_over(row: Row, limit: int) -> int | None:
    if "template" in row.plain():
        raise TemplateError("roles must alternate")
    count = len(row.plain().split())
    return count if count > limit else None


def measure(row: Row) -> tuple[int, int]:
    return len(row.plain().split()), 1


def enough(rows: int, target_tokens: int) -> tuple[bool, str]:
    return rows >= 200, f"{rows} rows, {target_tokens} targets"


PURPOSE = Purpose("chat", TokenCounter("words", words_over, measure), enough)


def run(root: Path, data: DataSection, where: str = "datasets", embed: Embed | None = None) -> Prepared:
    return prepare(data, root, lambda dataset: root / where / dataset, PURPOSE, lambda _: None, embed)


def test_every_record_is_kept_or_dropped_with_its_reasons(shop: Path) -> None:
    made = run(shop, section())
    dropped = {entry.origin: entry.reasons for entry in read_ledger(made.folder) if not entry.kept}
    by_row = {(origin.file.removeprefix("raw/"), origin.row): reasons for origin, reasons in dropped.items()}
    assert by_row.pop(("tickets.csv", 51))[0].startswith("near duplicate: of raw/tickets.csv row 4, ")
    assert by_row.pop(("tickets.csv", 52))[0] == "exact duplicate: of raw/tickets.csv row 51"
    assert by_row.pop(("tickets.csv", 53))[0].startswith("near duplicate: of raw/tickets.csv row 5, ")
    assert by_row == {
        ("tickets.csv", 54): ("too short: 2 words, at least 4 wanted",),
        ("tickets.csv", 55): ("missing value: completion is empty",),
        ("tickets.csv", 56): ("language: looks like de, wanted en",),
        ("tickets.csv", 57): ("too long: 406 tokens, at most 100",),
        ("tickets.csv", 58): ("template: roles must alternate",),
        ("chats.jsonl", 17): ("unreadable: not valid JSON: Expecting value at column 15",),
    }


def test_the_report_adds_up(shop: Path) -> None:
    made = run(shop, section())
    report = dict(made.report)
    assert {name: report[name] for name in ("dataset", "read", "kept", "dropped", "formats", "redactions")} == {
        "dataset": made.id,
        "read": 229,
        "kept": 220,
        "dropped": 9,
        "formats": {"raw/tickets.csv": "prompt_completion", "raw/chats.jsonl": "messages", "raw/book.md": "text"},
        "redactions": {"email": 2},
    }
    assert report["files"] == [
        {"path": "raw/tickets.csv", "read": 108, "kept": 100, "dropped": 8},
        {"path": "raw/chats.jsonl", "read": 120, "kept": 119, "dropped": 1},
        {"path": "raw/book.md", "read": 1, "kept": 1, "dropped": 0},
    ]
    assert report["splits"] == {split: len(read_rows(made.folder, split)) for split in SPLITS}
    written = read_report(made.folder)
    assert {name: written.get(name) for name in report if name not in ("path", "seconds")} == {
        name: value for name, value in report.items() if name not in ("path", "seconds")
    }
    assert [name for name, _ in made.sources] == ["raw/tickets.csv", "raw/chats.jsonl", "raw/book.md"]


def test_the_report_tells_what_is_in_the_rows(shop: Path) -> None:
    made = run(shop, section())
    report: dict[str, Any] = read_report(made.folder)
    assert report["kinds"] == {"question and answer": 219, "text": 1}
    assert sum(count for _, count in report["words"]["train"]["bars"]) == report["splits"]["train"]
    assert report["tokens"]["rows"] == 220
    assert set(report["languages"]) <= {"en", "too short to tell"}
    assert [finding["remark"] for finding in report["remarks"]["language"]] == ["language: looks like de, wanted en"]
    assert all("@" not in remark["original"] for kind in report["remarks"].values() for remark in kind)
    assert report["personal_data"] == {"keep": [], "residuals": [], "residual_rows": 0, "residual_sampled": 220}
    assert [finding["answer"] for finding in report["verdict"]] == [
        "yes" if report["splits"]["train"] >= 200 else "no",
        "yes",
        "yes",
    ]
    page = (made.folder / "report.html").read_text(encoding="utf-8")
    assert report["verdict"][0]["why"] in page
    assert "language: looks like de, wanted en" in page


def test_what_recurs_over_conversations_is_proposed_to_be_kept(tmp_path: Path) -> None:
    hotline = "+49 30 901820"
    chats = [
        {
            "prompt": f"How do I return parcel number {n}?",
            "completion": f"Ring {hotline} and say {n * 7}, dear customer.",
        }
        for n in range(60)
    ]
    (tmp_path / "chats.jsonl").write_text("\n".join(map(json.dumps, chats)), encoding="utf-8")
    made = run(tmp_path, section(sources=[{"path": "chats.jsonl"}], clean={"near_duplicates": None}))
    [proposal] = read_report(made.folder)["personal_data"]["keep"]
    assert (proposal["value"], proposal["kind"], proposal["conversations"]) == (hotline, "phone", 60)


def test_rows_and_ledger_refer_to_each_other(shop: Path) -> None:
    made = run(shop, section())
    rows = {row.id: row for split in SPLITS for row in read_rows(made.folder, split)}
    entries = list(read_ledger(made.folder))
    assert len(rows) == 220
    assert {row_id for entry in entries for row_id in entry.row_ids} == set(rows)
    assert all(rows[row_id].origin == entry.origin for entry in entries for row_id in entry.row_ids)
    chats = [row for row in rows.values() if row.messages]
    assert all(row.messages[0] == {"role": "system", "content": "Be brief."} for row in chats)
    assert [row.text for row in rows.values() if not row.messages] == ["Returns\n\nSend it back within thirty days."]


def test_no_sibling_straddles(shop: Path) -> None:
    made = run(shop, section())
    rows = [(row, split) for split in SPLITS for row in read_rows(made.folder, split)]
    customers: dict[str, str] = {}
    for row, split in rows:
        for group in row.groups:
            assert customers.setdefault(group, split) == split
    sets = [(set(words(row.plain())), split) for row, split in rows]
    assert not any(
        jaccard(one, other) >= 0.8
        for place, (one, split) in enumerate(sets)
        for other, other_split in sets[:place]
        if split != other_split
    )
    assert len(customers) == 70


def test_the_same_input_gives_the_same_dataset_anywhere(shop: Path) -> None:
    first, again = run(shop, section()), run(shop, section(), "elsewhere")
    assert first.id == again.id
    assert run(shop, section(split={"seed": 1})).id != first.id
    assert sorted(path.name for path in first.folder.iterdir()) == [
        "ledger.parquet",
        "report.html",
        "report.json",
        "rows.parquet",
    ]
    assert [path.name for path in again.folder.parent.iterdir()] == [again.id]


def test_originals_are_masked_unless_the_recipe_says_otherwise(shop: Path) -> None:
    masked, plain = run(shop, section()), run(shop, section(clean={"redact": None}))
    assert not any("ann@" in entry.original for entry in read_ledger(masked.folder))
    assert any("ann@" in entry.original for entry in read_ledger(plain.folder))


def test_without_a_threshold_every_copy_is_kept_in_one_split(shop: Path) -> None:
    made = run(shop, section(clean={"near_duplicates": None, "min_words": 0}))
    splits = {row.origin.row: split for split in SPLITS for row in read_rows(made.folder, split) if row.groups}
    assert splits[4] == splits[51] == splits[52]
    assert splits[5] == splits[53]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"sources": [{"path": "raw/ticket.csv"}]},
            SourceError,
            r"raw/ticket\.csv: no such file \(did you",
        ),
        (
            {"sources": [{"path": "raw/tickets.csv", "columns": {"prompt": "boddy"}}]},
            SourceError,
            r"raw/tickets\.csv: no column 'boddy' for prompt \(did you mean body\?",
        ),
        ({"clean": {"languages": ["eng"]}}, RecipeError, "unknown eng"),
        ({"clean": {"redact": {"region": "UK"}}}, RecipeError, "no country 'UK'"),
        ({"max_length": 1}, DatasetError, r"no rows are left of 229 records: too long \(22\d\)"),
    ],
)
def test_faults_leave_nothing_behind(
    shop: Path, changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(shop, section(**changes))
    assert not list((shop / "datasets").glob("*"))


def test_a_place_that_cannot_be_written_is_one_sentence(shop: Path) -> None:
    (shop / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(WorkspaceError, match="cannot write: "):
        run(shop, section(), "taken")


def test_nothing_is_printed_and_progress_is_told(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    prepare(section(), shop, lambda dataset: shop / "datasets" / dataset, PURPOSE, told.append)
    assert capfd.readouterr() == ("", "")
    assert told[0] == "read raw/tickets.csv: 108 records"
    assert told[-2:] == ["writing the dataset", "writing the report"]


def long_chats(root: Path) -> None:
    """Three conversations of which the first two differ only in their oldest exchange, and a long text."""
    raw = root / "long"
    raw.mkdir()

    def chat(*exchanges: str) -> str:
        turns = [{"role": role, "content": said} for said in exchanges for role in ("user", "assistant")]
        return json.dumps({"messages": turns})

    shared = "Then tell me about " + " ".join(FILLER[:30])
    chats = [chat(" ".join(FILLER[at : at + 30]), shared) for at in (100, 200)]
    chats.append(chat("And what about " + " ".join(FILLER[60:90])))
    (raw / "chats.jsonl").write_text("\n".join(chats) + "\n", encoding="utf-8")
    sentences = [" ".join(FILLER[at : at + 20]).capitalize() + "." for at in range(0, 200, 20)]
    (raw / "book.md").write_text("# Book\n\n" + " ".join(sentences) + "\n", encoding="utf-8")


def test_long_rows_are_shortened_and_compared_as_they_are_trained(tmp_path: Path) -> None:
    long_chats(tmp_path)
    changes: dict[str, object] = {"sources": [{"path": "long/chats.jsonl"}, {"path": "long/book.md"}]}
    changes |= {"over_length": "truncate", "clean": {}}
    made = run(tmp_path, section(**changes))
    rows = [row for split in SPLITS for row in read_rows(made.folder, split)]
    by_origin = {(row.origin.file, row.origin.row): row for row in rows}
    shortened = by_origin["long/chats.jsonl", 1]
    assert [message["role"] for message in shortened.messages] == ["system", "user", "assistant"]
    assert shortened.messages[1]["content"].startswith("Then tell me")
    assert shortened.flags == ("shortened: 130 tokens to 70",)
    assert by_origin["long/chats.jsonl", 3].flags == ()
    book = by_origin["long/book.md", 1]
    assert book.text.endswith(".")
    assert book.flags[0].startswith("shortened: 20")
    dropped = {entry.origin.row: entry.reasons for entry in read_ledger(made.folder) if not entry.kept}
    assert dropped == {2: ("exact duplicate: of long/chats.jsonl row 1",)}
    assert read_report(made.folder)["flags"] == {"shortened": 2}
    assert {row_id for entry in read_ledger(made.folder) for row_id in entry.row_ids} == {row.id for row in rows}
    assert run(tmp_path, section(**changes), "again").id == made.id


def test_long_rows_are_dropped_where_nothing_else_is_said(tmp_path: Path) -> None:
    long_chats(tmp_path)
    changes = {"sources": [{"path": "long/chats.jsonl"}, {"path": "long/book.md"}], "clean": {}}
    made = run(tmp_path, section(**changes))
    assert read_report(made.folder)["reasons"] == {"too long": 3}


def embed_by_subject(texts: Sequence[str]) -> Vectors:
    """Texts of one subject share a direction, and each adds a little of its own; "again" adds nothing."""
    vectors = np.zeros((len(texts), 300), np.float32)
    for place, text in enumerate(texts):
        vectors[place, 0 if "parcel" in text else 1] = 1
        vectors[place, 2 + sum(text.replace(" again", "").encode()) % 298] = 0.4
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def labelled(root: Path) -> DataSection:
    """40 questions of two classes, the fifth of the wrong one, and one more that says what the first says."""
    subjects = [("parcel", "delivery"), ("invoice", "payment")]
    lines = [{"text": f"Tell me of {name} {word}", "label": label} for name, label in subjects for word in FILLER[:20]]
    lines[4]["label"] = "payment"
    lines.append({"text": lines[0]["text"] + " again", "label": "delivery"})
    (root / "labels.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    asked = {"semantic_duplicates": 0.99, "label_noise": "flag", "near_duplicates": None}
    return section(sources=[{"path": "labels.jsonl"}], clean=asked)


def test_what_vectors_tell_is_dropped_or_flagged(tmp_path: Path) -> None:
    made = run(tmp_path, labelled(tmp_path), embed=embed_by_subject)
    entries = {entry.origin.row: entry for entry in read_ledger(made.folder)}
    assert {number: entry.reasons for number, entry in entries.items() if not entry.kept} == {
        41: ("semantic duplicate: of labels.jsonl row 1, 100% alike",)
    }
    assert {number for number, entry in entries.items() if entry.flags} == {5}
    assert entries[5].flags[0].startswith("label noise: payment looks like delivery, ")
    [flagged] = [row for split in SPLITS for row in read_rows(made.folder, split) if row.flags]
    assert (flagged.origin.row, flagged.flags) == (5, entries[5].flags)
    assert made.report["flags"] == {"label noise": 1}
    assert made.report["reasons"] == {"semantic duplicate": 1}
    assert run(tmp_path, labelled(tmp_path), "again", embed_by_subject).id == made.id


def test_no_vector_is_asked_for_without_need(shop: Path) -> None:
    def refuse(_texts: Sequence[str]) -> Vectors:
        raise AssertionError("asked for a vector")

    assert run(shop, section(), embed=refuse).id == run(shop, section(), "again").id


HABIT = "Thank you for contacting the shop."


def chats_with_a_habit(root: Path) -> DataSection:
    """60 conversations, each answer of which opens with the same sentence; three say nothing else."""
    draw = random.Random(2)
    chats = [conversation(draw, number) for number in range(60)]
    lines = [
        {"prompt": one["body"], "completion": f"{HABIT} {one['reply'] if n > 2 else ''}"} for n, one in enumerate(chats)
    ]
    (root / "chats.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return section(sources=[{"path": "chats.jsonl"}], clean={"near_duplicates": None})


def with_boilerplate(data: DataSection, choice: object) -> DataSection:
    return DataSection.model_validate(data.model_dump() | {"clean": {**data.clean.model_dump(), "boilerplate": choice}})


@pytest.mark.parametrize(
    ("choice", "flag", "opens"),
    [
        (None, None, 60),
        ("flag", "boilerplate", 60),
        ("remove", "boilerplate removed", 3),
        ([HABIT], "boilerplate removed", 3),
        (["Something else that nobody says."], None, 60),
    ],
)
def test_boilerplate_goes_only_when_asked(tmp_path: Path, choice: object, flag: str | None, opens: int) -> None:
    data = with_boilerplate(chats_with_a_habit(tmp_path), choice)
    made = run(tmp_path, data)
    rows = [row for split in SPLITS for row in read_rows(made.folder, split)]
    assert sum(row.messages[-1]["content"].startswith(HABIT) for row in rows) == opens
    report: dict[str, Any] = read_report(made.folder)
    assert report["flags"] == ({} if flag is None else {flag: 57})
    shown = [] if choice == [HABIT] else [{"sentence": HABIT, "edge": "start", "conversations": 57}]
    assert report["boilerplate"] == shown
    flagged = [entry for entry in read_ledger(made.folder) if entry.flags]
    assert {entry.flags for entry in flagged} == (set() if flag is None else {(f'{flag}: "{HABIT}"',)})
    assert report["verdict"][1]["answer"] == ("partly" if choice == "flag" else "yes")
    assert run(tmp_path, data, "again").id == made.id


@pytest.mark.parametrize("asked", [True, False])
def test_uneven_treatment_is_flagged_when_asked(tmp_path: Path, asked: bool) -> None:
    lines = [
        {"prompt": "May my husband fetch the parcel?", "completion": "He may, with his passport."},
        {"prompt": "Where is the parcel that I sent?", "completion": "It is in the depot in Leeds."},
        {"prompt": "May my wife fetch the parcel?", "completion": "She needs a letter that you have signed."},
    ]
    (tmp_path / "chats.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    made = run(tmp_path, section(sources=[{"path": "chats.jsonl"}], clean={"uneven_treatment": asked}))
    rows = {row.origin.row: row for split in SPLITS for row in read_rows(made.folder, split)}
    flags = {number: list(row.flags) for number, row in rows.items() if row.flags}
    assert flags == (
        {
            1: [f"uneven treatment: answered unlike {rows[3].id}, which has wife for husband"],
            3: [f"uneven treatment: answered unlike {rows[1].id}, which has husband for wife"],
        }
        if asked
        else {}
    )
