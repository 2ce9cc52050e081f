"""From logits to the next token."""

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


def next_token(logits: torch.Tensor, request: GenerationRequest, random: torch.Generator | None) -> int:
    """The next token id for logits of shape [vocabulary]: the likeliest, or drawn by temperature and top-p.

    Top-p keeps the smallest set of tokens whose probabilities reach p (Holtzman et al. 2020).
    """
    if random is None:
        return int(logits.argmax())
    probabilities = torch.softmax(logits.float() / request.temperature, -1)
    if request.top_p < 1:
        ordered, ids = probabilities.sort(descending=True)
        before = ordered.cumsum(-1) - ordered
        probabilities = torch.zeros_like(probabilities).scatter_(0, ids, ordered * (before < request.top_p))
    return int(torch.multinomial(probabilities, 1, generator=random))
