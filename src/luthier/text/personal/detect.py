"""All personal data of one text: cheap looks first, so that a text without any costs little."""

import re
from collections.abc import Collection, Iterator, Mapping

from luthier.text.hints import holds_any
from luthier.text.personal.addresses import address_at
from luthier.text.personal.bank import cards_in, iban_at
from luthier.text.personal.finding import Finding, Kind, settle_overlaps
from luthier.text.personal.names import names_by_role, names_of_list
from luthier.text.personal.national_ids import SHORTEST, lettered_in, numbers_in
from luthier.text.personal.network import emails_in, is_v4, v6_in
from luthier.text.personal.phones import is_introduced, phones_in
from luthier.text.personal.references import code_at, is_code, reference_at, reference_before

_NUMBER = re.compile(r"[0-9]+")
_URL = re.compile(r"\b(?:https?://|www\.)[^\s<>\"]+", re.IGNORECASE)
_GAPS = frozenset((" ", "-", ".", "/", "(", ")", " (", ") ", ")-", "-(", "  ", "\u00a0", "–", " +", "\u2011"))
"""What may stand between the groups of one number."""
_ORDER: tuple[Kind, ...] = (
    "email", "ip", "iban", "card", "national_id", "address", "phone", "account", "order", "name",
)  # fmt: skip
"""Where findings overlap, the kind that is surer goes first."""
_LETTERED_REACH = 12
_PHONE_DIGITS = 7

Groups = list[tuple[int, int]]


def find_personal_data(
    text: str, region: str, kinds: Collection[Kind], listed: Mapping[str, list[tuple[str, ...]]]
) -> list[Finding]:
    """Findings of the `kinds` wanted, by place, without overlaps.

    Kinds that are not wanted are found all the same and left out at the end: an order number must not become a phone
    number because nobody asked for orders. `listed` is the `name_index` of known names.
    """
    found = [*_emails(text), *_addresses_of_machines(text)]
    if kinds != {"email"}:
        found += _numbers(text, region)
    if "name" in kinds:
        spans = [*names_of_list(text, listed), *names_by_role(text)]
        found += (Finding(*span, "name", text[slice(*span)]) for span in spans)
    if not found:
        return []
    found.sort(key=lambda finding: _ORDER.index(finding.kind))
    return [finding for finding in settle_overlaps(found) if finding.kind in kinds]


def _emails(text: str) -> Iterator[Finding]:
    if "@" in text:
        yield from (Finding(*span, "email", text[slice(*span)]) for span in emails_in(text))


def _addresses_of_machines(text: str) -> Iterator[Finding]:
    if "::" in text or text.count(":") >= 7:
        yield from (Finding(*span, "ip", text[slice(*span)]) for span in v6_in(text))


def _numbers(text: str, region: str) -> Iterator[Finding]:
    if not holds_any(text, "0123456789"):
        return
    groups = [found.span() for found in _NUMBER.finditer(text)]
    if "://" in text or "www." in text.lower():
        links = [found.span() for found in _URL.finditer(text)]
        yield from _v4_in_links(text, links)
        groups = _outside(groups, links)
    for kind, start, end in (*_single_numbers(text, groups), *_long_numbers(text, groups, region)):
        yield Finding(start, end, kind, text[start:end])


def _outside(groups: Groups, links: Groups) -> Groups:
    """Numbers in a link name pages; both lists are sorted."""
    free, place = [], 0
    for start, end in groups:
        while place < len(links) and links[place][1] <= start:
            place += 1
        if place == len(links) or start < links[place][0]:
            free.append((start, end))
    return free


def _v4_in_links(text: str, links: Groups) -> Iterator[Finding]:
    for start, _ in links:
        host = text.find("//", start, start + 9) + 2
        end = host
        while end - host < 15 and end < len(text) and text[end] in "0123456789.":
            end += 1
        if end - host >= 7 and is_v4(text, host, end):
            yield Finding(host, end, "ip", text[host:end])


