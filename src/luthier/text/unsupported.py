"""Facts in an answer that nothing supports: what a model made up, as far as it can be told without knowing the truth.

A fact is supported when the question, the retrieved text or what the model was trained on states the same value. That
a value stands somewhere does not make it right here: wrong answers to questions whose facts are known are found by
`wrong_facts`. English texts.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from luthier.text.fact_patterns import FactKind, singular
from luthier.text.facts import Fact, extract_facts

CHECKED: frozenset[FactKind] = frozenset({
    "email", "url", "date", "weekday", "time", "phone", "price", "percentage", "duration", "code",
})  # fmt: skip
"""Kinds whose values somebody acts upon. Counts and measures are left out: `two options` needs no source."""

_LETTERS = r"[^\W\d_]"
_WORD = re.compile(rf"{_LETTERS}[\w'’]*(?:-\w+)*")
_MARKS = re.compile(r"[\"'“”‘’«»(){}\[\]*_#:>]")
_NAME_WORD = r"(?:[A-Z][\w'’]*(?:-\w+)*|[a-z]+[A-Z]\w*)"
_NAME = re.compile(rf"{_NAME_WORD}(?:(?: |-| & | of (?=[A-Z])| the (?=[A-Z])){_NAME_WORD})*(?: \d+\b)?")
_OPENS = re.compile(r"(?:^|[.!?:;•\n>(\[*#|-]\s*|\d[.)]\s+)[\"“‘']?$")
"""What stands before a word that is capital because of its place."""
_NEAR = 8
"""So many characters before a word tell whether it opens something."""
_CODE = re.compile(r"[A-Z]{1,6}-?\d\w*")
_TITLE = re.compile(r"\b(Mrs?|Ms|Dr|Prof|St)\.")
_SPELT_OUT = re.compile(
    r"(?P<before>\b\w+(?:[ -]\w+){1,5}) \((?P<short>[A-Z]{2,6})\)"
    r"|\b(?P<first>[A-Z]{2,6}) \((?P<inside>\w+(?:[ -]\w+){1,5})\)"
)
_PLACEHOLDER = re.compile(r"\[[^\]]{0,80}\]|<[^>]{0,80}>|\{[^}]{0,80}\}")
_ADDRESS = re.compile(
    r"(?<!\S)\S{0,200}?(?:@|://|www\.)\S*|(?<![\w.-])[\w.-]{1,80}\.(?:com|org|net|example|co\.uk|eu|de|uk)\b\S*"
)

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAYS = re.compile(
    rf"\b(?P<first>{'|'.join(_WEEKDAYS)})s?\s?(?:-|–|to|through|until|till)\s?(?P<last>{'|'.join(_WEEKDAYS)})"
)

COMMON_CAPITALS = frozenset([
    "i", "i'm", "i'll", "i've", "i'd", "ok", "okay", "mr", "mrs", "ms", "dr", "sir", "madam", "dear", "hi",
    "hello", "thanks", "thank", "regards", "sincerely", "best", "kind", "yours", "faithfully", "ps", "faq",
    "faqs", "pdf", "id", "ids", "vat", "uk", "eu", "us", "usa", "gps", "led", "ai", "vpn", "usb", "am", "pm",
    "tv", "pin", "sms", "url", "html", "iso", "gmt", "utc", "asap", "n/a", "tba", "e-mail", "email", "mail",
    "phone", "telephone", "fax", "call", "number", "address", "website", "web", "page", "site", "online", "app",
    "account", "login", "log", "sign", "password", "profile", "username", "menu", "tab", "button", "link", "form",
    "field", "step", "section", "settings", "option", "options", "help", "center", "centre", "support",
    "customer", "customers", "client", "service", "services", "care", "team", "teams", "department", "desk",
    "representative", "agent", "assistant", "manager", "director", "staff", "order", "orders", "ordering",
    "checkout", "cart", "basket", "payment", "payments", "invoice", "invoices", "receipt", "refund", "refunds",
    "return", "returns", "exchange", "exchanges", "shipping", "shipment", "delivery", "deliveries", "package",
    "parcel", "tracking", "track", "warranty", "guarantee", "policy", "policies", "terms", "conditions",
    "privacy", "notice", "contact", "about", "home", "shop", "store", "products", "product", "item", "items",
    "name", "date", "time", "day", "days", "week", "month", "year", "subject", "message", "submit", "cancel",
    "confirm", "edit", "change", "update", "save", "delete", "view", "open", "close", "search", "select",
    "choose", "click", "go", "next", "back", "continue", "start", "end", "new", "old", "please", "note", "yes",
    "no", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january", "february",
    "march", "april", "may", "june", "july", "august", "september", "october", "november", "december", "spring",
    "summer", "autumn", "winter", "christmas", "easter", "english", "british", "american", "european", "france",
    "germany", "london", "europe", "england", "britain", "internet", "google", "android", "windows", "mac",
    "visa", "mastercard", "paypal", "credit", "debit", "card", "bank", "iban", "the", "a", "an", "and", "or",
    "but", "if", "of", "to", "in", "on", "at", "for", "from", "with", "by", "as", "is", "are", "was", "were",
    "be", "been", "it", "its", "this", "that", "these", "those", "we", "you", "he", "she", "they", "my", "your",
    "our", "their", "his", "her", "who", "what", "when", "where", "why", "how", "there", "here", "so", "then",
    "also", "not", "all", "any", "some", "each", "every", "one", "two", "three", "four", "five", "first",
    "second", "third", "good", "great", "sorry", "however", "therefore", "furthermore", "additionally", "finally",
    "once", "after", "before", "while", "since", "because", "although", "though", "until", "unless", "both",
    "either", "neither", "ask", "visit", "check", "try", "use", "make", "enter", "provide", "ensure", "keep",
    "take", "get", "find", "look", "send", "write", "read", "review", "follow", "wait", "pay", "buy", "add",
    "remove", "include", "explain", "describe", "remember", "consider", "avoid", "learn", "see", "verify",
    "request", "reach", "complete", "fill", "apply", "inform", "offer", "give", "tell", "show", "let", "bring",
    "hold", "wish", "hope", "can", "could", "will", "would", "should", "shall", "might", "must", "do", "does",
    "did", "have", "has", "had", "let's",
])  # fmt: skip
"""Words that are often written with a capital and name nothing that could be made up."""


@dataclass(frozen=True, slots=True, order=True)
class Unsupported:
    """A kind, or `name`, and the value as `extract_facts` spells it, or the name as it is written."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Support:
    """What some texts state: their facts, and all their words in lower case and singular."""

    facts: frozenset[Fact]
    words: frozenset[str]

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Support":
        """Read the texts once, to check many answers against."""
        facts: set[Fact] = set()
        words: set[str] = set()
        for text in texts:
            facts |= extract_facts(text) | _weekdays_between(text)
            words.update(_words(text))
        return cls(frozenset(facts), frozenset(words))

    def and_of(self, texts: Iterable[str]) -> "Support":
        """This support and what more texts state."""
        more = Support.of(texts)
        return Support(self.facts | more.facts, self.words | more.words)

    def with_words_of(self, texts: Iterable[str]) -> "Support":
        """This support; names in the texts are known too, but what they state of numbers and dates supports nothing."""
        return Support(self.facts, self.words | {word for text in texts for word in _words(text)})

    def supports(self, fact: Fact) -> bool:
        """Whether the texts state the fact, or, of a date or web address, one that holds all that the fact says."""
        if fact in self.facts:
            return True
        others = (other.value for other in self.facts if other.kind == fact.kind)
        if fact.kind == "date":
            return any(_dates_agree(fact.value, other) for other in others)
        if fact.kind == "url":
            return any(other.startswith(f"{fact.value}/") for other in others)
        return False


