import json

import pytest
import torch

from luthier.core.errors import GenerationError, RequestError
from luthier.core.generation import Grammar
from luthier.inference.grammar import GrammarCompiler

VOCABULARY = 352
"""More logits than the tokenizer has tokens, as models have whose matrices are padded."""


@pytest.fixture
def compiler(tiny_tokenizer):
    return GrammarCompiler(tiny_tokenizer, {tiny_tokenizer.eos_token_id}, VOCABULARY)


@pytest.fixture
def say(compiler, tiny_tokenizer):
    """`say(grammar, text)`: the tokens allowed after the text; None where a character of it was not allowed."""

    def allowed(grammar, text):
        constraint = compiler.constraint(grammar)
        for token in tiny_tokenizer(text, add_special_tokens=False)["input_ids"]:
            if not constraint.allowed(VOCABULARY)[token]:
                return None
            constraint.take(token)
        mask = constraint.allowed(VOCABULARY)
        assert mask.shape == (VOCABULARY,)
        assert mask.dtype == torch.bool
        return set(tiny_tokenizer.convert_ids_to_tokens(mask.nonzero()[:, 0].tolist()))

    return allowed


def test_a_regular_expression_allows_what_may_follow_and_then_the_end(say):
    digits = Grammar("regex", "[0-9]{3}")
    assert say(digits, "") >= set("0123456789")
    assert "a" not in say(digits, "")
    assert "<|im_end|>" not in say(digits, "12")
    assert say(digits, "123") == {"<|im_end|>"}
    assert say(digits, "12a") is None


def test_a_json_schema_allows_one_space_and_no_more(say):
    schema = {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]}
    grammar = Grammar("json_schema", json.dumps(schema | {"additionalProperties": False}))
    assert say(grammar, '{"days": 12}') == {"<|im_end|>"}
    assert say(grammar, '{"days":12 }') == {"<|im_end|>"}
    assert say(grammar, '{"days":  ') is None
    assert say(grammar, '{"hours"') is None


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        (Grammar("regex", "("), "the regex cannot be used: .*unclosed group"),
        (Grammar("regex", "a(?=b)"), "look-ahead.*not supported"),
        (Grammar("regex", r"[^\s\S]"), "no text matches the regex"),
        (Grammar("json_schema", "{"), "the JSON schema is no JSON"),
        (Grammar("json_schema", '{"type": "nonsense"}'), "the json schema cannot be used: Invalid type"),
        (Grammar("json_schema", '{"allOf": [{"type": "string"}, {"type": "integer"}]}'), "Unsatisfiable"),
        (Grammar("json_schema", '{"$ref": "http://example.com/schema"}'), "cannot be used"),
    ],
)
def test_a_grammar_that_nothing_can_match_is_refused_at_once(compiler, grammar, message):
    with pytest.raises(RequestError, match=message):
        compiler.constraint(grammar)


def test_a_copy_goes_its_own_way_and_a_wrong_token_is_an_error(compiler, tiny_tokenizer):
    first = compiler.constraint(Grammar("regex", "ab"))
    second = first.copy()
    a, b = tiny_tokenizer.convert_tokens_to_ids(["a", "b"])
    first.take(a)
    assert first.allowed(VOCABULARY)[b]
    assert second.allowed(VOCABULARY)[a]
    second.take(b)
    with pytest.raises(GenerationError, match="no token to go on with"):
        second.allowed(VOCABULARY)
