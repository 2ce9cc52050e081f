"""How much memory a training holds at its peak, part by part, and what fits: the one place for that arithmetic.

Bytes that a token leaves for the backward pass are those that `torch.autograd.graph.saved_tensors_hooks` counts on the
fast path of Llama-like layers (exact there). What a probe has counted on the model itself goes before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from luthier.core.errors import TrainingError
from luthier.core.recipe import BaseQuantization, Dtype, Optim
from luthier.core.sizes import gigabytes
from luthier.planning.shape import ModelShape
from luthier.planning.trained import Trained

BYTES: dict[Dtype, int] = {"bfloat16": 2, "float16": 2, "float32": 4}


class Quantized(NamedTuple):
    """Bytes of each weight of a quantised matrix, and what else they cost, in words."""

    bytes: float
    price: str


QUANTIZED: dict[BaseQuantization, Quantized] = {
    "int8": Quantized(1, "which is slower"),
    "nf4": Quantized(1 / 2 + 1 / 64 + 4 / (64 * 256), "which is slower and needs the extra nf4"),
}
"""All ways to keep base weights in fewer bits, the widest first. In NF4 a weight has four bits, each 64 weights a scale
of a byte, and each 256 scales one in float32 (Dettmers et al. 2023, QLoRA, section 3)."""

GRADIENT_BYTES, MASTER_BYTES = 4, 4
"""Of each weight that trains: its gradient in float32; and a float32 copy of itself where the model computes in a
narrower type."""

MOMENT_BYTES: dict[Optim, float] = {"adamw_torch": 8, "adamw_8bit": 2 + 8 / 256}
"""Of each weight that trains: both moments of Adam, in float32, or in bytes with a float32 for each 256 of them."""

LOGIT_CHUNK = 512
"""Targets whose logits exist at once on the fast path."""

LOGIT_BYTES = 12
"""Bytes per logit: as the model computes it, shifted in float32, its exponential and the gradient."""

LONGEST_SCORED_ROW = 512
"""Rows up to this length keep the scores of attention on the fast path; longer ones do not."""

RUNTIME_BYTES = 600_000_000
"""Interpreter, torch, transformers and PEFT: the process before a model is loaded, measured on Linux."""

SLACK = 1.5
"""What the process takes over what is kept for the backward pass: temporaries, pages that no block fits."""


@dataclass(frozen=True, slots=True)
class ForwardPass:
    """The largest one: its tokens, how many of them are targets, and the mean over its tokens of their row's length."""

    tokens: int
    targets: int
    row_tokens: int

    def scaled(self, tokens: int) -> "ForwardPass":
        """One of so many tokens, of rows like these."""
        return ForwardPass(tokens, max(1, self.targets * tokens // max(1, self.tokens)), min(self.row_tokens, tokens))


@dataclass(frozen=True, slots=True)
class Way:
    """How the model is held and run: its precision, how matrices are quantised, whether layers are computed again; and
    how its optimiser keeps moments."""

    dtype: Dtype
    quantization: BaseQuantization | None = None
    recompute: bool = False
    optim: Optim = "adamw_torch"


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes at the peak, by what holds them. Activations and logits grow with the tokens of a forward pass."""

    weights: int
    gradients: int
    optimiser: int
    activations: int
    logits: int
    runtime: int

    @property
    def total(self) -> int:
        return self.fixed + self.growing

    @property
    def fixed(self) -> int:
        """What is held whatever the batch is."""
        return self.weights + self.gradients + self.optimiser + self.runtime

    @property
    def growing(self) -> int:
        return self.activations + self.logits

    def corrected(self, factor: float) -> "MemoryEstimate":
        """What grows with the batch, times what a probe found it to be."""
        return replace(self, activations=int(self.activations * factor), logits=int(self.logits * factor))

    def to_json(self) -> dict[str, int]:
        return {
            "weights": self.weights,
            "gradients": self.gradients,
            "optimiser": self.optimiser,
            "activations": self.activations,
            "logits": self.logits,
            "runtime": self.runtime,
        }


def kept_per_token(shape: ModelShape, trained: Trained, way: Way, row_tokens: int, r: int = 0) -> int:
    """Bytes that one token leaves for the backward pass in one layer that the gradient flows through.

    With hidden size h, query size q, key-value size k and intermediate size i a Llama-like layer keeps 4 h + 3 q + 2 k
    + 4 i numbers, the scale of two norms in float32, and for each head its scores with a short row; each adapted matrix
    r more. Layers of other kinds, which transformers computes: 9 h + 3 i with norms in float32. PEFT keeps a float32
    copy of what goes into each matrix that it adapts: in these, and where the base weights are quantised.
    """
    size, h, i = BYTES[way.dtype], shape.hidden_size, shape.intermediate_size
    scores = shape.heads * row_tokens if row_tokens <= LONGEST_SCORED_ROW else 0
    copies = sum(4 * linear.inputs for linear in shape.linears) if trained.beside and way.dtype != "float32" else 0
    if shape.fused:
        numbers = 4 * h + 3 * shape.query_size + 2 * shape.key_value_size + 4 * i + scores
        return size * (numbers + len(shape.linears) * r) + 8 + (copies if way.quantization else 0)
    return size * (9 * h + 3 * i + len(shape.linears) * r) + 16 + copies


def estimate_memory(
    shape: ModelShape, trained: Trained, way: Way, forward: ForwardPass, r: int, runtime: int
) -> MemoryEstimate:
    """Peak memory in bytes, by calculation; `r` is the rank where an adapter has one, else 0, and `runtime` what the
    process takes before a model is loaded."""
    size = BYTES[way.dtype]
    per_token = kept_per_token(shape, trained, way, forward.row_tokens, r)
    kept = forward.tokens * per_token * trained.layers
    if way.recompute and trained.layers:
        kept = trained.layers * forward.tokens * shape.hidden_size * size + kept // trained.layers
    # Hidden states and what the last norm keeps, and with them the gradient at the targets.
    kept += (2 * forward.tokens + forward.targets) * shape.hidden_size * size
    narrow = size < 4
    if trained.beside and narrow:
        kept += trained.parameters * size
    weights = shape.parameters * size
    if way.quantization:
        matrices = sum(linear.inputs * linear.outputs for linear in shape.linears if linear.copies == 1) * shape.layers
        weights -= int(matrices * (size - QUANTIZED[way.quantization].bytes))
    master = MASTER_BYTES if narrow and not trained.beside else 0
    chunk = min(forward.targets, LOGIT_CHUNK) if shape.fused else forward.targets
    return MemoryEstimate(
        weights=weights + (trained.parameters * 4 if trained.beside else 0),
        gradients=trained.parameters * GRADIENT_BYTES,
        optimiser=int(trained.parameters * (MOMENT_BYTES[way.optim] + master)),
        activations=int(SLACK * kept),
        logits=chunk * shape.vocab_size * LOGIT_BYTES,
        runtime=runtime,
    )


Kept = Callable[[int, int], int]
"""Of a way of running a forward pass: the bytes it keeps, from those kept when everything is, and the tokens."""


def step_bytes(trained: int, optim: Optim) -> int:
    """What a step holds of so many weights that train: gradients and moments."""
    return int(trained * (GRADIENT_BYTES + MOMENT_BYTES[optim]))


def tokens_that_fit(
    shortest: int, longest: int, measure: Callable[[int], int], ways: Sequence[Kept], fixed: int, free: int
) -> tuple[int, int]:
    """How many tokens a forward pass may hold so that training fits into so many free bytes, and the place of the first
    of these ways in which the longest row does.

    `measure` tells what a row of either length keeps for the backward pass, `fixed` are bytes that training takes
    besides (`step_bytes`). Raises TrainingError where the longest row fits in no way.
    """
    expected = measure(shortest) * longest // shortest
    # Attention takes more for each token the longer a row is; what surely does not fit is not tried.
    kept = measure(longest) if SLACK * expected <= free - fixed else expected
    needed, tokens = 0.0, 0
    for place, way in enumerate(ways):
        needed = SLACK * way(kept, longest)
        tokens = int(longest * (free - fixed) / needed)
        if tokens >= longest:
            return tokens, place
    fewer = "a method that trains fewer weights, a smaller base model or more memory"
    raise TrainingError(
        f"the longest row, {longest} tokens, does not fit: training takes about "
        f"{gigabytes(fixed + needed)}, and {gigabytes(free)} are free",
        where="data.max_length",
        allowed=f"about {tokens} tokens, or {fewer}" if tokens > 0 else fewer,
    )
