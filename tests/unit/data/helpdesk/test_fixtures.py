"""Hand-written exports in the shape of each help desk, and the turns that must come out of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from luthier.core.recipe import SourceSection
from luthier.core.rows import Origin, Row
from luthier.data.clean import mend_row
from luthier.data.content import Content, Fields, Parsed
from luthier.data.layout import resolve_layout
from luthier.sources import Threading, read_records, sample_fields, write_shards

HERE = Path(__file__).parent
GROUPS = ("conversation_id", "customer_id")
FORMATS = {
    "zendesk": "zendesk",
    "zendesk_csv": "comment_rows",
    "intercom": "intercom",
    "freshdesk": "freshdesk",
    "mailbox": "mail_thread",
}


def cases() -> Iterator[object]:
    for vendor in FORMATS:
        for case in yaml.safe_load((HERE / f"{vendor}.yaml").read_text(encoding="utf-8")):
            yield pytest.param(vendor, case, id=f"{vendor}: {case['name']}")


def records(vendor: str, case: dict[str, object], folder: Path) -> list[Fields]:
    """The records that the file of a case holds."""
    if vendor not in ("zendesk_csv", "mailbox"):
        return [json.loads(json.dumps(case["ticket"]))]
    path = folder / ("comments.csv" if vendor == "zendesk_csv" else "support.mbox")
    content = str(case["file"] if "file" in case else mailbox(str(case["subject"]), case["mails"]))
    path.write_bytes(content.encode(str(case.get("encoding", "utf-8"))))
    threading = Threading(str(case.get("thread_by", "")), tuple(case.get("agents", ())))  # type: ignore[arg-type]
    manifest = write_shards([(path, path.name)], folder / "shards", threading=[threading])
    assert all(record.error is None for record in read_records(path, path.name))
    return sample_fields(manifest, 0)


ADDRESSES = {"c": "Cho <cho@mail.example>", "d": "Dan <dan@mail.example>", "a": "Birch <help@birch.example>"}


def mailbox(subject: str, mails: object) -> str:
    """A mailbox of mails that answer each other; headers of their own count more than those that all have."""
    assert isinstance(mails, list)
    content = ""
    for number, mail in enumerate(mails):
        (who, body), *_ = mail.items()
        headers = {
            "From": ADDRESSES[who],
            "To": ADDRESSES["c" if who == "a" else "a"],
            "Date": f"Mon, 3 Feb 2025 09:{number}0:00 +0000",
            "Subject": subject if number == 0 else f"Re: {subject}",
            "Message-ID": f"<{number + 1}@thread>",
            **({"In-Reply-To": f"<{number}@thread>"} if number else {}),
            **mail.get("headers", {}),
        }
        head = "".join(f"{name}: {value}\n" for name, value in headers.items())
        content += f"From sender Mon Feb  3 09:{number}0:00 2025\n{head}\n{body}\n\n"
    return content


def outcome(parsed: Parsed) -> dict[str, object]:
    if not isinstance(parsed, Content):
        return {"reasons": list(parsed.reasons)}
    turns = [[message["role"], message["content"]] for message in parsed.messages]
    return {"turns": turns, **({"flags": list(parsed.flags)} if parsed.flags else {})}


def expected(case: dict[str, object]) -> list[dict[str, object]]:
    threads = case.get("threads", [case])
    assert isinstance(threads, list)
    return [{key: thread[key] for key in ("turns", "flags", "reasons") if key in thread} for thread in threads]


@pytest.mark.parametrize(("vendor", "case"), list(cases()))
def test_every_turn_is_right(vendor: str, case: dict[str, object], tmp_path: Path) -> None:
    found = records(vendor, case, tmp_path)
    names = list(dict.fromkeys(name for record in found for name in record))
    section = {"path": "export", "thread_by": case.get("thread_by", ""), "columns": case.get("columns", {})}
    layout = resolve_layout(SourceSection.model_validate(section), names, found, GROUPS)
    assert layout.shown == FORMATS[vendor]
    parsed = [layout.read(record) for record in found]
    assert [outcome(each) for each in parsed] == expected(case)
    for each in parsed:
        if isinstance(each, Content):
            assert mend_row(Row("", Origin("export", 1), each.messages)).messages == each.messages


@pytest.mark.parametrize("vendor", FORMATS)
def test_there_are_fifty_of_each(vendor: str) -> None:
    assert len(yaml.safe_load((HERE / f"{vendor}.yaml").read_text(encoding="utf-8"))) >= 50
