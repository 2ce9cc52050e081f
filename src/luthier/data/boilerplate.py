"""Sentences that agents put at the beginning or end of their turns whatever they are asked: greetings, offers of more
help, footers.

A sentence counts where it stands at the edge of a turn, alone or with others of its kind beyond it, in many
conversations. One that goes with what customers say is an answer to a common question, and no boilerplate.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from luthier.core.rows import Message, Row, reworded
from luthier.text import words
from luthier.text.sentences import sentences

Edge = Literal["start", "end"]
EDGES: tuple[Edge, Edge] = ("start", "end")

SAMPLED_RECORDS = 5_000
"""Records that are counted before all are cleaned."""
LEAST_SHARE = 0.03
"""Of the conversations, and at least `FEWEST` of them: less is no habit."""
FEWEST = 20
FEWEST_WORDS = 3
MOST_WORDS = 80
MOST_FOUND = 100
TOLD_BY = 0.4
"""A word of the customers in this share of the turns before a sentence..."""
LIFT = 3.0
"""...and so many times as common there as before other turns, is what the sentence answers."""

REMOVED = "boilerplate removed"
"""The kind of flag of rows that went without it."""

_ITEM = re.compile(r"[ \t]*(?:[-*•–]\s|[0-9]+[.)]\s|#|```|\||[{}<\[])")
_ANSWERS = frozenset(
    [
        "yes", "no", "not", "cannot", "can't", "don't", "doesn't", "isn't", "won't", "never", "unfortunately", "yep",
        "nope", "correct", "ja", "nein", "nicht", "kein", "keine", "leider", "doch", "oui", "non", "pas",
        "malheureusement", "sí", "desafortunadamente", "lamentablemente", "nee", "niet", "helaas", "purtroppo", "não",
        "infelizmente", "nej", "tyvärr", "nie", "tak", "niestety",
    ]
)  # fmt: skip
"""What starts a turn with one of these, or with a number, is an answer and no greeting."""
_AT_START, _AT_END = 4, 8
"""So many sentences at an edge of a turn are looked at."""
_NEAR = 80
"""Characters in which the first or last word of a turn stands."""
_SHOWN = 60
"""Characters of a sentence in a flag."""


@dataclass(frozen=True, slots=True)
class Boilerplate:
    """A sentence that recurs at one edge of turns, as it was first written, and in how many conversations.

    Equal sentences have equal `words`, those of the sentence joined by spaces.
    """

    words: str
    sentence: str
    edge: Edge
    conversations: int

    def to_json(self) -> dict[str, object]:
        return {"sentence": self.sentence, "edge": self.edge, "conversations": self.conversations}


@dataclass(frozen=True, slots=True)
class Phrases:
    """What is taken for boilerplate at either edge: the words of a sentence, and how a flag names it.

    `openers` and `closers` are the first words of the former and the last words of the latter.
    """

    start: Mapping[str, str]
    end: Mapping[str, str]
    openers: frozenset[str]
    closers: frozenset[str]

    @classmethod
    def found(cls, found: Iterable[Boilerplate]) -> "Phrases":
        """Those that were found."""
        edges: dict[Edge, dict[str, str]] = {edge: {} for edge in EDGES}
        for each in found:
            edges[each.edge][each.words] = _shortened(each.sentence)
        return cls._at(edges["start"], edges["end"])

    @classmethod
    def listed(cls, phrases: Iterable[str]) -> "Phrases":
        """Those of a list, at both edges; a phrase of several sentences counts as each of them."""
        keys = {_key(part): _shortened(part.strip()) for phrase in phrases for part in sentences(phrase)}
        return cls._at(keys, keys)

    @classmethod
    def _at(cls, start: Mapping[str, str], end: Mapping[str, str]) -> "Phrases":
        openers, closers = ({key.split()[place] for key in keys if key} for keys, place in ((start, 0), (end, -1)))
        return cls(start, end, frozenset(openers), frozenset(closers))

    def may_touch(self, text: str) -> bool:
        """False where neither the first nor the last word is that of a phrase: most turns need no closer look."""
        first, last = words(text[:_NEAR])[:1], words(text[-_NEAR:])[-1:]
        return not (self.openers.isdisjoint(first) and self.closers.isdisjoint(last))


@dataclass(frozen=True, slots=True)
class _Turn:
    """An agent's turn: the keys of its sentences, see `_eligible`, and the words of the customer before it."""

    keys: tuple[str | None, ...]
    asked: frozenset[str]


