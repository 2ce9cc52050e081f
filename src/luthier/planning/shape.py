"""The sizes of a model, from its configuration alone: no weights, no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from luthier.core.errors import ModelError

ENCODERS = ("bert", "roberta", "xlm-roberta", "electra", "distilbert", "camembert")
NEOX = ("gpt_neox", "pythia")
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HIDDEN = ("hidden_size", "n_embd", "dim", "d_model")
_HEADS = ("num_attention_heads", "n_head", "n_heads")
_INNER = ("intermediate_size", "n_inner", "hidden_dim", "ffn_dim")
_POSITIONS = ("max_position_embeddings", "n_positions")
_KEY_VALUE_HEADS = ("num_key_value_heads",)
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
LARGEST_SIZE = 10**9
"""No model has so many of anything; beyond, what is reckoned from it is no number any more."""


@dataclass(frozen=True, slots=True)
class Linear:
    """A matrix of every layer, [outputs, inputs]. Of `copies` that are experts a token passes through `active`;
    adapters are put on single ones only."""

    name: str
    inputs: int
    outputs: int
    bias: bool = False
    copies: int = 1
    active: int = 1

    @property
    def parameters(self) -> int:
        return self.copies * (self.inputs * self.outputs + self.bias * self.outputs)

    @property
    def active_parameters(self) -> int:
        return self.active * self.inputs * self.outputs


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What decides memory and time of a model. `norms` are the weights of one layer that are no matrix, `embeddings`
    all before the first layer, `head` all after the last one that the embeddings do not hold already.

    `fused` says whether layers are of the Llama kind, which the fast path computes.
    """

    model_type: str
    layers: int
    hidden_size: int
    intermediate_size: int
    heads: int
    query_size: int
    key_value_size: int
    vocab_size: int
    linears: tuple[Linear, ...]
    norms: int
    embeddings: int
    head: int
    fused: bool

    @property
    def layer_parameters(self) -> int:
        return self.norms + sum(linear.parameters for linear in self.linears)

    @property
    def parameters(self) -> int:
        """All weights, each once."""
        return self.embeddings + self.layers * self.layer_parameters + self.head

    @property
    def active_parameters(self) -> int:
        """Weights of the matrices that a token is multiplied with in all layers, the head left out."""
        return self.layers * sum(linear.active_parameters for linear in self.linears)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "ModelShape":
        """The shape of `config.json`, as transformers writes it: exact for Llama, Mistral, Qwen, Gemma and Phi-3,
        GPT-2, GPT-NeoX, BERT and its kin; within some per cent for others.

        Raises ModelError where a size is missing or is no whole number up to `LARGEST_SIZE`.
        """
        text = config.get("text_config") or config
        if not isinstance(text, Mapping):
            raise ModelError("config.json's text_config holds no fields", where="model.base")
        kind = str(text.get("model_type") or config.get("model_type", ""))
        sizes = _Sizes(
            hidden=_size(text, _HIDDEN),
            layers=_size(text, _LAYERS),
            heads=_size(text, _HEADS),
            vocabulary=_size(text, ("vocab_size",)),
        )
        if kind == "gpt2" or kind in NEOX or kind in ENCODERS:
            return _two_matrices(kind, text, sizes)
        return _gated(kind, text, sizes)


@dataclass(frozen=True, slots=True)
class _Sizes:
    hidden: int
    layers: int
    heads: int
    vocabulary: int


