"""Where the time and the memory of one optimiser step go, measured before training begins."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from luthier.core.sizes import gigabytes
from luthier.kernels.ceiling import matmul_flops
from luthier.training.loop import Training, new_optimizer, set_learning_rate
from luthier.training.memory import KeptBytes
from luthier.training.objective import E

PARTS = {
    "loss": ("_TargetLosses",),
    "attention": ("_RowsAttention", "aten::scaled_dot_product_attention", "ScaledDotProduct"),
    "optimiser": ("Optimizer.step", "aten::_foreach", "aten::linalg_vector_norm"),
    "norms and gates": ("_RmsNorm", "_SiluGated"),
    "linear layers": ("_LoraLinears", "aten::linear", "aten::mm", "aten::addmm", "MmBackward", "AddmmBackward"),
}
"""Operations by how their names, or those of what called them, begin; the first part that fits is theirs."""
OTHER = "other"


@dataclass(frozen=True, slots=True)
class StepProfile:
    """One optimiser step: seconds, tokens as the rows have them, shares of the time by part, floating-point operations
    of its matrix products, and those that products alone reach here in a second; bytes by part."""

    seconds: float
    tokens: int
    time_shares: dict[str, float]
    flops: int
    ceiling_flops_per_second: float
    bytes: dict[str, int]

    @property
    def share_of_ceiling(self) -> float:
        return self.flops / self.seconds / self.ceiling_flops_per_second

    def report(self) -> str:
        """For people: a line for the step, one for its time and one for its memory."""
        shares = sorted(self.time_shares.items(), key=lambda item: -item[1])
        return "\n".join(
            [
                f"a step: {self.tokens:,} tokens in {self.seconds:.2f} s, "
                f"{self.flops / self.seconds / 1e12:.2f} TFLOP/s, "
                f"{self.share_of_ceiling:.0%} of what products of matrices reach here",
                "time: " + ", ".join(f"{part} {share:.0%}" for part, share in shares),
                "memory: " + ", ".join(f"{part} {gigabytes(size)}" for part, size in self.bytes.items()),
            ]
        )

    def to_json(self) -> dict[str, object]:
        return asdict(self) | {"share_of_ceiling": round(self.share_of_ceiling, 4)}


def profile_step(training: Training[E], model: nn.Module) -> StepProfile:
    """Run the first step of a training five times, with an optimiser that changes no weight: counting what is kept, by
    the clock, counting operations, and under the profiler."""
    step = training.schedule.steps[0]
    examples = [example for batch in step for example in batch]
    parameters = list(training.parameters.values())
    optimizer = new_optimizer(training)
    set_learning_rate(optimizer, 0.0)
    kept = KeptBytes(model)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        for loss in training.objective.parts(examples, step, training.most_tokens):
            loss.backward()
        nn.utils.clip_grad_norm_(parameters, training.settings.max_grad_norm)
        optimizer.step()

    with torch.random.fork_rng():
        with kept.counted():
            run()
        seconds = min(_timed(run) for _ in range(2))
        with FlopCounterMode(display=False) as counter:
            run()
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            run()
        ceiling = matmul_flops(next(iter(model.parameters())).dtype)
    gradients = sum(parameter.nbytes for parameter in parameters)
    moments = sum(value.nbytes for state in optimizer.state.values() for value in state.values())
    optimizer.zero_grad(set_to_none=True)
    return StepProfile(
        seconds,
        sum(map(len, examples)),
        _shares(profiler.events()),
        counter.get_total_flops(),
        ceiling,
        {
            "weights": sum(parameter.nbytes for parameter in model.parameters()),
            "gradients": gradients,
            "optimiser": moments,
            "activations": kept.most,
        },
    )


def _timed(run: Callable[[], None]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def _shares(events: Sequence[Any]) -> dict[str, float]:
    """The share of the time that each part's own operations took."""
    totals = dict.fromkeys([*PARTS, OTHER], 0.0)
    for event in events:
        totals[_part(event)] += event.self_cpu_time_total
    whole = sum(totals.values())
    return {part: round(total / whole, 4) for part, total in totals.items()}


def _part(event: Any) -> str:
    names = []
    while event is not None:
        names.append(event.name)
        event = event.cpu_parent
    return next((part for part, marks in PARTS.items() for name in names if _begins(name, marks)), OTHER)


def _begins(name: str, marks: Sequence[str]) -> bool:
    return any(name.removeprefix("autograd::engine::evaluate_function: ").startswith(mark) for mark in marks)
