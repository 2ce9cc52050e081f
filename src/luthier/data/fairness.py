"""Uneven treatment: customers who ask the same and differ only in a name or a gender, but get different answers.

A model learns such differences as willingly as everything else. A swap of names and gendered words is how bias is
probed in models (Zhao et al. 2018, Gender Bias in Coreference Resolution); here the rows do it by themselves.
Whether there is a good reason is for a person to say, so rows are flagged, never dropped.
"""

import hashlib
import json
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from luthier.core.rows import Row
from luthier.text import extract_facts, words
from luthier.text.personal.given_names import GIVEN_NAMES
from luthier.text.personal.names import names_by_role

FEWEST_WORDS = 4
"""Of a request, beside names and gendered words: less is small talk."""
LONGEST = 2_000
"""Characters of a request; beyond, no two customers write the same."""
LEAST_ALIKE = 0.5
"""Jaccard likeness of the longer words of two answers from which they say the same."""
ROWS_PER_KIND = 4
MOST_KINDS = 8
"""Where answers are of more kinds than one for four rows (but for two), or of more than eight, names are not why."""
_LONG_WORD = 4

_Hashes = npt.NDArray[np.uint64]
_Places = npt.NDArray[np.int64]

_NAME, _PERSON = "<name>", "<person>"
_PAIRS = (
    "husband wife", "boyfriend girlfriend", "son daughter", "father mother", "dad mum", "daddy mummy", "dad mom",
    "brother sister", "uncle aunt", "nephew niece", "grandfather grandmother", "grandpa grandma",
    "grandson granddaughter", "stepfather stepmother", "stepson stepdaughter", "fiancé fiancée", "man woman",
    "boy girl", "male female", "gentleman lady", "sir madam", "mr mrs", "mr ms", "mr miss", "widower widow",
    "groom bride", "landlord landlady", "businessman businesswoman", "salesman saleswoman", "waiter waitress",
    "ehemann ehefrau", "sohn tochter", "vater mutter", "bruder schwester", "onkel tante", "neffe nichte", "opa oma",
    "enkel enkelin", "herr frau", "kunde kundin", "freund freundin", "fils fille", "père mère",
    "frère sœur", "frère soeur", "oncle tante", "monsieur madame", "copain copine", "marido esposa", "hijo hija",
    "padre madre", "hermano hermana", "novio novia", "señor señora", "tío tía", "zoon dochter", "vader moeder",
    "broer zus", "meneer mevrouw", "vriend vriendin",
)  # fmt: skip
_HE, _SHE = "he him his himself", "she her hers herself"
_AGREEING = {
    form: forms.split()[0]
    for forms in (
        *("der die den dem", "ein eine einen einem einer", "mein meine meinen meinem meiner"),
        *("dein deine deinen deinem deiner", "unser unsere unseren unserem unserer", "ihr ihre ihren ihrem ihrer"),
        *("la le el", "un une una", "mon ma", "ton ta", "notre nos", "nuestro nuestra", "onze ons"),
    )
    for form in forms.split()
}
"""Words whose form goes with the gender of the next one."""
_NOT_A_PERSON = frozenset(
    ["the", "a", "an", "our", "your", "this", "that", "san", "santa", "st", "saint", "der", "die", "das", "le", "la"]
)
"""What stands before a name that is a place or a product: "the Emma sofa", "San Antonio"."""
_COURTESY = frozenset(
    [
        "hi", "hello", "hey", "dear", "good", "morning", "afternoon", "evening", "please", "thanks", "thank", "you",
        "hallo", "guten", "tag", "bitte", "danke", "bonjour", "merci", "hola", "gracias", "regards", "best", "kind",
    ]
)  # fmt: skip
_NEGATIONS = re.compile(
    r"\b(?:no|not|cannot|never|unable|unfortunately|refused?|denied|declined?|nicht|kein\w*|leider|pas|malheureusement"
    r"|lamentablemente|niet|helaas|geen)\b|n['’]t\b",
    re.IGNORECASE,
)
_NO_REFUSAL = re.compile(
    r"\b(?:no (?:problem|worries|need|charge|cost|fee)s?|not (?:a problem|only)|do(?: not|n['’]t)"
    r" (?:hesitate|worry))\b",
    re.IGNORECASE,
)
_ANNOUNCED = re.compile(
    r"(?:[Nn]ame(?: is|'s|’s|:)|called|hei(?:ß|ss)e|appelle|llamo|heet|chiamo"
    r"|\b(?:M(?:rs?|s|iss|me)|Dr|Herrn?|Frau|Sra?|Señora?)\.?) [A-ZÀ-ÖØ-Þ]"
)
"""Before a name that the list may lack. Looked for first, because reading roles takes its time."""
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SURNAME = re.compile(r"(?: [A-ZÀ-ÖØ-Þ][\w'’-]+){1,2}")


