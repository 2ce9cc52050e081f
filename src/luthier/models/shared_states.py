"""Keys and values of tokens that stand before many rows, kept from one forward pass for others."""

from dataclasses import dataclass, field

import torch

from luthier.kernels import native
from luthier.kernels.padded_heads import Turns


@dataclass(slots=True)
class SharedStates:
    """Of P tokens, by layer. One forward pass of these tokens enters its own; passes of rows that stand after them read
    detached copies, whose gradients add up in fp32 until `backward`."""

    _made: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    _read: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    _turns: Turns | None = None

    def enter(self, layer: int, key: torch.Tensor, value: torch.Tensor, turns: Turns | None) -> None:
        """key, value: [P, key_value_heads, head_dim]."""
        self._made[layer] = (key, value)
        self._turns = turns

    def before(
        self, layer: int, key: torch.Tensor, value: torch.Tensor, turns: Turns | None
    ) -> tuple[torch.Tensor, torch.Tensor, Turns | None]:
        """Keys, values and turns of these tokens with those of a pass of T tokens after them: [P + T, ...]."""
        if layer not in self._read:
            own_key, own_value = (of.detach().to(native.wide(of.dtype)).requires_grad_() for of in self._made[layer])
            self._read[layer] = own_key, own_value
        of_key, of_value = (of.to(key.dtype) for of in self._read[layer])
        if turns is not None and self._turns is not None:
            turns = Turns(*(torch.cat(parts) for parts in zip(self._turns, turns, strict=True)))
        return torch.cat([of_key, key]), torch.cat([of_value, value]), turns

    def backward(self) -> None:
        """Hand the gradients that readers have left to the pass that entered the states."""
        states, gradients = [], []
        for layer, copies in self._read.items():
            for own, copy in zip(self._made[layer], copies, strict=True):
                if copy.grad is not None and own.requires_grad:
                    states.append(own)
                    gradients.append(copy.grad.to(own.dtype))
        if states:
            torch.autograd.backward(states, gradients)
