"""What duplicates are found by: a few hashes for each text, made where the text is cleaned."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from luthier.data.engine import daft
from luthier.data.ragged import Hashes, Numbers, Ragged, distinct, joined, offsets_of
from luthier.text import spaced_words, spread_words

NGRAM = 5
BANDS = 20
ROWS_PER_BAND = 6
_BATCH = 1_000
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


SKETCH_FIELDS = (
    pa.field("key", pa.uint64()),
    pa.field("bands", pa.list_(pa.uint64())),
    pa.field("words", pa.list_(pa.uint64())),
)
"""A sketch as columns, in which it travels between processes."""


class Sketch(NamedTuple):
    """Of each of n texts: a hash of its key (n,), its bands (n, BANDS), and the hashes of its words in order."""

    keys: Hashes
    bands: Hashes
    words: Ragged

    @classmethod
    def of_columns(cls, table: pa.Table) -> "Sketch":
        """The sketch whose `columns` a table holds."""
        words = table["words"].combine_chunks()
        bands = table["bands"].combine_chunks().flatten().to_numpy().reshape(-1, BANDS)
        lengths = words.value_lengths().to_numpy()
        return cls(table["key"].to_numpy(), bands, Ragged(words.flatten().to_numpy(), offsets_of(lengths)))

    def columns(self) -> list[pa.Array]:
        """Arrays of `SKETCH_FIELDS`."""
        band_offsets = np.arange(0, self.bands.size + 1, BANDS, dtype=np.int32)
        return [
            pa.array(self.keys),
            pa.ListArray.from_arrays(band_offsets, self.bands.ravel()),
            pa.ListArray.from_arrays(self.words.offsets.astype(np.int32), self.words.values),
        ]

    def with_others(self, places: Sequence[int], others: "Sketch") -> "Sketch":
        """With the texts at these places replaced by others, in their order."""
        keys, bands = self.keys.copy(), self.bands.copy()
        keys[places], bands[places] = others.keys, others.bands
        order = np.arange(len(keys))
        order[places] = len(keys) + np.arange(len(places))
        return Sketch(keys, bands, joined([self.words, others.words]).take(order))


def comparison_key(text: str) -> str:
    """What two texts are compared by: their words in lower case, a space between; the bare text if it has no words."""
    return spaced_words(text) or text.strip()


def sketch(texts: Sequence[str]) -> Sketch:
    """Hashes of texts by their comparison keys; bands of those of fewer than five words by their sets of words."""
    if not texts:
        return Sketch(np.empty(0, np.uint64), np.empty((0, BANDS), np.uint64), joined([]))
    made = _words_of(texts)
    return Sketch(text_hashes(made.rows()), _bands(made), made.hashes())


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


def word_sets(texts: Iterable[str]) -> Ragged:
    """The words of each text `as_sets`."""
    remaining = iter(texts)
    batches = iter(lambda: list(islice(remaining, _BATCH)), [])
    return joined([as_sets(_words_of(batch).hashes()) for batch in batches])


def as_sets(words: Ragged) -> Ragged:
    """Runs of 64-bit hashes of words as sets of their lower halves: sorted, distinct, 4 bytes a word."""
    return distinct(Ragged(words.values.astype(np.uint32), words.offsets))


class _Words(NamedTuple):
    """The comparison keys of n texts end to end as UTF-8, a space after each word.

    Word i is `text[ends[i]:ends[i + 1]]`, and text i has the words from `offsets[i]` to `offsets[i + 1]`.
    """

    text: npt.NDArray[np.uint8]
    ends: Numbers
    offsets: Numbers

    def rows(self) -> pa.Array:
        """The keys as strings, with the space after their last word."""
        return _strings(self.text, self.ends[self.offsets])

    def hashes(self) -> Ragged:
        return Ragged(text_hashes(_strings(self.text, self.ends)), self.offsets)


def _words_of(texts: Sequence[str]) -> _Words:
    """The words of all texts of a batch at once. A text without words counts as one word that no other text has."""
    spread = b"\n" + b" \n".join([_spread_key(text) for text in texts]) + b" \n"
    letters = np.frombuffer(bytearray(spread), np.uint8)
    apostrophes = np.flatnonzero(letters == ord("'"))
    loose = (letters[apostrophes - 1] <= ord("'")) | (letters[apostrophes + 1] <= ord("'"))
    letters[apostrophes[loose]] = ord(" ")
    breaks = np.flatnonzero(letters == ord("\n"))
    kept = letters > ord(" ")
    kept[1:] |= kept[:-1]  # the first space after a word
    text = letters[kept]
    ends = np.concatenate([np.zeros(1, np.int64), np.flatnonzero(text == ord(" ")) + 1])
    lengths = np.add.reduceat(kept, breaks[:-1], dtype=np.int64)
    return _Words(text, ends, np.searchsorted(ends, offsets_of(lengths)))


def _spread_key(text: str) -> bytes:
    spread = spread_words(text)
    return spread if spread.strip(b" '") else b"_" + text.strip().encode().hex().encode()


def _bands(made: _Words) -> Hashes:
    """MinHash over runs of words, folded; the strings between the keys are the spaces that end them."""
    rows = made.ends[made.offsets]
    places = np.empty(2 * len(rows) - 1, np.int64)
    places[::2], places[1::2] = rows, rows[1:] - 1
    signatures = _signatures(_strings(made.text, places))[::2].copy()
    short = np.flatnonzero(np.diff(made.offsets) < NGRAM)
    if len(short):
        keys = (made.text[rows[place] : rows[place + 1]].tobytes().split() for place in short)
        sets = [b" ".join(sorted(set(key))).decode() for key in keys]
        signatures[short] = _signatures(pa.array(sets, pa.large_string()))
    return _fold(signatures)


def _signatures(texts: pa.Array) -> npt.NDArray[np.uint32]:
    """MinHash values (texts, BANDS * ROWS_PER_BAND)."""
    hashes = BANDS * ROWS_PER_BAND
    signatures = daft.Series.from_arrow(texts).minhash(num_hashes=hashes, ngram_size=NGRAM, hash_function="xxhash3_64")
    values: npt.NDArray[np.uint32] = signatures.to_arrow().flatten().to_numpy().reshape(-1, hashes)
    return values


def _strings(text: npt.NDArray[np.uint8], places: Numbers) -> pa.Array:
    """The strings between neighbouring places of a text, not copied."""
    return pa.LargeStringArray.from_buffers(len(places) - 1, pa.py_buffer(places), pa.py_buffer(text))


def text_hashes(texts: pa.Array) -> Hashes:
    """A hash of each text."""
    hashes: Hashes = daft.Series.from_arrow(texts).hash().to_arrow().to_numpy()
    return hashes


def _fold(signatures: npt.NDArray[np.uint32]) -> Hashes:
    """(texts, BANDS * ROWS_PER_BAND) -> (texts, BANDS) hashes."""
    values = signatures.astype(np.uint64).reshape(-1, BANDS, ROWS_PER_BAND)
    folded = np.zeros(values.shape[:2], np.uint64)
    for place in range(ROWS_PER_BAND):
        folded = _mix(folded, values[:, :, place])
    return folded


def _mix(one: Hashes, other: Hashes) -> Hashes:
    """A hash of two hashes, in which their order counts."""
    mixed = (one ^ other) * _MULTIPLIER
    return mixed ^ (mixed >> np.uint64(29))
