import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from luthier.data.engine import daft
from luthier.data.ragged import distinct
from luthier.data.sketch import BANDS, SKETCH_FIELDS, Sketch, comparison_key, shingles, sketch
from luthier.text import ngrams, words

KEYS = st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), min_size=1, max_size=12), min_size=1, max_size=8)


def test_keys_ignore_case_punctuation_and_space() -> None:
    assert comparison_key("Hello,  WORLD!") == comparison_key("hello world")
    assert comparison_key("👍") == "👍"


def test_equal_keys_have_equal_hashes_in_any_company() -> None:
    one, other = sketch(["where is my order", "👍", "a b c d e f"]), sketch(["a b c d e f", "x", "👍"])
    assert one.bands.shape == (3, BANDS)
    for here, there in ((1, 2), (2, 0)):
        assert one.keys[here] == other.keys[there]
        assert (one.bands[here] == other.bands[there]).all()
    assert len({*one.keys.tolist(), *other.keys.tolist()}) == 4


def test_the_order_of_a_few_words_tells_keys_but_not_bands_apart() -> None:
    made = sketch(["my order is where", "where is my order"])
    assert made.keys[0] != made.keys[1]
    assert (made.bands[0] == made.bands[1]).all()


@given(KEYS, st.data())
def test_texts_can_be_replaced(words: list[list[str]], data: st.DataObject) -> None:
    keys = [" ".join(each) for each in words]
    places = data.draw(st.lists(st.sampled_from(range(len(keys))), unique=True, min_size=1))
    others = [f"{keys[place]} x y" for place in places]
    changed = sketch(keys).with_others(places, sketch(others))
    expected = sketch([dict(zip(places, others, strict=True)).get(place, key) for place, key in enumerate(keys)])
    for found, wanted in zip((*changed[:2], *changed.words), (*expected[:2], *expected.words), strict=True):
        assert found.tolist() == wanted.tolist()


@given(KEYS)
def test_sketches_travel_as_columns(words: list[list[str]]) -> None:
    made = sketch([" ".join(each) for each in words])
    arrived = Sketch.of_columns(pa.table(made.columns(), schema=pa.schema(SKETCH_FIELDS)))
    for found, wanted in zip((*arrived[:2], *arrived.words), (*made[:2], *made.words), strict=True):
        assert found.tolist() == wanted.tolist()


@given(st.lists(st.text(st.one_of(st.sampled_from("ab'’ .\n_ß€é👍は"), st.characters(codec="utf-8"))), min_size=1))
def test_a_batch_is_sketched_as_its_comparison_keys_say(texts: list[str]) -> None:
    made = sketch(texts)
    keys = [comparison_key(text) for text in texts]
    for values in (made.keys.tolist(), [band.tobytes() for band in made.bands]):
        assert len(set(values)) <= len(set(keys))
        assert all(values[place] == values[keys.index(key)] for place, key in enumerate(keys))
    assert len(set(made.keys.tolist())) == len(set(keys))
    assert made.words.lengths.tolist() == [max(1, len(words(text))) for text in texts]
    assert len(set(made.words.values.tolist())) == len(
        {word for text in texts for word in words(text) or [text.strip()]}
    )


@given(KEYS)
def test_bands_are_minhash_over_the_words(texts: list[list[str]]) -> None:
    strings = [" ".join(text if len(text) >= 5 else sorted(set(text))) for text in texts]
    expected = daft.Series.from_arrow(pa.array(strings)).minhash(120, 5, hash_function="xxhash3_64").to_pylist()
    bands = sketch([" ".join(text) for text in texts]).bands
    for one in range(len(texts)):
        for other in range(len(texts)):
            alike = [
                expected[one][start : start + 6] == expected[other][start : start + 6] for start in range(0, 120, 6)
            ]
            assert (bands[one] == bands[other]).tolist() == alike


def test_nothing_has_an_empty_sketch() -> None:
    made = sketch([])
    assert made.bands.shape == (0, BANDS)
    assert made.words.lengths.tolist() == made.keys.tolist() == []


@given(KEYS)
def test_shingles_are_the_runs_of_five_words(texts: list[list[str]]) -> None:
    words = sketch([" ".join(text) for text in texts]).words
    assert words.lengths.tolist() == [len(text) for text in texts]
    assert distinct(words).lengths.tolist() == [len(set(text)) for text in texts]
    assert distinct(shingles(words)).lengths.tolist() == [len(ngrams(text, 5)) for text in texts]


def test_the_order_inside_a_run_counts() -> None:
    words = sketch(["a b c d e", "b a c d e", "a b c d e f"]).words
    values = shingles(words)
    assert values.values[0] != values.values[1]
    assert values.values[0] == values.values[2]
    assert values.values.dtype == np.uint64
