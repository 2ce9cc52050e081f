"""Where a run was made: packages, machine, state of the workspace. Never environment variables."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from luthier.core.workspace import STATE_NAME

CPU_FLAGS = ("amx_bf16", "amx_int8", "amx_tile", "avx2", "avx512_bf16", "avx512_vnni", "avx512f", "bf16", "sve")
"""The instruction sets that decide how fast, and with which rounding, a model computes."""

DEVELOPMENT = "dev"
"""The optional part that no run makes use of."""
GIT_SECONDS = 5.0


def capture(root: Path) -> dict[str, object]:
    """The environment as plain JSON values: packages, python, platform, cpu, memory_bytes, git.

    `git` is None outside of a repository, or where git is missing or does not answer.
    """
    return {
        "packages": _packages(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "memory_bytes": psutil.virtual_memory().total,
        "git": _git(root),
    }


def _packages() -> dict[str, str]:
    """Versions of luthier and of what it and its optional parts depend on directly, as far as it is installed."""
    versions = {}
    for name in ("luthier", *_requirements()):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _requirements() -> list[str]:
    """Names of packages; those that only development needs are left out."""
    try:
        requirements = [Requirement(line) for line in metadata.requires("luthier") or []]
        parts = set(metadata.metadata("luthier").get_all("Provides-Extra") or []) - {DEVELOPMENT}
    except metadata.PackageNotFoundError:  # run from a source folder that was never installed
        return []
    wanted = [{"extra": part} for part in ("", *parts)]
    return sorted({one.name for one in requirements if not one.marker or any(map(one.marker.evaluate, wanted))})


def _cpu() -> dict[str, object]:
    model, flags = _cpuinfo(Path("/proc/cpuinfo"))
    return {
        "model": model or platform.processor() or platform.machine(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "threads": os.cpu_count(),
        "flags": sorted(flags.intersection(CPU_FLAGS)),
    }


def _cpuinfo(path: Path) -> tuple[str, set[str]]:
    """Model name and flags of the first processor; empty where the system has no such file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
    except OSError:
        return "", set()
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return fields.get("model name", ""), set(fields.get("flags", fields.get("features", "")).split())


def _git(root: Path) -> dict[str, object] | None:
    commit = _run_git(root, "rev-parse", "--verify", "HEAD")
    status = _run_git(root, "status", "--porcelain", "--", ".", f":(exclude){STATE_NAME}")
    if status is None:
        return None
    return {"commit": commit or None, "dirty": bool(status)}


def _run_git(root: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
