"""Frozen linear layers with low-rank adapters, those over one input as one autograd function.

y = x W^T + b + scaling (x A^T) B^T, with W frozen in the compute type and A, B trained in fp32.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812


class LoraLayer(NamedTuple):
    """weight: [out, in], frozen; bias: [out] or None; lora_a: [r, in]; lora_b: [out, r]."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    lora_a: torch.Tensor
    lora_b: torch.Tensor
    scaling: float


def lora_linears(x: torch.Tensor, layers: Sequence[LoraLayer]) -> tuple[torch.Tensor, ...]:
    """The outputs of layers over one input. x: [..., in]. -> [..., out] of each"""
    flat = x.reshape(-1, x.shape[-1])
    tensors = [tensor for layer in layers for tensor in layer[:4]]
    scalings = [layer.scaling for layer in layers]
    outputs: tuple[torch.Tensor, ...] = _LoraLinears.apply(flat, scalings, *tensors)  # type: ignore[no-untyped-call]
    return tuple(output.view(*x.shape[:-1], output.shape[-1]) for output in outputs)


class _LoraLinears(torch.autograd.Function):
    """Hu et al. 2021 (LoRA), eq. 3. Gradients: dB = s dY^T (x A^T), dA = s (dY B)^T x, dx = dY W + s (dY B) A,
    db = sum of dY.

    The narrow states x A^T of all layers lie side by side, [T, sum of r], and so do their gradients.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, scalings: Sequence[float], *tensors: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        weights, biases, lora_a, lora_b = (tensors[place::4] for place in range(4))
        a, b = torch.cat(lora_a).to(x.dtype), [of.to(x.dtype) for of in lora_b]
        narrow = x @ a.t()
        ctx.save_for_backward(x, a, narrow, *weights, *b)
        ctx.scalings, ctx.adapter_dtype = scalings, lora_a[0].dtype
        parts = narrow.split([of.shape[1] for of in b], 1)
        return tuple(
            F.linear(x, weight, bias).addmm_(part, of.t(), alpha=scaling)
            for weight, bias, of, part, scaling in zip(weights, biases, b, parts, scalings, strict=True)
        )

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, a, narrow, *others = ctx.saved_tensors
        count = len(ctx.scalings)
        weights, b = others[:count], others[count:]
        ranks = [of.shape[1] for of in b]
        grad_narrow = torch.cat(
            [(grad @ of).mul_(scaling) for grad, of, scaling in zip(grads, b, ctx.scalings, strict=True)], 1
        )
        grad_a = (grad_narrow.t() @ x).to(ctx.adapter_dtype).split(ranks)
        grad_b = [
            (grad.t() @ part).to(ctx.adapter_dtype).mul_(scaling)
            for grad, part, scaling in zip(grads, narrow.split(ranks, 1), ctx.scalings, strict=True)
        ]
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (grads[0] @ weights[0]).addmm_(grad_narrow, a)
            for grad, weight in zip(grads[1:], weights[1:], strict=True):
                grad_x.addmm_(grad, weight)
        grad_bias = [
            grad.sum(0) if wanted else None for grad, wanted in zip(grads, ctx.needs_input_grad[3::4], strict=True)
        ]
        of_layers = zip(grad_bias, grad_a, grad_b, strict=True)
        return grad_x, None, *(of for of_layer in of_layers for of in (None, *of_layer))
