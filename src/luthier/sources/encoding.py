"""Text files in whatever encoding they came."""

import codecs
import io
from pathlib import Path
from typing import NamedTuple, TextIO

import charset_normalizer

from luthier.sources.compression import open_bytes

_CHUNK_BYTES = 1 << 20
_SAMPLE_BYTES = 1 << 18
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_COMMON = frozenset(
    {"cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"}
    | {"big5", "cp932", "cp949", "euc_jp", "euc_kr", "gb18030", "gb2312", "gbk", "koi8_r", "shift_jis"}
)
"""Encodings of exports that are met today, preferred to those of old Macintoshes and DOS."""


class Encoding(NamedTuple):
    """Arguments for `open`."""

    name: str
    errors: str = "strict"


def _decode_as_windows(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", errors="replace"), error.end


codecs.register_error("luthier.windows", _decode_as_windows)


def detect_encoding(path: Path) -> Encoding:
    """The encoding of a file: by its byte order mark, UTF-8 if all of it is, otherwise the likeliest.

    A file that is UTF-8 save for some lines pasted from Windows-1252 is read as both.
    """
    with open_bytes(path) as handle:
        head = handle.read(4096)
    for mark, name in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return Encoding(name, "luthier.windows" if name == "utf-8-sig" else "replace")
    if b"\0" in head:
        little = head[1::2].count(0) >= head[::2].count(0)
        return Encoding("utf-16-le" if little else "utf-16-be", "replace")
    return Encoding("utf-8") if _is_utf8(path) else _guess(path)


def open_text(path: Path) -> TextIO:
    """Open for reading with the detected encoding; line ends stay as they are."""
    encoding = detect_encoding(path)
    return io.TextIOWrapper(open_bytes(path), encoding=encoding.name, errors=encoding.errors, newline="")


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    with open_bytes(path) as handle:
        try:
            while chunk := handle.read(_CHUNK_BYTES):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _guess(path: Path) -> Encoding:
    sample, utf8_lines, other_lines = bytearray(), 0, 0
    with open_bytes(path) as handle:
        while line := handle.readline(_CHUNK_BYTES):
            if line.isascii():
                continue
            try:
                line.decode("utf-8")
                utf8_lines += 1
            except UnicodeDecodeError:
                other_lines += 1
                sample += line
            if len(sample) > _SAMPLE_BYTES:
                break
    if utf8_lines >= other_lines:
        return Encoding("utf-8", "luthier.windows")
    return Encoding(_likeliest_legacy(bytes(sample)), "replace")


def _likeliest_legacy(sample: bytes) -> str:
    """Windows-1252 where it is as likely as the best guess: the two often differ in no character."""
    guesses = [guess.encoding for guess in charset_normalizer.from_bytes(sample)]
    if not guesses or "cp1252" in guesses:
        return "cp1252"
    best = next((guess for guess in guesses if guess in _COMMON), guesses[0])
    same = sample.decode("cp1252", errors="replace") == sample.decode(best, errors="replace")
    return "cp1252" if same else best
