"""The fused cross-entropy is torch's, in value and gradient, whatever the size of its chunks."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from luthier.kernels import loss
from luthier.kernels.loss import target_losses, target_scores

VOCABULARY, HIDDEN_SIZE = 37, 8


def example(tokens: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(tokens)
    hidden = torch.randn(tokens, HIDDEN_SIZE, dtype=torch.float64, generator=generator) * 3
    head_weight = torch.randn(VOCABULARY, HIDDEN_SIZE, dtype=torch.float64, generator=generator)
    labels = torch.randint(VOCABULARY, (tokens,), generator=generator)
    return hidden.to(dtype).requires_grad_(), head_weight.to(dtype), labels


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("head_trains", [False, True])
@pytest.mark.parametrize("chunk_tokens", [1, 4, 10, 512])
@pytest.mark.parametrize("tokens", [1, 4, 10, 11])
def test_losses_and_gradients_equal_cross_entropy(
    tokens: int, chunk_tokens: int, head_trains: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "CHUNK_TOKENS", chunk_tokens)
    hidden, head_weight, labels = example(tokens)
    inputs = [hidden, head_weight.requires_grad_()] if head_trains else [hidden]
    expected = F.cross_entropy(hidden @ head_weight.t(), labels, reduction="none")

    found = target_losses(hidden, head_weight, labels)

    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    weights = torch.linspace(-1, 2, tokens, dtype=torch.float64)
    for one, other in zip(*(torch.autograd.grad(each @ weights, inputs) for each in (found, expected)), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("form")
def test_a_head_can_train_alone() -> None:
    hidden, head_weight, labels = example(7)
    hidden, head_weight = hidden.detach(), head_weight.requires_grad_()
    expected = F.cross_entropy(hidden @ head_weight.t(), labels, reduction="sum")

    [gradient] = torch.autograd.grad(target_losses(hidden, head_weight, labels).sum(), head_weight)

    torch.testing.assert_close(gradient, *torch.autograd.grad(expected, head_weight), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("form")
def test_scores_are_the_losses_and_the_labels_that_are_likeliest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "CHUNK_TOKENS", 4)
    hidden, head_weight, labels = example(11, torch.float32)
    likeliest = (hidden @ head_weight.t()).argmax(-1)
    labels[::3] = likeliest[::3]

    losses, hits = target_scores(hidden, head_weight, labels)

    assert losses.equal(target_losses(hidden, head_weight, labels))
    assert hits.tolist() == (likeliest == labels).tolist()
    assert 0 < int(hits.sum()) < 11
    assert not losses.requires_grad
    assert [each.shape for each in target_scores(hidden[:0], head_weight, labels[:0])] == [(0,), (0,)]


def test_sums_in_fp32_when_the_weights_are_bfloat16() -> None:
    hidden, head_weight, labels = example(300, torch.bfloat16)
    exact = F.cross_entropy(hidden.double() @ head_weight.double().t(), labels, reduction="sum")

    found = target_losses(hidden, head_weight, labels).sum()
    found.backward()

    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(exact.item(), rel=5e-3)
    assert hidden.grad is not None
    assert hidden.grad.dtype == torch.bfloat16


def test_large_logits_do_not_overflow() -> None:
    hidden, head_weight, labels = example(5, torch.float32)
    loud = (hidden * 1e3).detach().requires_grad_()

    found = target_losses(loud, head_weight, labels).sum()
    [gradient] = torch.autograd.grad(found, loud)

    expected = F.cross_entropy(loud @ head_weight.t(), labels, reduction="sum")
    torch.testing.assert_close(found, expected)
    assert torch.isfinite(gradient).all()


def test_no_target_costs_nothing() -> None:
    hidden, head_weight, _ = example(3)
    none = torch.zeros(0, dtype=torch.long)

    total = target_losses(hidden[:0], head_weight, none).sum()
    [gradient] = torch.autograd.grad(total, hidden)

    assert float(total.detach()) == 0
    assert torch.count_nonzero(gradient) == 0


@pytest.mark.usefixtures("form")
def test_logits_that_are_no_numbers_have_no_loss_that_is_one() -> None:
    hidden, head_weight, labels = example(3, torch.float32)
    with torch.no_grad():
        hidden[1, 0] = float("nan")

    found = target_losses(hidden, head_weight, labels)

    assert torch.isfinite(found).tolist() == [True, False, True]


def test_labels_outside_of_the_vocabulary_are_refused() -> None:
    hidden, head_weight, labels = example(3)
    labels[1] = VOCABULARY

    with pytest.raises(IndexError, match="to 37, of 37 words"):
        target_losses(hidden, head_weight, labels)