def unsupported_facts(answer: str, support: Support) -> tuple[Unsupported, ...]:
    """Values and names in the answer that the support lacks, sorted, each once."""
    found = [
        Unsupported(fact.kind, fact.value)
        for fact in extract_facts(answer)
        if fact.kind in CHECKED and not support.supports(fact)
    ]
    found += [Unsupported("name", name) for name in names_in(answer) if not _is_known(name, support)]
    return tuple(sorted(set(found)))


def _weekdays_between(text: str) -> set[Fact]:
    """The days that `Tuesday to Friday` includes."""
    found = set()
    for match in _DAYS.finditer(text.casefold()):
        first, last = (_WEEKDAYS.index(match[end]) for end in ("first", "last"))
        found |= {Fact("weekday", _WEEKDAYS[(first + day) % 7]) for day in range((last - first) % 7 + 1)}
    return found


def names_in(text: str) -> list[str]:
    """What is written like a name: words with a capital that no sentence, line or quotation opens with, and pairs of
    them wherever they stand; `BestBuy`, `Nordway Express 24`. Words in all capitals between others count too."""
    plain = _TITLE.sub(r"\1", _ADDRESS.sub(" | ", _PLACEHOLDER.sub(" | ", text)))
    plain = _SPELT_OUT.sub(_without_spelt_out, plain)
    names = []
    for match in _NAME.finditer(plain):
        name = match.group()
        words = _WORD.findall(name)
        opened = len(words)
        if _opens_something(plain, match.start()):
            while len(words) > 1 and words[0].lower() in COMMON_CAPITALS:
                name = name[len(words.pop(0)) :].lstrip(" -&")
            if len(words) < 2 and len(words) == opened and not _is_acronym(words[0]):
                continue
        if any(_key(word) not in COMMON_CAPITALS for word in _WORD.findall(name)) and not _CODE.fullmatch(name):
            names.append(name)
    return names


