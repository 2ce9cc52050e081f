"""DPO, ORPO and KTO: Luthier's loss and gradient beside those of TRL, on the same batch of the same tiny model.

TRL runs in an environment of its own, which is made in `--cache` with the versions below. The model is random and in
float32; what learns is a copy of it that has learnt something else. ORPO's rows have a prompt of one token: TRL counts
the tokens of a prompt in the cross-entropy, Luthier does not.

Fails where two losses differ by more than 1e-4.

    python benchmarks/bench_preference.py
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rivals import CACHE, python_with
from tiny_base import save_tiny_base

from luthier.core.recipe import AdapterSection
from luthier.core.rows import TokenRow
from luthier.models.adapter import trainable
from luthier.models.loading import load_model
from luthier.models.losses import RowsLoss
from luthier.models.methods import prepare
from luthier.models.sources import BaseFiles
from luthier.training import (
    AnswerPair,
    CausalObjective,
    DpoObjective,
    KtoObjective,
    Objective,
    OrpoObjective,
    RatedAnswer,
    log_likelihoods,
)

HERE = Path(__file__).parent
CONSTRAINTS = HERE.parent / "constraints.txt"
PACKAGES = ("torch", "transformers", "peft", "safetensors", "trl==1.16.0", "datasets==5.2.0")
TOLERANCE = 1e-4
BETA, DESIRABLE, UNDESIRABLE = 0.2, 1.3, 0.8
EXAMPLES, STEPS = 12, 8
Batch = Sequence[Mapping[str, Any]]


def random_batches(vocabulary: int) -> dict[str, Batch]:
    """Token ids of prompts and answers, of different lengths."""
    source = random.Random(0)

    def ids(shortest: int, longest: int) -> list[int]:
        return [source.randrange(10, vocabulary) for _ in range(source.randint(shortest, longest))]

    pairs = [{"prompt_ids": ids(3, 40), "chosen_ids": ids(2, 30), "rejected_ids": ids(2, 30)} for _ in range(EXAMPLES)]
    answers = [ids(2, 30) for _ in range(EXAMPLES)]
    rated = [
        {
            "prompt_ids": ids(3, 40),
            "completion_ids": answers[number],
            "KL_completion_ids": answers[number - 1],
            "label": number % 3 == 0,
        }
        for number in range(EXAMPLES)
    ]
    return {"dpo": pairs, "orpo": [pair | {"prompt_ids": pair["prompt_ids"][:1]} for pair in pairs], "kto": rated}


def examples_of(kind: str, batch: Batch) -> list[Any]:
    def row(name: str, one: Mapping[str, Any], answer: str) -> TokenRow:
        prompt, ids = one["prompt_ids"], one[answer]
        return TokenRow(name, (*prompt, *ids), (False,) * len(prompt) + (True,) * len(ids))

    if kind != "kto":
        return [
            AnswerPair(row(f"{n}", one, "chosen_ids"), row(f"{n}/rejected", one, "rejected_ids"))
            for n, one in enumerate(batch)
        ]
    return [
        RatedAnswer(row(f"{n}", one, "completion_ids"), one["label"], row(f"{n}/mismatched", one, "KL_completion_ids"))
        for n, one in enumerate(batch)
    ]


def objective_of(kind: str, loss: RowsLoss, examples: Sequence[Any]) -> Objective[Any]:
    """Made while the model is as it was at the start."""
    if kind == "orpo":
        return OrpoObjective(loss, BETA)
    reference = log_likelihoods(loss, [row for example in examples for row in example.rows])
    if kind == "dpo":
        return DpoObjective(loss, reference, BETA)
    return KtoObjective(loss, reference, BETA, DESIRABLE, UNDESIRABLE)


def ours(start: Path, moved: Path, batches: Mapping[str, Batch]) -> dict[str, tuple[float, float]]:
    """Loss and norm of the gradient of each."""
    found = {}
    for kind, batch in batches.items():
        model = prepare(load_model(BaseFiles("start", start, ""), "float32"), AdapterSection(method="full"), 0)
        examples = examples_of(kind, batch)
        objective = objective_of(kind, RowsLoss(model), examples)
        model.load_state_dict(load_model(BaseFiles("moved", moved, ""), "float32").state_dict())
        loss = objective.step(examples)(examples)
        loss.backward()
        gradients = [parameter.grad.flatten() for parameter in trainable(model).values() if parameter.grad is not None]
        found[kind] = loss.item(), torch.cat(gradients).norm().item()
    return found


def save_moved(start: Path, moved: Path, batch: Batch) -> None:
    """The model of `start` when it has learnt mismatched answers, so that KTO finds that it has moved."""
    model = prepare(load_model(BaseFiles("start", start, ""), "float32"), AdapterSection(method="full"), 0)
    rows = [example.mismatched for example in examples_of("kto", batch)]
    loss_of = CausalObjective(RowsLoss(model)).step(rows)
    optimizer = torch.optim.AdamW(trainable(model).values(), lr=2e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss_of(rows).backward()
        optimizer.step()
    model.save_pretrained(moved)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=CACHE)
    python = python_with("trl", PACKAGES, parser.parse_args().cache, CONSTRAINTS)
    with tempfile.TemporaryDirectory() as scratch:
        start, moved, task = Path(scratch, "start"), Path(scratch, "moved"), Path(scratch, "task.json")
        torch.manual_seed(0)
        save_tiny_base(start)
        batches = random_batches(1_000)
        save_moved(start, moved, batches["kto"])
        settings = {"beta": BETA, "desirable_weight": DESIRABLE, "undesirable_weight": UNDESIRABLE}
        task.write_text(json.dumps({"batches": batches, **settings}))
        command = [python, HERE / "preference_trl.py", start, moved, task]
        ended = subprocess.run(command, cwd=scratch, stderr=subprocess.PIPE, text=True, check=False)
        if ended.returncode:
            sys.exit(f"TRL failed:\n{ended.stderr}")
        theirs = json.loads(task.with_suffix(".out.json").read_text())
        mine = ours(start, moved, batches)
    print(f"{'':<6}{'loss':>12}{'of TRL':>12}{'difference':>12}{'gradient':>12}{'of TRL':>12}")
    for kind, (loss, norm) in mine.items():
        other, other_norm = theirs[kind]
        print(f"{kind:<6}{loss:>12.6f}{other:>12.6f}{abs(loss - other):>12.1e}{norm:>12.6f}{other_norm:>12.6f}")
    if any(abs(loss - theirs[kind][0]) > TOLERANCE for kind, (loss, _) in mine.items()):
        sys.exit(f"losses must not differ by more than {TOLERANCE:g}")


if __name__ == "__main__":
    main()
