"""A factor on the loss, so that small gradients are not lost in float16.

float16 has nothing below 6e-8 and nothing above 65,504. The loss is multiplied before the backward pass, and gradients
are divided by as much before anything looks at them. A step that overflows changes no weight and halves the factor;
many sound ones in a row double it. Source: Micikevicius et al. 2018, Mixed Precision Training, section 3.2; first
value, factors and interval are those of torch.amp.GradScaler. That one keeps its state and its own rule of what a
skipped step is; here one rule serves all types, and the factor is a number of the training's state.
"""

from collections.abc import Iterable

from torch import nn

from luthier.training.state import TrainingState

FIRST_SCALE = 2.0**16
GROWTH_STEPS = 2000
"""Sound steps after which the factor doubles."""


def unscale(parameters: Iterable[nn.Parameter], scale: float) -> None:
    """Divide all gradients by the factor that the loss was multiplied by: exact, as it is a power of two."""
    if scale == 1:
        return
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.div_(scale)


def adapt_scale(state: TrainingState, finite: bool) -> None:
    """Set the factor for the next step, after one whose loss and gradients were all finite, or not."""
    state.steps_at_scale = state.steps_at_scale + 1 if finite else 0
    if not finite:
        state.loss_scale /= 2
    elif state.steps_at_scale == GROWTH_STEPS:
        state.loss_scale *= 2
        state.steps_at_scale = 0