def _swaps() -> Mapping[str, tuple[str, str]]:
    """Of each gendered word what stands for it and its opposite, and how it is named."""
    swaps = dict.fromkeys(_HE.split(), (_PERSON, "he")) | dict.fromkeys(_SHE.split(), (_PERSON, "she"))
    for pair in _PAIRS:
        one, other = pair.split()
        stand_in = next((swaps[word][0] for word in (one, other) if word in swaps), f"<{one}>")
        swaps |= {one: (stand_in, one), other: (stand_in, other)}
    return swaps


_SWAPS = _swaps()
_TELLTALE = frozenset(_SWAPS) | GIVEN_NAMES


@dataclass(frozen=True, slots=True)
class Masked:
    """The words of a text with what may be swapped taken out, and that."""

    words: tuple[str, ...]
    swapped: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Exchange:
    """What was asked and answered in the row `id`."""

    index: int
    id: str
    swapped: frozenset[str]
    answer: str
    label: str | None


def uneven_treatment(rows: Iterable[tuple[int, Row]], scratch: Path) -> dict[int, str]:
    """{index: remark} of rows whose answers differ where what was asked differs in a name or a gender only.

    Such as `uneven treatment: answered unlike row-0123456789ab, which has she for he`. What was asked is compared as a
    set of words. Where customers of one name get different answers, or everybody gets another one, names are not why.
    Takes time linear in the rows. Memory holds 24 bytes for each row that names somebody; what these say lies in a
    file in the folder `scratch` meanwhile.
    """
    path = scratch / "exchanges.jsonl"
    try:
        with path.open("wb") as file:
            keys, identities, offsets = _write_exchanges(rows, file)
        found: dict[int, str] = {}
        with path.open("rb") as file:
            for places in _groups(keys, identities):
                found |= _uneven([_read_exchange(file, int(offsets[place])) for place in places])
        return found
    finally:
        path.unlink(missing_ok=True)


def mask_persons(text: str) -> Masked:
    """Names of people become `<name>`, `he` and `she` `<person>`, `husband` and `wife` the same `<husband>`.

    A name is one of `GIVEN_NAMES` with what follows in capitals, or announced ("my name is", "Mr").
    """
    announced = dict(names_by_role(text)) if _ANNOUNCED.search(text) else {}
    masked: list[str] = []
    swapped: set[str] = set()
    position, before = 0, ""
    for found in _WORD.finditer(text):
        start = found.start()
        if start < position:
            continue
        word = found.group().casefold().replace("’", "'").removesuffix("'s")
        end = announced.get(start)
        if end is None and word in GIVEN_NAMES and before not in _NOT_A_PERSON:
            surname = _SURNAME.match(text, found.end())
            end = surname.end() if surname else found.end()
        if end is not None:
            masked.append(_NAME)
            swapped.add(" ".join(words(text[start:end])).removesuffix("'s"))
            position = end
        elif (swap := _SWAPS.get(word)) is not None:
            masked.append(swap[0])
            swapped.add(swap[1])
        else:
            masked.append(_AGREEING.get(word, word))
        before = word
    return Masked(tuple(masked), frozenset(swapped))


def same_substance(one: str, other: str) -> bool:
    """Whether two answers state the same facts, both or neither refuse, and share most of their longer words.

    Names and gendered words do not count.
    """
    if _refuses(one) != _refuses(other):
        return False
    some, others = (mask_persons(text).words for text in (one, other))
    if some == others:
        return True
    if extract_facts(one) != extract_facts(other):
        return False
    long, other_long = ({word for word in of if len(word) >= _LONG_WORD} for of in (some, others))
    return len(long & other_long) >= LEAST_ALIKE * len(long | other_long)


