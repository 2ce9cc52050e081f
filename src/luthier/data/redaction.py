"""Personal data in rows and records, as a recipe wants it treated."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

from luthier.core.errors import RecipeError
from luthier.core.recipe import RedactSection
from luthier.core.rows import FunctionCall, Message, Row, ToolCall, changed, reworded
from luthier.data.reasons import Dropped, dropped
from luthier.text.personal.finding import Finding
from luthier.text.personal.phones import phone_regions
from luthier.text.redact import Redaction, RedactionRules, find_under_rules, redactor

_WORDS_NEAR = 80
"""The name of a field tells what a value of up to this many characters is; a longer one says it in its own words."""

Redact = Callable[[str], Redaction]


@lru_cache(maxsize=8)
def redaction_rules(settings: RedactSection) -> RedactionRules:
    """What counts as personal data under these settings. Raises RecipeError for a region that is no country's."""
    if settings.region not in phone_regions():
        raise RecipeError(
            f"data.clean.redact.region: no country {settings.region!r}",
            where="recipe",
            allowed=f"ISO 3166 codes: {', '.join(sorted(phone_regions()))}",
        )
    kinds = frozenset({*settings.kinds, *(("name",) if settings.names else ())})
    listed = () if isinstance(settings.names, bool) else settings.names
    return RedactionRules(kinds, settings.keep, settings.region, listed)


def redact_row(row: Row, settings: RedactSection | None, system: str = "") -> Row | Dropped:
    """Treat personal data in every turn; the recipe's own `system` prompt stays as it is.

    Arguments of tool calls are judged by their names, as the fields of a record are.
    """
    if settings is None:
        return row
    redact = redactor(redaction_rules(settings), settings.mode == "pseudonym")
    counts: Counter[str] = Counter()

    def treat(text: str) -> str:
        if not text or text == system:
            return text
        redaction = redact(text)
        counts.update(redaction.counts)
        return redaction.text

    def treat_turn(message: Message) -> Message:
        treated = reworded(message, treat(message["content"]))
        if "tool_calls" in message:
            calls = [_treat_call(call, redact, counts) for call in message["tool_calls"]]
            treated = {**treated, "tool_calls": calls}
        return treated

    messages, rejected = (tuple(map(treat_turn, turns)) for turns in (row.messages, row.rejected))
    treated = changed(row, messages=messages, text=treat(row.text), rejected=rejected)
    if settings.mode == "drop" and counts:
        return dropped("personal data", ", ".join(sorted(counts)))
    return treated


def redact_value(value: object, settings: RedactSection | None, counts: Counter[str], name: str = "") -> object:
    """A record's field without personal data at any depth; its name counts as the words before it.

    Adds what was replaced to `counts`, by kind. Where the recipe drops rows, their records are masked.
    """
    if settings is None:
        return value
    return _treat_value(value, redactor(redaction_rules(settings), settings.mode == "pseudonym"), counts, name)


def personal_values(record: object, settings: RedactSection) -> list[Finding]:
    """All personal data of one record, in the order of its fields; see `propose_keep`."""
    rules = redaction_rules(settings)
    return [finding for text, _ in _texts(record, "") for finding in find_under_rules(text, rules)]


def _treat_call(call: ToolCall, redact: Redact, counts: Counter[str]) -> ToolCall:
    function = call["function"]
    arguments = {name: _treat_value(value, redact, counts, name) for name, value in function["arguments"].items()}
    return ToolCall(type="function", function=FunctionCall(name=function["name"], arguments=arguments))


def _treat_value(value: object, redact: Redact, counts: Counter[str], name: str) -> object:
    if isinstance(value, Mapping):
        return {key: _treat_value(inner, redact, counts, str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_treat_value(inner, redact, counts, name) for inner in value]
    if isinstance(value, bool) or not isinstance(value, str | int):
        return value
    text, prefix = _introduced(str(value), name)
    redaction = redact(text)
    if not redaction.counts or not redaction.text.startswith(prefix):
        return value
    counts.update(redaction.counts)
    return redaction.text[len(prefix) :]


def _texts(value: object, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, name)
    elif isinstance(value, str | int) and not isinstance(value, bool):
        yield _introduced(str(value), name)


def _introduced(text: str, name: str) -> tuple[str, str]:
    """The text with its field's name before it, and what was put before it."""
    prefix = f"{name.replace('_', ' ')}: " if name and len(text) <= _WORDS_NEAR else ""
    return f"{prefix}{text}", prefix
