"""AdamW whose moments take a quarter of the memory."""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from luthier.kernels.adamw_8bit import Moment, Step, adamw_8bit


class AdamW8bit(torch.optim.Optimizer):
    """torch's AdamW with moments in bytes: see `luthier.kernels.adamw_8bit`. Parameters are float32 or wider.

    All that it knows of a parameter are tensors in `state`, from which it goes on exactly.
    """

    def __init__(
        self,
        params: Iterable[Any],
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.01,
        lr: float = 1e-3,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change each parameter that has a gradient. Losses are the caller's: there is no use for a closure."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._change(parameter, group)

    def _change(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            for name in ("exp_avg", "exp_avg_sq_root"):
                empty = Moment.zeros(parameter.numel(), parameter.device)
                state[name], state[f"{name}_scale"] = empty
        state["step"] += 1
        assert parameter.grad is not None
        beta1, beta2 = group["betas"]
        weights = parameter.reshape(-1)  # a copy, where they do not lie in one row
        adamw_8bit(
            weights,
            parameter.grad.reshape(-1),
            Moment(state["exp_avg"], state["exp_avg_scale"]),
            Moment(state["exp_avg_sq_root"], state["exp_avg_sq_root_scale"]),
            Step(int(state["step"]), group["lr"], beta1, beta2, group["eps"], group["weight_decay"]),
        )
        if not parameter.is_contiguous():
            parameter.copy_(weights.view_as(parameter))
