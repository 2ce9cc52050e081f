import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import luthier
from luthier.core.errors import DatasetError, TrainingError
from luthier.core.rows import SPLITS
from luthier.pipeline.base import open_base
from luthier.pipeline.prepare import find_dataset


def test_the_report_adds_up(prepared):
    made = luthier.prepare(prepared)
    assert sum(read for _, _, read, _, _ in made.files) == made.report["read"] == 54
    assert all(read == kept + dropped for _, _, read, kept, dropped in made.files)
    assert dict(made.reasons) == {"too short": 1, "exact duplicate": 1}
    assert sum(made.splits.values()) == 52
    entry = prepared.registry.entry(made.dataset)
    assert [prepared.registry.get(parent).path.as_posix() for parent in entry.artefact.parents] == [
        "raw/chats.jsonl",
        "raw/handbook.md",
        "raw/tickets.csv",
    ]
    assert entry.environment["packages"]["torch"]


def test_preparing_again_gives_the_same_dataset(prepared):
    before = prepared.registry.latest("dataset").id
    assert luthier.prepare(prepared).dataset == before
    assert len(prepared.registry.list("dataset")) == 1


def test_the_latest_dataset_of_the_recipe_counts(prepared, prepared_shop):
    base = open_base(prepared)
    first = find_dataset(prepared, base)
    (prepared_shop / "raw" / "more.md").write_text("# Parking\n\nYou may park behind the shop for an hour.\n")
    with pytest.raises(DatasetError, match=r"^raw/more.md was added since dataset-"):
        find_dataset(prepared, base)
    second = luthier.prepare(prepared).dataset
    assert find_dataset(prepared, base).id == second != first.id
    (prepared_shop / "raw" / "more.md").unlink()
    assert luthier.prepare(prepared).dataset == first.id
    assert find_dataset(prepared, base).id == first.id


def test_personal_data_is_masked(prepared):
    rows = luthier.show_rows(prepared, None, "train", 1000)
    rows += [row for split in ("validation", "test") for row in luthier.show_rows(prepared, None, split, 1000)]
    text = "\n".join(row.plain() for row in rows)
    assert "write to " in text
    assert "@" not in text


def test_nothing_to_learn_is_an_error(prepared_shop):
    """Two rows, and shares that leave none of them for training."""
    lines = (prepared_shop / "raw" / "chats.jsonl").read_text().splitlines()[:2]
    (prepared_shop / "two.jsonl").write_text("\n".join(lines))
    overrides = ["data.split.validation=0.44", "data.split.test=0.45", "data.sources=[{path: two.jsonl}]"]
    with luthier.open_project(prepared_shop, overrides=overrides) as project:
        assert luthier.prepare(project).splits == {"train": 0, "validation": 1, "test": 1}
        for verb in (luthier.check, luthier.plan, luthier.train):
            with pytest.raises(DatasetError, match="no training row has a token to learn"):
                verb(project)


def test_export_goes_where_it_is_told(prepared, tmp_path):
    paths = luthier.export_dataset(prepared, None, tmp_path / "out")
    assert [path.name for path in paths] == ["train.jsonl", "validation.jsonl", "test.jsonl", "ledger.jsonl"]
    assert [entry.origin.row for entry in luthier.dropped_records(prepared)] == [3, 4]


def test_rows_that_the_loop_cannot_train_are_refused_in_a_sentence(prepared_shop: Path) -> None:
    with luthier.open_project(prepared_shop, overrides=["task=preference"]) as project:
        for stage in (luthier.check, luthier.plan, luthier.train):
            with pytest.raises(
                TrainingError, match=r"rows of task preference cannot be trained yet \(one of chat, com"
            ):
                stage(project)


