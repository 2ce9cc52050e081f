"""Give a base model words of the domain as tokens of their own.

Each new token starts as the mean of the pieces that stood for it (as by Gee et al. 2022, Fast Vocabulary Transfer, and
by Hewitt 2021 for why a mean is safe), so that the model reads new words much as before and learns from there.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from luthier.core.errors import ModelError
from luthier.core.files import atomic_directory
from luthier.core.recipe import Dtype
from luthier.models.fertility import plain_backend
from luthier.models.loading import DTYPES, load_frozen, load_tokenizer
from luthier.models.sources import BaseFiles

WHOLE_WORD = re.compile(r"[^\W\d_]{2,}")
UNIGRAM_EDGE = 1e-3
"""By how much a new Unigram token is likelier than its pieces in a row."""
_NEVER = -1e6
"""The score of Unigram entries that only hold the place of a special token."""


@dataclass(frozen=True, slots=True)
class DomainWord:
    """A word that would be a token of its own: `surface` as the tokenizer's model sees it, `pieces` its ids so far."""

    word: str
    surface: str
    occurrences: int
    pieces: tuple[int, ...]

    @property
    def saved(self) -> int:
        """Tokens that the texts would be shorter by."""
        return self.occurrences * (len(self.pieces) - 1)

    def to_json(self) -> dict[str, object]:
        return {
            "word": self.word,
            "occurrences": self.occurrences,
            "pieces": len(self.pieces),
            "tokens_saved": self.saved,
        }


def domain_words(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], most: int, fewest: int) -> list[DomainWord]:
    """Up to `most` words that occur at least `fewest` times in the texts, those that save the most tokens first.

    The same word with and without a space before it are two for tokenizers that see spaces.
    Raises ModelError for a tokenizer that does not cut texts into words before it looks for tokens.
    """
    backend = _word_by_word(tokenizer)
    special = {token.content for token in tokenizer.added_tokens_decoder.values()}
    found = []
    for surface, occurrences in _count_surfaces(backend, texts).items():
        word = backend.decoder.decode([surface]).strip()
        if occurrences < fewest or word in special or not WHOLE_WORD.fullmatch(word):
            continue
        pieces = tuple(piece.id for piece in backend.model.tokenize(surface))
        if len(pieces) > 1:
            found.append(DomainWord(word, surface, occurrences, pieces))
    return sorted(found, key=lambda each: (-each.saved, each.surface))[:most]


def listed_words(
    tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], listed: Iterable[str], where: str
) -> list[DomainWord]:
    """These words, in their order, as they stand at the beginning of a text and after a space.

    Those that are one token already are left out. Raises ModelError, which names `where` the list is from, for one
    that the tokenizer cuts in two before it looks for tokens, and as `domain_words` does.
    """
    backend = _word_by_word(tokenizer)
    counts = _count_surfaces(backend, texts)
    found: dict[str, DomainWord] = {}
    for word in listed:
        for text in (f" {word}", word):
            surfaces = _cut(backend, text)
            if len(surfaces) != 1:
                raise ModelError(
                    f"{word!r} is more than one word to this tokenizer", where=where, allowed="single words"
                )
            [surface] = surfaces
            pieces = tuple(piece.id for piece in backend.model.tokenize(surface))
            if len(pieces) > 1:
                found.setdefault(surface, DomainWord(word, surface, counts[surface], pieces))
    return list(found.values())


def extend_base(files: BaseFiles, words: Sequence[DomainWord], folder: Path) -> None:
    """Write the base model with these words as tokens to `folder`, which must not be there yet.

    The folder is a base model like any other. Weights keep their type; those of other types than bfloat16 become
    float32. Raises ModelError where the words cannot be added, or something stands at `folder`.
    """
    if folder.exists():
        raise ModelError("there is something already", where=str(folder), allowed="a new folder")
    tokenizer = load_tokenizer(files)
    model = load_frozen(AutoModelForCausalLM, files, _dtype(files))
    with atomic_directory(folder) as partial:
        rows = extend_tokenizer(tokenizer, words, partial)
        extend_embeddings(model, rows)
        model.save_pretrained(partial)
        _check(BaseFiles(files.name, partial, files.digest), words, rows)


