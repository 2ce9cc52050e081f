"""Tokenizers learned from texts are ones that transformers loads, and read texts as their kind does."""

import pytest
from transformers import AutoTokenizer

from luthier.core.errors import ModelError
from luthier.models.tokenizer_training import MOST_TOKENS, NAMED_TOKENS, train_tokenizer

TEXTS = ["The warranty of the parcel is thirty days.", "", "Returns are free; the refund takes five days.", "   "] * 20
SIZES = {"bpe": 320, "wordpiece": 90, "unigram": 60}


@pytest.fixture(params=SIZES)
def kind(request):
    return request.param


def test_the_saved_tokenizer_is_the_same(kind, tmp_path):
    trained = train_tokenizer(iter(TEXTS), kind, SIZES[kind])
    trained.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert len(loaded) == len(trained) <= SIZES[kind]
    text = "The refund of the parcel takes thirty days."
    assert loaded(text)["input_ids"] == trained(text)["input_ids"]
    assert loaded.decode(loaded(text)["input_ids"], skip_special_tokens=True) == text


def test_special_tokens_have_their_roles_and_are_never_split(kind):
    trained = train_tokenizer(TEXTS, kind, SIZES[kind], ["<turn>"])
    for role, token in NAMED_TOKENS[kind].items():
        assert getattr(trained, role) == token
        assert trained.tokenize(f"the {token}")[-1] == token
    assert "<turn>" in trained.tokenize("days<turn>free")
    assert "<turn>" in trained.all_special_tokens


def test_bytes_leave_nothing_unknown():
    trained = train_tokenizer(TEXTS, "bpe", SIZES["bpe"])
    text = "東京 — naïve 🎻"
    assert trained.decode(trained(text)["input_ids"]) == text


def test_bpe_learns_the_same_each_time():
    vocabularies = [train_tokenizer(TEXTS, "bpe", SIZES["bpe"]).get_vocab() for _ in range(2)]
    assert vocabularies[0] == vocabularies[1]


def test_wordpiece_puts_its_tokens_around_a_text_and_between_two():
    trained = train_tokenizer(TEXTS, "wordpiece", SIZES["wordpiece"])
    alone = trained.convert_ids_to_tokens(trained("free days")["input_ids"])
    assert (alone[0], alone[-1], alone.count("[SEP]")) == ("[CLS]", "[SEP]", 1)
    pair = trained("free", "days")
    assert trained.convert_ids_to_tokens(pair["input_ids"]).count("[SEP]") == 2


def test_what_stands_often_becomes_a_token():
    trained = train_tokenizer(TEXTS, "bpe", SIZES["bpe"])
    assert trained.tokenize("Free days") == ["F", *trained.tokenize("ree"), "Ġdays"]


@pytest.mark.parametrize("texts", [[], ["", " \n"]])
def test_no_text_is_an_error(kind, texts):
    with pytest.raises(ModelError, match="there is no text to learn from"):
        train_tokenizer(texts, kind, SIZES[kind])


@pytest.mark.parametrize(("kind", "size", "least"), [("bpe", 259, 259), ("wordpiece", 6, 6), ("unigram", 5, 5)])
def test_a_size_that_cannot_hold_what_must_be_in_it_is_an_error(kind, size, least):
    with pytest.raises(ModelError, match=rf"a vocabulary of {size} tokens is too small for {kind} \(> {least}, "):
        train_tokenizer(TEXTS, kind, size)


@pytest.mark.parametrize("size", [MOST_TOKENS + 1, 10**30])
def test_an_absurd_size_is_an_error_before_room_is_set_aside(kind, size):
    with pytest.raises(ModelError, match=f"a vocabulary of {size} tokens is too large for {kind}"):
        train_tokenizer(TEXTS, kind, size)


def test_word_pieces_do_not_exceed_the_size():
    with pytest.raises(ModelError, match=r"more characters than a vocabulary of 20 tokens can hold \(\d\d or more\)"):
        train_tokenizer(TEXTS, "wordpiece", 20)


def test_what_the_library_refuses_is_an_error_for_people(monkeypatch):
    class Refusing:
        def train_from_iterator(self, texts, _trainer):
            list(texts)
            raise Exception("out of luck")

    monkeypatch.setitem(train_tokenizer.__globals__["_PARTS"], "bpe", lambda *_: (Refusing(), None))
    with pytest.raises(ModelError, match="tokenizer: the tokenizer cannot be trained: out of luck"):
        train_tokenizer(TEXTS, "bpe", SIZES["bpe"])
