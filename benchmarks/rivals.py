"""Environments of the tools on the other side, made when they are not there yet."""

import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

CACHE = Path.home() / ".cache" / "luthier-rivals"


def python_with(name: str, packages: Sequence[str], cache: Path, constraints: Path | None = None) -> str:
    """The interpreter of an environment in `cache` with these packages, in these versions."""
    home = cache / name
    python, marker = home / "bin" / "python", home / "packages.txt"
    wanted = "\n".join(packages)
    if not marker.exists() or marker.read_text() != wanted:
        venv.create(home, with_pip=True, clear=True)
        pinned = ["--constraint", constraints] if constraints else []
        for group in (packages[:1], packages):  # torch, where it comes first, alone: else it may bring CUDA with it
            subprocess.run([python, "-m", "pip", "install", "--quiet", *pinned, *group], check=True)
        marker.write_text(wanted)
    return str(python)
