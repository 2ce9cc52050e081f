"""A transformers model that computes new tokens of many requests in one flat batch, for inference.

Keys and values are kept outside of the model: its attention, through transformers' attention interface, hands them to
whoever runs the batch. Layers of Llama's shape get a shorter `forward` with joint projections. Both are compared with
the model's own forward pass before they are used.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from transformers import AttentionInterface, PreTrainedModel

from luthier.kernels.cached_attention import AttentionArguments
from luthier.kernels.gated import is_silu
from luthier.kernels.quantized import QuantizedLayerEnd, QuantizedWeight
from luthier.kernels.stacked_lora import AdapterPlan, StackedLinear
from luthier.models.norms import plain_norm
from luthier.models.quantized import QuantizedLinear

CACHED_ATTENTION = "luthier_cached"
JOINT_WEIGHT = "joint_weight"
PARTS_OF_A_LAYER = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP_PROJECTIONS = ("gate_proj", "up_proj", "down_proj")
OTHER_PARTS = {"q_norm", "k_norm", "rotary_emb", "act_fn"}
Product = Callable[[torch.Tensor], torch.Tensor]


class AttentionStep(Protocol):
    """What a flat batch of T tokens attends to."""

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, arguments: AttentionArguments
    ) -> torch.Tensor:
        """Keep keys and values of the new tokens, and attend with their queries.

        query: [T, heads, head_dim]; key, value: [T, key_value_heads, head_dim]. Returns [T, heads, head_dim].
        """
        ...


class TurningStep(AttentionStep, Protocol):
    """One that may turn queries and keys by their positions too."""

    def attend_turning(
        self, layer: int, states: torch.Tensor, turns: tuple[torch.Tensor, torch.Tensor], arguments: AttentionArguments
    ) -> torch.Tensor | None:
        """`attend` with queries, keys and values side by side, of which the former two are yet to be turned; None, and
        nothing is done, where that has no kernel.

        states: [T, heads + 2 * key_value_heads, head_dim]; turns: cosines and sines, [T, head_dim] each.
        """
        ...


def use_cached_attention(model: PreTrainedModel) -> None:
    """From now on the model's forward pass takes a flat batch of one row and `flat_step`, an `AttentionStep`."""
    AttentionInterface.register(CACHED_ATTENTION, _attention)
    model.set_attn_implementation(CACHED_ATTENTION)


