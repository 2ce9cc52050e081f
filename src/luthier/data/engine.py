"""Daft, with its telemetry and progress bars off, and where it runs. Import it from here only."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from luthier.core.errors import RecipeError

os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")
os.environ.setdefault("DAFT_PROGRESS_BAR", "0")

import daft

__all__ = ["daft", "ray_running", "running_on", "worker_count"]

LOCAL = "local"
_RAY = "ray"
_NOT_INSTALLED = "pip install 'luthier[ray]'"


@contextmanager
def running_on(engine: str) -> Iterator[None]:
    """Run Daft on this machine (`local`), on a Ray that is started here and stopped afterwards (`ray`), or on a cluster
    (`ray://host:port`), whose machines must see the same files and have Luthier installed.

    Daft keeps to one of them for the life of a process. Raises RecipeError for a Ray that is not installed or cannot be
    reached, and where the process already works on the other one.
    """
    if engine == LOCAL:
        _set_runner("native")
        yield
        return
    with ray_running(engine, "data.engine"):
        _set_runner("ray")
        yield


@contextmanager
def ray_running(engine: str, field: str) -> Iterator[Any]:
    """Ray's own module with a Ray to work on: one that is started here (`ray`), or a cluster (`ray://host:port`); it is
    left as it was found. `field` is what the recipe calls it. Raises RecipeError as `running_on` does."""
    ray = _import_ray(field)
    started = not ray.is_initialized()
    if started:
        _start(ray, engine, field)
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


def worker_count() -> int:
    """Processes that clean at the same time: one for each core of the machine or cluster."""
    if daft.runners.get_or_infer_runner_type() == "ray":
        return max(1, int(_import_ray().cluster_resources().get("CPU", 1)))
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _set_runner(kind: str) -> None:
    running = daft.runners._get_runner()
    if running is None:
        daft.set_runner_native() if kind == "native" else daft.set_runner_ray(noop_if_initialized=True)
    elif running.name != kind:
        raise RecipeError(
            "data.engine: this process has already worked on the other engine",
            where="recipe",
            allowed="one engine for the life of a process: start Luthier anew",
        )


def _import_ray(field: str = "data.engine") -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise RecipeError(f"{field}: Ray is not installed", where="recipe", allowed=_NOT_INSTALLED) from error
    return ray


def _start(ray: Any, engine: str, field: str) -> None:
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if engine == _RAY:
            ray.init(address="local", include_dashboard=False, **quiet)
        else:
            ray.init(address=engine, **quiet)
    except Exception as error:  # Ray has no one base class for what goes wrong here
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RecipeError(f"{field}: cannot reach {engine}: {reason}", where="recipe") from error
