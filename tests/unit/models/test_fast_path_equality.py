"""The fast path is the plain one to rounding: every family that it takes, every method, every type, sharing or not."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from luthier.core.recipe import AdapterSection
from luthier.core.rows import TokenRow
from luthier.models.adapter import trainable
from luthier.models.batch import FlatBatch
from luthier.models.losses import RowsLoss
from luthier.models.methods import prepare

FAMILIES = ("Llama", "Qwen2", "Qwen3", "Gemma", "Gemma3Text", "Mistral", "Phi3", "GPT2", "OPT")
METHODS: dict[str, dict[str, Any]] = {
    "full": {"method": "full"},
    "freeze": {"method": "freeze", "last_layers": 1},
    "lora": {"r": 4, "lora_alpha": 8},
    "dora": {"r": 4, "lora_alpha": 8, "use_dora": True},
    "ia3": {"method": "ia3"},
    "biases": {"r": 4, "lora_alpha": 8, "bias": "all"},
}
NO_IA3 = {"Phi3"}
"""PEFT knows no layers of it for IA3."""
ROUNDED = {"Gemma3Text": 1e-7}
"""Norms of queries and keys are computed in float32 whatever the type, so that a last digit of float64 may turn one."""
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 2e-2}


def with_shared_beginning(rows: list[TokenRow], beginning: TokenRow) -> list[TokenRow]:
    silent = (False,) * len(beginning)
    return [TokenRow(row.id, beginning.input_ids + row.input_ids, silent + row.targets) for row in rows]


@pytest.mark.parametrize("dtype", list(TOLERANCES), ids=lambda dtype: str(dtype).removeprefix("torch."))
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradient_are_those_of_the_plain_path(
    family: str,
    method: str,
    dtype: torch.dtype,
    make_model: Callable[[str], Any],
    random_rows: Callable[..., list[TokenRow]],
) -> None:
    if method == "ia3" and family in NO_IA3:
        pytest.skip("PEFT names no layers of it")
    tolerance = max(TOLERANCES[dtype], ROUNDED.get(family, 0.0))
    model = prepare(make_model(family), AdapterSection(**METHODS[method]), 0).to(dtype)
    with torch.no_grad():
        for number, parameter in enumerate(trainable(model).values()):
            generator = torch.Generator().manual_seed(number)
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator).to(dtype)
    rows = with_shared_beginning(random_rows((7, 30, 3, 12)), random_rows((15,), seed=9)[0])
    loss = RowsLoss(model)
    assert loss.fast_path == "on", loss.fast_path

    expected, expected_gradient = summed(model, iter([loss.plain_sum(FlatBatch.of(rows))]))

    for most_tokens in (1, 1000):
        found, gradient = summed(model, loss.loss_sums([rows], most_tokens))
        assert abs(found - expected) <= tolerance * abs(expected)
        assert (gradient - expected_gradient).norm() <= 5 * tolerance * expected_gradient.norm()
    assert loss.batch(rows).tokens == sum(map(len, rows)) - 3 * 15


def summed(model: Any, parts: Iterator[torch.Tensor]) -> tuple[float, torch.Tensor]:
    """The sum of the parts and its gradient, in float64."""
    parameters = list(trainable(model).values())
    for parameter in parameters:
        parameter.grad = None
    total = 0.0
    for part in parts:
        part.backward()
        total += float(part.detach())
    gradients = [torch.zeros(parameter.shape) if parameter.grad is None else parameter.grad for parameter in parameters]
    return total, torch.cat([gradient.flatten().double() for gradient in gradients])