def extend_tokenizer(
    tokenizer: PreTrainedTokenizerBase, words: Sequence[DomainWord], folder: Path
) -> dict[int, tuple[int, ...]]:
    """Save the tokenizer with these words to `folder`; gives {new id: ids of the pieces}."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    first = max(tokenizer.get_vocab().values()) + 1
    ids = {word.surface: first + place for place, word in enumerate(words)}
    _add_to_model(content["model"], {token["content"]: token["id"] for token in content["added_tokens"]}, words, first)
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    _load_as_written(folder / "tokenizer_config.json")
    return {ids[word.surface]: word.pieces for word in words}


def extend_embeddings(model: Any, rows: Mapping[int, Sequence[int]]) -> None:
    """Set each row of the embeddings, and of a head of its own, to the mean of the rows of its pieces.

    The matrices grow where they are too short, never shrink.
    """
    needed = max(rows, default=-1) + 1
    if model.get_input_embeddings().weight.shape[0] < needed:
        model.resize_token_embeddings(needed, mean_resizing=False)
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    tensors = [embeddings.weight]
    if head is not None and head.weight is not embeddings.weight:
        tensors.append(head.weight)
    if head is not None and getattr(head, "bias", None) is not None:
        tensors.append(head.bias)
    with torch.no_grad():
        for tensor in tensors:
            for row, pieces in rows.items():
                tensor[row] = tensor[list(pieces)].float().mean(dim=0).to(tensor.dtype)


def _word_by_word(tokenizer: PreTrainedTokenizerBase) -> Any:
    backend: Any = plain_backend(tokenizer)
    if backend.pre_tokenizer is None or backend.decoder is None:
        raise ModelError("this tokenizer does not work word by word, so that words cannot be added", where="tokenizer")
    return backend


def _count_surfaces(backend: Any, texts: Iterable[str]) -> Counter[str]:
    """How often each word stands in the texts, as the tokenizer's model sees it."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(_cut(backend, text))
    return counts


def _cut(backend: Any, text: str) -> list[str]:
    normal = backend.normalizer.normalize_str(text) if backend.normalizer else text
    return [surface for surface, _ in backend.pre_tokenizer.pre_tokenize_str(normal)]


def _add_to_model(model: dict[str, Any], added: Mapping[str, int], words: Sequence[DomainWord], first: int) -> None:
    """Write words into the `model` part of a tokenizer.json, from id `first` on.

    Added tokens that had their ids beyond the vocabulary get a place in it: otherwise the library would number them
    anew behind the longer vocabulary.
    """
    kind = model.get("type") or ("BPE" if "merges" in model else "WordPiece")
    if kind == "Unigram":
        scores = [score for _, score in model["vocab"]]
        names = {number: token for token, number in added.items()}
        for number in range(len(scores), first):
            model["vocab"].append([names.get(number, f"<unused_{number}>"), _NEVER])
        for word in words:
            score = sum(scores[piece] for piece in word.pieces) + UNIGRAM_EDGE
            model["vocab"].append([word.surface, score])
        return
    model["vocab"].update({token: number for token, number in added.items() if token not in model["vocab"]})
    model["vocab"].update({word.surface: first + place for place, word in enumerate(words)})
    if kind == "BPE":
        model["ignore_merges"] = True  # a word that is a token is taken whole; all others merge as before


def _load_as_written(path: Path) -> None:
    """Have transformers load tokenizer.json as it is: classes such as GPT2Tokenizer make a new one of its parts."""
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(settings, indent=2, ensure_ascii=False), encoding="utf-8")


def _check(extended: BaseFiles, words: Sequence[DomainWord], rows: Mapping[int, Sequence[int]]) -> None:
    """Raise ModelError unless the saved tokenizer makes one token, with its id, of each new word."""
    backend: Any = plain_backend(load_tokenizer(extended))
    for number, word in zip(rows, words, strict=True):
        if [piece.id for piece in backend.model.tokenize(word.surface)] != [number]:
            raise ModelError(f"this tokenizer cannot take {word.word!r} as one token", where=extended.name)


def _dtype(files: BaseFiles) -> Dtype:
    config = json.loads((files.folder / "config.json").read_text(encoding="utf-8"))
    named = str(config.get("dtype") or config.get("torch_dtype"))
    return next((dtype for dtype in DTYPES if dtype == named), "float32")
