import random

import torch

from luthier.inference.key_values import BLOCK
from luthier.inference.prefix_cache import PrefixCache, blocks_in_common

KEY = ("sales", "")
BLOCK_BYTES = 1 * 2 * 1 * BLOCK * 1 * 4


def _states(tokens):
    """States that say which token they are of: [1, 2, 1, tokens, 1]."""
    return torch.tensor(tokens, dtype=torch.float32).view(1, 1, 1, -1, 1).expand(1, 2, 1, -1, 1)


def _tokens(found):
    return [int(token) for states in found for token in states[0, 0, 0, :, 0]]


def test_the_longest_known_beginning_is_found_and_leaves_a_token_over():
    cache, tokens = PrefixCache(1 << 20), list(range(3 * BLOCK))
    cache.add(KEY, tokens, _states(tokens))
    assert _tokens(cache.find(KEY, [*tokens, 7])) == tokens
    assert _tokens(cache.find(KEY, tokens)) == tokens[: 2 * BLOCK]
    assert _tokens(cache.find(KEY, tokens[: 2 * BLOCK + 5])) == tokens[: 2 * BLOCK]
    assert _tokens(cache.find(KEY, tokens[: BLOCK - 1])) == []
    assert _tokens(cache.find(KEY, [*tokens[: BLOCK + 3], 999, *tokens[BLOCK + 4 :]])) == tokens[:BLOCK]
    assert cache.known(KEY, [*tokens, 7]) == 3


def test_only_whole_blocks_that_were_computed_are_kept():
    cache, tokens = PrefixCache(1 << 20), list(range(3 * BLOCK))
    cache.add(KEY, tokens, _states(tokens[: 2 * BLOCK - 1]))
    assert cache.blocks == 1
    cache.add(KEY, tokens, _states(tokens))
    assert cache.blocks == 3


def test_adapters_and_tenants_see_their_own_alone():
    cache, tokens = PrefixCache(1 << 20), list(range(2 * BLOCK))
    cache.add(KEY, tokens, _states(tokens))
    for other in (("support", ""), (None, ""), ("sales", "tenant")):
        assert cache.find(other, tokens) == []
    cache.add(("sales", "tenant"), tokens, _states(tokens))
    cache.add(("support", ""), tokens, _states(tokens))
    cache.forget("sales")
    assert cache.find(KEY, tokens) == cache.find(("sales", "tenant"), tokens) == []
    assert _tokens(cache.find(("support", ""), tokens)) == tokens[:BLOCK]
    assert cache.blocks == 2


def test_what_was_used_longest_ago_leaves_first_and_never_from_the_middle():
    cache = PrefixCache(4 * BLOCK_BYTES)
    first, second = list(range(2 * BLOCK)), list(range(1000, 1000 + 2 * BLOCK))
    cache.add(KEY, first, _states(first))
    cache.add(KEY, second, _states(second))
    cache.find(KEY, [*first, 1])
    third = list(range(2000, 2000 + BLOCK))
    cache.add(KEY, third, _states(third))
    assert cache.blocks == 4
    assert _tokens(cache.find(KEY, [*first, 1])) == first
    assert _tokens(cache.find(KEY, [*second, 1])) == second[:BLOCK]
    assert PrefixCache(0).find(KEY, first) == []


def test_it_stays_within_its_budget_whatever_is_asked():
    source, cache = random.Random(0), PrefixCache(7 * BLOCK_BYTES)
    for _ in range(300):
        tokens = [source.randrange(2) for _ in range(3)]
        tokens = [token for token in tokens for _ in range(BLOCK)]
        found = _tokens(cache.find(KEY, tokens))
        assert found == tokens[: len(found)]
        cache.add(KEY, tokens, _states(tokens))
        assert cache.blocks <= 7


def test_blocks_in_common():
    assert blocks_in_common([1] * 100, [1] * 70) == 70 // BLOCK
    assert blocks_in_common([1] * BLOCK + [2] * BLOCK, [1] * BLOCK + [3] * BLOCK) == 1
    assert blocks_in_common([], [1]) == 0
