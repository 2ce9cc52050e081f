"""Which requests run, and what each step computes: all rows that decode, and a bounded piece of new prompts."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from luthier.core.errors import DeadlineError, GenerationError, LuthierError, ModelError, RequestError
from luthier.inference.answer import Answer
from luthier.inference.key_values import BLOCK, band_limit
from luthier.inference.prefix_cache import PrefixCache, PrefixKey, tokens_in_common
from luthier.inference.runner import Row, Runner
from luthier.inference.sampling import Choice, Sampler, next_tokens

LARGEST_BATCH = 128
PROMPT_TOKENS_A_STEP = 512
"""Prompts are computed in pieces, so that answers in the making wait for no more than this many tokens."""
WORTH_WAITING = 16
"""Tokens; a request does not wait a step for the states of fewer."""
MOST_PASSED = 16
"""Requests for adapters that are at work which one whose adapter finds no room lets pass: a load of an adapter then
serves many, and nobody waits for ever."""


@dataclass(eq=False, slots=True)
class Task:
    """One answer on its way. `deadline` is in seconds of `time.monotonic`; `on_token` hears of every token, and
    `on_error` of the end of an answer that fails."""

    answer: Answer
    row: Row
    sampler: Sampler
    prefix_key: PrefixKey
    deadline: float | None
    on_token: Callable[[Choice], None]
    on_error: Callable[[Exception], None]
    passed: int = 0
    """How many later ones were let in while its adapter found no room."""

    @property
    def most_tokens(self) -> int:
        """Tokens that its keys and values may take in the end."""
        return band_limit(self.row.prompt + self.answer.request.max_new_tokens)


class Scheduler:
    """Continuous batching (Yu et al. 2022, Orca) with chunked prompts (Agrawal et al. 2023). Used by one thread.

    A request is admitted when its keys and values have room to its last token, so that what runs always ends.
    """

    def __init__(self, runner: Runner, key_value_bytes: int, prefix_bytes: int) -> None:
        self._runner = runner
        self._room = max(1, key_value_bytes // max(1, runner.token_bytes))
        self._prefixes = PrefixCache(prefix_bytes)
        self._most_kept = prefix_bytes // max(1, runner.token_bytes)
        self._waiting: list[Task] = []
        self._running: list[Task] = []
        """In the order of admission."""

    @property
    def idle(self) -> bool:
        return not (self._waiting or self._running)

    def add(self, task: Task) -> None:
        if task.most_tokens > self._room:
            task.on_error(
                RequestError(
                    f"prompt and answer may take {task.most_tokens} tokens of memory",
                    allowed=f"{self._room} tokens, all that there is room for",
                )
            )
        else:
            self._waiting.append(task)

    def cancel(self, task: Task) -> None:
        """Forget an answer; nothing if it has ended."""
        if task in self._waiting:
            self._waiting.remove(task)
        elif task in self._running:
            self._end(task)

    def adapters_in_use(self) -> list[str]:
        return list({task.row.adapter: None for task in self._running if task.row.adapter is not None})

    def forget_adapter(self, adapter: str) -> None:
        """End what runs or waits for an adapter that is going, and drop what was computed with it."""
        for task in [task for task in (*self._running, *self._waiting) if task.row.adapter == adapter]:
            self._fail(task, ModelError(f"{adapter} was taken off while it answered"))
        self._prefixes.forget(adapter)

    def fail_all(self, error: Exception) -> None:
        """End all that runs or waits."""
        for task in [*self._running, *self._waiting]:
            self._fail(task, error)

    def step(self) -> None:
        """Compute once, and hand out a token for each row that can go on."""
        self._fail_late()
        self._admit()
        chunks = self._chunks()
        if not self._running:
            return
        by_row = {id(task.row): task for task in self._running}
        rows, logits = self._runner.compute(chunks)
        tasks = [by_row[id(row)] for row in rows]
        choices = next_tokens(logits, [task.sampler for task in tasks])
        for task, choice in zip(tasks, choices, strict=True):
            self._take(task, choice)

    def _fail_late(self) -> None:
        now = time.monotonic()
        for task in [t for t in (*self._running, *self._waiting) if t.deadline is not None and t.deadline < now]:
            self._fail(task, DeadlineError(f"no answer within {task.answer.request.max_seconds:g} seconds"))

    def _admit(self) -> None:
        """Let requests in, first come, first served: until one finds no room for its keys and values. One whose
        beginning is being computed for another just now waits for that; one whose adapter finds no room lets up to
        MOST_PASSED pass that need no other adapters than are at work."""
        used = sum(task.most_tokens for task in self._running)
        at_work = set(self.adapters_in_use())
        blocked: list[Task] = []
        passing = MOST_PASSED
        for task in list(self._waiting):
            if len(self._running) >= LARGEST_BATCH or passing <= 0:
                return
            if blocked and task.row.adapter is not None and task.row.adapter not in at_work:
                blocked.append(task)
                passing = min(passing, MOST_PASSED - task.passed)
                continue
            if used + task.most_tokens > self._room:
                return
            if self._shares_what_is_being_computed(task):
                continue
            try:
                if not self._adapter_is_ready(task):
                    blocked.append(task)
                    passing = min(passing, MOST_PASSED - task.passed)
                    continue
                self._runner.start(task.row, self._prefixes.find(task.prefix_key, task.row.tokens))
            except LuthierError as error:
                self._fail(task, error)
                continue
            except Exception as error:  # no memory for its prompt, say: the others run on
                self._fail(task, GenerationError(f"the request could not be begun: {error}"))
                continue
            for one in blocked:
                one.passed += 1
            passing -= bool(blocked)
            self._waiting.remove(task)
            self._running.append(task)
            used += task.most_tokens
            if task.row.adapter is not None:
                at_work.add(task.row.adapter)

    def _adapter_is_ready(self, task: Task) -> bool:
        adapter = task.row.adapter
        return adapter is None or self._runner.adapters.prepare(adapter, self.adapters_in_use())

    def _shares_what_is_being_computed(self, task: Task) -> bool:
        known = None
        for other in self._running:
            if other.prefix_key != task.prefix_key or other.row.computed >= other.row.prompt:
                continue
            if known is None:
                known = self._prefixes.known(task.prefix_key, task.row.tokens)
            kept = min(other.row.prompt, self._most_kept) // BLOCK * BLOCK
            if known + WORTH_WAITING <= min(kept, tokens_in_common(task.row.tokens[:-1], other.row.tokens)):
                return True
        return False

    def _chunks(self) -> list[tuple[Row, int]]:
        chunks, room = [], PROMPT_TOKENS_A_STEP
        for task in self._running:
            row = task.row
            if row.computed < row.prompt and room > 0:
                count = min(room, row.prompt - row.computed)
                chunks.append((row, count))
                room -= count
        return chunks

    def _take(self, task: Task, choice: Choice | GenerationError) -> None:
        row = task.row
        if isinstance(choice, GenerationError):
            self._fail(task, choice)
            return
        first = row.computed == row.prompt
        row.tokens.append(choice.token)
        task.on_token(choice)
        ended = task.answer.finish_reason is not None
        if first or ended:
            self._keep_prefix(task)
        if ended:
            self._end(task)

    def _keep_prefix(self, task: Task) -> None:
        states = self._runner.states(task.row)
        if states is not None:
            self._prefixes.add(task.prefix_key, task.row.tokens, states)

    def _fail(self, task: Task, error: Exception) -> None:
        self.cancel(task)
        task.on_error(error)

    def _end(self, task: Task) -> None:
        self._running.remove(task)
        self._runner.leave(task.row)
