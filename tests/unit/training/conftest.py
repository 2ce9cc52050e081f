from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from luthier.core.recipe import AdapterSection, TrainingSection
from luthier.core.rows import TokenRow
from luthier.models.adapter import learning_rate_ratios, trainable
from luthier.models.loading import load_model
from luthier.models.losses import RowsLoss
from luthier.models.methods import prepare
from luthier.models.sources import BaseFiles
from luthier.training import CausalObjective, MasterWeights, Schedule, StartPenalty, Training

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
    """`new_training(validation_rows=(), adapter={}, dtype=torch.float32, learn=None, **settings)`, from the same
    weights always. `learn`, called with a RowsLoss, gives other examples than `rows` and their objective.

    Five optimiser steps an epoch, unless settings say otherwise.
    """

    def new(validation_rows=(), adapter=(), dtype=torch.float32, learn=None, **settings) -> Training:
        section = TrainingSection(**SETTINGS | settings)
        method = dict(adapter) if "method" in adapter else {"r": 4, "lora_alpha": 8, **dict(adapter)}
        model = prepare(load_model(tiny_base, "float32"), AdapterSection(**method), section.seed).to(dtype)
        loss = RowsLoss(model)
        examples, objective = learn(loss) if learn else (rows, CausalObjective(loss))
        schedule, weights = Schedule.of(examples, section, CAPACITY), MasterWeights(trainable(model))
        penalty = StartPenalty(trainable(model), weights.parameters, section.l2_sp) if section.l2_sp else None
        ratios = learning_rate_ratios(weights.parameters, section.loraplus_lr_ratio)
        return Training(objective, weights, schedule, tuple(validation_rows), section, ratios, penalty=penalty)

    return new


@pytest.fixture
def plain() -> Callable[[Training], Any]:
    """`plain(training)`: its model as transformers and PEFT have it, with their own forward in every layer.

    transformers takes norms, losses and eager attention in fp32 in any case; here are torch's forms of them.
    """

    def made_plain(training: Training) -> Any:
        model = training.objective._loss._model
        for module in model.modules():
            module.__dict__.pop("forward", None)
            if type(module).__name__ == "LlamaRMSNorm":
                module.forward = partial(_rms_norm, module)
        model.set_attn_implementation("sdpa")
        return model

    return made_plain


def _rms_norm(module, x):
    return F.rms_norm(x, module.weight.shape, module.weight, module.variance_epsilon)
