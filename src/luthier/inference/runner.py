"""How a model computes a step: many requests in one flat batch or, where that does not fit, each by itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from transformers import PreTrainedModel

from luthier.core.errors import ModelError
from luthier.core.recipe import Quantization
from luthier.inference.key_values import Bands, BandSegment, KeyValueShape, PromptSegment, PromptStore, Segment
from luthier.kernels.cached_attention import AttentionArguments, cached_attention, visible
from luthier.kernels.stacked_lora import AdapterPlan
from luthier.models.adapter_stack import AdapterStack
from luthier.models.cached_path import join_projections, separate_projections, use_cached_attention
from luthier.models.loading import plain_attention
from luthier.models.quantized import is_quantized, quantize_for_inference

PROBE_PROMPTS = (5, 17, 24)
PROBE_CHUNK = 9
PROBE_NEW_TOKENS = 4
MOST_CHANGED = 0.3
"""How far quantised weights may move the logits of a probe, relatively; sound models move by a tenth of it."""


@dataclass(eq=False, slots=True)
class Row:
    """One sequence that is being computed: `tokens` of the prompt, then those generated.

    `computed` is how many of them have keys and values; `prompt` how many are the prompt. `adapter` is None for the
    base model.
    """

    tokens: list[int]
    prompt: int
    adapter: str | None = None
    computed: int = 0
    store: Any = None
    """Keys and values of the prompt until it is computed, and, where rows run by themselves, after that too."""


class Runner(Protocol):
    """What the scheduler knows of a model. Used by one thread."""

    adapters: AdapterStack

    @property
    def token_bytes(self) -> int:
        """What the keys and values of one token take."""
        ...

    def start(self, row: Row, prefix: Sequence[torch.Tensor]) -> None:
        """Make room for the prompt of a row; `prefix` are the states of its first tokens, computed before, in pieces.

        Shape of each: [layers, 2, heads, tokens of the piece, head_dim].
        """
        ...

    def compute(self, chunks: Sequence[tuple[Row, int]]) -> tuple[list[Row], torch.Tensor]:
        """One step: the latest token of each row whose prompt is computed, and this many prompt tokens of each other.

        Returns the rows that can go on, and the logits of the token after each: [rows, vocabulary].
        """
        ...

    def states(self, row: Row, /) -> torch.Tensor | None:
        """Keys and values of a row's computed tokens, a view: [layers, 2, heads, computed, head_dim]. None where
        they cannot be shared."""
        ...

    def leave(self, row: Row) -> None:
        """Forget a row."""
        ...


class FlatRunner:
    """A `Runner` that computes all rows in one forward pass."""

    def __init__(self, model: PreTrainedModel, shape: KeyValueShape, adapters: AdapterStack) -> None:
        self.adapters = adapters
        self._model, self._shape = model, shape
        self._bands = Bands(shape)
        self._computed: list[Row] = []
        """Rows whose prompts were computed in the last step; they join the bands before the next, so that their first
        token need not wait for that."""

    @property
    def token_bytes(self) -> int:
        return self._shape.token_bytes

    @property
    def token_slots(self) -> int:
        """Tokens for which the rows that decode have room now."""
        return self._bands.token_slots

    def start(self, row: Row, prefix: Sequence[torch.Tensor]) -> None:
        row.store = PromptStore(self._shape, row.prompt)
        for states in prefix:
            end = row.computed + states.shape[3]
            row.store.states[:, :, :, row.computed : end] = states
            row.computed = end

    def compute(self, chunks: Sequence[tuple[Row, int]]) -> tuple[list[Row], torch.Tensor]:
        while self._computed:
            row = self._computed[0]
            self._bands.join(row, row.store.states)
            row.store = None
            del self._computed[0]
        self._bands.make_room()
        segments: list[Segment] = []
        decoding: list[Row] = []
        for band in self._bands:
            segments.append(band.next_tokens())
            decoding += band.owners
        spans = [(0, len(decoding), [row.adapter for row in decoding])] if decoding else []
        ids, positions = [row.tokens[-1] for row in decoding], [row.computed for row in decoding]
        rows, last = list(decoding), list(range(len(decoding)))
        for row, count in chunks:
            end = row.computed + count
            segments.append(PromptSegment(row.store, row.computed, end))
            spans.append((len(ids), len(ids) + count, [row.adapter] * count))
            ids += row.tokens[row.computed : end]
            positions += range(row.computed, end)
            if end == row.prompt:
                rows.append(row)
                last.append(len(ids) - 1)
        self.adapters.take(spans)
        logits = flat_logits(self._model, ids, positions, FlatStep(segments), last)
        for row in decoding:
            row.computed += 1
        for row, count in chunks:
            row.computed += count
            if row.computed == row.prompt:
                self._computed.append(row)
        return rows, logits

    def states(self, row: Row) -> torch.Tensor:
        if row.store is not None:
            states: torch.Tensor = row.store.states
            return states[:, :, :, : row.computed]
        return self._bands.of(row).states(row)

    def leave(self, row: Row) -> None:
        if row.store is None:
            self._bands.of(row).leave(row)
        elif row in self._computed:
            self._computed.remove(row)
        row.store = None


@dataclass(frozen=True, slots=True)
class FlatStep:
    """The segments of a flat batch, in order. See `AttentionStep`."""

    segments: Sequence[Segment]

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, arguments: AttentionArguments
    ) -> torch.Tensor:
        if len(self.segments) == 1:
            return self.segments[0].attend(layer, query, key, value, arguments)
        pieces, start = [], 0
        for segment in self.segments:
            span = slice(start, start + segment.tokens)
            start = span.stop
            pieces.append(segment.attend(layer, query[span], key[span], value[span], arguments))
        return torch.cat(pieces)

    def attend_turning(
        self, layer: int, states: torch.Tensor, turns: tuple[torch.Tensor, torch.Tensor], arguments: AttentionArguments
    ) -> torch.Tensor | None:
        """See `TurningStep.attend_turning`: for rows that decode in one band."""
        [*others, segment] = self.segments
        if others or not isinstance(segment, BandSegment):
            return None
        return segment.attend_turning(layer, states, turns, arguments)


class PlainRunner:
    """A `Runner` for any causal model: each row in forward passes of its own, by the model's own cache."""

    def __init__(self, model: PreTrainedModel, adapters: AdapterStack) -> None:
        self.adapters = adapters
        self._model = model
        self._decoding: list[Row] = []

    @property
    def token_bytes(self) -> int:
        config: Any = self._model.config.get_text_config()
        return 2 * int(config.num_hidden_layers) * int(config.hidden_size) * int(self._model.dtype.itemsize)

    def start(self, row: Row, prefix: Sequence[torch.Tensor]) -> None:
        assert not prefix, f"row of {row.prompt} tokens cannot share what others computed"

    def compute(self, chunks: Sequence[tuple[Row, int]]) -> tuple[list[Row], torch.Tensor]:
        self._decoding += [row for row, _ in chunks]
        return list(self._decoding), torch.stack([self._logits(row) for row in self._decoding])

    def _logits(self, row: Row) -> torch.Tensor:
        """Logits after the row's tokens. A model that gives no cache to go on with computes all of them again."""
        fresh = row.tokens[row.computed :] if row.store is not None else row.tokens
        self.adapters.take([(0, len(fresh), [row.adapter] * len(fresh))])
        cache = {} if row.store is None else {"past_key_values": row.store}
        output = self._model(input_ids=torch.tensor([fresh]), use_cache=True, **cache)
        row.store, row.computed = getattr(output, "past_key_values", None), len(row.tokens)
        logits: torch.Tensor = output.logits[0, -1]
        return logits

    def states(self, _row: Row) -> None:
        return None

    def leave(self, row: Row) -> None:
        row.store = None
        if row in self._decoding:
            self._decoding.remove(row)


