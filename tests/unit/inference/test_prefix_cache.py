import random

import torch

from luthier.inference.key_values import BLOCK
from luthier.inference.prefix_cache import PrefixCache, tokens_in_common

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
    assert _tokens(cache.find(KEY, tokens)) == tokens[:-1]
    assert _tokens(cache.find(KEY, tokens[: 2 * BLOCK + 5])) == tokens[: 2 * BLOCK + 4]
    assert _tokens(cache.find(KEY, tokens[:5])) == tokens[:4]
    assert cache.known(KEY, [*tokens, 7]) == 3 * BLOCK
    assert cache.known(KEY, tokens[:5]) == 4


def test_of_a_block_that_differs_what_it_begins_with_is_found():
    cache = PrefixCache(1 << 20)
    system = list(range(21))
    for question in range(5):
        tokens = system + [100 + 10 * question + place for place in range(2 * BLOCK)]
        cache.add(KEY, tokens, _states(tokens))
    assert _tokens(cache.find(KEY, [*system, 999, *range(50)])) == system
    assert _tokens(cache.find(KEY, [*system, 120, 121, 999])) == [*system, 120, 121]
    assert _tokens(cache.find(KEY, [*system, 5])) == system
    assert _tokens(cache.find(KEY, [999, *system])) == []
    longer = system + [100 + place for place in range(BLOCK)]
    assert _tokens(cache.find(KEY, [*longer, 999, 1])) == longer


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
    assert _tokens(cache.find(("support", ""), tokens)) == tokens[:-1]
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


def test_it_stays_within_its_budget_and_finds_the_longest_beginning_whatever_is_asked():
    source, cache, kept = random.Random(0), PrefixCache(7 * BLOCK_BYTES), []
    everything = PrefixCache(1 << 20)
    for _ in range(300):
        tokens = [source.randrange(2) for _ in range(3)]
        tokens = [token for token in tokens for _ in range(BLOCK)]
        tokens[source.randrange(len(tokens))] = 2
        found = _tokens(cache.find(KEY, tokens))
        assert found == tokens[: len(found)]
        assert everything.known(KEY, tokens) == max((tokens_in_common(one, tokens[:-1]) for one in kept), default=0)
        for each in (cache, everything):
            each.add(KEY, tokens, _states(tokens))
        kept.append(tokens)
        assert cache.blocks <= 7


def test_tokens_in_common():
    assert tokens_in_common([1] * 100, [1] * 70) == 70
    assert tokens_in_common([1] * 5 + [2], [1] * 5 + [3]) == 5
    assert tokens_in_common([], [1]) == 0


def test_a_beginning_that_left_can_come_back():
    cache, first, second = PrefixCache(BLOCK_BYTES), list(range(BLOCK)), list(range(50, 50 + BLOCK))
    for _ in range(3):
        for key, tokens in ((KEY, first), (("sales", "tenant"), second)):
            cache.add(key, tokens, _states(tokens))
            assert _tokens(cache.find(key, [*tokens, 1])) == tokens
            assert cache.blocks == 1


def test_what_left_from_the_root_is_no_neighbour_any_more():
    """What begins alike is looked for among the first blocks that are still there."""
    cache = PrefixCache(2 * BLOCK_BYTES)
    first, second, third = ([7, 7, place, *range(100, 97 + BLOCK)] for place in (1, 3, 5))
    for tokens in (first, second, third):
        cache.add(KEY, tokens, _states(tokens))
    assert cache.blocks == 2
    assert _tokens(cache.find(KEY, [*first, 1])) == [7, 7]
    assert _tokens(cache.find(KEY, [*second, 1])) == second
    cache.add(KEY, first, _states(first))
    assert _tokens(cache.find(KEY, [*third, 1])) == [7, 7], "the second was used after it"
    assert _tokens(cache.find(KEY, [*second, 1])) == second


def test_first_blocks_of_all_adapters_and_tenants_leave_in_the_order_of_their_use():
    cache, keys = PrefixCache(3 * BLOCK_BYTES), [("sales", ""), ("support", ""), (None, "tenant")]
    tokens = list(range(BLOCK))
    for key in keys:
        cache.add(key, tokens, _states(tokens))
    cache.find(keys[0], [*tokens, 1])
    for place in range(4):
        cache.add(("new", str(place)), tokens, _states(tokens))
        there = [key for key in keys if cache.known(key, [*tokens, 1])]
        assert there == [[keys[0], keys[2]], [keys[0]], [], []][place]
    assert cache.blocks == len(cache._roots) == 3, "of tenants that have nothing left nothing is kept"


def test_of_more_than_there_is_room_for_the_beginning_stays():
    cache, tokens = PrefixCache(2 * BLOCK_BYTES), list(range(4 * BLOCK))
    cache.add(KEY, tokens, _states(tokens))
    assert _tokens(cache.find(KEY, [*tokens, 1])) == tokens[: 2 * BLOCK]


def test_blocks_keep_no_hold_of_what_they_were_copied_from():
    cache, tokens = PrefixCache(1 << 20), list(range(2 * BLOCK))
    states = _states(tokens).clone()
    cache.add(KEY, tokens, states)
    states.zero_()
    found = cache.find(KEY, [*tokens, 1])
    assert _tokens(found) == tokens
    assert [piece.untyped_storage().nbytes() for piece in found] == [BLOCK_BYTES] * 2
