"""How much a training computes and moves for each token."""

from luthier.planning.memory import BYTES, MASTER_BYTES, kept_per_token, step_bytes
from luthier.planning.setup import Setup


def operations_per_token(setup: Setup) -> float:
    """Floating-point operations of training for one token, averaged over targets and others.

    Two for each weight that the token is multiplied with in the forward pass, two for the gradient of the activations
    in the layers that it flows through, two for the gradient of each weight that trains (Kaplan et al. 2020, section
    2.1). Attention adds four for each number of a query and each token before it, half of the row on average, and twice
    that for its gradient. Layers that are computed again take a forward pass more.
    """
    shape, trained = setup.shape, setup.trained
    target_share = setup.forward.targets / max(1, setup.forward.tokens)
    head = 2 * shape.vocab_size * shape.hidden_size * target_share
    matrices = 2 * shape.active_parameters / shape.layers
    attention = 2 * shape.query_size * setup.forward.row_tokens
    layer = matrices + attention
    backward = trained.layers * (layer + attention + (layer if setup.way.recompute else 0))
    # An adapter's own products come on top; of other methods only the gradient of weights does.
    own = trained.parameters * (6 if trained.beside else 2)
    return shape.layers * layer + 2 * head + backward + own


def bytes_per_token(setup: Setup, tokens_per_step: float) -> float:
    """Bytes that are read and written for one token, at least: the weights once in each direction for a forward pass,
    each activation twice, and for a step what the optimiser holds."""
    shape, trained, size = setup.shape, setup.trained, BYTES[setup.way.dtype]
    passes = 3 if setup.way.recompute else 2
    weights = passes * setup.memory.weights / max(1, setup.forward.tokens)
    each = kept_per_token(shape, trained, setup.way, setup.forward.row_tokens, setup.r)
    activations = 2 * each * shape.layers + 2 * shape.hidden_size * size
    optimiser = step_bytes(trained.parameters, setup.way.optim) + MASTER_BYTES * trained.parameters
    return weights + activations + 2 * optimiser / max(1.0, tokens_per_step)
