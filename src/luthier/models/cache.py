"""Models fetched or converted once, kept by the content of what they were made from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from luthier.core.errors import WorkspaceError
from luthier.core.files import write_text
from luthier.core.identity import file_digest

DIGEST_DIGITS = 24


@dataclass(frozen=True, slots=True)
class ModelCache:
    root: Path

    def folder(self, digest: str) -> Path:
        """Where the model made from content with this digest lies, whether it is there or not."""
        return self.root / "models" / digest[:DIGEST_DIGITS]

    def lookup(self, name: str) -> tuple[str, Path] | None:
        """The exact name and folder remembered for a source name, if its folder is still there."""
        try:
            entry = self._read("names")[name]
            exact, folder = str(entry["exact"]), self.root / "models" / entry["folder"]
        except (KeyError, TypeError):
            return None
        return (exact, folder) if folder.is_dir() else None

    def remember(self, names: Sequence[str], exact: str, folder: Path) -> tuple[str, Path]:
        """Note which folder these source names stand for."""
        self._update("names", {name: {"exact": exact, "folder": folder.name} for name in names})
        return exact, folder

    def digest(self, paths: Sequence[Path]) -> str:
        """SHA-256 of the files, read again only when a path, size or time of change differs from last time."""
        stats = [(str(path.resolve()), path.stat()) for path in paths]
        key = json.dumps([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])
        known = self._read("digests").get(key)
        if known is None:
            known = file_digest(paths)
            self._update("digests", {key: known})
        return str(known)

    def _read(self, index: str) -> dict[str, Any]:
        try:
            content = json.loads((self.root / f"{index}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _update(self, index: str, entries: dict[str, Any]) -> None:
        """Raises WorkspaceError where the cache cannot be written."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / f"{index}.lock"):
                write_text(self.root / f"{index}.json", json.dumps(self._read(index) | entries, indent=1))
        except OSError as error:
            raise WorkspaceError(
                f"the cache of models cannot be written: {error.strerror or error}",
                where=str(self.root),
                allowed="set LUTHIER_CACHE to a folder of yours",
            ) from error
