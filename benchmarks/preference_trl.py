"""TRL's side of bench_preference: the losses of its trainers on given batches, and the norms of their gradients.

Runs in the environment of TRL, without Luthier: preference_trl.py START MOVED TASK.json
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

COMMON = {"output_dir": "out", "report_to": "none", "use_cpu": True, "bf16": False, "gradient_checkpointing": False}
PAIR = {"prompt": ["Hello there"] * 2, "chosen": [" Good day"] * 2, "rejected": [" Bye now"] * 2}
RATED = {"prompt": ["Hello there"] * 2, "completion": [" Good day", " Bye now"], "label": [True, False]}
"""Trainers want a data set; nothing reads these."""


def orpo_batch(batch: Sequence[Mapping[str, Any]], padding: int) -> dict[str, torch.Tensor]:
    """What ORPOTrainer's collator makes of rows."""
    found = {}
    for answer in ("chosen", "rejected"):
        rows = [one["prompt_ids"] + one[f"{answer}_ids"] for one in batch]
        labels = [[-100] * len(one["prompt_ids"]) + one[f"{answer}_ids"] for one in batch]
        width = max(map(len, rows))
        columns = {
            "input_ids": [row + [padding] * (width - len(row)) for row in rows],
            "attention_mask": [[1] * len(row) + [0] * (width - len(row)) for row in rows],
            "labels": [label + [-100] * (width - len(label)) for label in labels],
        }
        found |= {f"{answer}_{name}": torch.tensor(values) for name, values in columns.items()}
    return found


def main() -> None:
    start, moved, path = map(Path, sys.argv[1:])
    task = json.loads(path.read_text())
    tokenizer = AutoTokenizer.from_pretrained(start)
    weights = {name: task[name] for name in ("desirable_weight", "undesirable_weight")}
    results = {}

    def load(folder: Path) -> Any:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def note(kind: str, model: Any, loss: torch.Tensor) -> None:
        loss.backward()
        gradients = [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
        results[kind] = loss.item(), torch.cat(gradients).norm().item()

    padding = tokenizer.pad_token_id
    shared = {"processing_class": tokenizer}
    trainer = DPOTrainer(
        load(moved),
        load(start),
        DPOConfig(beta=task["beta"], **COMMON),
        train_dataset=Dataset.from_dict(PAIR),
        **shared,
    )
    inputs = DataCollatorForPreference(padding)(task["batches"]["dpo"])
    note("dpo", trainer.model, trainer.compute_loss(trainer.model, inputs))
    trainer = ORPOTrainer(
        load(moved), ORPOConfig(beta=task["beta"], **COMMON), train_dataset=Dataset.from_dict(PAIR), **shared
    )
    inputs = orpo_batch(task["batches"]["orpo"], padding)
    note("orpo", trainer.model, trainer.compute_loss(trainer.model, inputs))
    trainer = KTOTrainer(
        load(moved),
        load(start),
        KTOConfig(beta=task["beta"], **weights, **COMMON, per_device_train_batch_size=2),
        train_dataset=Dataset.from_dict(RATED),
        **shared,
    )
    inputs = DataCollatorForUnpairedPreference(padding)(task["batches"]["kto"])
    note("kto", trainer.model, trainer.compute_loss(trainer.model, inputs))
    path.with_suffix(".out.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
