"""Insults, slurs, threats, sexual remarks and generalisations over groups, found by lists of words and phrases.

The lists are our own, in `toxic_words.toml`, for English, German, French and Spanish; all of them are used on every
text. They are short and meant to be right when they speak: mild curses and words with a harmless sense are left out,
and most insults count only where somebody is called so. What is found says the kind and who spoke, never the words.
"""

import re
import tomllib
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from luthier.core.rows import Row
from luthier.data.reasons import Dropped
from luthier.data.turns import spoken_texts

WORDS_BEFORE = 10
WORDS_AFTER = 12
"""Phrases are looked for within so many words around the one that gives them away."""

_CURSE = "toxic: curse"
_ANSWER = "the assistant's turn"
_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\t\v\f\r"
_BLANKS = bytes.maketrans(_PUNCTUATION.encode(), b" " * len(_PUNCTUATION))
_ENDS_OF_SENTENCES = bytes.maketrans(b".!?;:\n", b"\n" * 6)
_BEYOND_ASCII = re.compile(r"[‘’“”„‚«»‹›¡¿–—…]")


@dataclass(frozen=True, slots=True)
class Rule:
    """A remark on texts that hold one of the words `also`, if there are any, and match near a word that leads here.

    Without a pattern the word is enough. A text that matches `unless` is spared.
    """

    remark: str
    pattern: re.Pattern[str] | None = None
    also: frozenset[bytes] = frozenset()
    unless: re.Pattern[str] | None = None


Rules = Mapping[bytes, Sequence[Rule]]
"""The rules that each word leads to."""


def treat_toxicity(row: Row, mode: Literal["flag", "drop"]) -> Row | Dropped:
    """Flag the row or drop it, with a remark such as `toxic: insult, in the user's turn` or `biased: …`.

    Turns of users and assistants are looked at, or the text; not what people rejected. Users may curse.
    """
    if not _leads(_plain("\n".join(spoken_texts(row)))):
        return row
    found = {(remark, place): None for place, text in _places(row) for remark in find_toxic(text)}
    remarks = tuple(f"{remark}, in {place}" for remark, place in found if remark != _CURSE or place == _ANSWER)
    if not remarks:
        return row
    return Dropped(remarks) if mode == "drop" else replace(row, flags=(*row.flags, *remarks))


def find_toxic(text: str) -> list[str]:
    """Each remark on a text: `toxic: insult`, `slur`, `threat`, `sexual`, `curse`; `biased: generalisation …`."""
    plain = _plain(text)
    if not _leads(plain):
        return []
    words = frozenset(plain.translate(_BLANKS).split())
    return sorted({rule.remark for rule in _matching(plain, words, _rules())})


def _leads(plain: bytes) -> bool:
    """Whether some word leads to a rule."""
    return not _rules().keys().isdisjoint(plain.translate(_BLANKS).split())


def _places(row: Row) -> Iterator[tuple[str, str]]:
    if not row.messages:
        yield "the text", row.text
    for message in row.messages:
        if message["role"] in ("user", "assistant"):
            yield _ANSWER if message["role"] == "assistant" else "the user's turn", message["content"]


def _plain(text: str) -> bytes:
    """ASCII letters in lower case, without accents; what other alphabets have is left out."""
    if text.isascii():
        return text.lower().encode()
    text = _BEYOND_ASCII.sub(" ", text.casefold())
    return unicodedata.normalize("NFKD", text).encode("ascii", errors="ignore")


def _matching(plain: bytes, words: Collection[bytes], rules: Rules) -> Iterator[Rule]:
    for sentence in plain.translate(_ENDS_OF_SENTENCES).translate(_BLANKS).split(b"\n"):
        places = sentence.split()
        for place, word in enumerate(places):
            if word not in rules:
                continue
            near = b" ".join(places[max(0, place - WORDS_BEFORE) : place + WORDS_AFTER]).decode()
            for rule in rules[word]:
                if rule.also and rule.also.isdisjoint(words):
                    continue
                if rule.pattern is not None and not rule.pattern.search(near):
                    continue
                if rule.unless is None or not rule.unless.search(plain.decode()):
                    yield rule


@cache
def _rules() -> Rules:
    """Read once a process."""
    text = files("luthier.data").joinpath("toxic_words.toml").read_text(encoding="utf-8")
    rules: dict[bytes, list[Rule]] = {}
    for language in tomllib.loads(text).values():
        for near, rule in _rules_of(language):
            for word in near:
                rules.setdefault(word.encode(), []).append(rule)
    return rules


def _rules_of(language: Mapping[str, Any]) -> Iterator[tuple[Collection[str], Rule]]:
    """Each rule of a language with the words that lead to it."""
    for category, entries in language["words"].items():
        yield _forms(entries), Rule(f"toxic: {category}")
    said = language["said"]
    for kind, before in (
        ("names", f"(?:{language['called']}|{said}(?: {language['article']}){{0,4}})"),
        ("traits", said),
    ):
        for category, entries in language[kind].items():
            forms = _forms(entries)
            yield forms, Rule(f"toxic: {category}", _compiled([f"{before} (?:{'|'.join(forms)})"]))
    for phrase in language["phrases"]:
        also = frozenset(word.encode() for word in phrase.get("also", ()))
        yield phrase["near"], Rule(f"toxic: {phrase['category']}", _compiled(phrase["patterns"]), also)
    biased = language["biased"]
    patterns = [pattern.replace("GROUP", biased["groups"]) for pattern in biased["patterns"]]
    remark = "biased: generalisation over a group of people"
    yield biased["near"], Rule(remark, _compiled(patterns), unless=re.compile(biased["unless"]))


def _forms(entries: Iterable[str]) -> list[str]:
    """`idiot s` -> idiot, idiots."""
    return [word + ending for word, *endings in map(str.split, entries) for ending in ("", *endings)]


def _compiled(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(patterns)})(?!\w)")
