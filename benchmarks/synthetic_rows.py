"""Made-up conversations of a help desk, for benchmarks of data preparation: the same on every machine.

Each is a request and an answer in paragraphs, about 150 words together. Words follow Zipf's law: common English ones,
then invented ones, rare ones without end. One row of five holds an e-mail address, a phone number, an order number or a
price. Of twenty rows one is a near duplicate of an earlier row (words swapped, put in or cut off, or another case or
punctuation), and one only looks like one: more words differ. Rows are made one by one from their number, so millions
take no memory.

    python benchmarks/synthetic_rows.py 1000 > rows.jsonl
"""

import itertools
import json
import random
import sys
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

LIKENESS = 0.8
"""Jaccard likeness of runs of five words from which a row is a near duplicate."""
_LOOK_ALIKE = (0.3, 0.75)
_TURN = 20
_NEAR_DUPLICATE, _LOOKS_LIKE_ONE = 7, 13
"""Which rows of every turn are variants of earlier ones."""
_RANKS = 30_000
_ZIPF = 1.1
_TABLE = 1 << 16
_PARAGRAPH = 0.2
"""Share of sentences that begin one."""
_SHORTEST_SENTENCE, _LONGEST_SENTENCE = 5, 16
_FEWEST_WORDS, _MOST_WORDS = 100, 200
_ASKED = 0.4
"""Share of the words that are the request's."""
_WITH_DETAIL = 0.2
_COMMON = """
the I to a my you and it is of in for have on that this we with your not be can was me please order but as are will
if do at so from an has or when by would there been they get thank help no what just need any hello still one only after
which now out how could new account all email our sorry time day like received send back had out about delivery
want refund website thanks item again then see call because know number card payment tried sent week two up
parcel more some who should check working try yes today after before their money were address never than return he
says also other phone very first won't don't can't I've it's product same make well really service wrong problem since
does use give take long days able being over here customer let contact password why where did them wait said box
change already into went look find off way next last three hours even both left keep going put made own page link
button error bought price paid shop store date name line open click form reply question told shows another until
without please ask cancel replace broken arrived missing late courier driver door house old small large blue red
colour size chair table lamp sofa shelf bed drawer screw handle glass wood metal fabric cushion mattress desk
invoice receipt discount code voucher offer sale total amount charge charged bank statement pending cleared deposit
Monday Tuesday Friday Saturday morning afternoon evening yesterday tomorrow month year January March June
agent team manager support chat message inbox spam folder file photo picture attach label bar warehouse stock
available unavailable delayed scheduled collected confirmed approved rejected expired valid damaged scratched loose
"""
_SYLLABLES = "ba co de fi gra ho jun ka lo mer ni pol qua ri ster tan ul vor wen yt zel sha dri plo"

Draw = random.Random
Turns = tuple[str, str]
"""Request and answer."""


@dataclass(frozen=True, slots=True)
class SyntheticRow:
    """A conversation. `source` is the number of the row that it is a variant of, `likeness` how alike they are."""

    number: int
    prompt: str
    completion: str
    source: int | None = None
    likeness: float = 0.0

    @property
    def text(self) -> str:
        return f"{self.prompt}\n{self.completion}"


def synthetic_rows(count: int, seed: int = 0) -> Iterator[SyntheticRow]:
    """Rows number 0 to `count` - 1."""
    return (row_at(number, seed) for number in range(count))


def row_at(number: int, seed: int = 0) -> SyntheticRow:
    """One row, made from nothing but its number and the seed."""
    draw = Draw(f"{seed} {number}")
    if not _is_variant(number):
        return SyntheticRow(number, *_conversation(draw))
    source = draw.randrange(number)
    while _is_variant(source):
        source -= 1
    original = row_at(source, seed)
    make = _near_duplicate if number % _TURN == _NEAR_DUPLICATE else _look_alike
    (prompt, completion), alike = make(original, draw)
    return SyntheticRow(number, prompt, completion, source, alike)


def _is_variant(number: int) -> bool:
    return number >= _TURN and number % _TURN in (_NEAR_DUPLICATE, _LOOKS_LIKE_ONE)


def likeness(one: str, other: str) -> float:
    """Jaccard likeness of the runs of five words of two texts, without case and punctuation."""
    left, right = _runs(one), _runs(other)
    return len(left & right) / len(left | right)


def _runs(text: str) -> frozenset[tuple[str, ...]]:
    words = "".join(letter if letter.isalnum() or letter == "'" else " " for letter in text.lower()).split()
    return frozenset(tuple(words[start : start + 5]) for start in range(len(words) - 4))


@cache
def _words_by_chance() -> tuple[list[str], int]:
    """A table in which each word stands as often as its rank makes it likely, and the first rank too rare for it.

    Places of rarer words are empty.
    """
    shares = list(itertools.accumulate((rank + 3) ** -_ZIPF for rank in range(_RANKS)))
    common = _COMMON.split()
    ranks = [bisect(shares, shares[-1] * place / _TABLE) for place in range(_TABLE)]
    first_rare = next(rank for rank, after in itertools.pairwise(ranks) if after > rank + 1)
    words = [common[rank] if rank < len(common) else _invented(rank) for rank in range(first_rare)]
    return [words[rank] if rank < first_rare else "" for rank in ranks], first_rare