def _single_numbers(text: str, groups: Groups) -> Iterator[tuple[Kind, int, int]]:
    """What begins at one group of digits: accounts, numbers with letters, addresses, orders."""
    done = lettered_until = 0
    for start, end in groups:
        before, after = text[start - 1 : start], text[end : end + 1]
        if end - start >= 2 and before.isalpha() and (iban_end := iban_at(text, start - 2)):
            yield "iban", start - 2, iban_end
            done = max(done, iban_end)
        if start < done:
            continue
        if end - start < 6 and (address := address_at(text, start, end)):
            yield "address", *address
        begin, code_end = code_at(text, start, done) if end - start >= 4 or _joined(before, after) else (start, end)
        if end - start < 4 and after == " " and (grouped := _grouped_reference(text, start)):
            yield grouped
            done = grouped[2]
        elif is_code(text[begin:code_end]) and (reference := reference_at(text, begin, code_end)):
            kind, last = reference
            yield kind, begin, last
            done = last
            yield from _next_of_list(text, kind, last)
        else:
            done = max(done, code_end) if before.isalpha() or after.isalpha() else done
        near_letter = before.isalpha() or after.isalpha() or (end - start >= 2 and _letter_near(text, start, end))
        if near_letter and start >= lettered_until:
            lettered_until = max(end, code_end)
            low, high = max(0, begin - _LETTERED_REACH), min(len(text), lettered_until + _LETTERED_REACH)
            yield from (("national_id", *span) for span in lettered_in(text, low, high))


def _joined(before: str, after: str) -> bool:
    return before.isalpha() or after.isalpha() or before in ("/", "-") or after in ("/", "-", ".")


def _letter_near(text: str, start: int, end: int) -> bool:
    """A capital letter one space or hyphen off, as in `AB 12 34 56 C` and `12345678-Z`."""
    left, right = text[start - 2 : start], text[end : end + 2]
    return (left[1:] in (" ", "-") and left[:1].isupper()) or (right[:1] in (" ", "-") and right[1:].isupper())


def _grouped_reference(text: str, start: int) -> tuple[Kind, int, int] | None:
    """`customer number: 12 345 678`; without a word such as "number" it may be two amounts."""
    grouped = _GROUPED.match(text, start)
    if grouped is None or sum(map(str.isdigit, grouped.group())) < 6:
        return None
    match reference_before(text, start):
        case ("order" | "account") as kind, True:
            return kind, start, grouped.end()
    return None


def _next_of_list(text: str, kind: Kind, end: int) -> Iterator[tuple[Kind, int, int]]:
    """`orders 204913, 204914 and 204915`: what the noun says of the first holds for the others."""
    while matched := _ANOTHER.match(text, end):
        begin, end = matched.span("code")
        if not is_code(matched["code"]):
            return
        yield kind, begin, end


_GROUPED = re.compile(r"[0-9]{1,3}(?: [0-9]{2,4}){1,5}(?![0-9])")
_ANOTHER = re.compile(r"(?:, | and | & | or | und | et | y |/)#?(?P<code>[A-Za-z0-9]{1,20}(?:[/-][A-Za-z0-9]{1,20})*)")


def _long_numbers(text: str, groups: Groups, region: str) -> Iterator[tuple[Kind, int, int]]:
    for cluster in _clusters(text, groups):
        start, digits = cluster[0][0], sum(end - begin for begin, end in cluster)
        if len(cluster) >= 4:
            yield from (("ip", *span) for span in _v4_in(text, cluster))
        if digits < _PHONE_DIGITS:
            continue
        reference = reference_before(text, start)
        if text[start - 1 : start] != "#" and reference is None:
            yield from (("card", *span) for span in cards_in(text, cluster))
        introduced = is_introduced(text, start)
        phones = list(phones_in(text, cluster, region)) if introduced or text[start] == "0" else []
        if digits >= SHORTEST:
            blocked = bool(phones) or (reference is not None and reference[0] != "national_id")
            yield from (("national_id", *span) for span in numbers_in(text, cluster, blocked))
        yield from (("phone", *span) for span in phones or phones_in(text, cluster, region))


def _clusters(text: str, groups: Groups) -> Iterator[Groups]:
    cluster = [groups[0]] if groups else []
    for group in groups[1:]:
        if group[0] - cluster[-1][1] <= 2 and text[cluster[-1][1] : group[0]] in _GAPS:
            cluster.append(group)
        else:
            yield cluster
            cluster = [group]
    if cluster:
        yield cluster


def _v4_in(text: str, cluster: Groups) -> Iterator[tuple[int, int]]:
    """Runs of exactly four groups joined by points."""
    run = [cluster[0]]
    for place, group in enumerate([*cluster[1:], None]):
        if group is not None and text[cluster[place][1] : group[0]] == ".":
            run.append(group)
            continue
        if len(run) == 4 and is_v4(text, run[0][0], run[-1][1]):
            yield run[0][0], run[-1][1]
        run = [] if group is None else [group]
