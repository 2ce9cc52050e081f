"""Memory that can still be had, and memory that the C library keeps though nobody uses it."""

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path

import psutil

from luthier.core.processes import process_count

_CGROUP = Path("/sys/fs/cgroup")


def free_memory() -> int:
    """Bytes that this process can still get: of the machine or the container that it runs in, and of that its share
    among the processes that torchrun has started here. Raises TrainingError where LOCAL_WORLD_SIZE is no number."""
    free = psutil.virtual_memory().available
    try:
        limit, used = ((_CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        limit = "max"
    if limit != "max":
        free = min(free, max(0, int(limit) - int(used)))
    return free // process_count("LOCAL_WORLD_SIZE")


def attainable_memory() -> int:
    """Bytes that this process could take in all: what is free, and what it has already."""
    release_free_pages()
    return free_memory() + psutil.Process().memory_info().rss


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