def flat_logits(
    model: PreTrainedModel, ids: Sequence[int], positions: Sequence[int], step: Any, last: Sequence[int]
) -> torch.Tensor:
    """Logits after the tokens numbered `last` of a flat batch: [tokens of last, vocabulary]."""
    output = model(
        input_ids=torch.tensor([list(ids)]),
        position_ids=torch.tensor([list(positions)]),
        use_cache=False,
        logits_to_keep=torch.tensor(last, dtype=torch.long),
        flat_step=step,
    )
    logits: torch.Tensor = output.logits[0]
    return logits


@torch.inference_mode()
def quantize_where_near(model: PreTrainedModel, quantization: Quantization) -> str | None:
    """Quantise a model's weights for inference; or leave them, and say why, where that would change what it computes.

    Raises ModelError or WeightsError for a model that cannot be quantised.
    """
    prompts = _probe_rows(model)
    model.set_attn_implementation(plain_attention(model))
    expected = torch.cat([_own_logits(model, ids) for ids in prompts])
    restore = quantize_for_inference(model, quantization)
    error = _relative_error(expected, torch.cat([_own_logits(model, ids) for ids in prompts]))
    if error <= MOST_CHANGED:
        return None
    restore()
    return f"{quantization} weights would change its logits by {error:.0%}"


