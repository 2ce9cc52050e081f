"""Whole answers out of pieces that come in any order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from luthier.core.generation import Completion, GenerationEvent, GenerationRequest, complete


@dataclass
class Scripted:
    """A generator that gives the events it was made with."""

    events: Sequence[GenerationEvent]
    asked: list[GenerationRequest] = field(default_factory=list)

    @property
    def models(self) -> tuple[str, ...]:
        return ("base",)

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[GenerationEvent]:
        self.asked += requests
        yield from self.events


def ask(text: str) -> GenerationRequest:
    return GenerationRequest("base", ({"role": "user", "content": text},))


def test_pieces_are_put_together_in_the_order_of_the_requests() -> None:
    generator = Scripted(
        [
            GenerationEvent(1, "Good"),
            GenerationEvent(0, "Hel"),
            GenerationEvent(1, "bye", "length", 7, 2),
            GenerationEvent(0, ""),
            GenerationEvent(0, "lo", "stop", 5, 3),
        ]
    )
    requests = [ask("greet"), ask("part")]

    answers = complete(generator, requests)

    assert answers == [Completion("Hello", "stop", 5, 3), Completion("Goodbye", "length", 7, 2)]
    assert generator.asked == requests


def test_no_requests_have_no_answers() -> None:
    assert complete(Scripted([]), []) == []


@pytest.mark.parametrize(
    "events", [[], [GenerationEvent(0, "a", "stop")], [GenerationEvent(0, "a", "stop"), GenerationEvent(1, "b")]]
)
def test_generator_that_stops_half_way_is_a_fault(events: list[GenerationEvent]) -> None:
    with pytest.raises(RuntimeError, match="without finishing every request"):
        complete(Scripted(events), [ask("one"), ask("two")])