def _opens_something(text: str, place: int) -> bool:
    """Whether a word there is capital because of its place: at the start of a sentence, line or quotation."""
    near = text[max(0, place - _NEAR) : place]
    return _OPENS.search(near if place <= _NEAR else f"x{near}") is not None


def _without_spelt_out(match: re.Match[str]) -> str:
    """`return on investment (ROI)` and `VPN (Virtual Private Network)` explain a term; they name nothing."""
    words = (match["before"] or match["inside"]).replace("-", " ").split()
    acronym = match["short"] or match["first"]
    initials = "".join(word[0] for word in words[-len(acronym) :]).upper()
    return words[0].lower() if initials == acronym else match.group()


def _is_acronym(word: str) -> bool:
    return len(word) > 1 and word.isupper()


def _is_known(name: str, support: Support) -> bool:
    return all(_is_word_known(word, support) for word in map(_key, _WORD.findall(name)))


def _is_word_known(word: str, support: Support) -> bool:
    """A compound is known by its first part (`UK-based`), or by all of them."""
    if word in support.words or word in COMMON_CAPITALS:
        return True
    first, *others = word.split("-")
    return bool(others) and _is_word_known(first, support)


def _words(text: str) -> Iterable[str]:
    return map(_key, _WORD.findall(_MARKS.sub(" ", text)))


def _key(word: str) -> str:
    return singular(re.sub(r"['’]s?$", "", word.casefold()))


def _dates_agree(one: str, other: str) -> bool:
    """Whether the date `other` says all that `one` does, but perhaps the year; dates in ISO 8601, with `-` for a year
    that is not given: `--12-24` agrees with `2024-12-24`, `2024` too; `2024-12-24` with `--12-24`, but not with `2024`.
    """
    year, rest = _year_and_rest(one)
    other_year, other_rest = _year_and_rest(other)
    if year and other_year and year != other_year:
        return False
    return rest == other_rest or (other_rest.startswith(rest) and bool(rest or year == other_year))


def _year_and_rest(date: str) -> tuple[str, str]:
    return (date[:4], date[5:]) if date[0].isdigit() else ("", date[2:])
