"""Keys and values of prompts' beginnings, kept for the next request that begins alike."""

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


class PrefixCache:
    """Blocks of tokens in a tree, compared token by token; beyond `budget_bytes` those used longest ago leave."""

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
        """States of the longest beginning of `tokens`, in whole blocks, that is known and leaves a token over."""
        path = list(self._path(key, tokens[:-1]))
        self._touch(path)
        return [node.states for node in path]

    def known(self, key: PrefixKey, tokens: Sequence[int]) -> int:
        """How many blocks `find` would give."""
        return sum(1 for _ in self._path(key, tokens[:-1]))

    def add(self, key: PrefixKey, tokens: Sequence[int], states: torch.Tensor) -> None:
        """Keep the whole blocks of a sequence. states: [layers, 2, heads, tokens or fewer, head_dim]; copied."""
        nothing = states[:, :, :, :0]
        node = self._roots.setdefault(key, _Node(None, (), nothing))
        path = []
        for start in range(0, states.shape[3] - BLOCK + 1, BLOCK):
            block = tuple(tokens[start : start + BLOCK])
            child = node.children.get(block)
            if child is None:
                child = _Node(node, block, states[:, :, :, start : start + BLOCK].clone())
                self._block_bytes = child.states.nbytes
                node.children[block] = child
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

    def _path(self, key: PrefixKey, tokens: Sequence[int]) -> Iterator[_Node]:
        node = self._roots.get(key)
        for start in range(0, len(tokens) - BLOCK + 1, BLOCK):
            node = node.children.get(tuple(tokens[start : start + BLOCK])) if node else None
            if node is None:
                return
            yield node

    def _touch(self, path: Sequence[_Node]) -> None:
        for node in reversed(path):
            self._used.move_to_end(node)

    def _drop(self, leaf: _Node) -> None:
        del self._used[leaf]
        assert leaf.parent is not None
        assert not leaf.children
        del leaf.parent.children[leaf.tokens]


def blocks_in_common(first: Sequence[int], second: Sequence[int]) -> int:
    """Whole blocks with which both begin."""
    most = min(len(first), len(second)) // BLOCK
    for block in range(most):
        span = slice(block * BLOCK, (block + 1) * BLOCK)
        if first[span] != second[span]:
            return block
    return most
