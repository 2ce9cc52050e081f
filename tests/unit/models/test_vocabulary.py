"""New words are one token each, start as the mean of their pieces, and leave all other texts as they were."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from luthier.core.errors import ModelError
from luthier.core.identity import file_digest
from luthier.models.loading import load_model, load_tokenizer
from luthier.models.sources import BaseFiles, model_files
from luthier.models.template import ChatTemplate
from luthier.models.tokenizer_training import train_tokenizer
from luthier.models.vocabulary import (
    domain_words,
    extend_base,
    extend_embeddings,
    extend_tokenizer,
    listed_words,
)

TEXTS = ["The hygrometer and the barometer.", "A hygrometer shows 40 percent.", "hygrometer", "barometer, here"]
PLAIN = ["The refund takes about 5 working days after the parcel arrives.", "Überall, 東京!", "<|im_start|>user\nHi"]


def as_base(folder: Path) -> BaseFiles:
    return BaseFiles(folder.name, folder, file_digest(model_files(folder)))


def test_words_that_save_most_come_first(tiny_tokenizer):
    found = domain_words(tiny_tokenizer, TEXTS, 10, 2)
    assert [(word.word, word.surface, word.occurrences) for word in found] == [("hygrometer", "Ġhygrometer", 2)]
    every = domain_words(tiny_tokenizer, TEXTS, 100, 1)
    assert [word.saved for word in every] == sorted((word.saved for word in every), reverse=True)
    assert {"Ġbarometer", "barometer"} <= {word.surface for word in every}
    assert not any(character.isdigit() for word in every for character in word.word)
    assert domain_words(tiny_tokenizer, TEXTS, 1, 1) == every[:1]
    for word in every:
        assert tiny_tokenizer.decode(list(word.pieces)).strip() == word.word
        assert word.saved == word.occurrences * (len(word.pieces) - 1)


def test_words_that_are_one_token_are_none_to_add(tiny_tokenizer):
    assert tiny_tokenizer.tokenize(" the") == ["Ġthe"]
    found = domain_words(tiny_tokenizer, ["to the other"] * 9, 99, 1)
    assert {word.surface for word in found} == {"to", "Ġother"}


def test_listed_words_stay_in_order_with_and_without_a_space(tiny_tokenizer):
    found = listed_words(tiny_tokenizer, TEXTS, ["violin", "hygrometer", "the", "violin"], "words.txt")
    assert [(word.surface, word.occurrences) for word in found if word.word != "the"] == [
        ("Ġviolin", 0),
        ("violin", 0),
        ("Ġhygrometer", 2),
        ("hygrometer", 1),
    ]


def test_listed_words_must_be_words_to_the_tokenizer(tiny_tokenizer):
    with pytest.raises(ModelError, match=r"words.txt: 'gift card' is more than one word to this tokenizer"):
        listed_words(tiny_tokenizer, TEXTS, ["violin", "gift card"], "words.txt")


def test_a_tokenizer_without_words_is_refused(tiny_tokenizer):
    content = json.loads(tiny_tokenizer.backend_tokenizer.to_str())
    content["pre_tokenizer"] = None
    wordless = PreTrainedTokenizerFast(
        tokenizer_object=type(tiny_tokenizer.backend_tokenizer).from_str(json.dumps(content))
    )
    for call in (lambda: domain_words(wordless, TEXTS, 1, 1), lambda: listed_words(wordless, TEXTS, ["a"], "list")):
        with pytest.raises(ModelError, match="does not work word by word"):
            call()


def test_the_extended_model_is_a_base_model(tiny_base, tiny_tokenizer, tmp_path):
    words = domain_words(tiny_tokenizer, TEXTS, 3, 1)
    extend_base(tiny_base, words, tmp_path / "extended")
    extended = as_base(tmp_path / "extended")
    tokenizer = load_tokenizer(extended)
    assert len(tokenizer) == len(tiny_tokenizer) + len(words)
    assert all(tokenizer.tokenize(text) == tiny_tokenizer.tokenize(text) for text in PLAIN)
    assert tokenizer.tokenize("A hygrometer") == [*tiny_tokenizer.tokenize("A"), "Ġhygrometer"]
    assert tokenizer.all_special_ids == tiny_tokenizer.all_special_ids
    assert ChatTemplate(tokenizer).end_token_id == tiny_tokenizer.eos_token_id
    before, after = (load_model(files, "float32").get_input_embeddings().weight for files in (tiny_base, extended))
    assert torch.equal(after[: len(before)], before)
    for number, word in enumerate(words, start=len(tiny_tokenizer)):
        assert tokenizer.convert_tokens_to_ids(word.surface) == number
        torch.testing.assert_close(after[number], before[list(word.pieces)].mean(dim=0))


def test_logits_of_other_texts_stay(tiny_base, tiny_tokenizer, tmp_path):
    extend_base(tiny_base, domain_words(tiny_tokenizer, TEXTS, 3, 1), tmp_path / "extended")
    ids = torch.tensor([tiny_tokenizer(PLAIN[0])["input_ids"]])
    before, after = (load_model(each, "float32")(ids).logits for each in (tiny_base, as_base(tmp_path / "extended")))
    torch.testing.assert_close(after[..., : before.shape[-1]], before)


@pytest.mark.parametrize(("dtype", "kept"), [("float16", torch.float16), ("float64", torch.float32)])
def test_weights_keep_a_type_that_is_known(tiny_model_folder, tmp_path, dtype, kept):
    folder = tmp_path / "typed"
    model = AutoModelForCausalLM.from_pretrained(tiny_model_folder, dtype=getattr(torch, dtype))
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_model_folder).save_pretrained(folder)
    files = as_base(folder)
    extend_base(files, domain_words(load_tokenizer(files), TEXTS, 1, 1), tmp_path / "extended")
    assert load_file(tmp_path / "extended" / "model.safetensors")["model.embed_tokens.weight"].dtype == kept


def test_nothing_is_written_over(tiny_base, tmp_path):
    with pytest.raises(ModelError, match=r"there is something already \(a new folder\)"):
        extend_base(tiny_base, [], tmp_path)


def test_a_word_that_stays_in_pieces_leaves_no_folder(tiny_base, tiny_tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("luthier.models.vocabulary._add_to_model", lambda *_: None)
    with pytest.raises(ModelError, match="tiny-llama: this tokenizer cannot take 'hygrometer' as one token"):
        extend_base(tiny_base, domain_words(tiny_tokenizer, TEXTS, 1, 1), tmp_path / "extended")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_other_kinds_of_tokenizers_take_words_too(kind, tmp_path):
    texts = ["The hygrometer is here and the barometer is there.", "Here is the parcel; there is the refund."]
    tokenizer = train_tokenizer(texts * 9, kind, {"wordpiece": 50, "unigram": 40}[kind], ["<turn>"])
    words = [word for word in domain_words(tokenizer, texts, 99, 1) if word.word == "hygrometer"]
    assert len(words) == 1
    rows = extend_tokenizer(tokenizer, words, tmp_path)
    extended = AutoTokenizer.from_pretrained(tmp_path)
    [(number, pieces)] = rows.items()
    assert pieces == words[0].pieces
    assert extended.convert_tokens_to_ids(words[0].surface) == number == len(tokenizer)
    assert words[0].surface in extended.tokenize("The hygrometer<turn>")
    assert extended.tokenize("The parcel<turn>is") == tokenizer.tokenize("The parcel<turn>is")
    assert extended.convert_tokens_to_ids("<turn>") == tokenizer.convert_tokens_to_ids("<turn>")


@pytest.mark.parametrize("architecture", ["Llama", "GPT2", "Phi"])
def test_heads_of_their_own_get_the_mean_too(make_model, architecture):
    model = make_model(architecture)
    pieces = {320: (3, 5, 9), 321: (4, 4)}
    old = [tensor.clone() for tensor in _rows_of(model)]
    extend_embeddings(model, pieces)
    for before, after in zip(old, _rows_of(model), strict=True):
        assert torch.equal(after[:320], before)
        for row, places in pieces.items():
            torch.testing.assert_close(after[row], before[list(places)].mean(dim=0))


def _rows_of(model):
    head = model.get_output_embeddings()
    tensors = [model.get_input_embeddings().weight, head.weight, getattr(head, "bias", None)]
    return [tensor for tensor in tensors if tensor is not None]


def test_matrices_with_room_do_not_shrink(make_model):
    model = make_model("Llama")
    extend_embeddings(model, {300: (1, 2)})
    weight = model.get_input_embeddings().weight
    assert weight.shape[0] == 320
    torch.testing.assert_close(weight[300], weight[[1, 2]].mean(dim=0))
    extend_embeddings(model, {})
    assert model.get_input_embeddings().weight.shape[0] == 320


@given(st.lists(st.tuples(st.integers(0, 319), st.integers(0, 319)), min_size=1, max_size=4))
def test_a_mean_lies_between_its_pieces(pairs):
    embeddings = torch.nn.Embedding(330, 4)
    model = _Bare(embeddings)
    extend_embeddings(model, {320 + place: pair for place, pair in enumerate(pairs)})
    for place, pair in enumerate(pairs):
        ends = embeddings.weight[list(pair)]
        row = embeddings.weight[320 + place]
        assert bool((row <= ends.max(dim=0).values + 1e-6).all())
        assert bool((row >= ends.min(dim=0).values - 1e-6).all())


class _Bare:
    """A model of embeddings alone."""

    def __init__(self, embeddings: torch.nn.Embedding) -> None:
        self._embeddings = embeddings

    def get_input_embeddings(self) -> torch.nn.Embedding:
        return self._embeddings

    def get_output_embeddings(self) -> None:
        return None
