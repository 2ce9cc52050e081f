"""The state of a training in one file, replaced whole, so that a killed training goes on where it was."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from luthier.core.errors import TrainingError, WorkspaceError
from luthier.core.files import atomic_path
from luthier.training.state import TrainingState

FILE_NAME = "checkpoint.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq")


class Checkpoint:
    """Where the state is kept: weights, the best weights so far, optimiser moments, counters and curves."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME

    def save(
        self,
        state: TrainingState,
        parameters: Mapping[str, nn.Parameter],
        best: Mapping[str, torch.Tensor],
        optimizer: torch.optim.AdamW,
    ) -> None:
        """Write everything beside the old file, then put it in its place. Raises WorkspaceError for a full disk."""
        tensors = {f"weight/{name}": parameter.detach() for name, parameter in parameters.items()}
        tensors |= {f"best/{name}": tensor for name, tensor in best.items()}
        for name, parameter in parameters.items():
            if moments := optimizer.state.get(parameter):
                tensors |= {f"{moment}/{name}": moments[moment] for moment in MOMENTS}
                tensors[f"step/{name}"] = moments["step"]
        try:
            with atomic_path(self.path) as partial:
                save_file(tensors, partial, metadata={"state": json.dumps(asdict(state))})
        except SafetensorError as error:
            raise WorkspaceError(f"cannot write: {error}", where=str(self.path)) from error

    def done_steps(self) -> int:
        """How many optimiser steps the saved state has behind it. Raises TrainingError for a damaged file."""
        return self._read()[0].step

    def load(
        self, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.AdamW
    ) -> tuple[TrainingState, dict[str, torch.Tensor]]:
        """Put weights and moments back; the state and the best weights. Raises TrainingError when they do not fit."""
        state, tensors = self._read()
        saved = {
            name.removeprefix("weight/"): tensor.shape for name, tensor in tensors.items() if name.startswith("weight/")
        }
        if saved != {name: parameter.shape for name, parameter in parameters.items()}:
            raise TrainingError("the checkpoint trains other weights than this recipe", where=str(self.path))
        for name, parameter in parameters.items():
            parameter.data.copy_(tensors[f"weight/{name}"])
            if f"step/{name}" in tensors:
                moments: dict[str, Any] = {moment: tensors[f"{moment}/{name}"] for moment in MOMENTS}
                optimizer.state[parameter] = moments | {"step": tensors[f"step/{name}"]}
        best = {name.removeprefix("best/"): tensor for name, tensor in tensors.items() if name.startswith("best/")}
        return state, best

    def _read(self) -> tuple[TrainingState, dict[str, torch.Tensor]]:
        try:
            with safe_open(self.path, framework="pt") as file:
                state = TrainingState(**json.loads(file.metadata()["state"]))
                return state, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise TrainingError(f"cannot read the checkpoint: {error}", where=str(self.path)) from error
