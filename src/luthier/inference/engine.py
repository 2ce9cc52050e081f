"""One engine for chat, evaluation and serving: many requests, for the base model and any adapters, in one batch."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from luthier.core.errors import LuthierError, ModelError, RequestError
from luthier.core.generation import GenerationEvent, GenerationRequest, TokenLogprob
from luthier.core.recipe import Quantization
from luthier.inference.answer import Answer
from luthier.inference.grammar import GrammarCompiler
from luthier.inference.runner import Row, open_runner, quantize_where_near
from luthier.inference.sampling import Choice, Sampler
from luthier.inference.scheduler import Scheduler, Task
from luthier.kernels.allocator import free_memory
from luthier.models.adapter_stack import AdapterFiles
from luthier.models.template import ChatTemplate

Delivery = GenerationEvent | Exception

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """Bytes for the keys and values of requests, for prefixes kept between them, and for resident adapters."""

    key_values: int
    prefixes: int
    adapters: int

    @classmethod
    def of_this_machine(cls) -> "MemoryBudget":
        """Half of the memory that is free now."""
        free = free_memory()
        return cls(key_values=free // 4, prefixes=free // 8, adapters=free // 8)


class Engine:
    """A `Generator` over a transformers model, which it changes for its purposes: nobody else may use the model.

    All requests, of any number of callers, run in one batch, in a thread that lives as long as there are any.
    `fast_path` is "on", or "off: " and why requests are computed one by one. `weights` names those that answer: what
    `quantization` says, or the model's type, where others were asked for with the reason behind it. Adapters stay in
    that type. Raises ModelError or WeightsError for a model that cannot be quantised.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        template: ChatTemplate,
        base_name: str,
        memory: MemoryBudget | None = None,
        quantization: Quantization | None = None,
    ) -> None:
        self._model, self._tokenizer, self._template, self._base_name = model, tokenizer, template, base_name
        self.weights: str = str(model.dtype).removeprefix("torch.")
        if quantization:
            refused = quantize_where_near(model, quantization)
            self.weights = f"{self.weights}: {refused}" if refused else quantization
        memory = memory or MemoryBudget.of_this_machine()
        self._runner, reason = open_runner(model, memory.adapters)
        self.fast_path = f"off: {reason}" if reason else "on"
        self._scheduler = Scheduler(self._runner, memory.key_values, 0 if reason else memory.prefixes)
        self._adapters: list[str] = []
        self._end_ids = {template.end_token_id} | ({tokenizer.eos_token_id} - {None})
        self._vocabulary = int(model.config.get_text_config().vocab_size)
        self._grammars = GrammarCompiler(tokenizer, self._end_ids, self._vocabulary)
        self._longest = int(getattr(model.config.get_text_config(), "max_position_embeddings", 0)) or None
        self._adding, self._tokenizing = threading.Lock(), threading.Lock()
        self._guard = threading.Lock()
        self._orders: list[Callable[[], None]] = []
        """What callers want done between two steps."""
        self._thread: threading.Thread | None = None

    @property
    def models(self) -> tuple[str, ...]:
        return (self._base_name, *self._adapters)

    def add_adapter(self, name: str, folder: Path) -> None:
        """Offer an adapter in PEFT's format as model `name`, while others are answering.

        Raises ModelError when it does not fit the base model, or is of a kind that cannot be served beside others.
        """
        with self._adding:
            if name in self.models:
                return
            files = AdapterFiles(self._model, folder)
            deltas, scheduler = files.read(), self._scheduler
            self._order(lambda: self._runner.adapters.add(name, files, deltas, scheduler.adapters_in_use()))
            self._adapters.append(name)

    def remove_adapter(self, name: str) -> None:
        """Offer an adapter no longer; answers that it has begun fail. Raises ModelError for an unknown name."""
        if name not in self._adapters:
            raise ModelError(f"no adapter {name!r}", allowed=", ".join(self._adapters) or "none")
        self._adapters.remove(name)
        self._order(lambda: self._remove(name))

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[GenerationEvent]:
        """See `Generator.stream`."""
        deliveries: SimpleQueue[Delivery] = SimpleQueue()
        tasks: list[Task] = []
        refused: list[GenerationEvent] = []
        for index, request in enumerate(requests):
            try:
                tasks += self._tasks(index, request, deliveries)
            except LuthierError as error:
                refused += [
                    GenerationEvent(index, "", choice=choice, error=error) for choice in range(max(1, request.n))
                ]
        yield from refused
        going = len(tasks)
        try:
            self._order(*(partial(self._scheduler.add, task) for task in tasks))
            while going:
                delivery = deliveries.get()
                if isinstance(delivery, Exception):
                    raise RuntimeError(f"generation failed: {delivery}") from delivery
                going -= delivery.is_last
                yield delivery
        finally:
            if going:
                self._order(*(partial(self._scheduler.cancel, task) for task in tasks))

    def _tasks(self, index: int, request: GenerationRequest, deliveries: SimpleQueue[Delivery]) -> list[Task]:
        """One task for each answer that a request wants. Raises LuthierError for what cannot be answered."""
        if request.model not in self.models:
            raise ModelError(f"no model {request.model!r}", allowed=", ".join(self.models))
        refuse_out_of_range(request, self._vocabulary)
        prompt = self._prompt(request)
        constraint = self._grammars.constraint(request.grammar) if request.grammar else None
        adapter = None if request.model == self._base_name else request.model
        deadline = None if request.max_seconds is None else time.monotonic() + request.max_seconds
        tasks = []
        for choice in range(request.n):
            answer = Answer(index, request, len(prompt), self._decode, choice)
            tasks.append(
                Task(
                    answer=answer,
                    row=Row(list(prompt), len(prompt), adapter),
                    sampler=Sampler(request, prompt, choice, constraint.copy() if constraint else None),
                    prefix_key=(adapter, request.cache_salt),
                    deadline=deadline,
                    on_token=partial(self._on_token, answer, deliveries),
                    on_error=partial(_on_error, answer, deliveries),
                )
            )
        return tasks

    def _prompt(self, request: GenerationRequest) -> list[int]:
        with self._tokenizing:
            ids = self._template.prompt_ids(request.messages)
        if self._longest and len(ids) + request.max_new_tokens > self._longest:
            raise RequestError(
                f"{len(ids)} prompt tokens and {request.max_new_tokens} new ones exceed the model's context",
                allowed=f"{self._longest} tokens together",
            )
        return ids

    def _on_token(self, answer: Answer, deliveries: SimpleQueue[Delivery], choice: Choice) -> None:
        is_end = choice.token in self._end_ids
        text = answer.add(choice.token, is_end)
        logprobs = () if choice.logprob is None or is_end else (self._logprob(choice, choice.logprob),)
        if text or logprobs or answer.finish_reason:
            deliveries.put(
                GenerationEvent(
                    answer.index,
                    text,
                    answer.finish_reason,
                    answer.prompt_tokens,
                    len(answer.tokens),
                    answer.choice,
                    logprobs,
                )
            )

    def _logprob(self, choice: Choice, logprob: float) -> TokenLogprob:
        top = tuple((self._decode([token]), value) for token, value in choice.top)
        return TokenLogprob(self._decode([choice.token]), logprob, top)

    def _remove(self, name: str) -> None:
        self._scheduler.forget_adapter(name)
        self._runner.adapters.remove(name)

    def _order(self, *orders: Callable[[], None]) -> None:
        """Have something done between two steps."""
        with self._guard:
            self._orders += orders
            if self._thread is None and orders:
                self._thread = threading.Thread(target=self._work, name="luthier-inference", daemon=True)
                self._thread.start()

    @torch.inference_mode()
    def _work(self) -> None:
        while True:
            with self._guard:
                orders, self._orders = self._orders, []
                if not orders and self._scheduler.idle:
                    self._thread = None
                    return
            try:
                while orders:
                    orders.pop(0)()
                self._scheduler.step()
            except Exception as error:
                logger.exception("a step of generation failed")
                self._scheduler.fail_all(error)
            with self._guard:  # what callers wanted after the order that failed
                self._orders = orders + self._orders

    def _decode(self, tokens: Sequence[int]) -> str:
        text = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        assert isinstance(text, str)
        return text


