import pytest
import torch

from luthier.kernels import ceiling


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_ceilings_are_those_of_the_work_and_the_clock(dtype, monkeypatch):
    """Each run takes a second by this clock, which ticks once each time it is read."""
    ticks = iter(range(1000))
    monkeypatch.setattr("luthier.kernels.ceiling.time.perf_counter", lambda: float(next(ticks)))
    monkeypatch.setattr(ceiling, "SIZE", 64)
    monkeypatch.setattr(ceiling, "WEIGHT_BYTES", 2**16)
    assert ceiling.matmul_flops(dtype) == 2 * 64**3
    assert ceiling.weight_bytes_per_second(dtype) == 2**16