def _gated(kind: str, config: Mapping[str, Any], sizes: _Sizes) -> ModelShape:
    """Layers of the Llama kind: root mean square norms, grouped queries, a gate beside the inner layer."""
    hidden = sizes.hidden
    head_dim = _size(config, ("head_dim",), hidden // sizes.heads)
    query = sizes.heads * head_dim
    key_value = _size(config, _KEY_VALUE_HEADS, sizes.heads) * head_dim
    inner = _size(config, _INNER, 4 * hidden)
    experts = _size(config, _EXPERTS, 1)
    active = _size(config, ("num_experts_per_tok",), 1)
    if experts > 1:
        inner = _size(config, ("moe_intermediate_size",), inner)
    biased = bool(config.get("attention_bias")) or kind == "qwen2"
    attention = [("q_proj", hidden, query), ("k_proj", hidden, key_value), ("v_proj", hidden, key_value)]
    ups = [("gate_proj", hidden, inner), ("up_proj", hidden, inner)]
    if kind == "phi3":
        attention, ups = [("qkv_proj", hidden, query + 2 * key_value)], [("gate_up_proj", hidden, 2 * inner)]
    output_bias = bool(config.get("attention_bias")) and kind != "qwen2"
    linears = [
        *(Linear(*named, bias=biased) for named in attention),
        Linear("o_proj", query, hidden, output_bias),
        *(
            Linear(*named, bias=bool(config.get("mlp_bias")), copies=experts, active=active if experts > 1 else 1)
            for named in (*ups, ("down_proj", inner, hidden))
        ),
    ]
    if experts > 1:
        linears.append(Linear("router", hidden, experts))
    norms = hidden * (4 if kind.startswith(("gemma2", "gemma3")) else 2)
    if kind.startswith(("qwen3", "gemma3")):
        norms += 2 * head_dim
    embeddings = sizes.vocabulary * hidden
    tied = bool(config.get("tie_word_embeddings", kind.startswith("gemma")))
    return ModelShape(
        *(kind, sizes.layers, hidden, inner, sizes.heads, query, key_value, sizes.vocabulary),
        linears=tuple(linears),
        norms=norms,
        embeddings=embeddings,
        head=hidden + (0 if tied else embeddings),
        fused=experts == 1,
    )


def _two_matrices(kind: str, config: Mapping[str, Any], sizes: _Sizes) -> ModelShape:
    """Layers of the first transformers: norms with a bias, two matrices in the feed-forward part, all with biases."""
    hidden, encoder = sizes.hidden, kind in ENCODERS
    inner = _size(config, _INNER, 4 * hidden)
    if encoder:
        attention = [("query", hidden), ("key", hidden), ("value", hidden), ("dense", hidden)]
    else:
        joint = "c_attn" if kind == "gpt2" else "query_key_value"
        attention = [(joint, 3 * hidden), ("c_proj" if kind == "gpt2" else "dense", hidden)]
    linears = [Linear(name, hidden, outputs, bias=True) for name, outputs in attention]
    linears += [Linear("up", hidden, inner, bias=True), Linear("down", inner, hidden, bias=True)]
    words = sizes.vocabulary * hidden
    positions = 0 if kind in NEOX else _size(config, _POSITIONS, 0) * hidden
    types = _size(config, ("type_vocab_size",), 0) * hidden if kind != "distilbert" else 0
    tied = bool(config.get("tie_word_embeddings", kind not in NEOX))
    # Of an encoder that predicts words: a matrix with its norm, and a bias for each word.
    after = hidden * hidden + 3 * hidden + sizes.vocabulary if encoder else 2 * hidden
    return ModelShape(
        *(kind, sizes.layers, hidden, inner, sizes.heads, hidden, hidden, sizes.vocabulary),
        linears=tuple(linears),
        norms=4 * hidden,
        embeddings=words + positions + types + (2 * hidden if encoder else 0),
        head=after + (0 if tied else words),
        fused=False,
    )


def _size(config: Mapping[str, Any], names: tuple[str, ...], default: int | None = None) -> int:
    """A size under the first of these names that the configuration has; none and 0 are as if it were not there."""
    name = next((name for name in names if config.get(name)), None)
    if name is None and default is not None:
        return default
    value = config[name] if name else None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST_SIZE:
        raise ModelError(
            f"config.json has no {names[0]}" if name is None else f"config.json's {name} is no size of a model",
            where="model.base",
            allowed=f"a whole number up to {LARGEST_SIZE:,} in {name or names[0]}",
        )
    return value
