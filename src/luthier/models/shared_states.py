"""Keys and values of tokens that stand before many rows, kept from one forward pass for others."""

from dataclasses import dataclass, field

import torch

from luthier.kernels.padded_heads import Turns


@dataclass(slots=True)
class SharedStates:
    """Of P tokens, by layer. While it is `open`, a forward pass of these tokens enters its own; after that, passes of
    rows that stand after them read detached copies, whose gradients add up in fp32 until `backward`."""

    made: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    read: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    turns: Turns | None = None
    open: bool = True

    def enter(self, layer: int, key: torch.Tensor, value: torch.Tensor, turns: Turns | None) -> None:
        """key, value: [P, key_value_heads, head_dim]."""
        self.made[layer] = (key, value)
        self.turns = turns

    def close(self) -> None:
        """From now on others read."""
        self.open = False
        wide = {
            layer: [of.detach().to(torch.promote_types(of.dtype, torch.float32)) for of in states]
            for layer, states in self.made.items()
        }
        self.read = {layer: (key.requires_grad_(), value.requires_grad_()) for layer, (key, value) in wide.items()}

    def before(
        self, layer: int, key: torch.Tensor, value: torch.Tensor, turns: Turns | None
    ) -> tuple[torch.Tensor, torch.Tensor, Turns | None]:
        """Keys, values and turns of these tokens with those of a pass of T tokens after them: [P + T, ...]."""
        of_key, of_value = (of.to(key.dtype) for of in self.read[layer])
        if turns is not None and self.turns is not None:
            turns = Turns(*(torch.cat(parts) for parts in zip(self.turns, turns, strict=True)))
        return torch.cat([of_key, key]), torch.cat([of_value, value]), turns

    def backward(self) -> None:
        """Hand the gradients that readers have left to the pass that entered the states."""
        made = [state for states in self.made.values() for state in states]
        read = [state for states in self.read.values() for state in states]
        pairs = [(own, copy.grad) for own, copy in zip(made, read, strict=True) if copy.grad is not None]
        if pairs:
            torch.autograd.backward([own for own, _ in pairs], [grad.to(own.dtype) for own, grad in pairs])
