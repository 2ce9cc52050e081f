"""Root mean square normalisation as one autograd function.

y = weight * x / rms(x), rms(x) = sqrt(mean(x^2) + epsilon) over the last dimension (Zhang and Sennrich 2019); in
between, fp32 for narrower types.
"""

from typing import Any

import torch

from luthier.kernels import native


def rms_norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    """x: [..., hidden_size]; weight: [hidden_size]. Returns [..., hidden_size]."""
    output: torch.Tensor = _RmsNorm.apply(x.contiguous(), weight, epsilon)  # type: ignore[no-untyped-call]
    return output


class _RmsNorm(torch.autograd.Function):
    """With n = x / rms(x) and g = weight * dy: dx = (g - n mean(g * n)) / rms(x); dweight = sum of dy * n."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        size = x.shape[-1]
        inverse = x.new_empty(*x.shape[:-1], 1, dtype=native.wide(x.dtype))
        if native.serves(x, weight):
            y = torch.empty_like(x)
            native.run("rms_norm_forward", x.dtype, x, weight, y, inverse, inverse.numel(), size, float(epsilon))
        else:
            norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=inverse.dtype)
            inverse = norm.square_().div_(size).add_(epsilon).rsqrt_()
            y = torch.mul(x, inverse).to(x.dtype) * weight
        ctx.save_for_backward(x, weight, inverse)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        x, weight, inverse = ctx.saved_tensors
        grad = grads[0].contiguous()
        d_weight = None
        if ctx.needs_input_grad[1]:
            tokens = tuple(range(x.dim() - 1))
            d_weight = (grad * (x * inverse)).sum(tokens).to(weight.dtype)
        if native.serves(grad, x, weight):
            d_x = torch.empty_like(x)
            native.run("rms_norm_backward", x.dtype, grad, x, weight, inverse, d_x, inverse.numel(), x.shape[-1])
            return d_x, d_weight, None
        normed = (x * inverse).to(x.dtype)
        g = grad * weight
        along = (g * normed).sum(-1, keepdim=True, dtype=inverse.dtype).div_(x.shape[-1])
        d_x = torch.addcmul(g, normed, along.to(g.dtype), value=-1).mul_(inverse.to(g.dtype))
        return d_x, d_weight, None
