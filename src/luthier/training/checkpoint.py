"""The state of a training in files that are replaced whole, so that a killed training goes on where it was."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from luthier.core.errors import TrainingError, WorkspaceError
from luthier.core.files import atomic_path
from luthier.models.sharding import part_of, whole
from luthier.training.state import TrainingState

FILE_NAME = "checkpoint.safetensors"
WEIGHT = "weight/"


class Checkpoint:
    """Where a training is kept: weights, the optimiser's tensors, counters and curves in one file; in others the best
    weights so far, and the state before the last validation that was no part of a spike.

    Of several processes that train together one `writes`, whole tensors also where weights lie in shards; the others
    read only, and save when it does.
    """

    def __init__(self, folder: Path, writes: bool = True) -> None:
        self.path, self._writes = folder / FILE_NAME, writes
        self._best, self._good = folder / "best.safetensors", folder / "good.safetensors"

    def save(
        self, state: TrainingState, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> None:
        """Write everything beside the old file, then put it in its place. Raises WorkspaceError for a full disk."""
        tensors = self._collected(_tensors(parameters, optimizer))
        if self._writes:
            _write(self.path, tensors, {"state": json.dumps(asdict(state))})

    def state(self) -> TrainingState:
        """Counters and curves as they were saved. Raises TrainingError for a damaged file."""
        with _opened(self.path) as file:
            return _state(file)

    def load(self, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> TrainingState:
        """Put weights and the optimiser's tensors back; the state. Raises TrainingError when they do not fit."""
        with _opened(self.path) as file:
            state = _state(file)
            _restore(file, self.path, parameters, optimizer)
        return state

    def save_best(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Keep these weights as the best. Raises WorkspaceError for a full disk."""
        tensors = self._collected(_tensors(parameters))
        if self._writes:
            _write(self._best, tensors, {})

    def load_best(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Put the best weights into the parameters. Raises TrainingError for a damaged file."""
        with _opened(self._best) as file:
            _restore(file, self._best, parameters, None)

    def keep_good(self) -> None:
        """Keep the state that was saved last as one to go back to. Raises WorkspaceError for a full disk."""
        if not self._writes:
            return
        with atomic_path(self._good) as partial:
            partial.unlink()
            try:
                os.link(self.path, partial)
            except OSError:  # no links in this file system
                shutil.copyfile(self.path, partial)

    def _collected(self, tensors: Iterable[tuple[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Whole tensors to write, none where nothing is written: there the parts of shards are only handed over."""
        collected = ((name, whole(tensor)) for name, tensor in tensors)
        return {name: tensor for name, tensor in collected if self._writes}

    def load_good(self, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
        """Put the weights and the optimiser's tensors of the good state back."""
        with _opened(self._good) as file:
            _restore(file, self._good, parameters, optimizer)


def _tensors(
    parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer | None = None
) -> Iterator[tuple[str, torch.Tensor]]:
    """Names in the file and tensors: weights, and what an optimiser keeps of each."""
    for name, parameter in parameters.items():
        yield f"{WEIGHT}{name}", parameter.detach()
        kept = optimizer.state.get(parameter, {}) if optimizer else {}
        for key, value in kept.items():
            yield f"{key}/{name}", value


def _write(path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str]) -> None:
    try:
        with atomic_path(path) as partial:
            save_file(dict(tensors), partial, metadata=metadata)
    except SafetensorError as error:
        raise WorkspaceError(f"cannot write: {error}", where=str(path)) from error


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"cannot read the checkpoint: {error}", where=str(path)) from error


def _state(file: Any) -> TrainingState:
    return TrainingState(**json.loads(file.metadata()["state"]))


def _restore(
    file: Any, path: Path, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer | None
) -> None:
    """Copy a file's tensors into the parameters and, where there is one, the optimiser. All of it fits, or none of it
    is copied."""
    names = file.keys()
    saved = {
        name.removeprefix(WEIGHT): tuple(file.get_slice(name).get_shape()) for name in names if name.startswith(WEIGHT)
    }
    if saved != {name: tuple(parameter.shape) for name, parameter in parameters.items()}:
        raise TrainingError("the checkpoint trains other weights than this recipe", where=str(path))
    for name, parameter in parameters.items():
        parameter.data.copy_(part_of(file.get_tensor(f"{WEIGHT}{name}"), parameter))
    if optimizer is None:
        return
    optimizer.state.clear()
    for name in names:
        key, _, of = name.partition("/")
        if f"{key}/" != WEIGHT:
            value = file.get_tensor(name)
            optimizer.state[parameters[of]][key] = part_of(value, parameters[of]) if value.dim() else value
