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
    with luthier.open_project(prepared_shop, overrides=["task=seq2seq"]) as project:
        for stage in (luthier.check, luthier.plan, luthier.train):
            with pytest.raises(TrainingError, match=r"rows of task seq2seq cannot be trained yet \(one of chat, com"):
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


def write_labels(path, per_class=14):
    """Two classes that share no word, the last two rows of the first with the label of the other."""
    lines = [(f"My parcel {word} is late today", "delivery") for word in "abcdefghijklmnop"[:per_class]]
    lines += [(f"Send an invoice {word} for tax", "billing") for word in "abcdefghijklmnop"[:per_class]]
    lines[per_class - 2 : per_class] = [(text, "billing") for text, _ in lines[per_class - 2 : per_class]]
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in lines), encoding="utf-8")


def test_a_dataset_knows_the_encoder_that_judged_it(prepared_shop, tiny_model_folder):
    write_labels(prepared_shop / "labels.csv")
    overrides = [
        *("data.sources=[{path: labels.csv}]", f"data.encoder={tiny_model_folder}", "data.clean.label_noise=flag"),
        *("data.clean.near_duplicates=null", "task=classification", "evaluation={}"),
    ]
    with luthier.open_project(prepared_shop, overrides=overrides) as project:
        made = luthier.prepare(project)
        artefact = project.registry.get(made.dataset)
        encoder = project.registry.get(artefact.summary["encoder"], "base")
        assert artefact.parents[-1] == encoder.id
        assert encoder.summary["name"] == tiny_model_folder.name
        assert dict(made.flags).keys() <= {"label noise"}
        assert luthier.prepare(project).dataset == made.dataset
    with luthier.open_project(prepared_shop, overrides=["data.encoder=nowhere"]) as project:
        artefact = project.registry.get(luthier.prepare(project).dataset)
        assert "encoder" not in artefact.summary


REAL_QUESTIONS = {
    "card_arrival": (
        "When will my new card get here?",
        "My card was sent ten days ago and is not here yet",
        "How long does it take until a card comes by post?",
        "I still have not got the card that I ordered",
        "Can I see where my card is on its way?",
        "Is my card lost in the mail? It should have come",
        "Do you know the date on which the card will be delivered?",
        "The card has not shown up in my letter box",
        "Which courier brings my card?",
        "Your app says that the card was sent, but it has not come",
        "It is two weeks now, where is my card?",
        "Does the card come by ordinary mail?",
    ),
    "exchange_rate": (
        "What exchange rate do you use for euros?",
        "How do you work out the rate for foreign money?",
        "Where do the exchange rates come from?",
        "Is your exchange rate better at night or at weekends?",
        "The rate for dollars that you gave me was poor",
        "How often are currency rates updated?",
        "Do I get the interbank rate when I change yen?",
        "At what rate will my pounds be turned into francs?",
        "Is there a margin on top of the market rate of a currency?",
        "How many zloty do I get for a pound today?",
        "Can I fix a currency rate for later?",
        "Which rate counts when I pay abroad in another currency?",
    ),
    "forgotten_pin": (
        "I forgot my PIN, what now?",
        "How do I get a new PIN?",
        "My PIN is blocked after three tries",
        "Can you remind me of my PIN?",
        "Where can I look up the PIN of my card?",
        "I typed a wrong PIN too often",
        "How can I change my PIN to one I can remember?",
        "The machine says that my PIN is wrong",
        "Could I have my PIN unlocked?",
        "I never got a PIN with my card",
        "Can the PIN be reset in the app?",
        "What do I do if I cannot recall my PIN code?",
    ),
}


@pytest.mark.slow
def test_the_real_encoder_finds_wrong_labels_and_paraphrases(prepared_shop):
    """Four labels are wrong; four questions are asked again in other words."""
    labels = list(REAL_QUESTIONS)
    lines = [[question, label] for label, questions in REAL_QUESTIONS.items() for question in questions]
    wrong = {3: labels[1], 10: labels[2], 16: labels[0], 30: labels[1]}
    for place, label in wrong.items():
        lines[place][1] = label
    again = ["When will my new card be here?", "How can I get a new PIN?", "How often do you update currency rates?"]
    lines += [[again[0], labels[0]], [again[1], labels[2]], [again[2], labels[1]]]
    (prepared_shop / "bank.jsonl").write_text(
        "\n".join(json.dumps({"text": text, "label": label}) for text, label in lines), encoding="utf-8"
    )
    overrides = ["data.sources=[{path: bank.jsonl}]", "task=classification", "data.clean.near_duplicates=null"]
    overrides += ["data.clean.min_words=0", "data.clean.label_noise=flag", "data.clean.semantic_duplicates=0.93"]
    with luthier.open_project(prepared_shop, overrides=overrides) as project:
        made = luthier.prepare(project)
        dropped = {entry.origin.row: entry.reasons[0] for entry in luthier.dropped_records(project)}
        rows = [row for split in SPLITS for row in luthier.show_rows(project, None, split, 100, "label noise")]
        assert project.registry.get(made.dataset).parents[-1].startswith("base-")
    assert {number: reason.rpartition(",")[0] for number, reason in dropped.items()} == {
        37: "semantic duplicate: of bank.jsonl row 1",
        38: "semantic duplicate: of bank.jsonl row 26",
        39: "semantic duplicate: of bank.jsonl row 18",
    }
    found = {row.origin.row - 1 for row in rows}
    assert wrong.keys() <= found
    assert len(found) <= len(wrong) + 2
