"""What this machine can do at best: products of matrices, and weights read from memory."""

import time
from collections.abc import Callable

import torch

SIZE = 1024
WEIGHT_BYTES = 128 * 2**20
"""More than the caches of usual processors hold."""
SECONDS = 0.25


def matmul_flops(dtype: torch.dtype) -> float:
    """Floating-point operations per second of the fastest of several products of two square matrices."""
    a, b = (torch.randn(SIZE, SIZE).to(dtype) for _ in range(2))
    return 2 * SIZE**3 / _fastest(lambda: a @ b)


def weight_bytes_per_second(dtype: torch.dtype) -> float:
    """Bytes of a large matrix that are read per second when it is multiplied with one vector, as in decoding."""
    rows = WEIGHT_BYTES // (SIZE * dtype.itemsize)
    weight, x = torch.zeros(rows, SIZE, dtype=dtype), torch.zeros(1, SIZE, dtype=dtype)
    return WEIGHT_BYTES / _fastest(lambda: torch.nn.functional.linear(x, weight))


@torch.inference_mode()
def _fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of as many runs as fit into a moment; the first one warms up."""
    work()
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while not times or time.perf_counter() < end:
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)
