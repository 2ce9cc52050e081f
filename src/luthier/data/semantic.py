"""Semantic duplicates: rows that say the same in other words, found by the vectors of an encoder.

A row is dropped when it is as alike as the threshold to an earlier row that is kept. Up to `EXACT_ROWS` rows every pair
is compared; beyond, only pairs inside one cell of k-means (Abbas et al. 2023, SemDeDup).

An encoder hardly sees a number or a name: "2 days" and "3 days" are 98 % alike. So rows are compared only with rows
that state the same facts, and of a conversation what was asked and what was answered must both be alike: two customers
may ask the same and rightly get different answers. Longer texts than an encoder reads are left to the near-duplicate
search, because what differs may stand where it does not look.
"""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from luthier.core.identity import canonical_json
from luthier.core.rows import Row
from luthier.text import extract_facts, words

Vectors = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]
Places = npt.NDArray[np.int64]
Embed = Callable[[Sequence[str]], Vectors]
"""Texts to vectors of length 1, float32 [texts, dimension]."""

MOST_WORDS = 150
"""Longer questions or answers are not judged: encoders read 256 tokens."""
EXACT_ROWS = 100_000
ROWS_PER_CELL = 20_000
SAMPLED_ROWS_PER_CELL = 256
"""What k-means learns its centres from; enough by the rule of thumb of vector indexes (faiss)."""
ROWS_PER_BLOCK = 2_048
ROWS_PER_EMBEDDING = 4_096


@dataclass(frozen=True, slots=True)
class _Judged:
    """The n rows that can be compared, in the order of the rows.

    `vectors` is float16 [n, 2, dimension] on disk: what was asked and what was answered. Rows of different `keys`
    are never duplicates. `indices` are those of the rows, `files` and `numbers` their origins.
    """

    vectors: Halves
    keys: npt.NDArray[np.uint64]
    indices: Places
    files: npt.NDArray[np.int32]
    numbers: Places
    names: tuple[str, ...]


