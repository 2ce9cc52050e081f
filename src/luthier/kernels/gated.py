"""The gated activation of most decoders as one autograd function: silu(gate) * up (Shazeer 2020, SwiGLU)."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from luthier.kernels import native


def silu_gated(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up, of two tensors of one shape."""
    output: torch.Tensor = _SiluGated.apply(gate.contiguous(), up.contiguous())  # type: ignore[no-untyped-call]
    return output


def is_silu(activation: Callable[[torch.Tensor], torch.Tensor]) -> bool:
    """Whether this function is the one that `silu_gated` has in it."""
    x = torch.linspace(-4, 4, 9)
    return torch.equal(activation(x), F.silu(x))


class _SiluGated(torch.autograd.Function):
    """With s = sigmoid(gate): dup = d gate s, dgate = d up s (1 + gate (1 - s))."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        if not native.serves(gate, up):
            return F.silu(gate) * up
        output = torch.empty_like(gate)
        native.run("gated_forward", gate.dtype, gate, up, output, gate.numel())
        return output

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gate, up = ctx.saved_tensors
        grad = grads[0].contiguous()
        if not native.serves(grad, gate, up):
            wide = gate.to(native.wide(gate.dtype))
            opened = torch.sigmoid(wide)
            slope = opened * (1 + wide * (1 - opened))
            return (grad * up * slope).to(gate.dtype), (grad * wide * opened).to(up.dtype)
        d_gate, d_up = torch.empty_like(gate), torch.empty_like(up)
        native.run("gated_backward", gate.dtype, grad, gate, up, d_gate, d_up, gate.numel())
        return d_gate, d_up
