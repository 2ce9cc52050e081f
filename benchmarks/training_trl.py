"""TRL's side of bench_training, without Luthier: training_trl.py TASK.json SETTING, SETTING one of `default`, `best`.

Prints the seconds that the steps after the first took, what they trained, and the peak memory of the process.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer


class Clock(TrainerCallback):
    """When each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.perf_counter())


def main() -> None:
    path = Path(sys.argv[1])
    task = json.loads(path.read_text(encoding="utf-8"))
    best = sys.argv[2] == "best"
    torch.set_num_threads(task["threads"])
    rows = [row for step in task["steps"] for row in step]
    data = Dataset.from_list(
        [{"input_ids": ids, "completion_mask": [int(target) for target in targets]} for ids, targets in rows]
    )
    longest = max(len(ids) for ids, _ in rows)
    settings: dict[str, Any] = {
        "output_dir": str(path.parent / "trl"),
        "num_train_epochs": 1,
        "learning_rate": 1e-4,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "gradient_checkpointing": False,
        "bf16": best,
        "max_length": max(1024, longest),
        "per_device_train_batch_size": 1 if best else min(8, task["rows_per_pass"]),
        "seed": 0,
    }
    if best:
        settings |= {"packing": True, "loss_type": "chunked_nll"}
    tokenizer = AutoTokenizer.from_pretrained(task["model"])
    model = AutoModelForCausalLM.from_pretrained(task["model"], dtype=torch.float32)
    lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    clock = Clock()
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**settings),
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=None if task["method"] == "full" else lora,
        callbacks=[clock],
    )
    trainer.train()
    steps = len(clock.ends)
    share = (steps - 1) / steps  # packs are full but for the last, batches too
    print(
        json.dumps(
            {
                "seconds": clock.ends[-1] - clock.ends[0],
                "rows": len(rows) * share,
                "tokens": sum(len(ids) for ids, _ in rows) * share,
                "steps": steps,
                "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
