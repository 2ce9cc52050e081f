"""Encoder models: texts to vectors whose dot product says how alike their meanings are.

Mean pooling over the tokens and scaling to length 1, as sentence encoders are trained (Reimers and Gurevych 2019,
Sentence-BERT).
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from luthier.core.errors import ModelError
from luthier.models.loading import load_frozen, load_tokenizer
from luthier.models.padded import batches_by_length, padded, position_limit
from luthier.models.sources import BaseFiles

Vectors = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called with (texts done, texts in all)."""

TOKENS_PER_BATCH = 4096
"""Padded tokens in one forward pass; on two cores larger ones are not faster."""
TEXTS_PER_CHUNK = 8192
"""Texts that are sorted by length together; memory holds the tokens of one chunk."""
MOST_TOKENS = 8192
"""Where neither model nor tokenizer names a limit."""


class Encoder:
    """A loaded encoder. `dimension` is the length of its vectors, `max_tokens` where texts are cut off."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> None:
        self._model: Any = model
        self._tokenizer: Any = tokenizer
        self.max_tokens = max_tokens
        self.dimension = int(self._model.config.hidden_size)

    def embed(self, texts: Sequence[str], progress: Progress = lambda _done, _total: None) -> Vectors:
        """Vectors of length 1, float32 [len(texts), dimension], in the order of `texts`.

        Texts longer than `max_tokens` are cut off. A text gets the same vector in any company, to rounding.
        """
        vectors = np.empty((len(texts), self.dimension), np.float32)
        for start in range(0, len(texts), TEXTS_PER_CHUNK):
            chunk = texts[start : start + TEXTS_PER_CHUNK]
            ids = self._tokenizer(list(chunk), truncation=True, max_length=self.max_tokens, padding=False)["input_ids"]
            done = start
            for places in batches_by_length([len(one) for one in ids], TOKENS_PER_BATCH):
                pooled = self._pooled([ids[place] for place in places])
                vectors[[start + place for place in places]] = pooled.numpy()
                done += len(places)
                progress(done, len(texts))
        return vectors

    @torch.inference_mode()
    def _pooled(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """[len(ids), dimension]: the mean of the last hidden states over the tokens of each text, at length 1."""
        batch = padded(ids, self._tokenizer.pad_token_id or 0)
        hidden = self._model(**batch).last_hidden_state.float()
        total = (hidden * batch["attention_mask"][:, :, None]).sum(dim=1)
        return torch.nn.functional.normalize(total, dim=1)


def load_encoder(files: BaseFiles) -> Encoder:
    """The encoder model in these files, in fp32 on the CPU.

    In fp32 because vectors decide which rows a dataset keeps, and bf16 rounds differently on other processors; where
    they have no bf16 units it is slower too (a quarter of the speed with AVX2).
    Raises ModelError for weights that are missing or not finite, and for a model that does not pool by the mean.
    """
    _refuse_other_pooling(files)
    tokenizer = load_tokenizer(files)
    model = load_frozen(AutoModel, files, "float32", unused="pooler.")
    if model.config.is_encoder_decoder:
        raise ModelError("this model writes text; an encoder such as BERT is wanted", where=files.name)
    return Encoder(model, tokenizer, _max_tokens(files, model, tokenizer))


def _refuse_other_pooling(files: BaseFiles) -> None:
    """Sentence-transformers folders say how they pool; packages leave it out and pool by the mean."""
    path = files.folder / "1_Pooling" / "config.json"
    if path.is_file() and not _json_object(path.read_text(encoding="utf-8")).get("pooling_mode_mean_tokens", False):
        raise ModelError("this encoder does not take the mean over tokens", where=files.name, allowed="mean pooling")


def _max_tokens(files: BaseFiles, model: Any, tokenizer: Any) -> int:
    """The least of the limits that the folder, the tokenizer and the position embeddings name."""
    limits = [MOST_TOKENS, tokenizer.model_max_length]
    sentence = files.folder / "sentence_bert_config.json"
    if sentence.is_file():
        limits.append(_json_object(sentence.read_text(encoding="utf-8")).get("max_seq_length") or MOST_TOKENS)
    limits.append(position_limit(model) or MOST_TOKENS)
    return int(min(limits))


def _json_object(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