def _invented(number: int) -> str:
    """A word of two syllables or more, another one for each number."""
    syllables = _SYLLABLES.split()
    parts: list[str] = []
    while number or len(parts) < 2:
        number, place = divmod(number, len(syllables))
        parts.append(syllables[place])
    return "".join(parts)


def _draw_words(draw: Draw, count: int) -> list[str]:
    """Among rare words frequency falls with the square of the rank."""
    table, first_rare = _words_by_chance()
    chances = memoryview(draw.randbytes(8 * count)).cast("Q")
    return [
        table[chance % _TABLE] or _invented(int(first_rare / (1 - (chance >> 16) / (1 << 48)))) for chance in chances
    ]


def _conversation(draw: Draw) -> Turns:
    count = draw.randint(_FEWEST_WORDS, _MOST_WORDS)
    asked = int(count * _ASKED)
    request, answer = _sentences(draw, asked), _sentences(draw, count - asked)
    if draw.random() < _WITH_DETAIL:
        request.insert(draw.randrange(len(request) + 1), _detail(draw))
    return _paragraphs(request, draw), _paragraphs(answer, draw)


def _paragraphs(sentences: list[str], draw: Draw) -> str:
    between = ("\n\n" if chance < 256 * _PARAGRAPH else " " for chance in draw.randbytes(len(sentences)))
    return "".join(itertools.chain.from_iterable(zip(sentences, between, strict=True))).strip()


def _sentences(draw: Draw, count: int) -> list[str]:
    words, sentences = _draw_words(draw, count), []
    for chance in draw.randbytes(count):
        length = _SHORTEST_SENTENCE + chance % (_LONGEST_SENTENCE - _SHORTEST_SENTENCE)
        sentence, words = words[:length], words[length:]
        if len(sentence) > 8:
            sentence[len(sentence) // 2] += ","
        joined = " ".join(sentence)
        sentences.append(f"{joined[0].upper()}{joined[1:]}{'...?!'[chance % 5]}")
        if not words:
            break
    return sentences


def _detail(draw: Draw) -> str:
    digits = "".join(draw.choices("0123456789", k=10))
    name = ".".join(draw.choices(_SYLLABLES.split(), k=2))
    return draw.choice(
        [
            f"My address is {name}{digits[:2]}@mail.example if you need it.",
            f"You can call me on 07700 900{digits[:3]} after five.",
            f"The order number is AF-{digits[:6]} from last week.",
            f"I paid {digits[:2]}.{digits[2:4]} on {1 + int(digits[4])} March 2025.",
        ]
    )


def _near_duplicate(row: SyntheticRow, draw: Draw) -> tuple[Turns, float]:
    """The row with a small change, and how alike it still is."""
    change = draw.choice(_SMALL_CHANGES)
    for strength in (3, 2, 1):
        changed = change(row, draw, strength)
        if (alike := likeness(row.text, "\n".join(changed))) >= LIKENESS:
            return changed, alike
    return _recased(row, draw, 1), 1.0


def _look_alike(row: SyntheticRow, draw: Draw) -> tuple[Turns, float]:
    """The row with so many words changed that it is another."""
    low, high = _LOOK_ALIKE
    strength = len(row.text) // draw.randint(90, 180)
    while True:
        changed = _swapped(row, draw, strength)
        alike = likeness(row.text, "\n".join(changed))
        if low <= alike <= high:
            return changed, alike
        strength += 1 if alike > high else -1


def _swapped(row: SyntheticRow, draw: Draw, strength: int) -> Turns:
    words = row.completion.split(" ")
    for place, new in zip(draw.sample(range(len(words)), strength), _draw_words(draw, strength), strict=True):
        words[place] = f"{new}ly" if words[place].lower() == new.lower() else new
    return row.prompt, " ".join(words)


def _inserted(row: SyntheticRow, draw: Draw, strength: int) -> Turns:
    words = row.completion.split(" ")
    for new in _draw_words(draw, strength):
        words.insert(draw.randrange(len(words) + 1), new)
    return row.prompt, " ".join(words)


def _cut(row: SyntheticRow, draw: Draw, strength: int) -> Turns:
    return row.prompt, " ".join(row.completion.split(" ")[: -draw.randint(1, 4 * strength)])


def _recased(row: SyntheticRow, draw: Draw, strength: int) -> Turns:
    if draw.random() < strength / 4:
        return row.prompt.upper(), row.completion
    return row.prompt, row.completion.lower()


def _repunctuated(row: SyntheticRow, draw: Draw, strength: int) -> Turns:
    return row.prompt.replace(".", " !" * strength), row.completion.replace(", ", draw.choice([" - ", "; ", " "]))


_SMALL_CHANGES: list[Callable[[SyntheticRow, Draw, int], Turns]] = [
    _swapped,
    _swapped,
    _inserted,
    _inserted,
    _cut,
    _recased,
    _repunctuated,
]


def main() -> None:
    for row in synthetic_rows(int(sys.argv[1])):
        print(json.dumps({"prompt": row.prompt, "completion": row.completion}))


if __name__ == "__main__":
    main()
