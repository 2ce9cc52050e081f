"""The fast path of training, put into a transformers model through its public seams and proven before use.

Attention goes through transformers' attention interface; adapted linear layers and normalisations get another `forward`
instance by instance (PEFT's parameters and names stay). No source text is patched.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, PreTrainedModel

from luthier.core.rows import TokenRow
from luthier.kernels.attention import rows_attention
from luthier.kernels.cached_attention import AttentionArguments
from luthier.kernels.gated import is_silu, silu_gated
from luthier.kernels.layout import RowLayout
from luthier.kernels.lora import LoraLayer, lora_linears
from luthier.kernels.norm import rms_norm
from luthier.kernels.padded_heads import Turns
from luthier.models.adapter import ADAPTER_NAME, lora_layers, trainable
from luthier.models.batch import FlatBatch
from luthier.models.norms import plain_norm
from luthier.models.shared_states import SharedStates

FAST_ATTENTION = "luthier_rows"
UNSUPPORTED_CONFIG = ("final_logit_softcapping", "attn_logit_softcapping", "logit_scale", "logits_scaling")
UNSUPPORTED_ATTENTION = ("s_aux", "sinks", "softcap", "position_bias", "indices", "block_indices", "head_mask")
"""What some models hand to attention beside queries, keys and values, and row attention does not compute."""
LIMITED_LAYERS = ("sliding_attention", "chunked_attention")
"""transformers' names, in a configuration's `layer_types`, of layers that do not look back all the way."""
PROBE_LENGTHS = (5, 17, 24)
NUDGE = 0.005
LossSum = Callable[[FlatBatch], torch.Tensor]
LossSums = Callable[[Sequence[TokenRow], int], Iterator[torch.Tensor]]


def enable_fast_path(model: Any, causal: PreTrainedModel, plain: LossSum, fast: LossSum) -> str | None:
    """Switch the model's adapted layers and normalisations to the fused forms.

    None when all is well, else why the plain path stays.
    `plain` and `fast` compute the same loss sum by the two paths; their losses and gradients on a probe must agree.
    """
    AttentionInterface.register(FAST_ATTENTION, _attention)
    if reason := _unsupported(causal):
        return reason
    fused: list[tuple[Any, Any]] = [(layer, _fused_lora) for layer in lora_layers(model) if _is_plain_lora(layer)]
    fused += [(module, _fused_norm) for module in causal.modules() if plain_norm(module)]
    fused += [(module, _fused_mlp) for module in causal.modules() if _is_like_llamas_mlp(module)]
    attentions = [(module, _fused_attention) for module in causal.modules() if _is_like_llamas_attention(module)]
    with _nudged(model):
        batch = FlatBatch.of([_row(length, _vocabulary(causal), length) for length in PROBE_LENGTHS])
        expected = _loss_and_gradients(model, plain, batch)

        def why_not(modules: list[tuple[Any, Any]]) -> str | None:
            for module, forward in modules:
                module.forward = partial(forward, module)
            try:
                found = _difference(expected, _loss_and_gradients(model, fast, batch), causal.dtype)
                if not found and not keeps_rows_apart(causal, fast):
                    found = "its rows see each other"
                if not found and _loses_window(causal):
                    found = "how far its layers look back stands in masks alone"
            except Exception as error:  # whatever an unknown architecture raises, the plain path is there
                found = f"{type(error).__name__}: {error}"
            if found:
                for module, _ in modules:
                    del module.forward
            return found

        reason = why_not(fused)
        if not reason and attentions:
            why_not(attentions)  # where they compute something else, transformers' own remain around row attention
    return reason


@torch.no_grad()
def keeps_rows_apart(causal: PreTrainedModel, loss_sum: LossSum) -> bool:
    """Whether a row has the loss that it has alone, whatever other rows are in its batch.

    Not so for models that take no notice of where position_ids start anew, such as recurrent ones.
    """
    vocabulary = _vocabulary(causal)
    before, length, after = PROBE_LENGTHS
    row = _row(length, vocabulary, 0)
    alone = float(loss_sum(FlatBatch.of([row])))
    one, other = (
        float(
            loss_sum(FlatBatch.of([_mute(_row(before, vocabulary, seed)), row, _mute(_row(after, vocabulary, seed))]))
        )
        for seed in (1, 2)
    )
    # Other neighbours change no operation on this row, so that not even rounding may differ; another batch may.
    return abs(one - other) <= 1e-6 * abs(one) and abs(one - alone) <= _tolerance(causal.dtype) * abs(alone)


def shares_prefixes(causal: PreTrainedModel, model: Any, loss_sums: LossSums) -> bool:
    """Whether rows that share a prefix, computed once, have the losses and gradients that they have alone.

    `loss_sums` gives parts of the loss of some rows in passes of at most so many tokens; each is differentiated before
    the next one is asked for.
    """
    opening = _row(PROBE_LENGTHS[1], _vocabulary(causal), 0).input_ids
    ends = [_row(length, _vocabulary(causal), length) for length in PROBE_LENGTHS]
    rows = [TokenRow(end.id, opening + end.input_ids, (False,) * len(opening) + end.targets) for end in ends]
    in_one_pass, in_several = sum(map(len, rows)), len(opening) + len(ends[-1])
    with _nudged(model):
        try:
            apart = _sums_and_gradients(model, (part for row in rows for part in loss_sums([row], 1)))
            together = [_sums_and_gradients(model, loss_sums(rows, most)) for most in (in_one_pass, in_several)]
        except Exception:  # whatever an unknown architecture raises, its rows can be computed apart
            return False
    return not any(_difference(apart, found, causal.dtype) for found in together)


def _attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    layout: RowLayout | None = None,
    enters: SharedStates | None = None,
    reads: SharedStates | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface over a flat batch of one: [1, heads, T, head_dim] -> [1, T, heads, head_dim]"""
    if layout is None or attention_mask is not None:
        raise ValueError("row attention takes a row layout and no mask")
    for name in UNSUPPORTED_ATTENTION:
        if others.get(name) is not None:
            raise ValueError(f"its attention has {name}, which row attention does not compute")
    if others.get("dropout"):
        raise ValueError("its attention drops weights at random, which row attention does not")
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    module.luthier_arguments = AttentionArguments(scale, sliding_window)
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    return _attend(module, q, k, v, None, layout, enters, reads)[None], None


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    turns: Turns | None,
    layout: RowLayout,
    enters: SharedStates | None,
    reads: SharedStates | None,
) -> torch.Tensor:
    """query: [T, heads, head_dim]; key, value: [T, key_value_heads, head_dim]. -> [T, heads, head_dim]"""
    if enters is not None:
        enters.enter(module.layer_idx, key, value, turns)
    if reads is not None:
        key, value, turns = reads.before(module.layer_idx, key, value, turns)
    arguments: AttentionArguments = module.luthier_arguments
    return rows_attention(query, key, value, layout, arguments.scaling, arguments.sliding_window, turns)