def _attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    flat_step: AttentionStep | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface over a flat batch of one: [1, heads, T, head_dim] -> [1, T, heads, head_dim]"""
    if flat_step is None or attention_mask is not None or s_aux is not None:
        raise ValueError("its attention takes a mask or a sink of its own")
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    arguments = AttentionArguments(scale, sliding_window, softcap)
    return flat_step.attend(module.layer_idx, q, k, v, arguments)[None], None


def join_projections(
    model: PreTrainedModel, arguments: Mapping[int, AttentionArguments], plan: AdapterPlan
) -> list[StackedLinear]:
    """Give each layer of Llama's shape one projection for query, key and value, one for gate and up, and a `forward`
    of its own. `arguments` are what the layer's attention is called with, by layer.

    Returns the projections. Whether the layer computes nothing else is for the caller to find out: see
    `separate_projections`.
    """
    names = {id(module): name for name, module in model.named_modules()}
    linears: list[StackedLinear] = []
    rotation = _Rotation()
    for layer in _layers_like_llamas(model):
        joint = _JointLayer(layer, names, arguments[layer.self_attn.layer_idx], plan, rotation)
        layer.forward = joint
        linears += joint.linears
    return linears


def separate_projections(model: PreTrainedModel) -> None:
    """Give the layers their own `forward` and their weights back."""
    for layer in _layers_like_llamas(model):
        layer.__dict__.pop("forward", None)
        for module in layer.modules():
            if JOINT_WEIGHT in module.__dict__:
                module.weight.data = weight_of(module).clone()
                delattr(module, JOINT_WEIGHT)


def weight_of(module: Any) -> torch.Tensor:
    """The weight of a linear layer, also where it has gone into a joint projection or lies in few bits."""
    if isinstance(module, QuantizedLinear):
        return module.quantized.dense()
    if JOINT_WEIGHT not in module.__dict__:
        weight: torch.Tensor = module.weight
        return weight
    packed, columns = getattr(module, JOINT_WEIGHT)
    dense: torch.Tensor = packed.to_dense()[columns]
    return dense


def _layers_like_llamas(model: PreTrainedModel) -> Iterator[Any]:
    for module in model.modules():
        if {name for name, _ in module.named_children()} == PARTS_OF_A_LAYER and all(
            _consists_of(module.get_submodule(part), linears)
            for part, linears in (("self_attn", PROJECTIONS), ("mlp", MLP_PROJECTIONS))
        ):
            yield module


def _consists_of(module: nn.Module, linears: tuple[str, ...]) -> bool:
    children = dict(module.named_children())
    return children.keys() - OTHER_PARTS == set(linears) and all(
        type(children[name]) in (nn.Linear, QuantizedLinear) for name in linears
    )


class _JointLayer:
    """`forward` of a decoder layer: x + attention(norm(x)), and on that x + down(act(gate) * up) of its norm."""

    def __init__(
        self,
        layer: Any,
        names: Mapping[int, str],
        arguments: AttentionArguments,
        plan: AdapterPlan,
        rotation: "_Rotation",
    ) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        join = partial(_joint_linear, names=names, plan=plan)
        self._qkv = join([attention.q_proj, attention.k_proj, attention.v_proj])
        self._output = join([attention.o_proj])
        self._gate_up = join([mlp.gate_proj, mlp.up_proj])
        self._down = join([mlp.down_proj])
        self._before_attention, self._before_mlp = _norm(layer.input_layernorm), _norm(layer.post_attention_layernorm)
        self._query_norm, self._key_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
        self._activation, self._layer, self._arguments = mlp.act_fn, attention.layer_idx, arguments
        self._rotation, self._plan = rotation, plan
        self._norm = plain_norm(layer.input_layernorm)
        self._end = self._quantized_end(plain_norm(layer.post_attention_layernorm))
        self._head_dim = attention.head_dim
        self._heads = attention.q_proj.out_features // self._head_dim
        self._key_heads = attention.k_proj.out_features // self._head_dim

    @property
    def linears(self) -> list[StackedLinear]:
        return [self._qkv, self._output, self._gate_up, self._down]

    def _quantized_end(self, norm: tuple[torch.Tensor, float] | None) -> QuantizedLayerEnd | None:
        """All after the attention as one kernel, where the layer computes nothing else and its weights are bytes."""
        products = [linear.base for linear in (self._output, self._gate_up, self._down)]
        weights = [each.weight for each in products if isinstance(each, QuantizedProduct) and each.bias is None]
        if norm is None or self._norm is None or len(weights) < len(products) or not is_silu(self._activation):
            return None
        output, gate_up, down = weights
        return QuantizedLayerEnd(output, *norm, gate_up, down)

    def __call__(
        self,
        hidden_states: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        flat_step: TurningStep,
        **_: Any,
    ) -> torch.Tensor:
        """hidden_states: [1, T, hidden_size], and so the result."""
        x = hidden_states[0]
        tokens, heads, key_heads = x.shape[0], self._heads, self._key_heads
        end = self._end if self._end is not None and not self._plan.spans and QuantizedWeight.serves(x) else None
        states = self._attention_inputs(x.contiguous(), end is not None).view(tokens, -1, self._head_dim)
        if self._query_norm is not None and self._key_norm is not None:
            query, key, value = states.split((heads, key_heads, key_heads), 1)
            states = torch.cat([self._query_norm(query), self._key_norm(key), value], 1)
        turns = (position_embeddings[0][0], position_embeddings[1][0])
        attended = flat_step.attend_turning(self._layer, states, turns, self._arguments)
        if attended is None:
            turned, value = states.split((heads + key_heads, key_heads), 1)
            query, key = self._rotation(turned, position_embeddings).split((heads, key_heads), 1)
            attended = flat_step.attend(self._layer, query, key, value, self._arguments)
        attended = attended.reshape(tokens, -1)
        if end is not None:
            return end(x.contiguous(), attended)[None]
        x = x + self._output(attended)
        gate, up = self._gate_up(self._before_mlp(x)).chunk(2, -1)
        return (x + self._down(self._activation(gate) * up))[None]

    def _attention_inputs(self, x: torch.Tensor, by_kernel: bool) -> torch.Tensor:
        """Queries, keys and values of x: [T, hidden_size]."""
        product, norm = self._qkv.base, self._norm
        if by_kernel and isinstance(product, QuantizedProduct) and norm is not None:
            return product.weight.norm_product(x, *norm, product.bias)
        return self._qkv(self._before_attention(x))


def _joint_linear(modules: list[Any], names: Mapping[int, str], plan: AdapterPlan) -> StackedLinear:
    """One product for several linear layers over the same input; their weights become parts of the joint one."""
    parts, start = {}, 0
    for module in modules:
        parts[names[id(module)]] = slice(start, start + module.out_features)
        start += module.out_features
    dtype = modules[0].weight.dtype
    bias = None
    if any(module.bias is not None for module in modules):
        zeros = [torch.zeros(module.out_features, dtype=dtype) for module in modules]
        bias = torch.cat([zero if m.bias is None else m.bias for m, zero in zip(modules, zeros, strict=True)])
    join = _join_quantized if isinstance(modules[0], QuantizedLinear) else _join_plain
    return StackedLinear(join(modules, list(parts.values()), bias), modules[0].in_features, parts, plan, dtype)


def _join_quantized(modules: list[Any], columns: list[slice], bias: torch.Tensor | None) -> Product:
    """The modules are left with views of the joint weight."""
    weight = QuantizedWeight.join([module.quantized for module in modules])
    for module, outputs in zip(modules, columns, strict=True):
        module.quantized = weight.part(outputs)
    return QuantizedProduct(weight, bias)


@dataclass(frozen=True, slots=True)
class QuantizedProduct:
    """A linear layer with a quantised weight; bias: [out] or None."""

    weight: QuantizedWeight
    bias: torch.Tensor | None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """x: [T, in]. Returns [T, out]."""
        return self.weight.product(x, self.bias)


def _join_plain(modules: list[Any], columns: list[slice], bias: torch.Tensor | None) -> Product:
    """The modules are left with views of the joint weight. In bfloat16 it is kept in the order that oneDNN multiplies
    fastest; the modules' own weights are then empty, see `weight_of`."""
    weight = torch.cat([module.weight for module in modules])
    packed = None
    if weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, None)
    for module, outputs in zip(modules, columns, strict=True):
        if packed is None:
            module.weight.data = weight[outputs]
        else:
            module.weight.data = weight.new_empty(0)
            setattr(module, JOINT_WEIGHT, (packed, outputs))
    return partial(F.linear, weight=weight, bias=bias) if packed is None else partial(_packed, packed, bias)