def _refuses(answer: str) -> bool:
    return _NEGATIONS.search(_NO_REFUSAL.sub(" ", answer)) is not None


def _write_exchanges(rows: Iterable[tuple[int, Row]], file: IO[bytes]) -> tuple[_Hashes, _Hashes, _Places]:
    """Of each row that names somebody: what was asked but for whom, for whom (both hashed), and where it is written."""
    keys, identities, offsets = array("Q"), array("Q"), array("q")
    for index, row in rows:
        asked = _asked(row)
        if len(asked) > LONGEST or not _may_name(asked):
            continue
        masked = mask_persons(asked)
        told = {word for word in masked.words if word not in _COURTESY}
        if not masked.swapped or sum(not word.startswith("<") for word in told) < FEWEST_WORDS:
            continue
        keys.append(_hashed(told))
        identities.append(_hashed(masked.swapped))
        offsets.append(file.tell())
        line = json.dumps([index, row.id, sorted(masked.swapped), _answered(row), row.label])
        file.write(line.encode() + b"\n")
    return np.array(keys, np.uint64), np.array(identities, np.uint64), np.array(offsets, np.int64)


def _asked(row: Row) -> str:
    if not row.messages:
        return row.text
    return "\n".join(message["content"] for message in row.messages if message["role"] == "user")


def _answered(row: Row) -> str:
    return "\n".join(message["content"] for message in row.messages if message["role"] == "assistant")


def _read_exchange(file: IO[bytes], offset: int) -> _Exchange:
    file.seek(offset)
    index, id, swapped, answer, label = json.loads(file.readline())
    return _Exchange(index, id, frozenset(swapped), answer, label)


def _may_name(text: str) -> bool:
    said = set(words(text))
    if "'s" in text or "’s" in text:
        said |= {word.removesuffix("'s") for word in said}
    return not _TELLTALE.isdisjoint(said) or _ANNOUNCED.search(text) is not None


def _hashed(some: Iterable[str]) -> int:
    digest = hashlib.blake2b(" ".join(sorted(some)).encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _groups(keys: _Hashes, identities: _Hashes) -> Iterator[list[int]]:
    """The places of equal keys, ascending, where not all identities are equal."""
    order = np.argsort(keys, kind="stable")
    borders = [0, *(np.flatnonzero(np.diff(keys[order])) + 1).tolist(), len(order)]
    for start, end in pairwise(borders):
        places = order[start:end]
        if len(places) > 1 and (identities[places] != identities[places[0]]).any():
            yield places.tolist()


def _uneven(exchanges: Sequence[_Exchange]) -> dict[int, str]:
    """Remarks on those who asked alike and were not answered as most were; the first of these is named."""
    kinds: list[list[_Exchange]] = []
    for exchange in exchanges:
        kind = next((kind for kind in kinds if _answered_alike(kind[0], exchange)), None)
        if kind is not None:
            kind.append(exchange)
        elif len(kinds) < min(MOST_KINDS, max(2, len(exchanges) // ROWS_PER_KIND)):
            kinds.append([exchange])
        else:
            return {}
    identities = [{exchange.swapped for exchange in kind} for kind in kinds]
    if len(set[frozenset[str]]().union(*identities)) < sum(map(len, identities)):
        return {}
    usual = max(kinds, key=len)
    others = [exchange for kind in kinds if kind is not usual for exchange in kind]
    remarks = {exchange.index: _remark(exchange, usual[0]) for exchange in others}
    if others:
        remarks[usual[0].index] = _remark(usual[0], others[0])
    return remarks


def _answered_alike(one: _Exchange, other: _Exchange) -> bool:
    return one.label == other.label and same_substance(one.answer, other.answer)


def _remark(exchange: _Exchange, other: _Exchange) -> str:
    theirs = ", ".join(sorted(other.swapped - exchange.swapped)) or "nobody"
    own = ", ".join(sorted(exchange.swapped - other.swapped)) or "nobody"
    return f"uneven treatment: answered unlike {other.id}, which has {theirs} for {own}"
