"""In which order requests are let in, with few places for adapters and for keys and values."""

import pytest
import torch

from luthier.core.generation import GenerationRequest
from luthier.inference.answer import Answer
from luthier.inference.key_values import band_limit
from luthier.inference.runner import Row
from luthier.inference.sampling import Sampler
from luthier.inference.scheduler import MOST_PASSED, Scheduler, Task

PROMPT = 4


class Adapters:
    """A stack with room for so many, of which `L` takes two places; `loads` are those that were read, in order."""

    def __init__(self, room):
        self.room, self.resident, self.loads = room, [], []

    def prepare(self, name, in_use):
        if name not in self.resident:
            if self.taken([*in_use, name]) > self.room:
                return False
            while self.taken([*self.resident, name]) > self.room:
                self.resident.remove(next(other for other in self.resident if other not in in_use))
            self.resident.append(name)
            self.loads.append(name)
        return True

    def taken(self, names):
        return sum(2 if name == "L" else 1 for name in names)


class Runner:
    """Says token 1 to everything, and minds that what it computes with is there. `started`: first tokens of rows, by
    which they are told, in the order in which they were let in."""

    token_bytes = 1

    def __init__(self, room):
        self.adapters, self.rows, self.started = Adapters(room), [], []

    def start(self, row, _prefix):
        self.rows.append(row)
        self.started.append(row.tokens[0])

    def compute(self, chunks):
        used = {row.adapter for row in self.rows} - {None}
        assert used <= set(self.adapters.resident)
        assert self.adapters.taken(used) <= self.adapters.room
        ready = [row for row in self.rows if row.computed >= row.prompt]
        for row in ready:
            row.computed += 1
        for row, count in chunks:
            row.computed += count
            ready += [row] * (row.computed == row.prompt)
        return ready, torch.tensor([[0.0, 1.0]]).expand(len(ready), 2)

    def states(self, _row):
        return None

    def leave(self, row):
        self.rows.remove(row)


def _fail(error):
    raise error


def _task(number, adapter, new_tokens=3):
    request = GenerationRequest("m", ({"role": "user", "content": "?"},), max_new_tokens=new_tokens)
    answer = Answer(number, request, PROMPT, lambda tokens: "x" * len(tokens))
    return Task(
        answer,
        Row([number] * PROMPT, PROMPT, adapter),
        Sampler(request),
        (adapter, ""),
        None,
        lambda choice: answer.add(choice.token, False),
        _fail,
    )


def _scheduler(room, key_value_bytes=1 << 20):
    runner = Runner(room)
    return Scheduler(runner, key_value_bytes, 0), runner


def _run(scheduler, ended, most=20_000):
    """Step until it has ended, which takes so many steps at most."""
    for _ in range(most):
        if ended():
            return
        scheduler.step()
    raise AssertionError(f"no end after {most} steps")


def _order(adapters, room):
    """The requests for these adapters (`-`: none), by number, as they are let in; and the adapters as they are read."""
    scheduler, runner = _scheduler(room)
    for number, adapter in enumerate(adapters):
        scheduler.add(_task(number, None if adapter == "-" else adapter))
    _run(scheduler, lambda: scheduler.idle)
    assert sorted(runner.started) == list(range(len(adapters)))
    return runner.started, "".join(runner.adapters.loads)


@pytest.mark.parametrize(
    ("adapters", "room", "order", "loads"),
    [
        ("abcabc", 1, [0, 3, 1, 4, 2, 5], "abc"),
        ("abcabc", 2, [0, 1, 3, 4, 2, 5], "abc"),
        ("abcabc", 3, [0, 1, 2, 3, 4, 5], "abc"),
        ("ab-a-b", 1, [0, 2, 3, 4, 1, 5], "ab"),
        ("cbacab", 1, [0, 3, 1, 5, 2, 4], "cba"),
        ("aabbcc", 2, [0, 1, 2, 3, 4, 5], "abc"),
        ("abccba", 2, [0, 1, 4, 5, 2, 3], "abc"),
        ("abcab", 1, [0, 3, 1, 4, 2], "abc"),
        ("aLba", 2, [0, 3, 1, 2], "aLb"),
        ("aLbL", 2, [0, 1, 3, 2], "aLb"),
    ],
)
def test_those_whose_adapter_is_at_work_go_first_and_the_others_in_their_order(adapters, room, order, loads):
    assert _order(adapters, room) == (order, loads)


@pytest.mark.parametrize("room", [1, 2])
def test_those_that_were_passed_often_enough_are_passed_no_more(room):
    """`c` waits as long as `b` where there is one place: who comes after it may not pass it once more."""
    first = "ab"[:room]
    others = "bc"[room - 1 :]
    order, _ = _order(f"{first}{others}{'a' * MOST_PASSED}{others[0]}aa", room)
    waiting, passing = len(first), len(first) + len(others)
    last = passing + MOST_PASSED
    assert order[: waiting + MOST_PASSED] == [*range(waiting), *range(passing, last)]
    assert order[waiting + MOST_PASSED :][: len(others)] == list(range(waiting, passing))


def test_passes_are_counted_over_all_steps_that_one_waits():
    scheduler, runner = _scheduler(1)
    scheduler.add(_task(0, "a", 60))
    scheduler.add(_task(1, "b"))
    for number in range(2, 42):
        scheduler.add(_task(number, "a", 1))
        scheduler.step()
    assert runner.started == [0, *range(2, 2 + MOST_PASSED)]
    _run(scheduler, lambda: 1 in runner.started)
    assert runner.started == [0, *range(2, 2 + MOST_PASSED), 1]


def test_nobody_passes_one_that_finds_no_room_for_its_keys_and_values():
    large, small = 10_000, 3
    scheduler, runner = _scheduler(3, key_value_bytes=band_limit(PROMPT + large))
    for number, (adapter, new_tokens) in enumerate([("a", small), ("b", large), ("a", small), (None, small)]):
        scheduler.add(_task(number, adapter, new_tokens))
    scheduler.step()
    assert runner.started == [0]
    _run(scheduler, lambda: scheduler.idle)
    assert runner.started == [0, 1, 2, 3]