def test_a_query_is_a_source_like_any_other(prepared_shop, monkeypatch):
    """Asked again for each dataset; one made from the answer counts as long as nobody asks anew."""
    monkeypatch.setenv("SHOP_DB", f"sqlite:///{prepared_shop / 'shop.db'}")
    with closing(sqlite3.connect(prepared_shop / "shop.db")) as database:
        database.execute("CREATE TABLE tickets (body, reply)")
        tickets = [(f"Where is parcel number {n} of mine?", f"Parcel {n} is at depot {n * 7}, Sir.") for n in range(40)]
        database.executemany("INSERT INTO tickets VALUES (?, ?)", tickets)
        database.commit()
        source = "{query: SELECT * FROM tickets, database: $SHOP_DB, columns: {prompt: body, completion: reply}}"
        overrides = [f"data.sources=[{source}]", "data.clean.near_duplicates=null"]
        with luthier.open_project(prepared_shop, overrides=overrides) as project:
            made = luthier.prepare(project)
            ((name, _, read, _, _),) = made.files
            assert (Path(name).parts[:2], read) == ((".luthier", "sources"), 40)
            base = open_base(project)
            assert find_dataset(project, base).id == made.dataset == luthier.prepare(project).dataset
            database.execute("DELETE FROM tickets WHERE rowid > 30")
            database.commit()
            assert find_dataset(project, base).id == made.dataset
            assert luthier.prepare(project).files[0][2] == 30
            assert find_dataset(project, base).id != made.dataset


def test_each_thread_of_a_help_desk_is_one_record(prepared_shop):
    comments = ["ticket,role,comment"]
    for number in range(30):
        comments.append(f"{number},end-user,Where is parcel number {number} of mine please?")
    for number in range(0, 30, 2):
        comments.append(f"{number},agent,Parcel {number} is at depot {number * 7} since Monday.")
    (prepared_shop / "comments.csv").write_text("\n".join(comments), encoding="utf-8")
    mail = "From {0} Mon Feb  3 09:00:00 2025\nFrom: {0}\nTo: {1}\nSubject: {2}Lamp {3}\n\n{4}\n\n"
    mails = "".join(
        mail.format(f"c{n}@mail.example", "help@birch.example", "", n, f"Does lamp number {n} dim or not?")
        + mail.format("help@birch.example", f"c{n}@mail.example", "Re: ", n, f"Lamp {n} dims down to {n} percent.")
        for n in range(20)
    )
    (prepared_shop / "support.mbox").write_text(mails, encoding="utf-8")
    sources = "data.sources=[{path: comments.csv, thread_by: ticket}, {path: support.mbox}]"
    with luthier.open_project(prepared_shop, overrides=[sources, "data.clean.near_duplicates=null"]) as project:
        made = luthier.prepare(project)
        assert [tuple(counts) for counts in made.files] == [
            ("comments.csv", "comment_rows", 30, 15, 15),
            ("support.mbox", "mail_thread", 20, 20, 0),
        ]
        assert dict(made.reasons) == {"no assistant turn": 15}
        assert luthier.prepare(project).dataset == made.dataset


def test_shortened_rows_fit_as_they_are_trained(prepared_shop):
    turns = []
    for number in range(20):
        turns.append({"role": "user", "content": f"What is the price of part {number}?"})
        turns.append({"role": "assistant", "content": f"Part {number} costs {number + 3} pounds."})
    (prepared_shop / "long.jsonl").write_text(json.dumps({"messages": turns}) + "\n", encoding="utf-8")
    text = " ".join(f"Shelf {number} holds the parts of {number + 1900}." for number in range(40))
    (prepared_shop / "long.md").write_text(f"# Shelves\n\n{text}\n", encoding="utf-8")
    overrides = ["data.sources=[{path: raw}, {path: long.jsonl}, {path: long.md}]", "data.over_length=truncate"]
    with luthier.open_project(prepared_shop, overrides=overrides) as project:
        luthier.prepare(project)
        rows = [row for split in SPLITS for row in luthier.show_rows(project, None, split, 1000) if row.flags]
        template = open_base(project).template
    assert {row.origin.file for row in rows} == {"long.jsonl", "long.md"}
    for row in rows:
        length = len(template.encode(row))
        assert 128 < length <= 256
        assert row.flags[0].endswith(f" tokens to {length:,}")
    [chat] = [row for row in rows if row.messages]
    assert list(chat.messages[1:]) == turns[-len(chat.messages) + 1 :]
    assert chat.messages[1]["role"] == "user"
