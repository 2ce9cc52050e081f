"""Keys and values of prompts' beginnings, kept for the next request that begins alike."""

from bisect import bisect, insort
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from luthier.inference.key_values import BLOCK

PrefixKey = tuple[str | None, str]
"""The adapter and the tenant's salt: what one has computed, another never sees."""


@dataclass(eq=False, slots=True)
class _Node:
    """One block of tokens behind those of its parents; `states`: [layers, 2, heads, BLOCK, head_dim]."""

    parent: "_Node | None"
    tokens: tuple[int, ...]
    states: torch.Tensor
    children: "dict[tuple[int, ...], _Node]" = field(default_factory=dict)
    order: list[tuple[int, ...]] = field(default_factory=list)
    """The keys of `children`, sorted: those that begin most alike are neighbours."""


class PrefixCache:
    """Blocks of tokens in a tree, compared token by token; beyond `budget_bytes` those used longest ago leave.

    They are kept whole, but what asks for one that is like it only at its beginning is given that.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._roots: dict[PrefixKey, _Node] = {}
        self._used: OrderedDict[_Node, None] = OrderedDict()
        """All blocks, those used longest ago first; a parent always comes behind its children."""
        self._block_bytes = 0

    @property
    def blocks(self) -> int:
        return len(self._used)

    def find(self, key: PrefixKey, tokens: Sequence[int]) -> list[torch.Tensor]:
        """States of the longest beginning of `tokens` that is known and leaves a token over, in pieces of at most a
        block: [layers, 2, heads, tokens of the piece, head_dim]."""
        path = list(self._path(key, tokens[:-1]))
        self._touch([node for node, _ in path])
        return [node.states[:, :, :, :alike] for node, alike in path]

    def known(self, key: PrefixKey, tokens: Sequence[int]) -> int:
        """Of how many tokens `find` would give the states."""
        return sum(alike for _, alike in self._path(key, tokens[:-1]))

    def add(self, key: PrefixKey, tokens: Sequence[int], states: torch.Tensor) -> None:
        """Keep the whole blocks of a sequence. states: [layers, 2, heads, tokens or fewer, head_dim]; copied."""
        if states.shape[3] < BLOCK:
            return
        node = self._roots.setdefault(key, _Node(None, (), states.new_empty(0)))
        path = []
        for start in range(0, states.shape[3] - BLOCK + 1, BLOCK):
            block = tuple(tokens[start : start + BLOCK])
            child = node.children.get(block)
            if child is None:
                child = _Node(node, block, states[:, :, :, start : start + BLOCK].clone())
                self._block_bytes = child.states.nbytes
                node.children[block] = child
                insort(node.order, block)
                self._used[child] = None
            path.append(child)
            node = child
        self._touch(path)
        while self._used and len(self._used) * self._block_bytes > self._budget:
            self._drop(next(iter(self._used)))

    def forget(self, adapter: str) -> None:
        """Drop all that was computed with an adapter."""
        for key in [key for key in self._roots if key[0] == adapter]:
            nodes = [self._roots.pop(key)]
            while nodes:
                node = nodes.pop()
                nodes += node.children.values()
                self._used.pop(node, None)

    def _path(self, key: PrefixKey, tokens: Sequence[int]) -> Iterator[tuple[_Node, int]]:
        """The blocks that `tokens` begin with, and the one that agrees with what follows them longest; with the number
        of tokens that agree."""
        node = self._roots.get(key)
        for start in range(0, len(tokens), BLOCK):
            if node is None:
                return
            block = tuple(tokens[start : start + BLOCK])
            child = node.children.get(block)
            if child is None:
                place = bisect(node.order, block)
                near = node.order[max(0, place - 1) : place + 1]
                alike, nearest = max(((tokens_in_common(block, other), other) for other in near), default=(0, ()))
                if alike:
                    yield node.children[nearest], alike
                return
            yield child, BLOCK
            node = child

    def _touch(self, path: Sequence[_Node]) -> None:
        for node in reversed(path):
            self._used.move_to_end(node)

    def _drop(self, leaf: _Node) -> None:
        del self._used[leaf]
        assert leaf.parent is not None
        assert not leaf.children
        del leaf.parent.children[leaf.tokens]
        leaf.parent.order.remove(leaf.tokens)
        if leaf.parent.parent is None and not leaf.parent.children:
            self._roots = {key: root for key, root in self._roots.items() if root is not leaf.parent}


def tokens_in_common(first: Sequence[int], second: Sequence[int]) -> int:
    """With how many tokens both begin. Both are of one type: blocks of them are compared whole."""
    most, start = min(len(first), len(second)), 0
    while start + BLOCK <= most and first[start : start + BLOCK] == second[start : start + BLOCK]:
        start += BLOCK
    while start < most and first[start] == second[start]:
        start += 1
    return start
