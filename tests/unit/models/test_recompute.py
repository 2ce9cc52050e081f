"""Layers that are computed once more give the same losses and gradients, and keep less."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from luthier.core.recipe import AdapterSection
from luthier.core.rows import TokenRow
from luthier.models.adapter import trainable
from luthier.models.batch import FlatBatch
from luthier.models.losses import RowsLoss
from luthier.models.methods import prepare
from luthier.models.recompute import layers_of, recompute_layers, recomputed_bytes


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("architecture", ["Llama", "Qwen2", "GPT2"])
def test_losses_and_gradients_stay_the_same(
    architecture: str,
    method: Any,
    fast: bool,
    make_model: Callable[[str], Any],
    random_rows: Callable[..., list[TokenRow]],
) -> None:
    model = prepare(make_model(architecture), AdapterSection(method=method), 0).double()
    loss, batch = RowsLoss(model, fast), FlatBatch.of(random_rows((7, 30, 2, 12)))
    parameters = list(trainable(model).values())

    def found() -> list[torch.Tensor]:
        total = loss.loss_sum(batch)
        return [total.detach(), *torch.autograd.grad(total, parameters)]

    before = found()
    recompute_layers(model)

    assert len(layers_of(model)) == 2
    for one, other in zip(found(), before, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_a_model_without_such_layers_has_none() -> None:
    assert layers_of(torch.nn.Linear(2, 2)) == []


@pytest.mark.parametrize(("dtype", "width"), [(torch.float32, 4), (torch.bfloat16, 2)])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_what_is_left_are_the_inputs_of_all_layers_and_what_one_keeps(
    method: Any, dtype: torch.dtype, width: int, make_model: Callable[[str], Any]
) -> None:
    model = prepare(make_model("Llama").to(dtype), AdapterSection(method=method), 0)
    inputs = 2 * 10 * model.config.hidden_size * width

    assert recomputed_bytes(model, 5000, 10) == inputs + 2500
