"""Work of several processes that Ray Train starts on a cluster: each opens the workspace and meets the others."""

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from luthier.core.errors import LuthierError, RecipeError, TrainingError
from luthier.core.progress import Reporter
from luthier.core.recipe import Recipe
from luthier.core.workspace import Workspace
from luthier.data.engine import ray_running
from luthier.pipeline.project import Project
from luthier.registry import Registry
from luthier.store import Store

T = TypeVar("T")
LISTENING_SECONDS = 0.5
"""How long to wait for word from the workers before looking whether they have ended."""


def on_ray(project: Project, engine: str, workers: int, work: Callable[[Project], T]) -> T:
    """Do `work` in so many processes, which torch.distributed joins through gloo; what the first of them returns.

    `engine` is `ray`, which starts one here, or `ray://host:port`, a cluster whose machines see the same folders and
    have Luthier installed. What the workers tell is told here. Ctrl-C ends them.
    Raises RecipeError for a Ray that is not installed or cannot be reached or has too few processors, and what a worker
    raises.
    """
    with ray_running(engine, "training.engine") as ray:
        try:
            from ray.train import RunConfig, ScalingConfig
            from ray.train.torch import TorchConfig, TorchTrainer
            from ray.util.queue import Queue
        except ImportError as error:
            raise RecipeError(
                "training.engine: Ray Train is not installed", where="recipe", allowed="pip install 'luthier[ray]'"
            ) from error
        processors = int(ray.cluster_resources().get("CPU", 0))
        if workers > processors:
            raise RecipeError(
                f"training.num_workers: {workers} processes, and Ray has {processors} processors",
                where="recipe",
                allowed=f"up to {processors}",
            )
        told = Queue(actor_options={"num_cpus": 0})
        task = {"root": project.workspace.root, "recipe": project.recipe, "told": told, "work": work}
        with tempfile.TemporaryDirectory(dir=project.workspace.state, prefix="ray-") as storage:
            trainer = TorchTrainer(
                _in_worker,
                train_loop_config=task,
                torch_config=TorchConfig(backend="gloo"),
                scaling_config=ScalingConfig(num_workers=workers),
                run_config=RunConfig(storage_path=storage, name="training"),
            )
            return _listening(trainer, told, project.reporter)  # type: ignore[no-any-return]


class _Telling:
    """A reporter in a worker, for one who listens elsewhere."""

    def __init__(self, told: Any) -> None:
        self._told = told

    def say(self, text: str) -> None:
        self._told.put(("say", text))

    def progress(self, what: str, done: int, total: int, detail: str = "") -> None:
        self._told.put(("progress", what, done, total, detail))


def _in_worker(task: dict[str, Any]) -> Any:
    root: Path = task["root"]
    recipe: Recipe = task["recipe"]
    workspace = Workspace.find(root)
    with Store.open(workspace.database) as store:
        return task["work"](Project(workspace, recipe, store, Registry(store, workspace), _Telling(task["told"])))


def _listening(trainer: Any, told: Any, reporter: Reporter) -> Any:
    """What the first worker returns; meanwhile what it tells is told. Ray runs in another thread, since it would take
    Ctrl-C for itself in this one."""
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append(trainer.fit().return_value)
        except Exception as error:
            ended.append(error)

    running = threading.Thread(target=run, daemon=True)
    running.start()
    while running.is_alive() or not told.empty():
        _pass_on(told, reporter)
    if not isinstance(ended[0], Exception):
        return ended[0]
    failures = list(getattr(ended[0], "worker_failures", {}).values())
    meant = [failure for failure in failures if isinstance(failure, LuthierError)]
    if meant:
        raise meant[0]
    raise TrainingError(f"a worker failed: {' '.join(str(ended[0]).split())}", where="training.engine") from ended[0]


def _pass_on(told: Any, reporter: Reporter) -> None:
    from ray.util.queue import Empty

    try:
        kind, *arguments = told.get(timeout=LISTENING_SECONDS)
    except Empty:
        return
    getattr(reporter, kind)(*arguments)