def semantic_duplicates(
    rows: Iterable[tuple[int, Row]],
    embed: Embed,
    threshold: float,
    scratch: Path,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[int, str]:
    """{index: remark} of the rows to drop, such as `semantic duplicate: of raw/chats.jsonl row 12, 97% alike`.

    `rows` come by ascending index; `threshold` is the least cosine of duplicates, above 0. Vectors lie in a file in the
    folder `scratch` meanwhile: 4 bytes a row and dimension. Memory holds 32 bytes a row beside a block of vectors.
    """
    path = scratch / "vectors.f16"
    try:
        judged = _embed_rows(rows, embed, path, progress)
        return {
            int(judged.indices[place]): _remark(judged, lead, likeness)
            for place, (lead, likeness) in sorted(_duplicates(judged, threshold, progress).items())
        }
    finally:
        path.unlink(missing_ok=True)


def request_and_answer(row: Row) -> tuple[str, str]:
    """What others said and what the assistant said, system turns left out; a plain text counts as said by others."""
    if not row.messages:
        return row.text, ""
    asked = [message["content"] for message in row.messages if message["role"] in ("user", "tool")]
    answered = [message["content"] for message in row.messages if message["role"] == "assistant"]
    return "\n".join(asked), "\n".join(answered)


def comparison_group(row: Row) -> int:
    """A 64-bit number that rows must share to be compared: of their facts and of all that has no vector."""
    calls = [message.get("tool_calls", []) for message in row.messages]
    content: dict[str, object] = {
        "facts": [sorted([fact.kind, fact.value] for fact in extract_facts(part)) for part in request_and_answer(row)],
        "calls": [called for called in calls if called],
        "rejected": list(row.rejected),
        "tools": list(row.tools),
        "label": row.label,
        "rating": row.rating,
        "chat": bool(row.messages),
    }
    digest = hashlib.blake2b(canonical_json(content).encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _embed_rows(rows: Iterable[tuple[int, Row]], embed: Embed, path: Path, progress: Callable[[str], None]) -> _Judged:
    keys, indices, files, numbers = array("Q"), array("q"), array("i"), array("q")
    names: dict[str, int] = {}
    dimension = 0
    with path.open("wb") as file:
        for batch in _batches(_short_rows(rows), ROWS_PER_EMBEDDING):
            vectors = embed([part for _, row in batch for part in request_and_answer(row)])
            dimension = vectors.shape[1]
            file.write(vectors.astype(np.float16).tobytes())
            for index, row in batch:
                keys.append(comparison_group(row))
                indices.append(index)
                files.append(names.setdefault(row.origin.file, len(names)))
                numbers.append(row.origin.row)
            progress(f"embedded {len(indices):,} rows")
    shape = (len(indices), 2, dimension)
    return _Judged(
        np.memmap(path, np.float16, "r", shape=shape) if indices else np.empty(shape, np.float16),
        np.array(keys, np.uint64),
        np.array(indices, np.int64),
        np.array(files, np.int32),
        np.array(numbers, np.int64),
        tuple(names),
    )


def _short_rows(rows: Iterable[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
    """Those with something to compare that an encoder reads to its end."""
    for index, row in rows:
        lengths = [len(words(part)) for part in request_and_answer(row)]
        if sum(lengths) > 0 and max(lengths) <= MOST_WORDS:
            yield index, row


def _batches(rows: Iterator[tuple[int, Row]], size: int) -> Iterator[list[tuple[int, Row]]]:
    while batch := list(islice(rows, size)):
        yield batch


def _duplicates(judged: _Judged, threshold: float, progress: Callable[[str], None]) -> dict[int, tuple[int, float]]:
    """{place: (place of the kept row, likeness)} over all groups of rows that may be compared."""
    found: dict[int, tuple[int, float]] = {}
    for group in _groups(judged.keys):
        for cell in _cells(judged.vectors, group):
            found |= _duplicates_in_cell(judged.vectors, cell, threshold)
        if len(group) >= ROWS_PER_EMBEDDING:
            progress(f"compared the meaning of {len(group):,} rows")
    return found


def _groups(keys: npt.NDArray[np.uint64]) -> Iterator[Places]:
    """The places of equal keys, ascending; keys that stand alone are left out."""
    order = np.argsort(keys, kind="stable")
    borders = [0, *(np.flatnonzero(np.diff(keys[order])) + 1).tolist(), len(order)]
    for start, end in pairwise(borders):
        if end - start > 1:
            yield order[start:end]


def _cells(vectors: Halves, group: Places) -> list[Places]:
    """The places of a group, all together or, beyond `EXACT_ROWS`, by the nearest centre of k-means."""
    if len(group) <= EXACT_ROWS:
        return [group]
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    count = -(-len(group) // ROWS_PER_CELL)
    size = min(len(group), count * SAMPLED_ROWS_PER_CELL)
    sample = np.sort(np.random.default_rng(0).choice(group, size, replace=False))
    with threadpool_limits(1):  # sums in another order would move the centres from machine to machine
        centres = KMeans(count, n_init=1, max_iter=20, random_state=0).fit(_joined(vectors, sample)).cluster_centers_
    half_norms = (centres**2).sum(axis=1) / 2
    nearest = np.concatenate(
        [
            (_joined(vectors, group[start : start + ROWS_PER_BLOCK]) @ centres.T - half_norms).argmax(axis=1)
            for start in range(0, len(group), ROWS_PER_BLOCK)
        ]
    )
    return [group[nearest == cell] for cell in range(count)]


def _joined(vectors: Halves, places: Places) -> Vectors:
    """float32 [places, 2 * dimension]: request and answer side by side."""
    return vectors[places].reshape(len(places), -1).astype(np.float32)


def _duplicates_in_cell(vectors: Halves, places: Places, threshold: float) -> dict[int, tuple[int, float]]:
    """Each row against the earlier ones that are kept, exactly, block by block. `places` ascend."""
    found: dict[int, tuple[int, float]] = {}
    kept: list[Places] = []
    for start in range(0, len(places), ROWS_PER_BLOCK):
        block = places[start : start + ROWS_PER_BLOCK]
        queries = vectors[block].astype(np.float32)
        best, lead = np.full(len(block), -1.0, np.float32), np.zeros(len(block), np.int64)
        for earlier in kept:
            likeness = _likeness(queries, vectors[earlier].astype(np.float32))
            top = likeness.argmax(axis=1)
            value = likeness[np.arange(len(block)), top]
            better = value > best
            best, lead = np.where(better, value, best), np.where(better, earlier[top], lead)
        _settle_block(block, queries, (best, lead), threshold)
        gone = best >= threshold
        found |= {int(block[row]): (int(lead[row]), float(best[row])) for row in np.flatnonzero(gone)}
        if not gone.all():
            kept.append(block[~gone])
    return found


def _settle_block(block: Places, queries: Vectors, found: tuple[Vectors, Places], threshold: float) -> None:
    """Compare the rows of a block among themselves, in order; writes better likenesses and leads into `found`."""
    best, lead = found
    likeness = np.tril(_likeness(queries, queries), -1)
    for row in np.flatnonzero(likeness.max(axis=1, initial=-1.0) >= threshold):
        earlier = np.where(best[:row] < threshold, likeness[row, :row], -1.0)
        top = int(earlier.argmax())
        if earlier[top] >= threshold and earlier[top] > best[row]:
            best[row], lead[row] = earlier[top], block[top]


def _likeness(some: Vectors, others: Vectors) -> Vectors:
    """[some, others]: the lesser of the cosines of requests and of answers."""
    likeness: Vectors = np.minimum(some[:, 0] @ others[:, 0].T, some[:, 1] @ others[:, 1].T)
    return likeness


def _remark(judged: _Judged, lead: int, likeness: float) -> str:
    file, number = judged.names[judged.files[lead]], judged.numbers[lead]
    return f"semantic duplicate: of {file} row {number}, {min(likeness, 1.0):.0%} alike"
