"""Memory that the C library keeps though nobody uses it."""

import ctypes
import functools
from collections.abc import Callable


def release_free_pages() -> bool:
    """Give pages that are free inside the heap back to the system; whether there were any.

    Batches differ in length from step to step, so that freed blocks rarely fit the next ones and the heap grows
    between those in use. Source: malloc_trim(3). Without glibc nothing happens.
    """
    trim = _malloc_trim()
    return trim is not None and trim(0) == 1


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):
        return None
