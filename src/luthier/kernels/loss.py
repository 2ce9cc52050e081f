"""Cross-entropy of target tokens whose logits never exist whole."""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

CHUNK_TOKENS = 512


def target_losses(hidden: torch.Tensor, head_weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood in nats of each label, without gradient.

    hidden: [N, hidden_size]; head_weight: [vocabulary, hidden_size]; labels: [N]. Returns [N] in fp32.
    """
    with torch.no_grad():
        chunks = zip(hidden.split(CHUNK_TOKENS), labels.split(CHUNK_TOKENS), strict=True)
        return torch.cat([F.cross_entropy((h @ head_weight.t()).float(), y, reduction="none") for h, y in chunks])


def target_loss_sum(hidden: torch.Tensor, head_weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Sum over tokens of the negative log-likelihood, differentiable in `hidden` only: the head must be frozen.

    Shapes as in `target_losses`. The gradient is computed chunk by chunk in the forward pass, so that memory holds
    one chunk of logits at a time.
    """
    if head_weight.requires_grad:
        raise ValueError("the fused loss has no gradient for the head's weight")
    total: torch.Tensor = _TargetLossSum.apply(hidden, head_weight, labels)  # type: ignore[no-untyped-call]
    return total


class _TargetLossSum(torch.autograd.Function):
    """d loss / d logits = softmax(logits) - onehot(label); d loss / d hidden = that @ head_weight."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, head_weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        wide = torch.promote_types(hidden.dtype, torch.float32)
        gradient = torch.empty_like(hidden)
        total = torch.zeros((), dtype=wide)
        for start in range(0, len(hidden), CHUNK_TOKENS):
            stop = start + CHUNK_TOKENS
            chosen = labels[start:stop, None]
            logits = hidden[start:stop] @ head_weight.t()
            shifted = (logits - logits.amax(-1, keepdim=True)).to(wide)
            own = shifted.gather(1, chosen)
            probabilities = shifted.exp_()
            normaliser = probabilities.sum(-1, keepdim=True)
            total += (normaliser.log() - own).sum()
            probabilities.div_(normaliser).scatter_add_(1, chosen, own.new_full(own.shape, -1.0))
            torch.mm(probabilities.to(hidden.dtype), head_weight, out=gradient[start:stop])
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grads[0].to(gradient.dtype), None, None
