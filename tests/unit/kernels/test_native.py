"""Kernels are compiled once, and where they cannot be the reason is told and torch's operations serve."""

import ctypes
import errno
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
    [made] = (tmp_path / "kernels").glob("*.so")
    first = made.stat().st_mtime_ns

    native.library.cache_clear()

    assert isinstance(native.library(), ctypes.CDLL)
    assert made.stat().st_mtime_ns == first
    assert (tmp_path / "kernels").stat().st_mode & 0o077 == 0


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a compiler that takes its time, writes down into `calls` each time that it compiles, and hangs as
    long as there is a file `hang` beside it; of a small source."""
    real = next(filter(None, map(shutil.which, native.COMPILERS)))
    script = tmp_path / "slow-compiler"
    script.write_text(
        f"""#!/bin/sh
case "$*" in *" -c "*)
    echo "$*" >> "{tmp_path}/calls"
    sleep 0.3
    while [ -e "{tmp_path}/hang" ]; do sleep 0.05; done
esac
exec {real} "$@"
"""
    )
    script.chmod(0o755)
    (tmp_path / "small.cpp").write_text('extern "C" int seven() { return 7; }')
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path))
    monkeypatch.setattr(native, "COMPILERS", (str(script),))
    monkeypatch.setattr(native, "SOURCES", (tmp_path / "small.cpp",))
    return tmp_path


def test_of_several_at_once_one_compiles(compiler: Path) -> None:
    with ThreadPoolExecutor(3) as threads:  # the lock is one of open files: threads meet it as processes do
        made = list(threads.map(lambda _: native._compiled(), range(3)))

    assert len(set(made)) == 1
    assert ctypes.CDLL(str(made[0])).seven() == 7
    assert len((compiler / "calls").read_text().splitlines()) == 1


def test_a_file_system_without_locks_has_each_compile_for_itself(
    compiler: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(native.FileLock, "acquire", refuse)
    assert ctypes.CDLL(str(native._compiled())).seven() == 7
    assert len((compiler / "calls").read_text().splitlines()) == 1


def test_one_that_is_killed_while_it_compiles_leaves_the_work_to_the_next(compiler: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom luthier.kernels import native\n"
        "native.COMPILERS, native.SOURCES = (sys.argv[1],), (Path(sys.argv[2]),)\nnative._compiled()"
    )
    (compiler / "hang").touch()
    first = subprocess.Popen([sys.executable, "-c", program, str(compiler / "slow-compiler"), str(native.SOURCES[0])])
    try:
        until = time.monotonic() + 60
        while not (compiler / "calls").exists():
            assert first.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        with ThreadPoolExecutor(1) as threads:
            second = threads.submit(native._compiled)
            with pytest.raises(TimeoutError):
                second.result(timeout=0.5)
            assert len((compiler / "calls").read_text().splitlines()) == 1, "it waits"
            first.kill()
            first.wait()
            (compiler / "hang").unlink()
            made = second.result(timeout=60)
    finally:
        (compiler / "hang").unlink(missing_ok=True)
        first.kill()
        first.wait()

    assert ctypes.CDLL(str(made)).seven() == 7
    assert sorted(path.suffix for path in made.parent.iterdir()) == [".lock", ".so"], "nothing is left over"


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
