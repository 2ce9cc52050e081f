from collections.abc import Callable

import pytest

from luthier.core.recipe import AdapterSection, TrainingSection
from luthier.core.rows import TokenRow
from luthier.models.adapter import attach_lora, learning_rate_ratios, trainable
from luthier.models.loading import load_model
from luthier.models.losses import RowsLoss
from luthier.models.sources import BaseFiles
from luthier.training import Schedule, Training

ROW_LENGTHS = (9, 14, 23, 5, 17, 12, 30, 8, 19, 11, 26, 7)
CAPACITY = 40
SETTINGS = {
    "learning_rate": 5e-3,
    "num_train_epochs": 2,
    "per_device_train_batch_size": 1,
    "eval_steps": 1000,
    "early_stopping_patience": None,
}


@pytest.fixture(autouse=True)
def _power_stays_on(monkeypatch):
    """Checkpoints reach the disk when the system likes: no test cuts the power."""
    monkeypatch.setattr("luthier.core.files.os.fsync", lambda _: None)


@pytest.fixture
def rows(random_rows) -> list[TokenRow]:
    return random_rows(ROW_LENGTHS)


@pytest.fixture
def new_training(tiny_base: BaseFiles, rows: list[TokenRow]) -> Callable[..., Training]:
    """`new_training(validation_rows=(), adapter={}, **settings)`, from the same weights always.

    Five optimiser steps an epoch, unless settings say otherwise.
    """

    def new(validation_rows=(), adapter=(), **settings) -> Training:
        section = TrainingSection(**SETTINGS | settings)
        lora = AdapterSection(**{"r": 4, "lora_alpha": 8, **dict(adapter)})
        model = attach_lora(load_model(tiny_base, "float32"), lora, section.seed)
        schedule, parameters = Schedule.of(rows, section, CAPACITY), trainable(model)
        ratios = learning_rate_ratios(parameters, section.loraplus_lr_ratio)
        return Training(RowsLoss(model), parameters, schedule, tuple(validation_rows), section, ratios)

    return new
