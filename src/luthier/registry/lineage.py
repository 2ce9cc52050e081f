"""What came from what: source → dataset → run → evaluation → release → request → feedback → source."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from luthier.core.artefacts import Artefact, BaseModel, Release, Run
from luthier.registry.aliases import list_aliases
from luthier.store import Entry
from luthier.store.artefacts import list_entries
from luthier.store.tables import feedback, requests

REQUESTS_SHOWN = 10
"""Requests without feedback that a lineage names for each artefact that answered them; the rest are counted."""


ANSWERERS = (BaseModel.kind, Run.kind, Release.kind)
"""What can answer a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An artefact or a request. `detail` says in a few words which; `created_at` in seconds, UTC.

    A removed artefact, still named by the requests that it answered, has `removed` set and no time.
    """

    id: str
    kind: str
    detail: str = ""
    created_at: float | None = None
    aliases: tuple[str, ...] = ()
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Lineage:
    """The ancestors and descendants of `reference`, itself included; edges are (parent, child).

    `omitted` counts, for an artefact that answered requests, those that are not among the nodes.
    """

    reference: str
    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]
    omitted: Mapping[str, int]

    def as_json(self) -> dict[str, object]:
        """Plain JSON values: reference, nodes (a list), edges (pairs), omitted."""
        return {
            "reference": self.reference,
            "nodes": [
                {
                    "id": node.id,
                    "kind": node.kind,
                    "detail": node.detail,
                    "created_at": node.created_at,
                    "aliases": list(node.aliases),
                    "removed": node.removed,
                }
                for node in self.nodes.values()
            ],
            "edges": [list(edge) for edge in self.edges],
            "omitted": dict(self.omitted),
        }


def trace(connection: Connection, start: str) -> Lineage:
    """The lineage of the artefact or request with id `start`, in both directions."""
    entries = {entry.artefact.id: entry for entry in list_entries(connection)}
    edges = _Edges()
    for entry in entries.values():
        edges.add((parent, entry.artefact.id) for parent in entry.artefact.parents)
    for request_id, id in connection.execute(
        select(feedback.c.request_id, feedback.c.id).order_by(feedback.c.created_at)
    ):
        edges.add([(request_id, id)])
    judged = select(feedback.c.request_id)
    columns = (requests.c.id, requests.c.run, requests.c.release)
    for id, run, release in connection.execute(
        select(*columns).where(requests.c.id.in_(judged) | (requests.c.id == start))
    ):
        edges.add((answerer, id) for answerer in _answerers(run, release, entries))
    descendants = edges.reach(start, edges.children)
    omitted = {}
    for answerer in [id for id in descendants if id in entries and entries[id].artefact.kind in ANSWERERS]:
        latest, more = _other_requests(connection, answerer, start)
        edges.add((answerer, request) for request in latest)
        descendants |= dict.fromkeys(latest)
        if more:
            omitted[answerer] = more
    chosen = edges.reach(start, edges.parents) | descendants
    return Lineage(start, _nodes(connection, chosen, entries), tuple(edges.among(chosen)), omitted)


class _Edges:
    """Edges by both ends, each once, in the order they were added."""

    def __init__(self) -> None:
        self.parents: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self.children: defaultdict[str, dict[str, None]] = defaultdict(dict)

    def add(self, edges: Iterable[tuple[str, str]]) -> None:
        for parent, child in edges:
            self.parents[child][parent] = None
            self.children[parent][child] = None

    def among(self, ids: Iterable[str]) -> Iterator[tuple[str, str]]:
        wanted = set(ids)
        return ((parent, child) for child in ids for parent in self.parents.get(child, ()) if parent in wanted)

    @staticmethod
    def reach(start: str, neighbours: Mapping[str, dict[str, None]]) -> dict[str, None]:
        """All that can be reached, `start` first, the nearest before the farther."""
        found: dict[str, None] = {start: None}
        queue = [start]
        for id in queue:
            new = [neighbour for neighbour in neighbours.get(id, ()) if neighbour not in found]
            found |= dict.fromkeys(new)
            queue += new
        return found


def _answerers(run: str, release: str | None, entries: Mapping[str, Entry]) -> list[str]:
    """The release that answered a request, or the run where no release did; both where the release was removed."""
    if release is None:
        return [run]
    return [release] if release in entries else [release, run]


def _other_requests(connection: Connection, answerer: str, start: str) -> tuple[list[str], int]:
    """The latest requests without feedback that an artefact answered, and how many more there are."""
    direct = (requests.c.run == answerer) & requests.c.release.is_(None)
    unjudged = requests.c.id.not_in(select(feedback.c.request_id)) & (requests.c.id != start)
    mine = (direct | (requests.c.release == answerer)) & unjudged
    latest = select(requests.c.id).where(mine).order_by(requests.c.created.desc()).limit(REQUESTS_SHOWN)
    shown = list(connection.execute(latest).scalars())
    if len(shown) < REQUESTS_SHOWN:
        return shown, 0
    count = connection.execute(select(func.count()).select_from(requests).where(mine)).scalar_one()
    return shown, count - len(shown)


def _nodes(connection: Connection, chosen: Iterable[str], entries: Mapping[str, Entry]) -> dict[str, Node]:
    names: defaultdict[str, list[str]] = defaultdict(list)
    for alias in list_aliases(connection):
        names[alias.target].append(alias.name)
    asked = _request_nodes(connection, [id for id in chosen if id not in entries])
    nodes = {}
    for id in chosen:
        if id in entries:
            nodes[id] = _artefact_node(entries[id], tuple(names[id]))
        else:
            nodes[id] = asked.get(id) or Node(id=id, kind=id.partition("-")[0], removed=True)
    return nodes


def _artefact_node(entry: Entry, aliases: tuple[str, ...]) -> Node:
    artefact = entry.artefact
    return Node(
        id=artefact.id,
        kind=artefact.kind,
        detail=_describe(artefact),
        created_at=entry.created_at,
        aliases=aliases,
    )


def _describe(artefact: Artefact) -> str:
    """The file of a source, and the first figures of the summary of anything."""
    path = [str(artefact.path)] if artefact.kind == "source" and artefact.path else []
    figures = [
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {str(value)[:40]}"
        for name, value in artefact.summary.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    ]
    return ", ".join([*path, *figures[:3]])


def _request_nodes(connection: Connection, ids: list[str], chunk: int = 500) -> dict[str, Node]:
    nodes = {}
    for begin in range(0, len(ids), chunk):
        columns = (requests.c.id, requests.c.created, requests.c.messages)
        for row in connection.execute(select(*columns).where(requests.c.id.in_(ids[begin : begin + chunk]))):
            nodes[row.id] = Node(id=row.id, kind="request", detail=_question(row.messages), created_at=row.created)
    return nodes


def _question(messages: list[dict[str, str]], longest: int = 60) -> str:
    """The last thing that the user said, on one line."""
    said = [message["content"] for message in messages if message["role"] == "user"]
    line = " ".join(said[-1].split()) if said else ""
    return f'"{line[: longest - 1]}…"' if len(line) > longest else f'"{line}"'
