"""Train a tokenizer of one's own on texts: BPE, WordPiece or Unigram, by the tokenizers library."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from luthier.core.errors import ModelError

Algorithm = Literal["bpe", "wordpiece", "unigram"]

NAMED_TOKENS: Mapping[Algorithm, Mapping[str, str]] = {
    "bpe": {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"},
    "unigram": {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"},
    "wordpiece": {
        "unk_token": "[UNK]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    },
}
"""Special tokens that have a role; byte-level BPE needs none for the unknown."""
BYTES = 256
MOST_TOKENS = 10_000_000
"""Far more than any model knows. Room for as many as are asked for is set aside before a text is read."""


def train_tokenizer(
    texts: Iterable[str], algorithm: Algorithm, vocabulary: int, special_tokens: Sequence[str] = ()
) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `vocabulary` tokens, learned from texts that are read once, in a stream.

    BPE works on bytes, so that no text is unknown to it; WordPiece reads as BERT does, with its tokens around a text;
    Unigram marks spaces as SentencePiece does. `special_tokens` come on top of `NAMED_TOKENS` and are never split. BPE
    learns the same tokens in each run; the other two may number them otherwise, and differ in a few.
    Raises ModelError where there is no text, or the vocabulary cannot hold even bytes and special tokens, or is absurd.
    """
    named = NAMED_TOKENS[algorithm]
    special = list(dict.fromkeys([*named.values(), *special_tokens]))
    least = len(special) + (BYTES if algorithm == "bpe" else 1)
    if not least < vocabulary <= MOST_TOKENS:
        raise ModelError(
            f"a vocabulary of {vocabulary} tokens is too {'small' if vocabulary <= least else 'large'} for {algorithm}",
            where="tokenizer",
            allowed=f"> {least}, at most {MOST_TOKENS}",
        )
    backend, trainer = _PARTS[algorithm](vocabulary, special)
    counted = _Counted(texts)
    try:
        backend.train_from_iterator(counted, trainer)
    except Exception as error:  # the library raises bare exceptions
        if counted.count:
            raise ModelError(f"the tokenizer cannot be trained: {error}", where="tokenizer") from error
    if not counted.count:
        raise ModelError("there is no text to learn from", where="tokenizer")
    if (learned := backend.get_vocab_size()) > vocabulary:  # WordPiece takes all characters, however many may be
        raise ModelError(
            f"the texts have more characters than a vocabulary of {vocabulary} tokens can hold",
            where="tokenizer",
            allowed=f"{learned} or more",
        )
    if algorithm == "wordpiece":
        ends = [(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        additional_special_tokens=[token for token in special if token not in named.values()],
        clean_up_tokenization_spaces=False,
        **named,
    )


class _Counted:
    """Texts that are not blank, and how many have been read."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = texts
        self.count = 0

    def __iter__(self) -> Iterator[str]:
        for text in self._texts:
            if text.strip():
                self.count += 1
                yield text


def _byte_pairs(vocabulary: int, special: list[str]) -> tuple[Tokenizer, Any]:
    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return backend, trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )


def _word_pieces(vocabulary: int, special: list[str]) -> tuple[Tokenizer, Any]:
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return backend, trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=special, show_progress=False)


def _unigram(vocabulary: int, special: list[str]) -> tuple[Tokenizer, Any]:
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    return backend, trainers.UnigramTrainer(
        vocab_size=vocabulary, special_tokens=special, unk_token="<unk>", show_progress=False
    )


_PARTS = {"bpe": _byte_pairs, "wordpiece": _word_pieces, "unigram": _unigram}
