"""What can still be had, and pages that are free inside the heap go back to the system."""

import sys
from pathlib import Path

import psutil
import pytest

from luthier.core.errors import TrainingError
from luthier.kernels import allocator


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc_trim is glibc's")
def test_free_pages_between_blocks_in_use_are_released() -> None:
    kept = []
    for _ in range(2000):
        block = bytearray(50_000)  # below the size from which each block gets pages of its own
        kept.append(bytearray(100))
        kept.append(block)
    full = psutil.Process().memory_info().rss
    kept = kept[::2]
    assert allocator.release_free_pages()
    assert psutil.Process().memory_info().rss < full - 50_000_000
    assert len(kept) == 2000


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    allocator._malloc_trim.cache_clear()
    monkeypatch.setattr(allocator.ctypes, "CDLL", missing)
    assert not allocator.release_free_pages()
    allocator._malloc_trim.cache_clear()


@pytest.mark.parametrize(("limit", "used", "share"), [("max", "5", 1.0), ("1000", "400", None)])
def test_a_container_may_have_less_than_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, used: str, share: float | None
) -> None:
    monkeypatch.setattr("luthier.kernels.allocator._CGROUP", tmp_path)
    whole = allocator.free_memory()
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    assert allocator.free_memory() == (600 if share is None else pytest.approx(whole, rel=0.2))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert allocator.free_memory() == (300 if share is None else pytest.approx(whole / 2, rel=0.2))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "x")
    with pytest.raises(TrainingError, match="LOCAL_WORLD_SIZE is 'x'"):
        allocator.free_memory()
