"""Run a command and watch it with all processes that it starts."""

import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

INTERVAL = 0.5
"""Seconds between two looks at the processes."""


@dataclass(frozen=True, slots=True)
class Watched:
    """How a command ended.

    `lines` are those of standard error, with the seconds since it began. `processor_seconds` and `peak_bytes` are
    those of all its processes together, as far as they lived long enough to be seen; shared memory counts once (PSS).
    """

    code: int
    lines: list[tuple[float, str]]
    out: str
    seconds: float
    processor_seconds: float
    peak_bytes: int


def watch(
    command: Sequence[str],
    folder: Path,
    on_line: Callable[[str], None] = lambda _: None,
    kill_after: float | None = None,
) -> Watched:
    """Run the command in `folder` to its end, or kill it with all its processes after so many seconds (SIGKILL)."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    lines: list[tuple[float, str]] = []
    out: list[str] = []
    readers = [
        threading.Thread(target=_collect, args=(process.stderr, lines, started, on_line)),
        threading.Thread(target=lambda stream: out.append(stream.read()), args=(process.stdout,)),
    ]
    for reader in readers:
        reader.start()
    peak, spent = 0, dict[tuple[int, float], float]()
    while process.poll() is None:
        peak = max(peak, _look(process.pid, spent))
        if kill_after is not None and time.perf_counter() - started > kill_after:
            kill_tree(process.pid)
        time.sleep(INTERVAL)
    for reader in readers:
        reader.join()
    seconds = time.perf_counter() - started
    return Watched(process.returncode, lines, "".join(out), seconds, sum(spent.values()), peak)


def kill_tree(root: int) -> None:
    """SIGKILL to a process and all below it, the root first so that it starts no more."""
    for process in _tree(root):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def _look(root: int, spent: dict[tuple[int, float], float]) -> int:
    """Bytes of a process and all below it; notes in `spent` the processor time of each so far."""
    total = 0
    for process in _tree(root):
        try:
            total += process.memory_full_info().pss
            times = process.cpu_times()
            spent[process.pid, process.create_time()] = times.user + times.system
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def _tree(root: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _collect(stream: IO[str], lines: list[tuple[float, str]], started: float, on_line: Callable[[str], None]) -> None:
    for line in stream:
        lines.append((time.perf_counter() - started, line.rstrip()))
        on_line(line.rstrip())
