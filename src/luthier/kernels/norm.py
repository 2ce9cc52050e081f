"""Root mean square normalisation as one autograd function.

y = weight * (x / rms(x)), rms(x) = sqrt(mean(x^2) + epsilon) over the last dimension (Zhang and Sennrich 2019), the
mean in fp32 for narrower types.
"""

from typing import Any

import torch


def rms_norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    """x: [..., hidden_size]; weight: [hidden_size]. Returns [..., hidden_size]."""
    output: torch.Tensor = _RmsNorm.apply(x, weight, epsilon)  # type: ignore[no-untyped-call]
    return output


class _RmsNorm(torch.autograd.Function):
    """With n = x / rms(x) and g = weight * dy: dx = (g - n mean(g * n)) / rms(x); dweight = sum of dy * n."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide)
        scale = (norm.square_().div_(x.shape[-1]).add_(epsilon)).rsqrt_()
        normed = torch.mul(x, scale).to(x.dtype)
        ctx.save_for_backward(normed, scale, weight)
        return normed * weight

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        normed, scale, weight = ctx.saved_tensors
        g = grads[0] * weight
        along = (g * normed).sum(-1, keepdim=True, dtype=scale.dtype).div_(normed.shape[-1])
        d_weight = None
        if ctx.needs_input_grad[1]:
            tokens = tuple(range(normed.dim() - 1))
            d_weight = (grads[0] * normed).sum(tokens, dtype=scale.dtype).to(weight.dtype)
        return torch.addcmul(g, normed, along.to(g.dtype), value=-1).mul_(scale.to(g.dtype)), d_weight, None
