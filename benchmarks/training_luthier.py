"""Luthier's side of bench_training: training_luthier.py TASK.json SETTING, SETTING one of `fast`, `plain`.

Prints the seconds that the steps after the first took, what they trained, and the peak memory of the process. Fails
where the fast path was asked for and does not run.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from luthier.core.recipe import AdapterSection, TrainingSection
from luthier.core.rows import TokenRow
from luthier.models.adapter import trainable
from luthier.models.loading import load_model
from luthier.models.losses import RowsLoss
from luthier.models.methods import prepare
from luthier.models.sources import BaseFiles
from luthier.training import CausalObjective, Checkpoint, MasterWeights, Schedule, Training, TrainingState, fit

MICRO_BATCH, MOST_TOKENS = 1024, 2048
"""Tokens of a forward pass: what `luthier train` takes by itself, and what it takes where rows share a prefix."""


def main() -> None:
    path, setting = Path(sys.argv[1]), sys.argv[2]
    task = json.loads(path.read_text(encoding="utf-8"))
    torch.set_num_threads(task["threads"])
    adapter = AdapterSection(method=task["method"], r=16, lora_alpha=32)
    model = prepare(load_model(BaseFiles("base", Path(task["model"]), ""), "bfloat16"), adapter, 0)
    loss = RowsLoss(model, fast=setting == "fast")
    if (loss.fast_path == "on") != (setting == "fast"):
        raise SystemExit(f"the fast path is {loss.fast_path}")
    steps = tuple(_micro_batches(step, number) for number, step in enumerate(task["steps"]))
    settings = TrainingSection(learning_rate=1e-4, eval_steps=len(steps) + 1)
    training: Training[Any] = Training(
        CausalObjective(loss), MasterWeights(trainable(model)), Schedule(steps, len(steps), 1e-4, 1), (), settings,
        most_tokens=MOST_TOKENS,
    )  # fmt: skip
    ends: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as folder:

        def on_step(state: TrainingState) -> None:
            ends.append((state.loop_seconds, state.tokens))

        begin = time.perf_counter()
        fit(training, Checkpoint(Path(folder)), False, on_step)
        whole = time.perf_counter() - begin
    assert whole > ends[-1][0] > 0
    print(
        json.dumps(
            {
                "seconds": ends[-1][0] - ends[0][0],
                "rows": sum(map(len, task["steps"][1:])),
                "tokens": ends[-1][1] - ends[0][1],
                "steps": len(steps),
                "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }
        )
    )


def _micro_batches(step: list[Any], number: int) -> tuple[tuple[TokenRow, ...], ...]:
    rows = [TokenRow(f"{number}/{place}", tuple(ids), tuple(targets)) for place, (ids, targets) in enumerate(step)]
    batches: list[list[TokenRow]] = [[]]
    for row in rows:
        if batches[-1] and sum(map(len, batches[-1])) + len(row) > MICRO_BATCH:
            batches.append([])
        batches[-1].append(row)
    return tuple(map(tuple, batches))


if __name__ == "__main__":
    main()
