"""Repetition within one text, by the rules of Gopher.

Rae et al. 2021, Scaling Language Models: Methods, Analysis & Insights from Training Gopher, appendix A.1.1, table A1.
The rules are made for pages of the web. Good answers of an assistant may break them too: a list of flights, a sum that
is worked out line by line.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise
from typing import NamedTuple

from luthier.core.rows import Row
from luthier.data.reasons import Dropped, dropped
from luthier.data.turns import spoken_texts

MIN_WORDS = 75
"""Texts of fewer words are not judged: by chance a run that stands there twice is a large share of them.

In conversations of support and of assistants the rules on the most frequent runs refused 2 % to 4 % of the turns of 30
to 75 words, "how do I … how do I" among them, and below 1 % of longer ones. Gopher's data hold no text below 50 words.
"""
MOST_LINES = 0.30
MOST_PARAGRAPHS = 0.30
MOST_LINE_CHARACTERS = 0.20
MOST_PARAGRAPH_CHARACTERS = 0.20
MOST_IN_TOP_NGRAM = {2: 0.20, 3: 0.18, 4: 0.16}
MOST_IN_DUPLICATE_NGRAMS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}

_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")


class Excess(NamedTuple):
    """A rule that a text breaks: a share in 0..1, and the largest that the rule allows."""

    rule: str
    share: float
    limit: float

    def __str__(self) -> str:
        return f"{self.rule} {self.share:.1%}, at most {self.limit:.0%}"


def not_repetitive(row: Row) -> Row | Dropped:
    """Judge each text of the row by itself: what is asked again in a later turn is no repetition."""
    for text in spoken_texts(row):
        if excess := find_repetition(text):
            return dropped("repetition", str(excess))
    return row


def find_repetition(text: str) -> Excess | None:
    """The first rule that a text of at least `MIN_WORDS` words breaks; code between fences is left out.

    Words are what stands between white space; characters are those of words. Shares of duplicates do not count what
    stands somewhere for the first time, the share of the most frequent run counts all places of it.
    """
    if len(text) < 2 * MIN_WORDS - 1:
        return None
    if "```" in text:
        text = _FENCED.sub("", text)
    words = text.split()
    if len(words) < MIN_WORDS or is_plainly_varied(text, words):
        return None
    return first_excess(text, words)


def first_excess(text: str, words: Sequence[str]) -> Excess | None:
    """The first rule that the text breaks, whatever its length. `words` is `text.split()`."""
    shares = chain(_shares_of_lines(text), _shares_of_ngrams(words))
    return next((excess for excess in shares if excess.share > excess.limit), None)


def is_plainly_varied(text: str, words: Sequence[str]) -> bool:
    """Whether a quick look shows that the text breaks no rule; of what people write it does for nearly all.

    Paragraphs that stand twice have lines that do; if lines do, these rules are tried as they are. In a run of n words
    that was there before, n - 1 pairs in a row were there before; so all places of the run but its first are seen among
    these, and they cover what it repeats.
    """
    if "\n" in text and not _are_lines_varied(text):
        return False
    pairs = list(pairwise(words))
    seen: dict[tuple[str, str], int] = {}
    again = [place for place, first in enumerate(map(seen.setdefault, pairs, range(len(pairs)))) if first != place]
    if not again:
        return True
    total = len("".join(words))
    stretches = _stretches(again)
    return _are_top_ngrams_rare(words, stretches, total) and _are_duplicates_few(words, stretches, total)


def _are_lines_varied(text: str) -> bool:
    lines = _lines(text)
    if len(set(lines)) == len(lines):
        return True
    return all(excess.share <= excess.limit for excess in _shares_of_lines(text))


def _stretches(pairs: Sequence[int]) -> list[tuple[int, int]]:
    """Begin and end, in words, of the runs that pairs of words at these places make up; these ascend."""
    stretches = []
    begin = end = pairs[0]
    for place in pairs[1:]:
        if place != end + 1:
            stretches.append((begin, end + 2))
            begin = place
        end = place
    return [*stretches, (begin, end + 2)]


def _are_top_ngrams_rare(words: Sequence[str], stretches: Sequence[tuple[int, int]], total: int) -> bool:
    for size, limit in MOST_IN_TOP_NGRAM.items():
        counts: dict[str, int] = {}
        for begin, end in stretches:
            for place in range(begin, end - size + 1):
                run = " ".join(words[place : place + size])
                counts[run] = counts.get(run, 1) + 1
        if any(count * (len(run) - size + 1) > limit * total for run, count in counts.items()):
            return False
    return True


def _are_duplicates_few(words: Sequence[str], stretches: Sequence[tuple[int, int]], total: int) -> bool:
    shortest = min(MOST_IN_DUPLICATE_NGRAMS)
    lengths = [(end - begin, len("".join(words[begin:end]))) for begin, end in stretches if end - begin >= shortest]
    return all(
        sum(characters for length, characters in lengths if length >= size) <= limit * total
        for size, limit in MOST_IN_DUPLICATE_NGRAMS.items()
    )


def _shares_of_lines(text: str) -> Iterator[Excess]:
    lines, paragraphs = _lines(text), _with_words(_BLANK_LINES.split(text))
    yield Excess("duplicate lines", _share_of_places(lines), MOST_LINES)
    yield Excess("duplicate paragraphs", _share_of_places(paragraphs), MOST_PARAGRAPHS)
    yield Excess("characters in duplicate lines", _share_of_characters(lines), MOST_LINE_CHARACTERS)
    yield Excess("characters in duplicate paragraphs", _share_of_characters(paragraphs), MOST_PARAGRAPH_CHARACTERS)


def _shares_of_ngrams(words: Sequence[str]) -> Iterator[Excess]:
    ends = [0, *accumulate(map(len, words))]
    runs: Sequence[int] = _numbered(words)
    for size in range(2, max(MOST_IN_DUPLICATE_NGRAMS) + 1):
        runs = _numbered(list(zip(runs, words[size - 1 :], strict=False)))
        if size in MOST_IN_TOP_NGRAM:
            share = _top_characters(runs, size, ends) / max(1, ends[-1])
            yield Excess(f"characters in the most frequent {size}-gram", share, MOST_IN_TOP_NGRAM[size])
        else:
            share = _covered(_places_after_first(runs), size, ends) / max(1, ends[-1])
            yield Excess(f"characters in duplicate {size}-grams", share, MOST_IN_DUPLICATE_NGRAMS[size])


def _lines(text: str) -> list[str]:
    return _with_words(text.split("\n"))


def _with_words(parts: Sequence[str]) -> list[str]:
    """The parts that hold a letter or digit, without white space around: a lone bracket or rule is none."""
    return [part.strip() for part in parts if _LETTER_OR_DIGIT.search(part)]


def _share_of_places(parts: Sequence[str]) -> float:
    return (len(parts) - len(set(parts))) / max(1, len(parts))


def _share_of_characters(parts: Sequence[str]) -> float:
    total = sum(map(len, parts))
    return (total - sum(map(len, set(parts)))) / max(1, total)


def _numbered(runs: Sequence[object]) -> list[int]:
    """Equal numbers for equal runs, counting from 0 in the order in which they first appear."""
    known: dict[object, int] = {}
    return [known.setdefault(run, len(known)) for run in runs]


def _places_after_first(numbers: Sequence[int]) -> list[int]:
    new = 0
    places = []
    for place, number in enumerate(numbers):
        if number == new:
            new += 1
        else:
            places.append(place)
    return places


def _top_characters(numbers: Sequence[int], size: int, ends: Sequence[int]) -> int:
    """Characters covered by the most frequent run; of several, by the one that covers most; 0 if each stands once."""
    places: dict[int, list[int]] = {}
    for place, number in enumerate(numbers):
        places.setdefault(number, []).append(place)
    most = max(map(len, places.values()), default=0)
    if most < 2:
        return 0
    return max(_covered(found, size, ends) for found in places.values() if len(found) == most)


def _covered(places: Sequence[int], size: int, ends: Sequence[int]) -> int:
    """Characters of the words in runs that start at these places, which ascend; each counts once.

    `ends[i]` is how many characters the first i words have.
    """
    total = reached = 0
    for place in places:
        total += ends[place + size] - ends[max(place, reached)]
        reached = place + size
    return total
