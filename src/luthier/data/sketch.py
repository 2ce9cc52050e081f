"""What duplicates are found by: a few hashes for each text, made where the text is cleaned."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from luthier.data.engine import daft
from luthier.data.ragged import Hashes, Ragged, distinct, joined, offsets_of
from luthier.text import words

NGRAM = 5
BANDS = 20
ROWS_PER_BAND = 6
_BATCH = 1_000
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class Sketch(NamedTuple):
    """Of each of n texts: a hash of its key (n,), its bands (n, BANDS), and the hashes of its words in order."""

    keys: Hashes
    bands: Hashes
    words: Ragged

    def with_others(self, places: Sequence[int], others: "Sketch") -> "Sketch":
        """With the texts at these places replaced by others, in their order."""
        keys, bands = self.keys.copy(), self.bands.copy()
        keys[places], bands[places] = others.keys, others.bands
        order = np.arange(len(keys))
        order[places] = len(keys) + np.arange(len(places))
        return Sketch(keys, bands, joined([self.words, others.words]).take(order))


def comparison_key(text: str) -> str:
    """What two texts are compared by: their words in lower case, a space between; the bare text if it has no words."""
    return " ".join(words(text)) or text.strip()


def sketch(keys: Sequence[str]) -> Sketch:
    """Hashes of comparison keys. Texts of fewer than five words are told apart by their sets of words."""
    column = pa.array(keys, pa.large_string())
    texts = [key if key.count(" ") >= NGRAM - 1 else " ".join(sorted(set(key.split(" ")))) for key in keys]
    signatures = daft.Series.from_arrow(pa.array(texts, pa.large_string())).minhash(
        num_hashes=BANDS * ROWS_PER_BAND, ngram_size=NGRAM, hash_function="xxhash3_64"
    )
    return Sketch(text_hashes(column), _fold(signatures.to_arrow().flatten().to_numpy()), _word_hashes(column))


def shingles(ragged: Ragged) -> Ragged:
    """Hashes of all runs of five words, in order; of the single words of a text that is shorter than that."""
    lengths = ragged.lengths
    short = lengths < NGRAM
    counts = np.where(short, lengths, lengths - (NGRAM - 1))
    mixed = _mix(ragged.values, np.zeros_like(ragged.values))
    for place in range(1, NGRAM):
        following = np.zeros_like(mixed)
        following[:-place] = ragged.values[place:]
        mixed = _mix(mixed, following)
    inside = np.arange(len(mixed)) - np.repeat(ragged.offsets[:-1], lengths) < np.repeat(counts, lengths)
    values = np.where(np.repeat(short, lengths), ragged.values, mixed)[inside]
    return Ragged(values, offsets_of(counts))


def _word_hashes(keys: pa.LargeStringArray) -> Ragged:
    """Each word of the batch is hashed once."""
    split = pc.split_pattern(keys, " ")
    encoded = split.values.dictionary_encode()
    return Ragged(
        text_hashes(encoded.dictionary)[encoded.indices.to_numpy()], split.offsets.to_numpy().astype(np.int64)
    )


def word_sets(keys: Iterable[str]) -> Ragged:
    """Sorted, distinct hashes of the words of each comparison key."""
    remaining = iter(keys)
    batches = iter(lambda: list(islice(remaining, _BATCH)), [])
    return joined([distinct(_word_hashes(pa.array(batch, pa.large_string()))) for batch in batches])


def text_hashes(texts: pa.Array) -> Hashes:
    """A hash of each text."""
    hashes: Hashes = daft.Series.from_arrow(texts).hash().to_arrow().to_numpy()
    return hashes


def _fold(signatures: npt.NDArray[np.uint32]) -> Hashes:
    """MinHash values, BANDS * ROWS_PER_BAND a text -> (texts, BANDS) hashes."""
    values = signatures.astype(np.uint64).reshape(-1, BANDS, ROWS_PER_BAND)
    folded = np.zeros(values.shape[:2], np.uint64)
    for place in range(ROWS_PER_BAND):
        folded = _mix(folded, values[:, :, place])
    return folded


def _mix(one: Hashes, other: Hashes) -> Hashes:
    """A hash of two hashes, in which their order counts."""
    mixed = (one ^ other) * _MULTIPLIER
    return mixed ^ (mixed >> np.uint64(29))
