"""Batched generation with one base model and any number of adapters, chosen per request."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from safetensors import SafetensorError
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from luthier.core.errors import ModelError, TemplateError
from luthier.core.generation import GenerationEvent, GenerationRequest
from luthier.inference.answer import Answer
from luthier.inference.sampling import next_tokens, random_source
from luthier.models.adapter import refuse_unsafe_adapter
from luthier.models.loading import plain_attention
from luthier.models.template import ChatTemplate

LARGEST_BATCH = 64


class Engine:
    """A `Generator` over a transformers model. Calls from several threads take turns.

    Requests for the same model are answered in batches; prompts are padded on the left, and rows leave the batch as
    they finish.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate, base_name: str
    ) -> None:
        self._base, self._tokenizer, self._template, self._base_name = model, tokenizer, template, base_name
        self._adapted: Any = None
        self._adapters: list[str] = []
        self._turn = threading.Lock()
        self._end_ids = {template.end_token_id} | ({tokenizer.eos_token_id} - {None})
        self._longest = int(getattr(model.config.get_text_config(), "max_position_embeddings", 0)) or None
        model.set_attn_implementation(plain_attention(model))

    @property
    def models(self) -> tuple[str, ...]:
        return (self._base_name, *self._adapters)

    def add_adapter(self, name: str, folder: Path) -> None:
        """Load an adapter in PEFT's format and offer it as model `name`. Raises ModelError when it does not fit."""
        with self._turn:
            if name in self._adapters:
                return
            refuse_unsafe_adapter(folder)
            try:
                self._load(name, str(folder))
            except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
                self._unload(name)
                raise ModelError(f"cannot load the adapter: {error}", where=str(folder)) from error
            self._adapters.append(name)

    def _load(self, name: str, folder: str) -> None:
        if self._adapted is None:
            config = PeftConfig.from_pretrained(folder)
            self._adapted = PeftModel(self._base, config, name, autocast_adapter_dtype=False)
        found = self._adapted.load_adapter(folder, name, autocast_adapter_dtype=False)
        if strange := [*found.missing_keys, *found.unexpected_keys]:
            raise ValueError(f"its weights are not those of this model, the first: {strange[0]}")

    def _unload(self, name: str) -> None:
        """Take out what has been put in of an adapter that does not fit."""
        if self._adapted is None:
            return
        if not self._adapters:
            self._adapted.unload()
            self._adapted = None
        elif name in self._adapted.peft_config:
            self._adapted.delete_adapter(name)

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[GenerationEvent]:
        """See `Generator.stream`. Prompts that do not fit the model's context are a TemplateError before any work."""
        prompts = [self._prompt(request) for request in requests]
        by_model: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            by_model.setdefault(request.model, []).append(index)
        for model, indices in by_model.items():
            indices.sort(key=lambda index: len(prompts[index]))
            for start in range(0, len(indices), LARGEST_BATCH):
                batch = indices[start : start + LARGEST_BATCH]
                answers = [self._answer(i, requests[i], len(prompts[i])) for i in batch]
                with self._turn, self._use(model):
                    yield from self._generate(answers, [prompts[i] for i in batch])

    def _prompt(self, request: GenerationRequest) -> list[int]:
        if request.model not in self.models:
            raise ModelError(f"no model {request.model!r}", allowed=", ".join(self.models))
        ids = self._template.prompt_ids(request.messages)
        if self._longest and len(ids) + request.max_new_tokens > self._longest:
            raise TemplateError(
                f"{len(ids)} prompt tokens and {request.max_new_tokens} new ones exceed the model's context",
                allowed=f"{self._longest} tokens together",
            )
        return ids

    def _use(self, model: str) -> AbstractContextManager[Any]:
        """Switch to an adapter, or all adapters off for the base model."""
        if self._adapted is None:
            return nullcontext()
        if model == self._base_name:
            disabled: AbstractContextManager[Any] = self._adapted.disable_adapter()
            return disabled
        self._adapted.set_adapter(model)
        return nullcontext()

    def _generate(self, answers: list[Answer], prompts: Sequence[Sequence[int]]) -> Iterator[GenerationEvent]:
        """Answer one batch. Shapes: input_ids [rows, new tokens], mask [rows, tokens so far]."""
        width = max(len(prompt) for prompt in prompts)
        padding = [width - len(prompt) for prompt in prompts]
        input_ids = torch.tensor([[0] * pad + list(ids) for pad, ids in zip(padding, prompts, strict=True)])
        mask = torch.tensor([[0] * pad + [1] * (width - pad) for pad in padding])
        position_ids = (mask.cumsum(-1) - 1).clamp_(min=0)
        cache = DynamicCache(config=self._base.config)
        while answers:
            logits = self._forward(input_ids, mask, position_ids, cache)
            tokens = next_tokens(logits, [answer.request for answer in answers], [answer.random for answer in answers])
            for answer, token in zip(answers, tokens, strict=True):
                yield self._event(answer, answer.add(token, token in self._end_ids))
            going = [row for row, answer in enumerate(answers) if answer.finish_reason is None]
            if len(going) < len(answers):
                keep = torch.tensor(going, dtype=torch.long)
                answers, mask, position_ids = [answers[row] for row in going], mask[keep], position_ids[keep]
                cache.batch_select_indices(keep)
            input_ids = torch.tensor([[tokens[row]] for row in going])
            mask = torch.cat([mask, mask.new_ones(len(going), 1)], -1)
            position_ids = position_ids[:, -1:] + 1

    @torch.inference_mode()
    def _forward(
        self, input_ids: torch.Tensor, mask: torch.Tensor, position_ids: torch.Tensor, cache: DynamicCache
    ) -> torch.Tensor:
        """Logits of the last token of each row: [rows, vocabulary]."""
        output = self._base(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def _answer(self, index: int, request: GenerationRequest, prompt_tokens: int) -> Answer:
        return Answer(index, request, random_source(request), prompt_tokens, self._decode)

    def _event(self, answer: Answer, text: str) -> GenerationEvent:
        return GenerationEvent(answer.index, text, answer.finish_reason, answer.prompt_tokens, len(answer.tokens))

    def _decode(self, tokens: Sequence[int]) -> str:
        text = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        assert isinstance(text, str)
        return text
