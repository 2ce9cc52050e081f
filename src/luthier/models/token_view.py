"""A row's tokens as text again: what the model reads, and which of it the loss counts."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from luthier.core.rows import TokenRow


@dataclass(frozen=True, slots=True)
class Run:
    """Tokens in a row that are alike: all of them targets or none, special (as text, their names) or not."""

    text: str
    tokens: int
    target: bool
    special: bool


def token_runs(tokenizer: Any, tokens: TokenRow, control_tokens: Collection[int]) -> list[Run]:
    """The tokens of a row in runs, whose texts end to end are what the model reads.

    A run is decoded as a whole, because a letter may be several tokens; `control_tokens` are the ids of special ones.
    """
    kinds = [(target, token in control_tokens) for token, target in zip(tokens.input_ids, tokens.targets, strict=True)]
    runs, start = [], 0
    for (target, special), alike in groupby(kinds):
        stop = start + len(list(alike))
        ids = list(tokens.input_ids[start:stop])
        text = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        runs.append(Run(text, stop - start, target, special))
        start = stop
    return runs
