"""Kernels in C++ for passes that torch would make one after another, compiled on first use for this processor.

Where there is no compiler, or the result cannot be loaded, every caller does the same with torch's own operations.
"""

import ctypes
import functools
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock

from luthier.core.files import default_cache_root

SOURCES = tuple(sorted(Path(__file__).parent.glob("*.cpp")))
COMPILERS = ("c++", "g++", "clang++")
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-fPIC", "-std=c++17")
_C_TYPES = {bool: ctypes.c_int64, int: ctypes.c_int64, float: ctypes.c_double}
SUFFIXES = {torch.bfloat16: "bf16", torch.float32: "f32", torch.float64: "f64"}


class NativeError(Exception):
    """Why there are no native kernels here."""


def serves(*tensors: torch.Tensor) -> bool:
    """Whether there are native kernels for these tensors, which all have the type of the first."""
    dtype = tensors[0].dtype
    return (
        dtype in SUFFIXES
        and all(tensor.device.type == "cpu" and tensor.dtype == dtype for tensor in tensors)
        and isinstance(library(), ctypes.CDLL)
    )


def run(name: str, dtype: torch.dtype, *arguments: torch.Tensor | int | float | None) -> None:
    """Call the kernel `name` for tensors stored in `dtype`; results are written into tensors among the arguments.

    Only after `serves`; the kernel trusts the shapes that it is told.
    """
    kernel = _kernel(f"{name}_{SUFFIXES[dtype]}", *map(type, arguments))
    kernel(*[each.data_ptr() if isinstance(each, torch.Tensor) else each for each in arguments])


@functools.cache
def library() -> ctypes.CDLL | NativeError:
    """The compiled kernels, or why there are none."""
    try:
        return _load(_compiled())
    except (OSError, NativeError) as error:
        return error if isinstance(error, NativeError) else NativeError(str(error))


def wide(dtype: torch.dtype) -> torch.dtype:
    """The type that kernels make sums in: float32, for double float64."""
    return torch.promote_types(dtype, torch.float32)


@functools.cache
def _kernel(name: str, *kinds: type) -> Callable[..., None]:
    """The kernel for arguments of these types."""
    kernel = getattr(library(), name)
    kernel.argtypes, kernel.restype = [_C_TYPES.get(kind, ctypes.c_void_p) for kind in kinds], None
    loaded: Callable[..., None] = kernel
    return loaded


def _compiled() -> Path:
    """The library for these sources, compiler and processor; compiled once and kept in the user's cache folder. Of
    processes that want it at once, one compiles and the others wait."""
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise NativeError(f"no C++ compiler: {', '.join(COMPILERS)}")
    folder = default_cache_root() / "kernels"
    target = folder / f"kernels-{_key(compiler)}.so"
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _one_at_a_time(target.with_suffix(".lock")) as alone:
            if not target.is_file():
                if alone:
                    _remove_leftovers(target)
                _compile(compiler, target)
    return target


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[bool]:
    """Whether other processes wait at this file until the block has ended: file systems without locks let all of them
    in. The system frees the lock of a process that is killed."""
    lock = FileLock(path)
    try:
        lock.acquire()
    except (OSError, NotImplementedError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _remove_leftovers(target: Path) -> None:
    """What a process that was killed over compiling has left; the lock must be held."""
    for left in target.parent.glob(f"{target.stem}-*/"):
        shutil.rmtree(left, ignore_errors=True)


def _compile(compiler: str, target: Path) -> None:
    """Make the library."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{target.stem}-") as scratch:
        made, linked = [Path(scratch) / f"{source.stem}.o" for source in SOURCES], Path(scratch) / "kernels.so"
        for source, compiled in zip(SOURCES, made, strict=True):
            _call(compiler, *FLAGS, "-c", str(source), "-o", str(compiled))
        # Without -fopenmp: a second runtime beside torch's would bring threads of its own.
        _call(compiler, "-shared", *map(str, made), "-o", str(linked))
        _load(linked)
        linked.replace(target)


def _key(compiler: str) -> str:
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout
    sources = [path.read_text(encoding="utf-8") for path in (*SOURCES, *sorted(Path(__file__).parent.glob("*.h")))]
    described = "\n".join([*sources, *FLAGS, version, torch.__version__, _processor()])
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _processor() -> str:
    """What `-march=native` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return torch.backends.cpu.get_cpu_capability()
    kinds = ("flags", "Features", "model name")
    return "\n".join(sorted({line for line in lines if line.startswith(kinds)}))


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NativeError(f"{command[0]} failed: {done.stderr.strip().splitlines()[0] if done.stderr else ''}")


def _load(path: Path) -> ctypes.CDLL:
    """Raises OSError where it cannot be loaded, such as beside a torch with no OpenMP runtime."""
    return ctypes.CDLL(str(path))
