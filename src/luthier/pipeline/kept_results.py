"""What a model answered and how well it predicted rows, kept in the workspace for the next evaluation.

It is the base model's: it stays the same while runs come and go, and half of an evaluation is spent on it.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from luthier.core.errors import WorkspaceError
from luthier.core.files import write_text
from luthier.core.generation import GenerationEvent, GenerationRequest, Generator, events_of
from luthier.core.identity import content_id
from luthier.core.rows import Message, RowLoss, TokenRow

FORMAT = 1
"""Another one for each change of what a line holds, or of what an answer is made of."""


class KeptResults:
    """Results of `model` by the tokens that it reads, in a file of JSON lines; one that cannot be read counts as none,
    and one that cannot be written is done without. The file's name has to stand for all else that they depend on.

    `prompt_ids` gives the tokens of a request's conversation. A template may write the date into them, so that the
    messages alone would not do.
    """

    def __init__(self, model: str, path: Path, prompt_ids: Callable[[Sequence[Message]], Sequence[int]]) -> None:
        self.model = model
        self._path = path
        self._prompt_ids = prompt_ids
        self._known: dict[str, list[Any]] = _read(path)

    def answer(self, request: GenerationRequest) -> GenerationEvent | None:
        """The whole answer to a request as its only event, None where it is not known."""
        found = self._known.get(self._key(request)) if self.keeps(request) else None
        return None if found is None else GenerationEvent(0, *found)

    def keeps(self, request: GenerationRequest) -> bool:
        """Whether the answer to a request is one to be kept: the likeliest one, which is not being timed, as text."""
        asked = (request.model, request.temperature, request.cache_salt, request.n, request.logprobs)
        return asked == (self.model, 0, "", 1, None)

    def keep_answers(self, answers: Sequence[tuple[GenerationRequest, str, GenerationEvent]]) -> None:
        """Requests, the texts that answer them, and the last event of each."""
        self._keep({
            self._key(request): [text, last.finish_reason, last.prompt_tokens, last.completion_tokens]
            for request, text, last in answers
        })  # fmt: skip

    def losses(
        self, rows: Sequence[TokenRow], compute: Callable[[Sequence[TokenRow]], Sequence[RowLoss]]
    ) -> list[RowLoss]:
        """The losses of rows, in their order; `compute` is asked for those that are not known, if there are any."""
        keys = [content_id("loss", [row.input_ids, row.targets]) for row in rows]
        if unknown := {key: row for key, row in zip(keys, rows, strict=True) if key not in self._known}:
            computed = compute(list(unknown.values()))
            self._keep({
                key: [loss.loss_sum, loss.correct_tokens] for key, loss in zip(unknown, computed, strict=True)
            })  # fmt: skip
        found = [self._known[key] for key in keys]
        return [
            RowLoss(row.id, loss_sum, row.target_tokens, correct)
            for row, (loss_sum, correct) in zip(rows, found, strict=True)
        ]

    def _key(self, request: GenerationRequest) -> str:
        settings = {name: value for name, value in asdict(request).items() if name != "messages"}
        return content_id("answer", [self._prompt_ids(request.messages), settings])

    def _keep(self, results: Mapping[str, list[Any]]) -> None:
        if not results:
            return
        self._known |= results
        lines = (json.dumps([key, value]) + "\n" for key, value in self._known.items() if _is_finite(value))
        with suppress(WorkspaceError):
            write_text(self._path, "".join(lines))


@dataclass(frozen=True, slots=True)
class Recalling:
    """A `Generator` that gives the answers that are kept, and keeps those that another one makes."""

    generator: Generator
    results: KeptResults

    @property
    def models(self) -> tuple[str, ...]:
        return self.generator.models

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[GenerationEvent]:
        """See `Generator.stream`. What has been answered when it is closed is kept as well."""
        unknown = []
        for index, request in enumerate(requests):
            if known := self.results.answer(request):
                yield replace(known, index=index)
            else:
                unknown.append(index)
        texts: dict[int, str] = defaultdict(str)
        made = []
        try:
            with closing(events_of(self.generator, [requests[index] for index in unknown])) as events:
                for event in events:
                    index = unknown[event.index]
                    texts[index] += event.text
                    if event.finish_reason and self.results.keeps(requests[index]):
                        made.append((requests[index], texts[index], event))
                    yield replace(event, index=index)
        finally:
            self.results.keep_answers(made)


def _is_finite(result: Sequence[Any]) -> bool:
    return all(math.isfinite(part) for part in result if isinstance(part, float))


def _read(path: Path) -> dict[str, list[Any]]:
    try:
        return dict(map(json.loads, path.read_text(encoding="utf-8").splitlines()))
    except (OSError, ValueError, TypeError):
        return {}
