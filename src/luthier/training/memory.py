"""Will it fit? Measured on single examples before the first step, and micro-batches made so small that it does."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from luthier.core.errors import TrainingError
from luthier.core.sizes import gigabytes
from luthier.training.objective import E, Objective
from luthier.training.schedule import Schedule

MASTER_BYTES = 12
"""Of each weight that trains, beside itself: its gradient and both moments of Adam, in float32."""
SLACK = 1.5
"""What the process takes over what is kept for the backward pass: temporaries, logits, pages that no block fits."""


Way = Callable[[int, int], int]
"""Of running a forward pass: the bytes it keeps, from those that are kept when everything is, and the tokens."""


def kept_bytes(objective: Objective[E], example: E, model: nn.Module) -> int:
    """Bytes that the forward pass of one example keeps for the backward pass. The model's weights do not count."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = objective.step([example])([example])
    del loss
    return sum(kept.values())


def fit_memory(
    schedule: Schedule[E], measure: Callable[[E], int], trained: int, ways: Sequence[Way], free: int
) -> tuple[int, Way]:
    """How many tokens a forward pass may hold so that training fits into so many free bytes, and the first way in which
    the longest example does.

    `measure` is `kept_bytes` of an example, `trained` the number of weights that train. Raises TrainingError where
    the longest example fits in no way.
    """
    examples = [example for step in schedule.steps for batch in step for example in batch]
    shortest, longest = min(examples, key=len), max(examples, key=len)
    room = free - MASTER_BYTES * trained
    expected = measure(shortest) * len(longest) // len(shortest)
    # Attention takes more for each token the longer a row is; what surely does not fit is not tried.
    kept = measure(longest) if SLACK * expected <= room else expected
    for way in ways:
        needed = SLACK * way(kept, len(longest))
        tokens = int(len(longest) * room / needed)
        if tokens >= len(longest):
            return tokens, way
    fewer = "a method that trains fewer weights, a smaller base model or more memory"
    raise TrainingError(
        f"the longest row, {len(longest)} tokens, does not fit: training takes about "
        f"{gigabytes(MASTER_BYTES * trained + needed)}, and {gigabytes(free)} are free",
        where="data.max_length",
        allowed=f"about {tokens} tokens, or {fewer}" if tokens > 0 else fewer,
    )
