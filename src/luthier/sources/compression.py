"""Files as bytes, those in gzip or zstd unpacked on the way."""

import gzip
import io
import zlib
from pathlib import Path
from typing import IO, BinaryIO, cast

import pyarrow as pa

PACKED = (".gz", ".zst")
"""Endings that stand behind the one of a text format, as in `.csv.gz`."""
_MAGIC = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd"}
MAX_RATIO = 200
"""How many times its own size a file may unpack to: text packs 3 to 30 times, a zip bomb 1,000 times."""
UNSUSPICIOUS_BYTES = 64 << 20
"""Up to this size unpacked, the ratio does not matter."""
MAX_UNPACKED_BYTES = 64 << 30
_BUFFER_BYTES = 1 << 16


def format_suffix(path: Path) -> str:
    """The ending that tells the format, in lower case: `.csv` for `tickets.CSV.gz`."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in PACKED else suffix


def unpacked_limit(packed_bytes: int) -> int:
    """How many bytes may come out of this many packed ones."""
    return min(MAX_UNPACKED_BYTES, max(UNSUSPICIOUS_BYTES, MAX_RATIO * packed_bytes))


def unpacks_too_much(limit: int) -> str:
    """The words for data that go beyond `unpacked_limit`."""
    return (
        f"unpacks to more than {limit >> 20:,} MiB, where {MAX_RATIO} times its own size and"
        f" {MAX_UNPACKED_BYTES >> 30} GiB are the limits: it may be a zip bomb"
    )


def packing(path: Path) -> str | None:
    """`.gz` or `.zst` for a file that is packed so, by its first bytes whatever its ending says."""
    with path.open("rb") as handle:
        head = handle.read(4)
    return next((suffix for suffix, magic in _MAGIC.items() if head.startswith(magic)), None)


def open_bytes(path: Path) -> BinaryIO:
    """Open for reading; packed data are unpacked as they are read.

    Reading raises OSError for packed data that are damaged, cut off, or unpack to more than `unpacked_limit`.
    """
    suffix = packing(path)
    if suffix is None:
        return path.open("rb")
    source = gzip.GzipFile(path) if suffix == ".gz" else pa.input_stream(str(path), compression="zstd")
    return io.BufferedReader(_Unpacked(cast(IO[bytes], source), path.stat().st_size), _BUFFER_BYTES)


class _Unpacked(io.RawIOBase):
    """Counts what comes out of a decompressor, and speaks of its faults as OSError."""

    def __init__(self, source: IO[bytes], packed_bytes: int) -> None:
        self._source, self._limit, self._count = source, unpacked_limit(packed_bytes), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        try:
            piece = self._source.read(len(buffer))
        except EOFError as error:
            raise OSError("the packed data end too early, the file is cut off") from error
        except (OSError, zlib.error) as error:
            raise OSError(f"the packed data are damaged or cut off: {error}") from error
        self._count += len(piece)
        if self._count > self._limit:
            raise OSError(unpacks_too_much(self._limit))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._source.close()
        super().close()
