"""Office files that are locked, old, damaged or packed to do harm are refused in one sentence."""

import zipfile
from pathlib import Path

import pytest

from luthier.core.errors import SourceError
from luthier.sources import compression
from luthier.sources.archives import ole_problem, open_archive

OLE = bytes.fromhex("d0cf11e0a1b11ae1")
LOCKED = "EncryptedPackage".encode("utf-16-le")


def packed(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def refused(path: Path) -> str:
    with pytest.raises(SourceError) as refusal, open_archive(path, "raw/t.docx"):
        pytest.fail("it was opened")
    assert str(refusal.value).startswith("raw/t.docx: ")
    return str(refusal.value).removeprefix("raw/t.docx: ")


def test_members_are_read(tmp_path: Path) -> None:
    path = packed(tmp_path / "t.docx", {"word/document.xml": b"<a/>", "b": b""})
    assert ole_problem(path) is None
    with open_archive(path, "raw/t.docx") as archive:
        assert archive.read("word/document.xml") == b"<a/>"


@pytest.mark.parametrize(
    "content", [OLE + LOCKED + bytes(100), OLE + bytes(3 << 20) + LOCKED], ids=["at the start", "at the end"]
)
def test_a_locked_file_is_told_from_an_old_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "locked").write_bytes(content)
    assert refused(tmp_path / "locked").startswith("is protected with a password (save a copy as .xlsx or .docx")
    (tmp_path / "old").write_bytes(OLE + bytes(100))
    assert refused(tmp_path / "old").startswith("is in the format of Office before 2007 (save a copy")


@pytest.mark.parametrize("content", [b"", b"PK", b"not an archive at all"])
def test_a_file_that_is_no_archive_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    assert refused(tmp_path / "t").startswith("is damaged or cut off: ")


def test_an_archive_that_is_cut_off_is_damaged(tmp_path: Path) -> None:
    path = packed(tmp_path / "t", {"a": bytes(range(256)) * 50})
    path.write_bytes(path.read_bytes()[:-30])
    assert refused(path).startswith("is damaged or cut off: ")


def test_a_member_that_is_damaged_is_found_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"some words that are stored")
    path.write_bytes(path.read_bytes().replace(b"words", b"wards"))
    with pytest.raises(SourceError, match=r"^t: is damaged or cut off: Bad CRC"), open_archive(path, "t") as archive:
        archive.read("a")


def test_a_packed_member_that_is_damaged_is_no_crash(tmp_path: Path) -> None:
    path = packed(tmp_path / "t", {"a": bytes(range(256)) * 9})
    content = bytearray(path.read_bytes())
    content[31:60] = b"\xff" * 29  # after the local header of thirty bytes and the name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"^t: is damaged or cut off: "), open_archive(path, "t") as archive:
        archive.read("a")


def test_a_member_with_a_password_locks_the_file(tmp_path: Path) -> None:
    path = packed(tmp_path / "t", {"a": b"words"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag of encryption in the central directory
    path.write_bytes(content)
    assert refused(path).startswith("is protected with a password")


def test_what_unpacks_to_too_much_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "UNSUSPICIOUS_BYTES", 10_000)
    path = packed(tmp_path / "t", {"a": bytes(1_000_000), "b": bytes(1_000_000)})
    assert "unpack" in refused(path)
    harmless = packed(tmp_path / "h", {"a": bytes(9_000)})
    with open_archive(harmless, "h") as archive:
        assert len(archive.read("a")) == 9_000
