"""Let the C library keep freed pages: training frees and takes the same large blocks at every step."""

import ctypes
import sys

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
KEEP_BYTES = 2**31 - 1


def keep_pages() -> bool:
    """Raise glibc's thresholds for returning memory to the system; whether that was possible.

    Source: mallopt(3). On musl and outside Linux nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except OSError:
        return False
    return all(mallopt(option, KEEP_BYTES) == 1 for option in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD))
