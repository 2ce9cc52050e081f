"""Ids made from content: the same content has the same id on every machine."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

ID_HEX_DIGITS = 12
_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def canonical_json(value: object) -> str:
    """One spelling for equal JSON values: sorted keys, no spaces, plain Unicode."""
    return _CANONICAL.encode(value)


def content_id(kind: str, content: object) -> str:
    """`kind-` and the first 12 hex digits of the SHA-256 of the content's canonical JSON."""
    # Text out of JSON files may hold half a surrogate pair, which strict UTF-8 refuses.
    digest = hashlib.sha256(canonical_json(content).encode(errors="surrogatepass")).hexdigest()
    return f"{kind}-{digest[:ID_HEX_DIGITS]}"


def file_digest(paths: Iterable[Path]) -> str:
    """SHA-256 over the bytes of the files, in the order given, as 64 hex digits."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()
