"""The folder of a preparation at work, which one that was killed or stopped leaves for the next."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from luthier.core.errors import WorkspaceError
from luthier.core.identity import ID_HEX_DIGITS, canonical_json
from luthier.core.recipe import DataSection

_VERSION = 2
"""Another one for each change of what the partitions hold."""


def preparation_digest(data: DataSection, files: Sequence[Path], counter: str) -> str:
    """The same for preparations whose partitions are the same: equal recipe, files (by size and time of change), token
    counter and Luthier. Where it runs does not matter."""
    stats = [path.stat() if path.is_file() else None for path in files]
    content = [
        data.model_dump(mode="json", exclude={"engine"}),
        [stat and [stat.st_size, stat.st_mtime_ns] for stat in stats],
        [counter, version("luthier"), _VERSION],
    ]
    return hashlib.sha256(canonical_json(content).encode(errors="surrogatepass")).hexdigest()[:ID_HEX_DIGITS]


@contextmanager
def scratch_folder(place: Path, digest: str) -> Iterator[Path]:
    """A folder under `place`, on the disk where the dataset will lie: data outgrow a temporary one.

    It is gone after success, with what other preparations left, and after an error; it stays when the process is killed
    or stopped with Ctrl-C. Raises WorkspaceError for what cannot be written.
    """
    folder = place / f".prepare-{digest}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield folder
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        for leftover in place.glob(".prepare-*"):
            shutil.rmtree(leftover, ignore_errors=True)
    except OSError as error:
        raise WorkspaceError(f"cannot write: {error.strerror or error}", where=str(place)) from error
