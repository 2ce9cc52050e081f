"""From logits to the next token."""

from collections.abc import Sequence

import torch

from luthier.core.generation import GenerationRequest


def random_source(request: GenerationRequest) -> torch.Generator | None:
    """The request's own random numbers, so that its answer does not depend on what else is in the batch."""
    if request.temperature == 0:
        return None
    generator = torch.Generator()
    if request.seed is None:
        generator.seed()
    else:
        generator.manual_seed(request.seed)
    return generator


def next_tokens(
    logits: torch.Tensor, requests: Sequence[GenerationRequest], random: Sequence[torch.Generator | None]
) -> list[int]:
    """The next token id for each row of logits, shape [rows, vocabulary]: the likeliest, or drawn where `random` is."""
    tokens: list[int] = logits.max(-1).indices.tolist()  # on CPU several times faster than argmax
    for row, generator in enumerate(random):
        if generator is not None:
            tokens[row] = _drawn(logits[row], requests[row], generator)
    return tokens


def _drawn(logits: torch.Tensor, request: GenerationRequest, random: torch.Generator) -> int:
    """A token id drawn by temperature and top-p from logits of shape [vocabulary].

    Top-p keeps the smallest set of tokens whose probabilities reach p (Holtzman et al. 2020).
    """
    logits = logits.float()
    probabilities = torch.softmax((logits - logits.max()) / request.temperature, -1)
    if request.top_p < 1:
        ordered, ids = probabilities.sort(descending=True)
        before = ordered.cumsum(-1) - ordered
        probabilities = torch.zeros_like(probabilities).scatter_(0, ids, ordered * (before < request.top_p))
    return int(torch.multinomial(probabilities, 1, generator=random))