_Conversation = Sequence[_Turn]
_KeyOf = Callable[[int], str | None]


def find_boilerplate(rows: Iterable[Row], mask: Callable[[str], str] = str) -> list[Boilerplate]:
    """What recurs in these conversations, the most frequent first, at most `MOST_FOUND`.

    `mask` hides personal data in what is shown of a sentence. Memory holds the sentences and words of the rows: give
    it a sample.
    """
    shown: dict[str, str] = {}
    conversations = [turns for row in rows if (turns := _turns(row, shown))]
    least = max(FEWEST, LEAST_SHARE * len(conversations))
    near = _counts(conversations, lambda turn: _near_edges(turn.keys))
    candidates = {found for found, count in near.items() if count >= least and _may_be_boilerplate(*found)}
    candidates -= _tied_to_a_subject(conversations, candidates)
    while True:
        starts, ends = ({key for at, key in candidates if at == edge} for edge in EDGES)
        counts = _counts(conversations, lambda turn: _peeled(turn.keys, starts, ends))  # noqa: B023
        lasting = {found for found in candidates if counts[found] >= least}
        if lasting == candidates:
            break
        candidates = lasting
    every = [Boilerplate(key, mask(shown[key]), edge, counts[edge, key]) for edge, key in candidates]
    return sorted(every, key=lambda each: (-each.conversations, each.edge, each.sentence))[:MOST_FOUND]


def treat_boilerplate(row: Row, phrases: Phrases, remove: bool) -> Row:
    """The row with a flag for boilerplate at the edges of its agent's turns, which goes if `remove` says so.

    Whole sentences and lines go, from the edge inwards, and never all of a turn. A pair of answers that only
    boilerplate tells apart stays as it is.
    """
    last = _last_answer(row.messages)
    there: dict[str, None] = {}

    def treat(message: Message, final: bool) -> Message:
        if message["role"] != "assistant":
            return message
        content, gone = _without(message["content"], phrases, final)
        there.update(dict.fromkeys(gone))
        return reworded(message, content) if gone else message

    messages = tuple(treat(message, place == last) for place, message in enumerate(row.messages))
    rejected = tuple(treat(message, place == len(row.rejected) - 1) for place, message in enumerate(row.rejected))
    if not there or (rejected and messages[-1:] == rejected):
        return row
    named = ", ".join(f'"{sentence}"' for sentence in there)
    if not remove:
        return replace(row, flags=(*row.flags, f"boilerplate: {named}"))
    return replace(row, messages=messages, rejected=rejected, flags=(*row.flags, f"{REMOVED}: {named}"))


def _without(text: str, phrases: Phrases, final: bool) -> tuple[str, list[str]]:
    """The text without boilerplate at its edges, and what that was."""
    if not phrases.may_touch(text):
        return text, []
    parts = sentences(text)

    @cache
    def key_of(place: int) -> str | None:
        return _eligible(parts[place], final)

    first, last = _peel(len(parts), key_of, phrases.start, phrases.end)
    gone = [phrases.start[key] for place in range(first) if (key := key_of(place))]
    gone += [phrases.end[key] for place in range(last, len(parts)) if (key := key_of(place))]
    return ("".join(parts[first:last]).strip(), gone) if gone else (text, [])


def _peel(count: int, key_of: _KeyOf, starts: Container[str | None], ends: Container[str | None]) -> tuple[int, int]:
    """Which of `count` sentences stay: those from one place to before another; all, where only boilerplate is there.

    Lines without words (key "") go with the boilerplate beside them.
    """
    first, last = 0, count
    while first < last and ((key := key_of(first)) == "" or key in starts):
        first += 1
    while last > first and ((key := key_of(last - 1)) == "" or key in ends):
        last -= 1
    if all(key_of(place) == "" for place in range(first, last)):
        return 0, count
    has_start = any(key_of(place) for place in range(first))
    has_end = any(key_of(place) for place in range(last, count))
    return first if has_start else 0, last if has_end else count


