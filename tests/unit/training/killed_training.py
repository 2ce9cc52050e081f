"""A training that `test_resume.py` kills: the same one in this process as in the test's own."""

import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from luthier.core.recipe import AdapterSection, Optim, TrainingSection
from luthier.core.rows import TokenRow
from luthier.models.adapter import trainable
from luthier.models.loading import load_model
from luthier.models.losses import RowsLoss
from luthier.models.methods import prepare
from luthier.models.sources import BaseFiles
from luthier.training import CausalObjective, Checkpoint, MasterWeights, Schedule, Training, fit

SETTINGS = TrainingSection(
    learning_rate=5e-3, num_train_epochs=6, eval_steps=7, early_stopping_patience=None, save_seconds=1e-6
)


LORA = AdapterSection(r=4, lora_alpha=8)


def rows_and_model(folder: Path, adapter: AdapterSection = LORA) -> tuple[list[TokenRow], Any]:
    """Twelve rows of random tokens, and the tiny model with a fresh adapter or what another method makes of it."""
    source = random.Random(1)
    rows = []
    for number in range(12):
        ids = tuple(source.randrange(320) for _ in range(source.randint(5, 30)))
        rows.append(TokenRow(f"row-{number}", ids, (False, *[True] * (len(ids) - 1))))
    return rows, prepare(load_model(BaseFiles("tiny", folder, ""), "float32"), adapter, 0)


def new_training(folder: Path, optim: Optim) -> Training:
    rows, model = rows_and_model(folder)
    settings = SETTINGS.model_copy(update={"optim": optim})
    schedule = Schedule.of(rows[2:], settings, 40)
    return Training(CausalObjective(RowsLoss(model)), MasterWeights(trainable(model)), schedule, rows[:2], settings)


if __name__ == "__main__":
    os.fsync = lambda _: None  # the process is killed, but the power stays on
    sys.stdout.reconfigure(line_buffering=True)
    model_folder, checkpoint_folder, optim = sys.argv[1:]
    training = new_training(Path(model_folder), optim)
    fit(training, Checkpoint(Path(checkpoint_folder)), False, lambda state: sys.stdout.write(f"{state.step}\n"))
    time.sleep(60)  # until it is killed, however slow the machine
