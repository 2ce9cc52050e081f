"""Tokenizers measured, learned and extended on the rows of a workspace."""

import pytest
from transformers import AutoTokenizer

import luthier
from luthier.core.errors import ModelError, RegistryError
from luthier.models.loading import load_tokenizer
from luthier.pipeline.base import base_files, open_base
from luthier.pipeline.datasets import dataset_folder
from luthier.pipeline.tokenizer import training_texts


@pytest.fixture
def project(prepared_shop):
    with luthier.open_project(prepared_shop) as opened:
        yield opened


def test_only_training_rows_are_read_and_a_shared_system_prompt_once(project):
    texts = list(training_texts(dataset_folder(project)))
    assert texts.count("You are the shop.") == 1
    for split, there in (("train", True), ("test", False)):
        for row in luthier.show_rows(project, None, split, 100):
            answers = [message["content"] for message in row.messages if message["role"] == "assistant"]
            assert all((text in texts) is there for text in answers or [row.text])


def test_the_base_is_measured_alone_or_beside_another(project, tmp_path):
    alone = luthier.report_fertility(project)
    assert alone.other is None
    assert alone.to_json()["other"] is None
    assert alone.base.vocabulary == 320
    assert 1 < alone.base.fertility.tokens_per_word < 10
    load_tokenizer(base_files(project)).save_pretrained(tmp_path / "same")
    beside = luthier.report_fertility(project, alone.dataset, tmp_path / "same")
    assert beside.base == alone.base
    assert beside.other.fertility == beside.base.fertility


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "unigram"])
def test_a_tokenizer_of_ones_own_fits_better_than_the_tiny_one(project, tmp_path, kind):
    trained = luthier.train_tokenizer(project, kind, 500, tmp_path / "mine")
    loaded = AutoTokenizer.from_pretrained(trained.path)
    assert len(loaded) == trained.report.other.vocabulary <= 500
    assert trained.report.other.fertility.tokens_per_word < trained.report.base.fertility.tokens_per_word


def test_the_extended_base_is_one_that_the_recipe_can_name(project, prepared_shop):
    extended = luthier.extend_vocabulary(project, prepared_shop / "models" / "extended", words=10)
    assert extended.base == "models/extended"
    assert 1 <= len(extended.words) <= 10
    report = extended.report
    assert report.other.vocabulary == report.base.vocabulary + len(extended.words)
    saved = sum(word.saved for word in extended.words)
    assert report.base.fertility.tokens - report.other.fertility.tokens == saved
    with luthier.open_project(prepared_shop, overrides=[f"model.base={extended.base}"]) as again:
        assert luthier.prepare(again).splits["train"] > 0
        base = open_base(again)
        rows = base.tokens(luthier.show_rows(again, None, "train", 100))
        new = {token for row in rows for token in row.input_ids if token >= 320}
        assert new
        assert base.load().get_input_embeddings().weight.shape[0] > max(new)


def test_listed_words_need_not_stand_in_the_rows(project, tmp_path):
    (tmp_path / "words.txt").write_text("violin\n\nfinial\n", encoding="utf-8")
    extended = luthier.extend_vocabulary(project, tmp_path / "extended", listed=tmp_path / "words.txt")
    assert {word.word for word in extended.words} == {"violin", "finial"}
    assert extended.base == str(tmp_path / "extended")
    assert AutoTokenizer.from_pretrained(tmp_path / "extended").tokenize("A violin")[-1] == "Ġviolin"


def test_a_list_with_the_mark_of_windows_is_read(project, tmp_path):
    (tmp_path / "words.txt").write_text("violin\n", encoding="utf-8-sig")
    extended = luthier.extend_vocabulary(project, tmp_path / "extended", listed=tmp_path / "words.txt")
    assert {word.word for word in extended.words} == {"violin"}


@pytest.mark.parametrize("choice", [{}, {"words": 3, "listed": "words.txt"}])
def test_exactly_one_choice_of_words_is_wanted(project, tmp_path, choice):
    with pytest.raises(ModelError, match=r"say which words \(exactly one of --words and --list\)"):
        luthier.extend_vocabulary(project, tmp_path / "extended", **choice)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"words.txt: cannot be read: No such file"),
        (b"\n \n", r"words.txt: holds no word \(one word a line\)"),
        (b"caf\xe9\n", r"words.txt: is not UTF-8 at byte 4"),
        (b"gift card\n", r"words.txt: 'gift card' is more than one word"),
    ],
)
def test_lists_that_cannot_be_used(project, tmp_path, content, message):
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        luthier.extend_vocabulary(project, tmp_path / "extended", listed=path)
    assert not (tmp_path / "extended").exists()


def test_listed_words_that_are_tokens_already_leave_nothing_to_do(project, prepared_shop, tmp_path):
    (tmp_path / "words.txt").write_text("violin\n", encoding="utf-8")
    luthier.extend_vocabulary(project, prepared_shop / "first", listed=tmp_path / "words.txt")
    with (
        luthier.open_project(prepared_shop, overrides=["model.base=first"]) as again,
        pytest.raises(ModelError, match="first: each listed word is one token already"),
    ):
        luthier.extend_vocabulary(again, tmp_path / "second", listed=tmp_path / "words.txt")


def test_rows_without_words_that_are_split_leave_nothing_to_do(project, tmp_path, monkeypatch):
    monkeypatch.setattr("luthier.pipeline.tokenizer.FEWEST_OCCURRENCES", 10_000)
    with pytest.raises(ModelError, match="no word is both frequent and split"):
        luthier.extend_vocabulary(project, tmp_path / "extended", words=5)


def test_what_stands_there_is_not_written_over(project, tmp_path):
    for call in (
        lambda: luthier.train_tokenizer(project, "bpe", 400, tmp_path),
        lambda: luthier.extend_vocabulary(project, tmp_path, words=3),
    ):
        with pytest.raises(ModelError, match="there is something already"):
            call()


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no tokenizer.json"), ("{}", "cannot load the tokenizer: "), ("[", "cannot load")]
)
def test_a_folder_without_a_tokenizer_is_named(project, tmp_path, content, message):
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=message) as error:
        luthier.report_fertility(project, tokenizer=tmp_path)
    assert error.value.where == str(tmp_path)


def test_a_dataset_that_is_not_there_is_an_error(project, tmp_path):
    with pytest.raises(RegistryError, match="dataset-000"):
        luthier.train_tokenizer(project, "bpe", 400, tmp_path / "mine", "dataset-000")
    assert not (tmp_path / "mine").exists()