def _turns(row: Row, shown: dict[str, str]) -> _Conversation:
    """The agent's turns of a conversation; `shown` learns how each sentence is written."""
    last, subject, asked = _last_answer(row.messages), "", ""
    turns = []
    for place, message in enumerate(row.messages):
        if message["role"] == "user":
            asked = message["content"]
            subject = subject or asked
        elif message["role"] == "assistant" and asked:
            parts = sentences(message["content"])
            keys = tuple(_eligible(part, place == last) for part in parts)
            for key, part in zip(keys, parts, strict=True):
                if key:
                    shown.setdefault(key, part.strip())
            turns.append(_Turn(keys, frozenset(words(f"{subject} {asked}"))))
    return turns


def _last_answer(messages: Sequence[Message]) -> int:
    return max((place for place, message in enumerate(messages) if message["role"] == "assistant"), default=-1)


def _eligible(part: str, final: bool) -> str | None:
    """The key of a sentence; "" of one without words, None of one that stays in any case.

    Items of lists, code, and what announces something stay; so does a question that the customer goes on to answer.
    """
    stripped = part.strip()
    if _ITEM.match(part) or stripped.endswith((":", "：")) or (not final and stripped.endswith(("?", "？"))):
        return None
    return _key(part)


def _key(part: str) -> str:
    return " ".join(words(part))


def _may_be_boilerplate(edge: Edge, key: str) -> bool:
    said = key.split()
    if not FEWEST_WORDS <= len(said) <= MOST_WORDS:
        return False
    return edge == "end" or (_ANSWERS.isdisjoint(said) and not any(character.isdigit() for character in key))


def _near_edges(keys: Sequence[str | None]) -> Iterator[tuple[Edge, str]]:
    yield from (("start", key) for key in keys[:_AT_START] if key)
    yield from (("end", key) for key in keys[-_AT_END:] if key)


def _peeled(
    keys: Sequence[str | None], starts: Container[str | None], ends: Container[str | None]
) -> Iterator[tuple[Edge, str]]:
    first, last = _peel(len(keys), keys.__getitem__, starts, ends)
    yield from (("start", key) for key in keys[:first] if key)
    yield from (("end", key) for key in keys[last:] if key)


def _counts(
    conversations: Iterable[_Conversation], found_in: Callable[[_Turn], Iterable[tuple[Edge, str]]]
) -> Counter[tuple[Edge, str]]:
    """In how many conversations something is found in a turn."""
    counts: Counter[tuple[Edge, str]] = Counter()
    for turns in conversations:
        counts.update({found for turn in turns for found in found_in(turn)})
    return counts


def _tied_to_a_subject(
    conversations: Iterable[_Conversation], candidates: Container[tuple[Edge, str]]
) -> set[tuple[Edge, str]]:
    """The candidates that go with a word of the customers, see `TOLD_BY` and `LIFT`."""
    asked: dict[tuple[Edge, str], Counter[str]] = defaultdict(Counter)
    turns_with: Counter[tuple[Edge, str]] = Counter()
    asked_at_all: Counter[str] = Counter()
    turns = 0
    for turn in (turn for conversation in conversations for turn in conversation):
        turns += 1
        asked_at_all.update(turn.asked)
        for found in set(_near_edges(turn.keys)):
            if found in candidates:
                turns_with[found] += 1
                asked[found].update(turn.asked)

    def tells(count: int, word: str, number: int) -> bool:
        return count >= TOLD_BY * number and count / number >= LIFT * asked_at_all[word] / turns

    return {
        found
        for found, counts in asked.items()
        if any(tells(count, word, turns_with[found]) for word, count in counts.items())
    }


def _shortened(sentence: str) -> str:
    line = " ".join(sentence.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