@torch.inference_mode()
def open_runner(model: PreTrainedModel, adapter_bytes: int) -> tuple[Runner, str | None]:
    """The fastest runner whose logits equal the model's own, and why it is the plain one, if it is."""
    plan = AdapterPlan()
    prompts = _probe_rows(model)
    model.set_attn_implementation(plain_attention(model))
    expected = torch.cat([_own_logits(model, ids) for ids in prompts])
    try:
        use_cached_attention(model)
        shape, arguments = _look_at_attention(model, prompts[0])
        for linears in (join_projections(model, arguments, plan), []):
            if not linears:
                separate_projections(model)
            runner = FlatRunner(model, shape, AdapterStack(model, linears, plan, adapter_bytes))
            error = _relative_error(expected, _runner_logits(runner, prompts))
            if error <= _rounding(model):
                return runner, None
            reason = f"its logits differ from the model's own by {error:.1e}"
    except Exception as fault:  # whatever an unknown architecture raises, the plain path is there
        reason = f"{type(fault).__name__}: {fault}"
    separate_projections(model)
    model.set_attn_implementation(plain_attention(model))
    return PlainRunner(model, AdapterStack(model, [], plan, adapter_bytes)), reason


@dataclass(slots=True)
class _Observer:
    """Attends within one row, and notes what each layer asks for."""

    arguments: dict[int, AttentionArguments] = field(default_factory=dict)
    shapes: set[tuple[int, ...]] = field(default_factory=set)

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, arguments: AttentionArguments
    ) -> torch.Tensor:
        self.arguments[layer] = arguments
        self.shapes |= {tuple(key.shape[1:]), tuple(value.shape[1:])}
        q, k, v = (states.transpose(0, 1)[None] for states in (query, key, value))
        mask = visible(torch.arange(len(query)), len(query), arguments.sliding_window, query.dtype)
        return cached_attention(q, k, v, mask, arguments.scaling, arguments.softcap)[0].transpose(0, 1)


def _look_at_attention(
    model: PreTrainedModel, ids: Sequence[int]
) -> tuple[KeyValueShape, dict[int, AttentionArguments]]:
    """What keys and values look like, and how each layer attends. Raises ModelError for what a store cannot hold."""
    observer = _Observer()
    flat_logits(model, ids, range(len(ids)), observer, [len(ids) - 1])
    layers = model.config.get_text_config().num_hidden_layers
    if sorted(observer.arguments) != list(range(layers)) or len(observer.shapes) != 1:
        raise ModelError("its layers do not all keep keys and values of one shape")
    heads, head_dim = observer.shapes.pop()
    return KeyValueShape(layers, heads, head_dim, model.dtype), observer.arguments


def _probe_rows(model: PreTrainedModel) -> list[list[int]]:
    """Random prompts, each with the tokens that it goes on with."""
    generator = torch.Generator().manual_seed(0)
    vocabulary = int(model.config.get_text_config().vocab_size)
    lengths = [prompt + PROBE_NEW_TOKENS for prompt in PROBE_PROMPTS]
    return [torch.randint(vocabulary, (length,), generator=generator).tolist() for length in lengths]


def _own_logits(model: PreTrainedModel, ids: Sequence[int]) -> torch.Tensor:
    """The model's own logits after the prompt and after each further token but the last: [new tokens, vocabulary]."""
    output = model(input_ids=torch.tensor([list(ids)]), use_cache=False)
    logits: torch.Tensor = output.logits[0, -PROBE_NEW_TOKENS - 1 : -1]
    return logits


def _runner_logits(runner: Runner, probes: Sequence[list[int]]) -> torch.Tensor:
    """The same by a runner, in chunks, the prompts ending at different steps: [all new tokens, vocabulary]."""
    rows = [Row(ids[:-PROBE_NEW_TOKENS], len(ids) - PROBE_NEW_TOKENS) for ids in probes]
    found: dict[int, list[torch.Tensor]] = {id(row): [] for row in rows}
    for row in rows:
        runner.start(row, ())
    waiting = list(rows)
    while any(len(logits) < PROBE_NEW_TOKENS for logits in found.values()):
        chunks = [(row, min(PROBE_CHUNK, row.prompt - row.computed)) for row in waiting]
        done, logits = runner.compute(chunks)
        waiting = [row for row in waiting if row not in done]
        for row, ours in zip(done, logits, strict=True):
            found[id(row)].append(ours)
            probe = probes[rows.index(row)]
            if len(found[id(row)]) == PROBE_NEW_TOKENS:
                runner.leave(row)
            else:
                row.tokens.append(probe[len(row.tokens)])
    return torch.stack([logits for row in rows for logits in found[id(row)]])


def _relative_error(expected: torch.Tensor, found: torch.Tensor) -> float:
    return float((found - expected).float().norm() / expected.float().norm())


def _rounding(model: PreTrainedModel) -> float:
    """How far logits may lie apart, relatively, that are equal to rounding; quantised activations round at other
    places when what they are made of differs in its last digit."""
    exact = 1e-2 if is_quantized(model) else 1e-4
    return {torch.bfloat16: 5e-2, torch.float16: 1e-2}.get(model.dtype, exact)
