"""What one request, and all of them together, may take."""

from dataclasses import dataclass

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_new_tokens` for one answer, `queue` requests that may wait for their turn, `body_bytes` of one request."""

    max_new_tokens: int = 512
    queue: int = 32
    body_bytes: int = MEBIBYTE
