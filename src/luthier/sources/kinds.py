"""What a file holds, by its first bytes, whatever its ending says."""

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from luthier.sources.archives import ole_problem
from luthier.sources.compression import PACKED, format_suffix, open_bytes, packing

_HEAD_BYTES = 4096
_MAGIC: tuple[tuple[bytes, str, tuple[str, ...]], ...] = (
    (b"%PDF-", "a PDF", (".pdf",)),
    (b"PAR1", "a Parquet file", (".parquet",)),
    (b"SQLite format 3\0", "an SQLite database", ()),
    (b"BZh", "bzip2 data", ()),
    (b"\xfd7zXZ\0", "xz data", ()),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", ()),
    (b"Rar!\x1a", "a RAR archive", ()),
    (b"\x89PNG", "a picture", ()),
    (b"\xff\xd8\xff", "a picture", ()),
    (b"GIF8", "a picture", ()),
    (b"{\\rtf", "a RTF document", ()),
)
"""(first bytes, what they begin, endings of such files)."""
_ZIP = b"PK\x03\x04"
_OFFICE = (".xlsx", ".docx")
_HTML = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|table)\b", re.IGNORECASE | re.DOTALL
)
_MAY_BE_HTML = (".html", ".htm", ".md", ".markdown", ".txt")
_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[?\s*\{\s*\"(?:[^\"\\]|\\.)*\"\s*:")
_MAILBOX = re.compile(rb"From \S+[^\r\n]*\d\d:\d\d[^\r\n]*\r?\n[\w-]+:")
_MAY_BE_JSON = (".json", ".jsonl", ".ndjson", ".md", ".markdown", ".html", ".htm")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is, in words, and the ending by which to read it: none where there is no reader."""

    what: str
    suffix: str | None


def told_by_content(path: Path) -> Kind | None:
    """What the file is if its content tells and contradicts its ending.

    Raises OSError for packed data that are damaged.
    """
    suffix, packed = format_suffix(path), packing(path)
    if packed is None and path.suffix.lower() in PACKED:
        return Kind("not packed, which its ending does not say", None)
    with open_bytes(path) as handle:
        head = handle.read(_HEAD_BYTES)
    found = _zip_kind(path, head, suffix) if packed is None else None
    found = found or _kind(head, suffix)
    if found and packed and found.suffix not in (".html", ".json", None):
        return Kind(f"{found.what} inside a packed file, which is not read", None)
    return found


def _kind(head: bytes, suffix: str) -> Kind | None:
    for magic, what, suffixes in _MAGIC:
        if head.startswith(magic):
            return None if suffix in suffixes else Kind(what, suffixes[0] if suffixes else None)
    if _HTML.match(head) and suffix not in _MAY_BE_HTML:
        return Kind("an HTML page", ".html")
    if _MAILBOX.match(head) and suffix not in (".mbox", ".eml"):
        return Kind("a mailbox", ".mbox")
    if _JSON.match(head) and suffix not in _MAY_BE_JSON:
        return Kind("JSON", ".json")
    return None


def _zip_kind(path: Path, head: bytes, suffix: str) -> Kind | None:
    if suffix in _OFFICE and not head.startswith(_ZIP):
        return None
    if not head.startswith(_ZIP):
        problem = ole_problem(path)
        return Kind("an Office file that " + problem, None) if problem else None
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return None if suffix in _OFFICE else Kind("a zip archive", None)
    if any(name.startswith("xl/") for name in names):
        return None if suffix == ".xlsx" else Kind("an Excel workbook", ".xlsx")
    if any(name.startswith("word/") for name in names):
        return None if suffix == ".docx" else Kind("a Word document", ".docx")
    return None if suffix in _OFFICE else Kind("a zip archive", None)
