"""From logits to the next token."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from luthier.core.errors import GenerationError
from luthier.core.generation import GenerationRequest
from luthier.inference.grammar import Constraint

NO_NUMBERS = "the model computed no usable numbers for this request"
LIKELY = 1024
"""Top-p looks at this many of the likeliest tokens first: to sort them all takes a hundred times longer."""
COLDEST = 1e-30
"""A temperature below it counts as this one: logits cannot be divided by what is 0 in their own type."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Choice:
    """A token and, where asked for, its log-probability and the likeliest tokens with theirs, in nats.

    They are the model's own, before bias, penalties and temperature.
    """

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(slots=True)
class Sampler:
    """How one request draws its tokens, and what it has drawn. `prompt` are the prompt's token ids.

    `choice` numbers the answers to one request, which draw from different random numbers. A request's random numbers
    are its own, so that its answer does not depend on what else is in the batch.
    """

    request: GenerationRequest
    prompt: Sequence[int] = ()
    choice: int = 0
    constraint: Constraint | None = None
    random: torch.Generator | None = field(init=False, default=None)
    _drawn: Counter[int] = field(init=False, default_factory=Counter)
    _bias: tuple[torch.Tensor, torch.Tensor] | None = field(init=False, default=None)
    _seen: torch.Tensor | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.request.temperature > 0:
            self.random = torch.Generator()
            if self.request.seed is None:
                self.random.seed()
            else:
                self.random.manual_seed(self.request.seed + self.choice)
        if bias := self.request.logit_bias:
            self._bias = torch.tensor(list(bias)), torch.tensor(list(bias.values()), dtype=torch.float32)
        if self.request.repetition_penalty != 1:
            self._seen = torch.tensor(sorted(set(self.prompt)), dtype=torch.long)

    @property
    def takes_the_likeliest(self) -> bool:
        """Whether the likeliest token is all that is asked for."""
        request = self.request
        return (
            self.random is None
            and self._bias is None
            and self._seen is None
            and self.constraint is None
            and request.logprobs is None
            and request.presence_penalty == request.frequency_penalty == 0
        )

    def choose(self, logits: torch.Tensor) -> Choice:
        """The next token by logits of shape [vocabulary]. Raises GenerationError when the grammar allows none, or
        only such as have no usable logit, which bias and penalties may bring about too."""
        logits = logits.float()
        adjusted = self._adjusted(logits)
        if self.constraint is not None:
            adjusted.masked_fill_(~self.constraint.allowed(len(logits)), float("-inf"))
        best = adjusted.max(-1)
        if not bool(torch.isfinite(best.values)):
            raise GenerationError(NO_NUMBERS)
        token = int(best.indices) if self.random is None else self._draw(adjusted - best.values, self.random)
        self._drawn[token] += 1
        if self.constraint is not None:
            self.constraint.take(token)
        if self.request.logprobs is None:
            return Choice(token)
        logprobs = torch.log_softmax(logits, -1)
        top = logprobs.topk(self.request.logprobs)
        return Choice(token, float(logprobs[token]), tuple(zip(top.indices.tolist(), top.values.tolist(), strict=True)))

    def _adjusted(self, logits: torch.Tensor) -> torch.Tensor:
        """Bias added, and repeated tokens made less likely.

        Repetition penalty over prompt and answer: Keskar et al. 2019 (CTRL). Presence and frequency penalties count
        the answer alone, as OpenAI's API defines them.
        """
        request = self.request
        adjusted = logits.clone()
        if self._seen is not None:
            seen = torch.cat([self._seen, torch.tensor(list(self._drawn), dtype=torch.long)]).unique()
            values, penalty = logits[seen], request.repetition_penalty
            adjusted[seen] = torch.where(values > 0, values / penalty, values * penalty)
        if self._drawn and (request.presence_penalty or request.frequency_penalty):
            drawn = torch.tensor(list(self._drawn))
            counts = torch.tensor(list(self._drawn.values()), dtype=torch.float32)
            adjusted[drawn] -= request.presence_penalty + request.frequency_penalty * counts
        if self._bias is not None:
            adjusted.index_add_(0, *self._bias)
        return adjusted

    def _draw(self, logits: torch.Tensor, random: torch.Generator) -> int:
        """A token drawn by temperature among those that top-k, top-p (Holtzman et al. 2020: the fewest tokens whose
        probabilities reach p) and min-p (Nguyen et al. 2024: at least p times the likeliest) leave. The largest logit
        is 0."""
        request = self.request
        probabilities = torch.softmax(logits / max(request.temperature, COLDEST), -1)
        ids = None
        if 0 < request.top_k < len(logits):
            probabilities, ids = probabilities.topk(request.top_k)
        if request.top_p < 1:
            probabilities, ids = _nucleus(probabilities, ids, request.top_p)
        if request.min_p > 0:
            probabilities = probabilities * (probabilities >= request.min_p * probabilities.max())
        drawn = int(torch.multinomial(probabilities, 1, generator=random))
        return drawn if ids is None else int(ids[drawn])


def _nucleus(probabilities: torch.Tensor, ids: torch.Tensor | None, top_p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The fewest of the likeliest tokens, at least one, whose share of all is `top_p` or more, and their ids."""
    wanted = top_p * float(probabilities.sum())
    ordered, places = probabilities.topk(min(LIKELY, len(probabilities)))
    if float(ordered.sum()) < wanted:
        ordered, places = probabilities.sort(descending=True)
    kept = ordered.cumsum(-1) - ordered < wanted
    kept[0] = True
    places = places[kept]
    return ordered[kept], places if ids is None else ids[places]


def next_tokens(logits: torch.Tensor, samplers: Sequence[Sampler]) -> list[Choice | GenerationError]:
    """The next token of each row of logits, shape [rows, vocabulary], or why there is none."""
    best = logits.max(-1)  # on CPU several times faster than argmax
    usable = torch.isfinite(best.values).tolist()
    tokens = best.indices.tolist()
    return [
        _next_token(logits[row], sampler, token) if fine else GenerationError(NO_NUMBERS)
        for row, (sampler, fine, token) in enumerate(zip(samplers, usable, tokens, strict=True))
    ]


def _next_token(logits: torch.Tensor, sampler: Sampler, likeliest: int) -> Choice | GenerationError:
    if sampler.takes_the_likeliest:
        return Choice(likeliest)
    try:
        return sampler.choose(logits)
    except GenerationError as error:
        return error
    except Exception as error:  # the others in the batch have nothing to do with it
        logger.exception("no next token could be chosen")
        return GenerationError(f"no next token could be chosen: {error}")
