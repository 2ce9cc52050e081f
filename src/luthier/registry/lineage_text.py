"""A lineage as a tree of text, from the raw files down."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from luthier.registry.lineage import Lineage, Node

LINES_SHOWN = 20
"""Nodes named under one node, and names in one list; the rest are counted."""


def render_lineage(lineage: Lineage) -> str:
    """Every node on one line, below the latest step that it came from; its other origins are named on its line."""
    order = _order(lineage)
    above, others = _attach(lineage, order)
    below: defaultdict[str | None, list[str]] = defaultdict(list)
    for id in order:
        below[above[id]].append(id)
    sizes = dict.fromkeys(order, 1)
    for id in reversed(order):
        if (parent := above[id]) is not None:
            sizes[parent] += sizes[id]
    path: set[str] = set()
    step: str | None = lineage.reference
    while step is not None:
        path.add(step)
        step = above[step]
    tree = _Tree(lineage, below, others, sizes, path)
    return "\n".join(tree.lines())


def _order(lineage: Lineage) -> list[str]:
    """Parents before children, the older first among equals."""
    sorter = TopologicalSorter(dict.fromkeys(lineage.nodes, ()))
    for parent, child in lineage.edges:
        sorter.add(child, parent)
    try:
        sorter.prepare()
    except CycleError:  # content that was once made from what came of it: one of the edges has to give
        return list(lineage.nodes)
    order: list[str] = []
    while sorter.is_active():
        ready = sorter.get_ready()
        order += sorted(ready, key=lambda id: (lineage.nodes[id].created_at or 0.0, id))
        sorter.done(*ready)
    return order


def _attach(lineage: Lineage, order: Sequence[str]) -> tuple[Mapping[str, str | None], Mapping[str, Sequence[str]]]:
    """For each node the parent it is printed under, the one furthest from the roots, and its other direct parents.

    A parent is direct when it is not an ancestor of another parent.
    """
    place = {id: index for index, id in enumerate(order)}
    parents: defaultdict[str, list[str]] = defaultdict(list)
    for parent, child in lineage.edges:
        if place[parent] < place[child]:
            parents[child].append(parent)
    above: dict[str, str | None] = {}
    others: dict[str, list[str]] = {}
    depth: dict[str, int] = {}
    ancestors: dict[str, set[str]] = {}
    for id in order:
        far = set[str]().union(*(ancestors[parent] for parent in parents[id]))
        ancestors[id] = far.union(parents[id])
        direct = sorted((parent for parent in parents[id] if parent not in far), key=lambda parent: place[parent])
        depth[id] = 1 + max((depth[parent] for parent in direct), default=0)
        above[id] = max(direct, key=lambda parent: (depth[parent], place[parent]), default=None)
        others[id] = [parent for parent in direct if parent != above[id]]
    return above, others


@dataclass(frozen=True, slots=True)
class _Tree:
    """`below` has the roots under None; `path` leads from a root to the node that was asked for."""

    lineage: Lineage
    below: Mapping[str | None, Sequence[str]]
    others: Mapping[str, Sequence[str]]
    sizes: Mapping[str, int]
    path: set[str]

    def lines(self) -> Iterator[str]:
        """All lines. Roots that nothing hangs on come first, so that the next line reads as what they became."""
        shown, rest = self._select(None)
        stack = [(self._line(id), "", id) for id in sorted(shown, key=lambda id: self.sizes[id] > 1)]
        stack.reverse()
        while stack:
            line, indent, id = stack.pop()
            yield line
            stack += reversed(self._branches(id, indent))
        if rest:
            yield f"… and {rest}"

    def _branches(self, parent: str, indent: str) -> list[tuple[str, str, str]]:
        """For each node right under `parent`: its line, the indent of what is under it, its id."""
        shown, rest = self._select(parent)
        texts = [(self._line(id), id) for id in shown] + ([(f"… and {rest}", "")] if rest else [])
        branches = [(f"{indent}├─ {text}", f"{indent}│  ", id) for text, id in texts[:-1]]
        return branches + [(f"{indent}└─ {text}", f"{indent}   ", id) for text, id in texts[-1:]]

    def _select(self, parent: str | None) -> tuple[list[str], str]:
        """The children to print, in order, and in words how many of what are not."""
        children = self.below.get(parent, ())
        by_weight = sorted(children, key=lambda id: (id not in self.path, -self.sizes[id]))
        shown = set(by_weight[:LINES_SHOWN])
        hidden = Counter(self.lineage.nodes[id].kind for id in children if id not in shown)
        if parent is not None and (more := self.lineage.omitted.get(parent)):
            hidden["request"] += more
        rest = ", ".join(f"{count:,} more of kind {kind}" for kind, count in hidden.items())
        return [id for id in children if id in shown], rest

    def _line(self, id: str) -> str:
        node = self.lineage.nodes[id]
        parts = [id, node.detail, *_notes(node)]
        if others := self.others[id]:
            more = f" and {len(others) - LINES_SHOWN:,} more" if len(others) > LINES_SHOWN else ""
            parts.append(f"(also from {', '.join(others[:LINES_SHOWN])}{more})")
        if id == self.lineage.reference:
            parts.append("<- this")
        return "  ".join(part for part in parts if part)


def _notes(node: Node) -> Iterator[str]:
    if node.aliases:
        yield f"[{', '.join(node.aliases)}]"
    if node.removed:
        yield "(removed)"
