"""How each kind of fact is written, and its one spelling. `READERS` apply in order; what one takes, no later one sees.

The patterns read text in lower case with number words as digits and one kind of dash, quote and space.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import phonenumbers

from luthier.text.numerals import NUMBER, parse_number, plain_number

FactKind = Literal[
    "email", "url", "date", "weekday", "time", "phone", "price", "percentage", "duration", "measure", "count", "code"
]
Match = re.Match[str]


@dataclass(frozen=True, slots=True)
class Reader:
    """A pattern and the values that a match of it states; none where it turns out to be no such fact."""

    kind: FactKind
    pattern: re.Pattern[str]
    read: Callable[[Match], list[str]]


_QUANTITY = rf"(?:(?P<first>{NUMBER})\s?(?:-|to|and|or|x)\s?)?(?P<number>{NUMBER})"
"""A number, or both ends of a range that share a unit: `3-5`, `between 3 and 5`, `90 x 200`."""


def _numbers(match: Match) -> list[Decimal]:
    return [parse_number(text) for text in (match["first"], match["number"]) if text]


# E-mail and web addresses

_TOP_LEVEL = "com|org|net|io|eu|uk|ie|de|fr|es|it|nl|pt|no|se|dk|ch|at|be|pl|info|shop|store|app|dev|example|test"
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_URL = re.compile(
    rf"(?:https?://|www\.)[^\s<>\"|)\]]+|(?<![\w.@-])(?:[a-z0-9-]+\.)+(?:{_TOP_LEVEL})\b(?!\.\w)(?:/[^\s<>\"|)\]]*)?"
)


def _url(match: Match) -> list[str]:
    return [re.sub(r"^(?:https?://)?(?:www\.)?", "", match.group()).rstrip("/.,;:!?'*")]


# Dates: ISO 8601, without the year (--12-24) or the day (2024-12) where they are not given

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_DAY = r"(?P<day>0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_DATES = (
    rf"\b{_YEAR}-(?P<month>0[1-9]|1[0-2])-{_DAY}\b",
    rf"(?<![\d./]){_DAY}([/.])(?P<month>0?[1-9]|1[0-2])\2{_YEAR}\b",
    rf"(?<![\w.,]){_DAY}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? {_YEAR}\b)?",
    rf"\b(?!may \d+\b){_MONTH} {_DAY}(?:st|nd|rd|th)?\b(?![:.,]\d)(?:,? {_YEAR}\b)?",
    rf"\b{_MONTH} {_YEAR}\b",
    rf"(?:(?<=\bin )|(?<=\bsince )|(?<=\bfrom )){_YEAR}(?![\w%]|[.,]\d)",
)
_LONE_YEAR = re.compile(rf"(?<![\w.,#-]){_YEAR}(?![\w%]|[.,]\d)")
_WEEKDAY = re.compile(r"\b((?:mon|tues|wednes|thurs|fri|satur|sun)day)s?\b")


def _date(match: Match) -> list[str]:
    parts = match.groupdict()
    year, month, day = parts.get("year"), parts.get("month"), parts.get("day")
    if not month:
        return [str(year)]
    number = int(month) if month.isdigit() else _MONTHS.index(month[:3]) + 1
    return [f"{year or '-'}-{number:02d}" + (f"-{int(day):02d}" if day else "")]


# Times of day, on the 24-hour clock

_HALF_DAY = re.compile(
    r"(?:(?<![\w.,:])(?P<first>1[0-2]|0?[1-9])(?:[:.](?P<first_minute>[0-5]\d))?\s?(?:-|to|until|and)\s?)?"
    r"(?<![\w.,:])(?P<hour>1[0-2]|0?[1-9])(?:[:.](?P<minute>[0-5]\d))?\s?(?P<half>[ap])(?:\.\s?m\.?|m\b)"
)
_CLOCK = re.compile(r"(?<![\w:.,])(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?::[0-5]\d)?(?![\d:])(?:\s?h\b)?")
_NAMED_TIME = re.compile(r"\b(noon|midday|midnight)\b")


def _half_day(match: Match) -> list[str]:
    """`8 to 7 pm` starts in the morning, `2-4 pm` in the afternoon."""
    last = _on_24_hours(match["hour"], match["minute"], match["half"])
    if not match["first"]:
        return [last]
    first = _on_24_hours(match["first"], match["first_minute"], match["half"])
    other = "a" if match["half"] == "p" else "p"
    return [first if first < last else _on_24_hours(match["first"], match["first_minute"], other), last]


def _on_24_hours(hour: str, minute: str | None, half: str) -> str:
    return f"{int(hour) % 12 + (12 if half == 'p' else 0):02d}:{minute or '00'}"


# Phone numbers: the national number, without country code or leading zero

_PHONE = re.compile(
    r"(?<![\w.,+-])(?:(?:\+|00)[1-9](?:[ ./-]?\(?\d\)?){6,14}|\(?0(?:[ ./-]?\(?\d\)?){6,12}"
    r"|(?:1[ -])?\(?\d{3}\)?[-. ]\d{3}[-. ]\d{3,4})(?![\w-])"
)


def _phone(match: Match) -> list[str]:
    text = re.sub(r"^00", "+", match.group())
    if not text.startswith("+"):
        return [re.sub(r"\D", "", text).lstrip("0")]
    try:
        return [str(phonenumbers.parse(text, None).national_number)]
    except phonenumbers.NumberParseException:
        return [re.sub(r"\D", "", text)]


# Prices: amount with two decimals and the ISO 4217 code

_CURRENCIES = {
    "EUR": r"€|eur\b|euros?\b",
    "GBP": r"£|gbp\b|pounds?\b",
    "USD": r"(?:us)?\$|usd\b|dollars?\b",
    "CHF": r"chf\b|(?:swiss )?francs?\b",
}
_CURRENCY = rf"(?P<currency>{'|'.join(_CURRENCIES.values())})"
_PRICE_BEFORE = re.compile(
    rf"(?<!\d)(?<!\d )(?<![a-z]){_CURRENCY}\s?(?P<number>{NUMBER})(?!(?:[.,]?\d+)*[^\W\d_])"
    rf"(?:-(?P<first>{NUMBER})(?![\w-]))?"
)
_PRICE_AFTER = re.compile(rf"{_QUANTITY}[\s-]?{_CURRENCY}(?: (?:and )?(?P<cents>\d\d?) cents?\b)?")


def _price(match: Match) -> list[str]:
    code = next(code for code, pattern in _CURRENCIES.items() if re.fullmatch(pattern, match["currency"]))
    cents = Decimal(match.groupdict().get("cents") or 0) / 100
    return [f"{amount + cents:.2f} {code}" for amount in _numbers(match)]


# Percentages; half is 50 %

_PERCENTAGE = re.compile(rf"{_QUANTITY}\s?(?:%|per ?cent\b|pct\b)")
_HALF = re.compile(r"(?<!and a )\bhalf\b(?! past| an?\b)")


def _percentage(match: Match) -> list[str]:
    return [f"{plain_number(number)} %" for number in _numbers(match)]


# Durations, in the largest unit that comes out whole; working days, and months against days, are not converted

_FREQUENCY = re.compile(
    rf"(?:(?P<number>{NUMBER}) ?(?:times|x)|(?P<word>once|twice|thrice))[ -]"
    r"(?:(?:in )?(?:a|an|per|every|each|1) ?(?P<unit>day|week|month|year)\b"
    r"|(?P<adverb>daily|weekly|monthly|yearly|annually))"
)
_ADVERBS = {"daily": "day", "weekly": "week", "monthly": "month", "yearly": "year", "annually": "year"}
_TIMES = {"once": "1", "twice": "2", "thrice": "3"}
_SECONDS = {"week": 604800, "day": 86400, "hour": 3600, "minute": 60, "second": 1}
_DURATION_UNIT = (
    r"(?:(?:full|whole|calendar|consecutive) )?(?P<unit>(?:working|business|work|week)[ -]?days?|seconds?|secs?"
    r"|minutes?|mins?|hours?|hrs?|h|days?|weeks?|wks?|months?|years?|yrs?)\b"
)
_DURATION = re.compile(rf"{_QUANTITY}[\s-]?{_DURATION_UNIT}")
_ONE_UNIT = re.compile(
    r"\b(?:within|in|after|for|takes?) an? (?P<unit>(?:working |business )?(?:minute|hour|day|week|month|year))\b"
)
_HALF_HOUR = re.compile(r"\bhalf[ -](?:an )?hour\b")


_HOUR_AND_HALF = re.compile(r"\b(?:an|1) hour and (?:a )?half\b")


def _frequency(match: Match) -> list[str]:
    times = plain_number(parse_number(match["number"] or _TIMES[match["word"]]))
    return [f"{times} times a {match['unit'] or _ADVERBS[match['adverb']]}"]


def _duration(match: Match) -> list[str]:
    numbers = _numbers(match) if "number" in match.groupdict() else [Decimal(1)]
    return [_longest(number, match["unit"]) for number in numbers]


def _longest(number: Decimal, name: str) -> str:
    if re.match(r"(?:work|business|week[ -]?day)", name):
        return _spell(number, "working day")
    if name.startswith(("mon", "y")):
        months = number * (12 if name.startswith("y") else 1)
        return _spell(months / 12, "year") if months % 12 == 0 else _spell(months, "month")
    seconds = number * next(length for unit, length in _SECONDS.items() if name[0] == unit[0])
    unit = next((unit for unit, length in _SECONDS.items() if seconds % length == 0), "second")
    return _spell(seconds / _SECONDS[unit], unit)


def _spell(number: Decimal, unit: str) -> str:
    return f"{plain_number(number)} {unit}{'' if number == 1 else 's'}"


# Measures, in one unit a quantity

_UNITS: dict[str, tuple[str, str]] = {
    r"mm|milli(?:metre|meter)s?": ("0.1", "cm"),
    r"cm|centi(?:metre|meter)s?": ("1", "cm"),
    r"km|kilo(?:metre|meter)s?": ("100000", "cm"),
    r"m2|sqm|square[ -](?:metre|meter)s?": ("1", "m2"),
    r"m|(?:metre|meter)s?": ("100", "cm"),
    r"inch(?:es)?": ("1", "in"),
    r"ft|feet|foot": ("12", "in"),
    r"kg|kilos?|kilo ?grams?|kilo ?grammes?": ("1", "kg"),
    r"g|grams?|grammes?": ("0.001", "kg"),
    r"tonnes?": ("1000", "kg"),
    r"lbs?": ("1", "lb"),
    r"ml|milli(?:litre|liter)s?": ("0.001", "l"),
    r"l|(?:litre|liter)s?": ("1", "l"),
    r"kw|kilowatts?": ("1000", "w"),
    r"w|watts?": ("1", "w"),
    r"kwh": ("1", "kwh"),
    r"v|volts?": ("1", "v"),
    r"(?:°|degrees?) ?(?:f|fahrenheit)": ("1", "°f"),
    r"(?:°|degrees?)(?: ?c| ?celsius| centigrade)?": ("1", "°c"),
}
_MEASURE = re.compile(rf"{_QUANTITY}[\s-]?(?P<unit>{'|'.join(_UNITS)})(?!\w)")


def _measure(match: Match) -> list[str]:
    factor, unit = next(into for pattern, into in _UNITS.items() if re.fullmatch(pattern, match["unit"]))
    return [f"{plain_number(number * Decimal(factor))} {unit}" for number in _numbers(match)]


# Codes, such as order numbers and lamp sockets

_CODE = re.compile(
    r"#\s?\d{3,}\b|\b[a-z]{1,4}\d{1,8}[a-z]{0,2}\b|\b[a-z]{1,6}(?:-[a-z]{1,6})?-\d{3,}\b|(?<![\w.,-])\d{5,}(?![\w.,-]\w)\b"
)


def _code(match: Match) -> list[str]:
    return [re.sub(r"[#\s-]", "", match.group()).upper()]


# Counts: a number and the first plural after it, at most two words on (`5 free fabric swatches`)

_NO_NOUN = (
    r"(?:a|an|the|of|to|and|or|in|on|at|by|for|from|with|is|are|was|were|has|have|its?|this|that|as|us|not|no|per|if|you"
    r"|your|we|our|they|than|then|there|so|will|can|may|must|be|but|after|before|until|within|always|sometimes|plus"
    r"|minus|less|more|costs|takes|across|does|goes|gives|gets|says|comes|means|lets|else|another)\b"
)
_COUNT = re.compile(
    rf"(?P<number>{NUMBER})[ -](?:(?!{_NO_NOUN})[a-z][a-z'-]* )??(?:(?!{_NO_NOUN})[a-z][a-z'-]* )??"
    rf"(?!{_NO_NOUN})(?P<noun>people|children|men|women|feet|[a-z]*[a-hj-rtv-z]s)\b"
)
_COUNT_OF_ONE = re.compile(rf"(?<![\w.,-])(?P<number>1) (?!{_NO_NOUN})(?P<noun>[a-z]{{2,}})\b")
_SINGULARS = {
    "people": "person", "children": "child", "men": "man", "women": "woman", "leaves": "leaf", "shelves": "shelf",
    "knives": "knife", "halves": "half", "color": "colour", "colors": "colour", "installment": "instalment",
    "installments": "instalment",
}  # fmt: skip


def singular(word: str) -> str:
    """The singular of an English noun by rule, British spelling; words of up to three letters stay as they are."""
    if word in _SINGULARS:
        return _SINGULARS[word]
    if len(word) <= 3 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    return word[:-2] if re.search(r"(?:ch|sh|ss|x|z)es$", word) else word[:-1]


def _count(match: Match) -> list[str]:
    return [f"{plain_number(parse_number(match['number']))} {singular(match['noun'])}"]


READERS: tuple[Reader, ...] = (
    Reader("email", _EMAIL, lambda match: [match.group()]),
    Reader("url", _URL, _url),
    *(Reader("date", re.compile(pattern), _date) for pattern in _DATES),
    Reader("time", _HALF_DAY, _half_day),
    Reader("time", _CLOCK, lambda match: [f"{int(match['hour']):02d}:{match['minute']}"]),
    Reader("time", _NAMED_TIME, lambda match: ["00:00" if match.group() == "midnight" else "12:00"]),
    Reader("phone", _PHONE, _phone),
    Reader("price", _PRICE_BEFORE, _price),
    Reader("price", _PRICE_AFTER, _price),
    Reader("count", _FREQUENCY, _frequency),
    Reader("duration", _HOUR_AND_HALF, lambda _: ["90 minutes"]),
    Reader("duration", _HALF_HOUR, lambda _: ["30 minutes"]),
    Reader("duration", _DURATION, _duration),
    Reader("duration", _ONE_UNIT, _duration),
    Reader("percentage", _PERCENTAGE, _percentage),
    Reader("percentage", _HALF, lambda _: ["50 %"]),
    Reader("measure", _MEASURE, _measure),
    Reader("code", _CODE, _code),
    Reader("count", _COUNT, _count),
    Reader("count", _COUNT_OF_ONE, _count),
    Reader("date", _LONE_YEAR, _date),
    Reader("weekday", _WEEKDAY, lambda match: [match.group(1)]),
)
