"""Figures of a training in progress, sent to where people watch them: TensorBoard, MLflow, Weights & Biases."""

import importlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from luthier.core.errors import TrainingError
from luthier.core.recipe import Tracker
from luthier.training.state import TrainingState

Log = Callable[[int, Mapping[str, float]], None]
"""Takes the step and figures by name, such as `train/loss`."""


@contextmanager
def trackers(
    names: Sequence[Tracker], title: str, folder: Path, settings: Mapping[str, object]
) -> Iterator[Callable[[TrainingState], None]]:
    """Takes the state after each step and tells all trackers what is new in it, until the end of the `with`.

    `title` names the training, `settings` are shown with it, files go into `folder`. Raises TrainingError for a tracker
    that is not installed or has nowhere to write to.
    """
    with ExitStack() as opened:
        logs = [opened.enter_context(_OPEN[name](title, folder, settings)) for name in names]

        def tell(state: TrainingState) -> None:
            figures = _news(state)
            for log in logs:
                log(state.step, figures)

        yield tell


def _news(state: TrainingState) -> dict[str, float]:
    """What the last step has added to the curves."""
    figures = {"train/tokens_per_second": state.tokens_per_second}
    for part, curve in (("train", state.train_curve), ("validation", state.validation_curve)):
        if curve and curve[-1]["step"] == state.step:
            figures |= {f"{part}/{name}": value for name, value in curve[-1].items() if name != "step"}
    return figures


@contextmanager
def _tensorboard(title: str, folder: Path, settings: Mapping[str, object]) -> Iterator[Log]:
    """Event files in `folder/tensorboard/title`."""
    _import("tensorboard")
    writer = _import("torch.utils.tensorboard").SummaryWriter(str(folder / "tensorboard" / title))
    writer.add_text("settings", "\n".join(f"- {name}: {value}" for name, value in settings.items()))

    def log(step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, step)

    try:
        yield log
    finally:
        writer.close()


@contextmanager
def _mlflow(title: str, _: Path, settings: Mapping[str, object]) -> Iterator[Log]:
    """A run on the server that MLFLOW_TRACKING_URI names."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise TrainingError("MLflow has nowhere to write to", where="training.report_to", allowed="MLFLOW_TRACKING_URI")
    mlflow = _import("mlflow")
    with mlflow.start_run(run_name=title):
        mlflow.log_params({name: str(value)[:500] for name, value in settings.items()})
        yield lambda step, figures: mlflow.log_metrics(dict(figures), step=step)


@contextmanager
def _wandb(title: str, folder: Path, settings: Mapping[str, object]) -> Iterator[Log]:
    """A run of Weights & Biases, where its environment variables say; WANDB_MODE=offline keeps it in `folder`."""
    with _import("wandb").init(name=title, dir=str(folder), config=dict(settings)) as run:
        yield lambda step, figures: run.log(dict(figures), step=step)


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise TrainingError(
            f"{name.partition('.')[0]} is not installed",
            where="training.report_to",
            allowed="pip install 'luthier[trackers]'",
        ) from error


_OPEN: Mapping[Tracker, Callable[..., Any]] = {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}
