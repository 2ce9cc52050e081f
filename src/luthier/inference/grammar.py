"""Answers that match a JSON schema or a regular expression: which tokens may come next."""

import threading
from collections.abc import Collection
from typing import Any

import llguidance.hf
import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from transformers import PreTrainedTokenizerBase

from luthier.core.errors import GenerationError, RequestError
from luthier.core.generation import Grammar

JSON_SPACES = {"whitespace_flexible": True, "whitespace_pattern": r"[ \n]?"}
"""At most one space between JSON's tokens: small models would go on with spaces for ever."""


class Constraint:
    """What one answer may still say."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def allowed(self, vocabulary: int) -> torch.Tensor:
        """[vocabulary]: whether each token may come next. Raises GenerationError when none may."""
        bits = np.unpackbits(np.frombuffer(self._matcher.compute_bitmask(), np.uint8), bitorder="little")
        allowed = torch.from_numpy(bits[:vocabulary].astype(bool))
        if self._matcher.is_error() or not bool(allowed.any()):
            raise GenerationError("the grammar leaves no token to go on with")
        return torch.nn.functional.pad(allowed, (0, vocabulary - len(allowed)))

    def take(self, token: int) -> None:
        self._matcher.consume_token(token)

    def copy(self) -> "Constraint":
        return Constraint(self._matcher.deep_copy())


class GrammarCompiler:
    """Turns grammars into constraints on a model's tokens. Any thread may use it.

    `ends` are the ids of tokens that end an answer, `vocabulary` how many logits the model gives.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, ends: Collection[int], vocabulary: int) -> None:
        self._tokenizer, self._ends, self._vocabulary = tokenizer, sorted(ends), vocabulary
        self._tokens: LLTokenizer | None = None
        self._guard = threading.Lock()

    def constraint(self, grammar: Grammar) -> Constraint:
        """Raises RequestError for a grammar that is malformed, or that no text matches."""
        with self._guard:
            if self._tokens is None:
                tokenizer: Any = self._tokenizer
                self._tokens = llguidance.hf.from_tokenizer(tokenizer, self._vocabulary, self._ends)
        try:
            text = (
                LLMatcher.grammar_from_json_schema(grammar.text, defaults=JSON_SPACES)
                if grammar.kind == "json_schema"
                else LLMatcher.grammar_from_regex(grammar.text)
            )
        except ValueError as error:
            raise RequestError(f"the JSON schema is no JSON: {error}") from error
        matcher = LLMatcher(self._tokens, text, log_level=0)
        if matcher.is_error():
            problem = " ".join(matcher.get_error().split())
            raise RequestError(f"the {grammar.kind.replace('_', ' ')} cannot be used: {problem}")
        try:
            Constraint(matcher).allowed(self._vocabulary)
        except GenerationError as error:
            raise RequestError(f"no text matches the {grammar.kind.replace('_', ' ')}") from error
        return Constraint(matcher)
