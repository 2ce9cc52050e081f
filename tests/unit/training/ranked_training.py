"""One of several processes that `test_ranks.py` starts: it trains, and writes down what it has ended with."""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from killed_training import SETTINGS, rows_and_model

from luthier.models.adapter import trainable
from luthier.models.losses import RowsLoss
from luthier.training import CausalObjective, Checkpoint, MasterWeights, Ranks, Schedule, Training, fit

if __name__ == "__main__":
    torch.set_num_threads(1)
    model_folder, out, optim = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    rows, model = rows_and_model(model_folder)
    ranks = Ranks.join()
    settings = SETTINGS.model_copy(update={"num_train_epochs": 4, "per_device_train_batch_size": 1, "optim": optim})
    schedule = Schedule.of(rows[2:], settings, 40, ranks.size)
    training = Training(
        CausalObjective(RowsLoss(model)), MasterWeights(trainable(model)), schedule, rows[:2], settings, ranks=ranks
    )
    state = fit(training, Checkpoint(out, writes=ranks.is_first), False, lambda _: None)
    weights = torch.cat([parameter.detach().flatten() for parameter in training.parameters.values()])
    found = {"train": state.train_curve, "validation": state.validation_curve, "tokens": state.tokens}
    (out / f"rank-{ranks.rank}.json").write_text(json.dumps(found | {"weights": weights.tolist()}))
    dist.destroy_process_group()