def _on_error(answer: Answer, deliveries: SimpleQueue[Delivery], error: Exception) -> None:
    """What a person can understand ends the answer; anything else is raised where the answer is read."""
    if isinstance(error, LuthierError):
        counts = (answer.prompt_tokens, len(answer.tokens))
        deliveries.put(GenerationEvent(answer.index, "", None, *counts, choice=answer.choice, error=error))
    else:
        deliveries.put(error)


def refuse_out_of_range(request: GenerationRequest, vocabulary: int) -> None:
    """Raise RequestError for settings that mean nothing; they would disturb the others in the batch."""
    limits = {
        "max_new_tokens": (1, math.inf),
        "temperature": (0, math.inf),
        "top_p": (0, 1),
        "top_k": (0, math.inf),
        "min_p": (0, 1),
        "n": (1, math.inf),
        "logprobs": (0, vocabulary),
    }
    for name, (low, high) in limits.items():
        value = getattr(request, name)
        if value is not None and not low <= value <= high:
            raise RequestError(f"{name} is {value}", allowed=f"from {low} to {high}")
    finite = (request.presence_penalty, request.frequency_penalty, *request.logit_bias.values())
    if not (0 < request.repetition_penalty < math.inf and all(map(math.isfinite, finite))):
        raise RequestError("a penalty or bias is no finite number, or a repetition penalty not above 0")
    for token in request.logit_bias:
        if not 0 <= token < vocabulary:
            raise RequestError(f"logit_bias names token {token}", allowed=f"from 0 to {vocabulary - 1}")
