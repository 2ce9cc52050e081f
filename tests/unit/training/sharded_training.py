"""One of several processes that `test_sharded.py` starts: it trains weights in shards, and writes down what it saw."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from killed_training import LORA, SETTINGS, rows_and_model

import luthier.training.loop
from luthier.core.recipe import AdapterSection
from luthier.core.rows import TokenRow
from luthier.models.adapter import trainable
from luthier.models.loading import load_tokenizer
from luthier.models.losses import RowsLoss
from luthier.models.methods import refuse_lossy, save_trained
from luthier.models.sharding import shard, whole, whole_model
from luthier.models.sources import BaseFiles
from luthier.training import (
    CausalObjective,
    Checkpoint,
    MasterWeights,
    Ranks,
    Schedule,
    StartPenalty,
    Training,
    TrainingState,
    fit,
)

METHODS = {"lora": LORA, "full": AdapterSection(method="full")}
CHANGES = {"num_train_epochs": 2, "per_device_train_batch_size": 1, "eval_steps": 4, "l2_sp": 0.1}
STOP = 5


def new_training(folder: Path, method: str, ranks: Ranks, **changes: Any) -> tuple[Training[TokenRow], Any]:
    rate = {"full": 5e-4}.get(method, 5e-3)
    settings = SETTINGS.model_copy(update=CHANGES | {"learning_rate": rate} | changes)
    rows, model = rows_and_model(folder, METHODS[method])
    objective = CausalObjective(RowsLoss(model))
    if ranks.size > 1:
        shard(model)
    weights = MasterWeights(trainable(model))
    penalty = StartPenalty(trainable(model), weights.parameters, settings.l2_sp)
    schedule = Schedule.of(rows[2:], settings, 30, ranks.size)
    return Training(objective, weights, schedule, rows[:2], settings, ranks=ranks, penalty=penalty), model


def _whole_weights(training: Training[TokenRow]) -> list[float]:
    weights = torch.cat([whole(parameter.detach()).flatten() for parameter in training.parameters.values()])
    return weights.tolist()  # type: ignore[no-any-return]


def _stop(state: TrainingState) -> None:
    if state.step == STOP:
        raise KeyboardInterrupt


def _bytes(tensors: Any) -> int:
    return sum(tensor.to_local().nbytes for tensor in tensors if hasattr(tensor, "to_local"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    model_folder, out = map(Path, sys.argv[1:3])
    ranks, optimizers = Ranks.join(), []
    make_optimizer = luthier.training.loop.new_optimizer

    def noted(training: Training[TokenRow]) -> Any:
        optimizers.append(make_optimizer(training))
        return optimizers[-1]

    luthier.training.loop.new_optimizer = noted
    found = {}
    for method in sys.argv[3:]:
        training, model = new_training(model_folder, method, ranks)
        state = fit(training, Checkpoint(out / method, writes=ranks.is_first), False, lambda _: None)
        interrupted, _ = new_training(model_folder, method, ranks)
        checkpoint = Checkpoint(out / f"{method}-stopped", writes=ranks.is_first)
        try:
            fit(interrupted, checkpoint, False, _stop)
        except KeyboardInterrupt:
            ranks.wait()
        resumed, _ = new_training(model_folder, method, ranks)
        went_on = checkpoint.state().step
        again = fit(resumed, checkpoint, True, lambda _: None)
        with whole_model(model, ranks.is_first):
            if ranks.is_first:
                save_trained(
                    model, out / method / "trained", "tiny", load_tokenizer(BaseFiles("tiny", model_folder, ""))
                )
                refuse_lossy(model, out / method / "trained")
        ranks.wait()
        kept = optimizers[-1].state.values()
        local = {
            "weights": _bytes(model.parameters()),
            "gradients": _bytes(parameter.grad for parameter in resumed.parameters.values()),
            "optimiser": _bytes(value for values in kept for value in values.values()),
        }
        found[method] = {
            "train": state.train_curve,
            "validation": state.validation_curve,
            "gradients": state.gradient_curve,
            "fast_path": training.objective.fast_path,
            "weights": _whole_weights(training),
            "went_on_from": went_on,
            "resumed": {"train": again.train_curve, "weights": _whole_weights(resumed)},
            "bytes": local,
        }
    (out / f"rank-{ranks.rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()
