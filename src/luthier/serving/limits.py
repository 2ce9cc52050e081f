"""What one request, and all of them together, may take."""

from dataclasses import dataclass

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_new_tokens` and `max_seconds` for one answer, `parallel` requests that are answered at once, `queue` more
    that may wait, `body_bytes` of one request."""

    max_new_tokens: int = 512
    max_seconds: float = 300.0
    parallel: int = 16
    queue: int = 32
    body_bytes: int = MEBIBYTE
