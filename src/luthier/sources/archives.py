"""Office files: zip archives of XML, which may be locked or packed to do harm."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from luthier.core.errors import SourceError
from luthier.sources.compression import unpacked_limit, unpacks_too_much

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_AS_OPEN_COPY = "save a copy as .xlsx or .docx without a password"
_DIRECTORY_BYTES = 1 << 20


@contextmanager
def open_archive(path: Path, name: str) -> Iterator[zipfile.ZipFile]:
    """The archive of an office file. A member never gives more bytes than it declares, which are checked here.

    Raises SourceError for a file with a password, of the formats before 2007, that is damaged, or a zip bomb.
    """
    if problem := ole_problem(path):
        raise SourceError(problem, where=name, allowed=_AS_OPEN_COPY)
    try:
        with zipfile.ZipFile(path) as archive:
            limit = unpacked_limit(path.stat().st_size)
            if sum(member.file_size for member in archive.infolist()) > limit:
                raise SourceError(unpacks_too_much(limit), where=name)
            if any(member.flag_bits & 1 for member in archive.infolist()):
                raise SourceError("is protected with a password", where=name, allowed=_AS_OPEN_COPY)
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise SourceError(f"is damaged or cut off: {error}", where=name) from error


def ole_problem(path: Path) -> str | None:
    """What is wrong with a file in the container of old Office files, in which those with a password are put too."""
    with path.open("rb") as handle:
        if handle.read(len(_OLE)) != _OLE:
            return None
        # The directory with the names of streams may stand at either end of the file.
        start = handle.read(_DIRECTORY_BYTES)
        handle.seek(max(0, path.stat().st_size - _DIRECTORY_BYTES))
        locked = _ENCRYPTED in start or _ENCRYPTED in handle.read()
    return "is protected with a password" if locked else "is in the format of Office before 2007"
