"""Cleaning steps: each takes a row and gives a mended row, or the reasons to drop it."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from luthier.core.recipe import CleanSection, RedactSection
from luthier.core.rows import Message, Row
from luthier.data.language import MIN_PROBABILITY, guess_language
from luthier.data.reasons import Dropped, dropped
from luthier.data.turns import settle_conversation
from luthier.text import cut_mail, html_to_text, normalise, redact, words

Step = Callable[[Row], Row | Dropped]

_ABOUT_MARKUP = re.compile(r"```|<\?php|(?<![</\w.])(?:html|css|php|xml|javascript|markup)\b", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The row as far as it could be mended, and every reason to drop it; kept where there is none."""

    row: Row
    reasons: tuple[str, ...] = ()


def run_steps(row: Row, steps: Iterable[Step]) -> Cleaned:
    """Apply the steps in order. A step that refuses leaves the row as it is for the next, so that all reasons count."""
    reasons: list[str] = []
    for step in steps:
        result = step(row)
        if isinstance(result, Dropped):
            reasons += result.reasons
        else:
            row = result
    return Cleaned(row, tuple(reasons))


def cleaning_steps(clean: CleanSection, system: str) -> tuple[Step, ...]:
    """The steps of a recipe, in an order that matters: mended before masked, masked before judged."""

    def settle(row: Row) -> Row | Dropped:
        return settle_row(row, system)

    def mask(row: Row) -> Row:
        return redact_row(row, clean.redact, system)

    def judge_length(row: Row) -> Row | Dropped:
        return long_enough(row, clean.min_words)

    def judge_language(row: Row) -> Row | Dropped:
        return in_languages(row, clean.languages)

    return (mend_row, settle, mask, judge_length, judge_language)


def mend_row(row: Row) -> Row:
    """Repair characters and white space; of what people wrote, also HTML and what a mail program added.

    Tags stay in a row that speaks of HTML and the like: there they are the subject.
    """
    convert_html = not _speaks_of_markup(row)

    def mend(message: Message) -> Message:
        content = message["content"]
        if message["role"] in ("user", "assistant"):
            content = cut_mail(normalise(html_to_text(content) if convert_html else content))
        else:
            content = normalise(content)
        return Message(role=message["role"], content=content)

    text = normalise(html_to_text(row.text) if convert_html else row.text)
    return replace(row, messages=tuple(mend(message) for message in row.messages), text=text)


def settle_row(row: Row, system: str) -> Row | Dropped:
    """Give a conversation its final shape, see `settle_conversation`. Plain text passes if there is any."""
    if not row.messages:
        return row if row.text else dropped("missing value", "nothing left after cleaning")
    settled = settle_conversation(row.messages, system)
    return settled if isinstance(settled, Dropped) else replace(row, messages=settled)


def redact_row(row: Row, settings: RedactSection | None, system: str = "") -> Row:
    """Mask personal data in every turn; the recipe's own `system` prompt stays as it is."""
    if settings is None:
        return row

    def mask(text: str) -> str:
        return text if text == system else redact(text, settings.keep, settings.region).text

    messages = tuple(Message(role=message["role"], content=mask(message["content"])) for message in row.messages)
    return replace(row, messages=messages, text=mask(row.text))


def long_enough(row: Row, min_words: int) -> Row | Dropped:
    """Count the words of the whole row without the system prompt."""
    count = len(words(spoken(row)))
    return row if count >= min_words else dropped("too short", f"{count} words, at least {min_words} wanted")


def in_languages(row: Row, languages: Sequence[str]) -> Row | Dropped:
    """Judge the language of the whole conversation, tools left out; short and doubtful ones pass."""
    if not languages:
        return row
    guess = guess_language(spoken(row, without=("system", "tool")), languages)
    if guess is None or guess.wanted >= MIN_PROBABILITY:
        return row
    return dropped("language", f"looks like {guess.likeliest}, wanted {', '.join(languages)}")


def spoken(row: Row, without: Sequence[str] = ("system",)) -> str:
    """What tells this row from others: its text, or all turns but the system prompt."""
    if not row.messages:
        return row.text
    return "\n".join(message["content"] for message in row.messages if message["role"] not in without)


def redact_value(value: object, settings: RedactSection | None, counts: Counter[str], name: str = "") -> object:
    """A record's field with personal data masked at any depth; its name counts as the words before it.

    Adds what was masked to `counts`, by kind.
    """
    if settings is None:
        return value
    if isinstance(value, Mapping):
        return {key: redact_value(inner, settings, counts, str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [redact_value(inner, settings, counts, name) for inner in value]
    if isinstance(value, bool) or not isinstance(value, str | int):
        return value
    prefix = f"{name.replace('_', ' ')}: " if name else ""
    redaction = redact(f"{prefix}{value}", settings.keep, settings.region)
    if not redaction.counts or not redaction.text.startswith(prefix):
        return value
    counts.update(redaction.counts)
    return redaction.text[len(prefix) :]


def _speaks_of_markup(row: Row) -> bool:
    texts = [message["content"] for message in row.messages] or [row.text]
    return any("<" in text for text in texts) and any(_ABOUT_MARKUP.search(_TAG.sub(" ", text)) for text in texts)
