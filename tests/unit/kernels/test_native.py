"""Kernels are compiled once, and where they cannot be the reason is told and torch's operations serve."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from luthier.kernels import native
from luthier.kernels.norm import rms_norm


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    native.library.cache_clear()
    yield
    native.library.cache_clear()


def test_compiled_once_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path))
    assert isinstance(native.library(), ctypes.CDLL)
    [made] = (tmp_path / "kernels").iterdir()
    first = made.stat().st_mtime_ns

    native.library.cache_clear()

    assert isinstance(native.library(), ctypes.CDLL)
    assert made.stat().st_mtime_ns == first
    assert (tmp_path / "kernels").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("fault", ["no compiler", "an error", "no OpenMP", "no place"])
def test_what_cannot_be_compiled_is_done_by_torch(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path))
    if fault == "no compiler":
        monkeypatch.setattr(native, "COMPILERS", ("no-such-compiler",))
    elif fault == "an error":
        source = tmp_path / "broken.cpp"
        source.write_text("this is not C++")
        monkeypatch.setattr(native, "SOURCES", (source,))
    elif fault == "no OpenMP":
        source = tmp_path / "missing.cpp"
        source.write_text('extern "C" void GOMP_nowhere(); extern "C" void call() { GOMP_nowhere(); }')
        monkeypatch.setattr(native, "SOURCES", (source,))
    else:
        (tmp_path / "kernels").write_text("a file in the way")
    reason = native.library()

    assert isinstance(reason, native.NativeError)
    assert str(reason)
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    assert not native.serves(x)
    torch.testing.assert_close(rms_norm(x, torch.ones(8), 1e-5), torch.nn.functional.rms_norm(x, (8,), eps=1e-5))
    assert not list(tmp_path.glob("kernels/*.so"))


def test_only_tensors_of_one_type_that_there_are_kernels_for_are_served() -> None:
    x = torch.zeros(2)

    assert native.serves(x, x)
    assert not native.serves(x, x.double())
    assert not native.serves(x.half())
    assert not native.serves(x.to("meta"))
