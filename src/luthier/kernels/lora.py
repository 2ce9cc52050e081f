"""A frozen linear layer with a low-rank adapter as one autograd function.

y = x W^T + b + scaling (x A^T) B^T, with W frozen in the compute type and A, B trained in fp32.
"""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812


def lora_linear(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    lora_a: torch.Tensor,
    lora_b: torch.Tensor,
    scaling: float,
) -> torch.Tensor:
    """x: [..., in]; weight: [out, in] and bias: [out], both frozen; lora_a: [r, in]; lora_b: [out, r]. -> [..., out]"""
    flat = x.reshape(-1, x.shape[-1])
    output: torch.Tensor = _LoraLinear.apply(flat, weight, bias, lora_a, lora_b, scaling)  # type: ignore[no-untyped-call]
    return output.view(*x.shape[:-1], weight.shape[0])


class _LoraLinear(torch.autograd.Function):
    """Hu et al. 2021 (LoRA), eq. 3. Gradients: dB = s dY^T (x A^T), dA = s (dY B)^T x, dx = dY W + s (dY B) A."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        lora_a: torch.Tensor,
        lora_b: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        a, b = lora_a.to(x.dtype), lora_b.to(x.dtype)
        narrow = x @ a.t()
        ctx.save_for_backward(x, weight, a, b, narrow)
        ctx.scaling, ctx.adapter_dtype = scaling, lora_a.dtype
        return F.linear(x, weight, bias).addmm_(narrow, b.t(), alpha=scaling)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, a, b, narrow = ctx.saved_tensors
        grad = grads[0]
        grad_narrow = (grad @ b).mul_(ctx.scaling)
        grad_b = (grad.t() @ narrow).to(ctx.adapter_dtype).mul_(ctx.scaling)
        grad_a = (grad_narrow.t() @ x).to(ctx.adapter_dtype)
        grad_x = (grad @ weight).addmm_(grad_narrow, a) if ctx.needs_input_grad[0] else None
        return grad_x, None, None, grad_a, grad_b, None
