"""Linear layers whose frozen weights are bytes: a scale for each output, symmetric around zero."""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

LARGEST = 127


def quantize(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """weight: [out, in] -> bytes [out, in] and scales [out] in fp32, with weight ~ bytes * scale to half a scale."""
    wide = weight.detach().float()
    scale = wide.abs().amax(dim=1).clamp_(min=torch.finfo(torch.float32).tiny) / LARGEST
    return (wide / scale[:, None]).round_().to(torch.int8), scale


def int8_linear(x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """x: [..., in]; weight: [out, in] in int8; scale: [out]; bias: [out]. Returns [..., out] in the type of x.

    Only bytes are kept for the backward pass; both passes widen them, which is exact in bfloat16 too.
    """
    output: torch.Tensor = _Int8Linear.apply(x, weight, scale)  # type: ignore[no-untyped-call]
    return output if bias is None else output + bias


class _Int8Linear(torch.autograd.Function):
    """y = (x bytes^T) * scale, and dx = (dy * scale) bytes."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(weight, scale)
        return F.linear(x, weight.to(x.dtype)).mul_(scale.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        weight, scale = ctx.saved_tensors
        grad = grads[0]
        return (grad * scale.to(grad.dtype)) @ weight.to(grad.dtype), None, None
