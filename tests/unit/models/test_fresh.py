"""A model from sizes and a tokenizer is like any other base model, and the same each time."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

from luthier.core.errors import ModelError
from luthier.models.cache import ModelCache
from luthier.models.fresh import Config, new_model
from luthier.models.tokenizer_training import train_tokenizer

LLAMA: Config = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "tie_word_embeddings": True,
}
BERT: Config = {
    "model_type": "bert",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
TEXTS = ["Where is my parcel?", "Returns are free within 30 days.", "The shop opens at nine each day."]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizers")
    train_tokenizer(TEXTS, "bpe", 300).save_pretrained(folder / "bpe")
    train_tokenizer(TEXTS, "wordpiece", 80).save_pretrained(folder / "wordpiece")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


def test_a_decoder_is_loaded_by_transformers(tokenizers: Path, cache: ModelCache) -> None:
    files = new_model(LLAMA, tokenizers / "bpe", masked=False, seed=0, cache=cache)

    model: Any = AutoModelForCausalLM.from_pretrained(files.folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(files.folder)
    assert files.name == "new llama"
    assert (model.config.hidden_size, model.config.num_hidden_layers) == (32, 2)
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert tokenizer("Returns")["input_ids"]


def test_an_encoder_predicts_words(tokenizers: Path, cache: ModelCache) -> None:
    files = new_model(BERT, tokenizers / "wordpiece", masked=True, seed=0, cache=cache)

    model: Any = AutoModelForMaskedLM.from_pretrained(files.folder)
    assert model.config.architectures == ["BertForMaskedLM"]


def test_special_tokens_are_those_of_the_tokenizer(tokenizers: Path, cache: ModelCache) -> None:
    """ModernBERT's own numbers are of a vocabulary of 50,000."""
    files = new_model({**BERT, "model_type": "modernbert"}, tokenizers / "wordpiece", True, 0, cache)

    config, tokenizer = (kind.from_pretrained(files.folder) for kind in (AutoConfig, AutoTokenizer))
    for name in ("cls_token_id", "sep_token_id", "pad_token_id"):
        assert isinstance(getattr(config, name), int)
        assert getattr(config, name) == getattr(tokenizer, name)
    assert config.vocab_size == len(tokenizer)


def test_the_seed_decides_the_weights(tokenizers: Path, cache: ModelCache, tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    first, again = (new_model(LLAMA, tokenizers / "bpe", False, 0, cache) for _ in range(2))
    elsewhere = new_model(LLAMA, tokenizers / "bpe", False, 0, ModelCache(tmp_path / "other"))
    other = new_model(LLAMA, tokenizers / "bpe", False, 1, cache)

    assert first == again
    assert elsewhere.digest == first.digest != other.digest
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hiden_size": 32}, r"^model\.config: llama has no hiden_size \(did you mean hidden_size\?\)"),
        ({"vocab_size": 32}, r"^model\.config: vocab_size is the tokenizer's \(leave it out\)"),
        ({"model_type": "lama"}, r"^model\.config: no architecture 'lama' \(did you mean llama\?\)"),
        ({"num_attention_heads": 5}, r"^model\.config: (not a configuration of llama|no such model): "),
        ({"num_hidden_layers": "two"}, r"^model\.config: (not a configuration of llama|no such model): "),
        ({"num_hidden_layers": 10**9}, r"^model\.config: no model has 1000000000 layers \(1 to 1000\)"),
        ({"num_hidden_layers": 0}, r"^model\.config: no model has 0 layers \(1 to 1000\)"),
        ({"hidden_size": 2**30}, r"^model\.config: [\d,]+ weights take [\d.]+ GB, and this machine has [\d.]+ GB \("),
        ({"hidden_size": 0}, r"^model\.config: no such model: "),
        ({"hidden_act": "gelo"}, r"^model\.config: no such model: nothing is called 'gelo'"),
    ],
)
def test_what_there_is_no_model_of_is_said(
    fields: dict[str, Any], message: str, tokenizers: Path, cache: ModelCache
) -> None:
    with pytest.raises(ModelError, match=message):
        new_model({**LLAMA, **fields}, tokenizers / "bpe", masked=False, seed=0, cache=cache)
    assert not list(cache.root.glob("models/*"))


def test_a_folder_without_a_tokenizer_is_refused(tokenizers: Path, cache: ModelCache, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        new_model(LLAMA, tmp_path / "nowhere", masked=False, seed=0, cache=cache)
    damaged = tmp_path / "damaged"
    shutil.copytree(tokenizers / "bpe", damaged)
    (damaged / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="cannot load the tokenizer"):
        new_model(LLAMA, damaged, masked=False, seed=0, cache=cache)
