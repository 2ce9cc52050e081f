"""What may still be personal data after redaction: shapes looser than those that are redacted, for a person to read."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from luthier.text.personal.names import names_by_role
from luthier.text.personal.references import reference_before

_AROUND = 24
_MOST = 10
_AT = re.compile(r"[\w.+-]{2,64} ?(?:@|\(at\)|\[at\]|\{at\}) ?[\w-]{2,63} ?(?:\.|\(dot\)|\[dot\]) ?[a-z]{2,24}\b", re.I)
_DIGITS = re.compile(r"(?<![\w.,:/=#-])[0-9](?:[ .()/-]{0,2}[0-9]){6,24}(?![\w,:]|\.[0-9])")
_POSTCODE_TOWN = re.compile(
    r"(?<![\w.,/#-])(?:[A-Z]{1,2}-)?[0-9]{4,5}(?: [A-Z]{2})? [A-ZÄÖÜÉ][a-zäöüßéèà]{3,30}(?![\w.@])"
    r"|(?<![\w-])[A-Z]{1,2}[0-9][0-9A-Z]? [0-9][A-Z]{2}(?!\w)"
    r"|, [A-Z]{2} [0-9]{5}(?![\w-])"
)
_NO_NUMBER = re.compile(
    r"(?:19|20)[0-9]{2}[ ./-][0-9]{1,2}[ ./-][0-9]{1,2}.*|[0-9]{1,2}[ ./-][0-9]{1,2}[ ./-](?:19|20)[0-9]{2}.*"  # a date
    r"|(?:1[5-9]|20)[0-9]{2} ?[-/] ?(?:1[5-9]|20)[0-9]{2}"  # a span of years
    r"|[0-9]+\.[0-9]+|[0-9]{1,3}(?:\.[0-9]{1,3}){2,}|[0-9]{1,3}(?: [0-9]{3})+"  # a decimal, a version, an amount
)
_YEAR_BEFORE_TOWN = re.compile(r"(?:19|20)[0-9]{2} ")
_LINK = re.compile(r"(?:https?://|www\.)[^\s<>\"]+", re.IGNORECASE)


class Residual(NamedTuple):
    """What a place looks like (`digits`, `e-mail`, `name`, `place`), and the text around it, shortened."""

    kind: str
    snippet: str


def residuals(text: str, names: bool = True) -> list[Residual]:
    """Places of a redacted text that a person should look at, ten at most.

    `names`: also names in a greeting, title or signature. Leave it out where names were replaced by made-up ones, which
    look just the same. The numbers of orders and products, told by the noun before them, are not meant. Costs more than
    redaction: for a sample.
    """
    links = [found.span() for found in _LINK.finditer(text)]
    found = [
        (start, end, kind)
        for kind, start, end in _places(text, names)
        if not any(first <= start < last for first, last in links)
    ]
    return [Residual(kind, _snippet(text, start, end)) for start, end, kind in sorted(found)[:_MOST]]


def _places(text: str, names: bool) -> Iterator[tuple[str, int, int]]:
    yield from (("e-mail", *found.span()) for found in _AT.finditer(text))
    for found in _DIGITS.finditer(text):
        if not _NO_NUMBER.fullmatch(found.group()) and reference_before(text, found.start()) is None:
            yield "digits", *found.span()
    for found in _POSTCODE_TOWN.finditer(text):
        if not _YEAR_BEFORE_TOWN.match(found.group()):
            yield "place", *found.span()
    if names:
        yield from (("name", *span) for span in sorted(set(names_by_role(text))))


def _snippet(text: str, start: int, end: int) -> str:
    first, last = max(0, start - _AROUND), min(len(text), end + _AROUND)
    around = " ".join(text[first:last].split())
    return f"{'… ' if first else ''}{around}{' …' if last < len(text) else ''}"