def _fused_attention(
    module: Any,
    hidden_states: torch.Tensor,
    position_embeddings: tuple[torch.Tensor, torch.Tensor] | None = None,
    layout: RowLayout | None = None,
    enters: SharedStates | None = None,
    reads: SharedStates | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """`forward` of an attention of Llama's shape, which turns queries and keys on their way into the products."""
    if layout is None or position_embeddings is None:
        plain: tuple[torch.Tensor, None] = type(module).forward(
            module, hidden_states, position_embeddings=position_embeddings, **others
        )
        return plain
    query, key, value = (
        projected[0].view(hidden_states.shape[1], -1, module.head_dim)
        for projected in _together(hidden_states, module.q_proj, module.k_proj, module.v_proj)
    )
    if hasattr(module, "q_norm"):
        query, key = module.q_norm(query), module.k_norm(key)
    turns = Turns(*(part[0] for part in position_embeddings))
    attended = _attend(module, query, key, value, turns, layout, enters, reads)
    return module.o_proj(attended.view(1, attended.shape[0], -1)), None


def _fused_mlp(module: Any, x: torch.Tensor) -> torch.Tensor:
    """`forward` of a gated layer of Llama's shape."""
    output: torch.Tensor = module.down_proj(silu_gated(*_together(x, module.gate_proj, module.up_proj)))
    return output


def _fused_lora(layer: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """`forward` of one PEFT layer. Anything but its trained adapter (off, merged, mixed) takes PEFT's own code."""
    adapted = None if args or kwargs else _adapted(layer)
    if adapted is None:
        output: torch.Tensor = type(layer).forward(layer, x, *args, **kwargs)
        return output
    return lora_linears(x, [adapted])[0]


def _adapted(layer: Any) -> LoraLayer | None:
    """What a layer computes with its trained adapter, None where it has none that is fused and in use."""
    forward = vars(layer).get("forward")
    if not isinstance(forward, partial) or forward.func is not _fused_lora:
        return None
    if layer.disable_adapters or layer.merged or layer.active_adapters != [ADAPTER_NAME]:
        return None
    base = layer.get_base_layer()
    a, b = layer.lora_A[ADAPTER_NAME].weight, layer.lora_B[ADAPTER_NAME].weight
    return LoraLayer(base.weight, base.bias, a, b, layer.scaling[ADAPTER_NAME])


def _together(x: torch.Tensor, *layers: Any) -> tuple[torch.Tensor, ...]:
    """The outputs of linear layers over one input."""
    adapted = [found for found in map(_adapted, layers) if found]
    if len(adapted) < len(layers):
        return tuple(layer(x) for layer in layers)
    return lora_linears(x, adapted)


def _fused_norm(module: Any, x: torch.Tensor) -> torch.Tensor:
    """`forward` of one root mean square normalisation."""
    return rms_norm(x, module.weight, module.variance_epsilon)


def _is_like_llamas_attention(module: nn.Module) -> bool:
    children = {name for name, _ in module.named_children()}
    norms = {"q_norm", "k_norm"}
    return (
        children - norms - {"rotary_emb"} == {"q_proj", "k_proj", "v_proj", "o_proj"}
        and len(children & norms) in (0, 2)
        and hasattr(module, "head_dim")
    )


def _is_like_llamas_mlp(module: nn.Module) -> bool:
    children = {name for name, _ in module.named_children()}
    if children != {"gate_proj", "up_proj", "down_proj", "act_fn"}:
        return False
    activation: Any = module.act_fn
    return is_silu(activation)


def _is_plain_lora(layer: Any) -> bool:
    """Whether y = Wx + scaling B A x is all that this layer computes."""
    return (
        ADAPTER_NAME in layer.lora_A
        and type(layer.get_base_layer()) is nn.Linear
        and isinstance(layer.lora_dropout[ADAPTER_NAME], nn.Identity)
        and not layer.lora_bias[ADAPTER_NAME]
        and not getattr(layer, "lora_variant", {})
    )


def _unsupported(causal: PreTrainedModel) -> str | None:
    config = causal.config.get_text_config()
    for name in UNSUPPORTED_CONFIG:
        if getattr(config, name, None) not in (None, 1.0):
            return f"the model uses {name}"
    head: Any = causal.get_output_embeddings()
    if not isinstance(head, nn.Linear) or getattr(head, "bias", None) is not None:
        return "the model's head is not a linear layer without bias"
    return None


def _loses_window(causal: PreTrainedModel) -> bool:
    """Whether a layer that must not look back all the way does so here: row attention, which has run before, knows of
    windows that it is told of, not of those that a model only puts into its masks. Rows of a probe may be shorter than
    any window, so that their loss does not tell."""
    config = causal.config.get_text_config()
    told = [arguments.sliding_window for module in causal.modules() if (arguments := _arguments(module))]
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        windowed = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
        kinds = ["sliding_attention" if windowed else "full_attention"] * len(told)
    return sum(kind in LIMITED_LAYERS for kind in kinds) > sum(window is not None for window in told)


def _arguments(module: nn.Module) -> AttentionArguments | None:
    found: AttentionArguments | None = getattr(module, "luthier_arguments", None)
    return found


def _vocabulary(causal: PreTrainedModel) -> int:
    return int(causal.config.get_text_config().vocab_size)


def _row(length: int, vocabulary: int, seed: int) -> TokenRow:
    """Random tokens, every one but the first a target."""
    ids = torch.randint(vocabulary, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
    return TokenRow(f"probe-{length}", tuple(ids), (False, *[True] * (length - 1)))


def _mute(row: TokenRow) -> TokenRow:
    """The same tokens, none of them a target."""
    return replace(row, targets=(False,) * len(row))


@contextmanager
def _nudged(model: Any) -> Iterator[None]:
    """Move what trains a little from where it is: at B = 0, where an adapter starts, no gradient reaches A."""
    generator = torch.Generator().manual_seed(0)
    parameters = list(trainable(model).values())
    originals = [parameter.detach().clone() for parameter in parameters]
    try:
        for parameter in parameters:
            parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=NUDGE)
        yield
    finally:
        for parameter, original in zip(parameters, originals, strict=True):
            parameter.data.copy_(original)


def _loss_and_gradients(model: Any, loss_sum: LossSum, batch: FlatBatch) -> tuple[float, torch.Tensor]:
    with torch.enable_grad():
        return _sums_and_gradients(model, iter([loss_sum(batch)]))


def _sums_and_gradients(model: Any, parts: Iterator[torch.Tensor]) -> tuple[float, torch.Tensor]:
    """The sum of parts, each differentiated before the next, and the gradient of it; the parameters keep none."""
    parameters = list(trainable(model).values())
    before = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    total = 0.0
    for part in parts:
        total += float(part.detach())
        if part.requires_grad:
            part.backward()
    flat = [
        torch.zeros(parameter.numel(), dtype=torch.float64)
        if parameter.grad is None
        else parameter.grad.flatten().double()
        for parameter in parameters
    ]
    for parameter, grad in zip(parameters, before, strict=True):
        parameter.grad = grad
    return total, torch.cat(flat) if flat else torch.zeros(0)


def _difference(
    expected: tuple[float, torch.Tensor], found: tuple[float, torch.Tensor], dtype: torch.dtype
) -> str | None:
    """Why the two results are not equal to rounding, or None."""
    tolerance = _tolerance(dtype)
    loss_error = abs(found[0] - expected[0]) / max(abs(expected[0]), 1e-9)
    norm = float(expected[1].norm())
    gradient_error = float((found[1] - expected[1]).norm()) / norm if norm else 0.0
    if not loss_error <= tolerance:
        return f"its loss differs from the plain path's by {loss_error:.1e}"
    if not gradient_error <= 5 * tolerance:
        return f"its gradients differ from the plain path's by {gradient_error:.1e}"
    return None


def _tolerance(dtype: torch.dtype) -> float:
    """How far two losses may lie apart, relatively, and still be equal to rounding."""
    return {torch.bfloat16: 2e-2, torch.float16: 5e-3}.get(dtype, 1e-4)