def _packed(weight: torch.Tensor, bias: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
    output: torch.Tensor = torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")
    return output


def _norm(module: Any) -> Any:
    """The normalisation, in a shorter form where it is the common one."""
    plain = plain_norm(module)
    if plain is None:
        return module
    weight, epsilon = plain
    return partial(_rms_norm, doubled_weight=torch.cat([weight, weight]), epsilon=epsilon)


def _rms_norm(x: torch.Tensor, doubled_weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Root mean square normalisation (Zhang and Sennrich 2019) of [T, hidden_size].

    It is the first half of the layer normalisation of (x, -x), whose mean is zero. torch has a kernel for that one, and
    takes the other apart into six.
    """
    both = torch.cat((x, -x), -1)
    return F.layer_norm(both, both.shape[-1:], doubled_weight, None, epsilon)[:, : x.shape[-1]]


class _Rotation:
    """Rotary positions (Su et al. 2021) as in Llama, prepared once for all layers of a step."""

    def __init__(self) -> None:
        self._embeddings: tuple[torch.Tensor, torch.Tensor] | None = None

    def __call__(self, states: torch.Tensor, embeddings: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """states: [T, heads, head_dim]; embeddings: cosines and sines, [1, T, head_dim] each."""
        if embeddings is not self._embeddings:
            half = embeddings[1].shape[-1] // 2
            self._cos, self._sin = embeddings[0][0, :, None], embeddings[1][0, :, None].clone()
            self._sin[..., :half].neg_()
            self._embeddings = embeddings
        return (states * self._cos).addcmul_(states.roll(states.shape[-1] // 2, -1), self._sin)
