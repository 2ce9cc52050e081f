"""Models that give a text one of several labels: transformers' own classes, in padded batches."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from luthier.core.errors import ModelError
from luthier.core.recipe import Dtype
from luthier.models.adapter import without_adapter
from luthier.models.loading import NewHead, load_config, load_with_head
from luthier.models.padded import TOKENS_PER_BATCH, batches_by_length, padded, position_limit
from luthier.models.sources import BaseFiles


class Classifier:
    """A model of transformers for sequence classification, with or without a PEFT adapter.

    `labels` are the names of the classes by number, `max_tokens` how long a text may be, None where the model says not.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        core: Any = without_adapter(model)
        self.labels = tuple(core.config.id2label[number] for number in range(core.config.num_labels))
        self.max_tokens = position_limit(core)
        self._padding = int(core.config.pad_token_id or 0)
        accepted = inspect.signature(core.forward).parameters
        self._options: Mapping[str, Any] = {"use_cache": False} if "use_cache" in accepted else {}

    def logits(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        """[texts, labels], in fp32 or wider, differentiable; a text has the same ones in any company, to rounding."""
        places: list[int] = []
        found: list[torch.Tensor] = []
        for batch in batches_by_length([len(text) for text in texts], TOKENS_PER_BATCH):
            inputs = padded([texts[place] for place in batch], self._padding)
            found.append(self.model(**inputs, **self._options).logits)
            places += batch
        joined = torch.cat(found)
        back = torch.empty(len(places), dtype=torch.long)
        back[torch.tensor(places)] = torch.arange(len(places))
        return joined.to(torch.promote_types(joined.dtype, torch.float32)).index_select(0, back)

    @torch.no_grad()
    def log_probabilities(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        """[texts, labels], in fp64; none where there is no text."""
        if not texts:
            return torch.empty(0, len(self.labels), dtype=torch.float64)
        return torch.log_softmax(self.logits(texts).double(), dim=1)


def load_classifier(files: BaseFiles, labels: Sequence[str], dtype: Dtype, seed: int, padding: int | None) -> NewHead:
    """The model in these files with a head for these labels, frozen. Weights that the files lack are random by `seed`.

    `padding` is the token that fills up shorter texts; models that read the last token of a text cannot do without.
    Raises ModelError as `load_model` does, and for a model whose head is for other labels.
    """
    known = labels_in(files.folder)
    if known is not None and known != tuple(labels):
        raise ModelError(
            f"the model gives other labels than the dataset has: {', '.join(known[:5])}, …",
            where=files.name,
            allowed="the same labels, or a model without a head for classification",
        )
    names = dict(enumerate(labels))
    numbers = {label: number for number, label in names.items()}
    config = load_config(files.folder, files.name, id2label=names, label2id=numbers)
    if config.pad_token_id is None:
        config.pad_token_id = padding
    head = load_with_head(AutoModelForSequenceClassification, files, dtype, seed, config)
    if head.model.config.pad_token_id is None and not hasattr(head.model.base_model, "embeddings"):
        raise ModelError("the tokenizer has no padding token and no end token", where=files.name)
    return head


def labels_in(folder: Path) -> tuple[str, ...] | None:
    """The labels by number that the model or adapter in this folder was trained to give, None where it gives none."""
    config = load_config(folder, str(folder))
    if not any(name.endswith("ForSequenceClassification") for name in config.architectures or ()):
        return None
    return tuple(config.id2label[number] for number in range(config.num_labels))


def load_trained_classifier(labels: Sequence[str], seed: int) -> Callable[[BaseFiles, Dtype], PreTrainedModel]:
    """A loader of whole models, as `load_trained` takes it."""
    return lambda files, dtype: load_classifier(files, labels, dtype, seed, None).model
