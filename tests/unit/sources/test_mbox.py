from pathlib import Path

import pytest

from luthier.core.errors import SourceError
from luthier.core.rows import Origin
from luthier.sources import read_records

MAIL = (
    "From: Ann <ann@mail.example>\nTo: help@birch.example\nDate: Mon, 3 Feb 2025 09:00:00 +0000\n"
    "Subject: Re: Chair\nMessage-ID: <1@mail.example>\n\nIs it oak?\n"
)


def test_a_thread_is_a_record(tmp_path: Path) -> None:
    path = tmp_path / "support.mbox"
    path.write_text(f"From ann Mon Feb  3 09:00:00 2025\n{MAIL}", encoding="utf-8")
    (record,) = read_records(path, "support.mbox")
    assert record.origin == Origin("support.mbox", 1)
    assert record.line == 1
    assert record.fields == {
        "subject": "Chair",
        "thread_id": "1@mail.example",
        "customer": "ann@mail.example",
        "mails": [
            {
                "side": "customer",
                "from": "ann@mail.example",
                "to": ["help@birch.example"],
                "date": "Mon, 3 Feb 2025 09:00:00 +0000",
                "subject": "Re: Chair",
                "body": "Is it oak?",
                "automatic": False,
            }
        ],
    }


def test_a_mailbox_is_told_by_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "Inbox"
    path.write_text(f"From - Mon Feb  3 09:00:00 2025\r\n{MAIL}", encoding="utf-8", newline="")
    (record,) = read_records(path, "Inbox")
    assert record.fields["subject"] == "Chair"


def test_one_mail_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.eml"
    path.write_text(MAIL, encoding="utf-8")
    (record,) = read_records(path, "a.eml", agents=["ann@mail.example"])
    assert record.fields["customer"] == ""
    mails = record.fields["mails"]
    assert isinstance(mails, list)
    assert mails[0]["side"] == "agent"


def test_a_file_that_is_no_mailbox(tmp_path: Path) -> None:
    path = tmp_path / "a.mbox"
    path.write_text("hello\n", encoding="utf-8")
    with pytest.raises(
        SourceError, match=r"a\.mbox: is no mailbox: the first line does not begin with From and a date"
    ):
        list(read_records(path, "a.mbox"))


@pytest.mark.parametrize(
    "junk", ["", "\0\n", "Subject\n\n", "Content-Type: multipart/mixed\n\nx", "Date: \nFrom: <>\n\n="]
)
def test_broken_mails_are_read_as_far_as_they_go(tmp_path: Path, junk: str) -> None:
    path = tmp_path / "a.mbox"
    start = "From x Mon Feb  3 09:00:00 2025\n"
    path.write_text(f"{start}{junk}\n\n{start}{MAIL}", encoding="utf-8")
    records = list(read_records(path, "a.mbox"))
    assert len(records) == 2
    assert all(record.error is None for record in records)
