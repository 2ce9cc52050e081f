"""What the server offers under which name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A name that clients may use, and what answers under it.

    `id` is the client's name for it: an alias, a run's id or the base model's. `generator_model` is the engine's name
    for it, out of `Generator.models`. `run` is what answers (a run's id or the base model's), `release` the release
    that an alias stands for. `root` is the base model, `parent` what this one was trained from (None for the base
    itself). `created` is in seconds since the epoch, UTC.
    """

    id: str
    generator_model: str
    run: str
    release: str | None
    root: str
    parent: str | None
    created: int


class Catalogue(Protocol):
    """Where serving learns what it offers. Implemented over the registry in pipeline."""

    def models(self) -> Sequence[ServedModel]:
        """All that is offered now. Called for every request, from a thread, so that a new release counts at once."""
        ...
