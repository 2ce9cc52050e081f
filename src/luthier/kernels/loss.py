"""Cross-entropy of target tokens whose logits never exist whole."""

from typing import Any

import torch

from luthier.kernels import native

CHUNK_TOKENS = 512


def target_losses(hidden: torch.Tensor, head_weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood in nats of each label, differentiable in `hidden` and in a head that trains.

    hidden: [N, hidden_size]; head_weight: [vocabulary, hidden_size]; labels: [N]. Returns [N], in fp32 for narrower
    types. Memory holds one chunk of logits at a time: the gradient of `hidden` is computed in the forward pass where
    the head is frozen, else chunk by chunk once more in the backward pass. Raises IndexError for labels that the
    vocabulary has not.
    """
    _refuse_unknown(labels, len(head_weight))
    losses: torch.Tensor = _TargetLosses.apply(hidden, head_weight, labels)  # type: ignore[no-untyped-call]
    return losses


@torch.no_grad()
def target_scores(
    hidden: torch.Tensor, head_weight: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """`target_losses` without gradients, and whether each label is the likeliest token, bool [N], from one set of
    logits. Raises as `target_losses` does."""
    _refuse_unknown(labels, len(head_weight))
    losses = hidden.new_empty(len(hidden), dtype=torch.promote_types(hidden.dtype, torch.float32))
    hits = labels.new_empty(len(labels), dtype=torch.bool)
    for chunk in _chunks(len(hidden)):
        logits = hidden[chunk] @ head_weight.t()
        hits[chunk] = logits.max(-1).indices == labels[chunk]
        _, losses[chunk] = _d_logits(logits, labels[chunk], wanted=False)
    return losses, hits


class _TargetLosses(torch.autograd.Function):
    """With d = softmax(logits) - onehot(label) for each token: d loss / d hidden = d W, d loss / d W = d^T hidden."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, head_weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        keeps_gradient = ctx.needs_input_grad[0] and not ctx.needs_input_grad[1]
        gradient = torch.empty_like(hidden) if keeps_gradient else None
        losses = hidden.new_empty(len(hidden), dtype=torch.promote_types(hidden.dtype, torch.float32))
        for chunk in _chunks(len(hidden)):
            d_logits, losses[chunk] = _d_logits(hidden[chunk] @ head_weight.t(), labels[chunk], wanted=keeps_gradient)
            if gradient is not None and d_logits is not None:
                torch.mm(d_logits, head_weight, out=gradient[chunk])
        ctx.keeps_gradient = keeps_gradient
        ctx.save_for_backward(*((gradient,) if keeps_gradient else (hidden, head_weight, labels)))
        return losses

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
        weights = grads[0][:, None]
        if ctx.keeps_gradient:
            (gradient,) = ctx.saved_tensors
            return gradient * weights.to(gradient.dtype), None, None
        hidden, head_weight, labels = ctx.saved_tensors
        d_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        d_head = torch.zeros_like(head_weight, dtype=grads[0].dtype) if ctx.needs_input_grad[1] else None
        for chunk in _chunks(len(hidden)):
            d_logits, _ = _d_logits(hidden[chunk] @ head_weight.t(), labels[chunk], wanted=True)
            assert d_logits is not None
            d_logits.mul_(weights[chunk].to(d_logits.dtype))
            if d_hidden is not None:
                torch.mm(d_logits, head_weight, out=d_hidden[chunk])
            if d_head is not None:
                d_head += d_logits.t() @ hidden[chunk]
        return d_hidden, None if d_head is None else d_head.to(head_weight.dtype), None


def _refuse_unknown(labels: torch.Tensor, words: int) -> None:
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < words:
        raise IndexError(f"labels {int(labels.min())} to {int(labels.max())}, of {words} words")


def _chunks(tokens: int) -> list[slice]:
    return [slice(start, start + CHUNK_TOKENS) for start in range(0, tokens, CHUNK_TOKENS)]


def _d_logits(logits: torch.Tensor, labels: torch.Tensor, wanted: bool) -> tuple[torch.Tensor | None, torch.Tensor]:
    """(softmax(logits) - onehot(label) in their type, None unless `wanted`; the losses of these tokens). The logits may
    be overwritten."""
    if native.serves(logits):
        losses = logits.new_empty(len(logits), dtype=native.wide(logits.dtype))
        native.run("cross_entropy", logits.dtype, logits, labels.contiguous(), losses, *logits.shape, int(wanted))
        return logits if wanted else None, losses
    chosen = labels[:, None]
    shifted = (logits - logits.amax(-1, keepdim=True)).to(native.wide(logits.dtype))
    own = shifted.gather(1, chosen)
    probabilities = shifted.exp_()
    normaliser = probabilities.sum(-1, keepdim=True)
    losses = (normaliser.log() - own).squeeze(1)
    if not wanted:
        return None, losses
    probabilities.div_(normaliser).scatter_add_(1, chosen, own.new_full(own.shape, -1.0))
    return probabilities.to(logits.dtype), losses
