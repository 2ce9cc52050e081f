"""Rebuild the raw exports of Alder & Finch, a fictional shop, from the texts in `authored/`.

    python rebuild.py           write raw/tickets.csv, raw/chats.jsonl, raw/handbook.md and golden.jsonl
    python rebuild.py --check   write nothing; exit 1 and name the files that differ

The texts were written by hand. This script adds what a helpdesk adds on the way to an export: dates and ids,
greetings, signatures, quoted mails, HTML, broken encodings, tickets that were sent or exported twice. Each
conversation draws from a generator seeded by its own id, so changing one text leaves the others as they are.
"""

import csv
import hashlib
import html
import io
import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeVar

HERE = Path(__file__).resolve().parent
AUTHORED = HERE / "authored"
GROUPS = "ABCD"
SEED = 1987
FIRST_DAY = datetime(2025, 2, 3)
DAYS = 360
REGULARS = 12
EXACT_DUPLICATES = {"ticket": 15, "chat": 10}
NEAR_DUPLICATES = {"ticket": 15, "chat": 10}
NEAR_ENOUGH = 0.82
CLOSERS = r"(?:(?:(?:Best|Kind|Many|Warm) )?(?:[Rr]egards|wishes|[Tt]hanks|Best|Cheers|Greetings|Love|Yours), )?"
SIGNED = re.compile(r"[.!?,] " + CLOSERS + r"(?P<name>[A-Z]\w+)\.?$")
ADDRESS = re.compile(r"[\w.]+@[\w.]+\.example")
FRIENDLY_START = re.compile(r"(Dear|Hello|Hi|Hey|Good (morning|day|evening)|Thank)\b")
LINKED = re.compile(r"(?P<mail>[\w.]+@alderfinch\.example)|(?P<product>Heron|Wren|Lark|Kestrel|Plover|Swift|Merlin)\b")
UNIT_SPACE = re.compile(r"(?<=\d) (?=(?:working|days?|weeks|months|years|hours|minutes|people|kg|cm|am|pm)\b|%)")
PARAGRAPHS = (
    ("<p>", "</p>"),
    ("<p>", "</p>\n"),
    ('<div style="font-family:Calibri,sans-serif;font-size:11pt">', "<br></div>\n"),
    ('<p class="MsoNormal"><span style="color:#1f1f1f">', "</span></p>\n"),
)
WORD = re.compile(r"[^\W_]+(?:'\w+)?")

Item = TypeVar("Item")
Json = dict[str, Any]


@dataclass(frozen=True)
class Customer:
    """Who wrote; `name` is only seen in the headers of quoted mails."""

    id: str
    name: str
    email: str


@dataclass(frozen=True)
class Case:
    """One conversation on its way into an export; turns alternate, the customer first."""

    id: str
    channel: str
    kind: str
    subject: str
    turns: tuple[str, ...]
    created: datetime
    customer: Customer
    agent: str


@dataclass(frozen=True)
class Wording:
    """The hand-written small print: `boilerplate.json`, `customers.json` and `edits.json`."""

    boilerplate: Json
    customers: Json
    edits: list[list[str]]


def generator(*key: str) -> Random:
    """Chance for one purpose; only its random() is used, whose sequence every version of Python keeps."""
    return Random(":".join((str(SEED), *key)))


def pick(rng: Random, items: Sequence[Item]) -> Item:
    return items[int(rng.random() * len(items))]


def read_jsonl(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def read_json(name: str) -> Any:
    return json.loads((AUTHORED / name).read_text(encoding="utf-8"))


def read_wording() -> Wording:
    return Wording(read_json("boilerplate.json"), read_json("customers.json"), read_json("edits.json"))


def read_cases(wording: Wording) -> list[Case]:
    records = [record for group in GROUPS for record in read_jsonl(AUTHORED / f"conversations_{group}.jsonl")]
    records += read_jsonl(AUTHORED / "noise.jsonl")
    return with_agents([to_case(record, index, wording) for index, record in enumerate(records)], wording)


def to_case(record: Json, index: int, wording: Wording) -> Case:
    rng = generator("case", record["id"])
    turns = tuple(turn["content"] for turn in record["turns"])
    kind = record.get("kind", "conversation")
    return Case(
        id=record["id"],
        channel=record["channel"],
        kind=kind,
        subject=record.get("subject", ""),
        turns=turns,
        created=FIRST_DAY + timedelta(days=int(rng.random() * DAYS), minutes=6 * 60 + int(rng.random() * 17 * 60)),
        customer=to_customer(kind, record["channel"], turns[0], index, wording),
        agent="",
    )


def with_agents(cases: list[Case], wording: Wording) -> list[Case]:
    """Each answered conversation goes to the agent of its desk who has had the fewest tickets."""
    dealt = Counter[str]()
    result = []
    for case in cases:
        desk = [entry["agent"] for entry in wording.boilerplate["signatures"] if case.id[0] in entry["desks"]]
        is_answered = len(case.turns) > 1 and case.kind != "unanswered"
        agent = min(desk, key=dealt.__getitem__) if is_answered else ""
        dealt[agent] += case.channel == "ticket"
        result.append(replace(case, agent=agent))
    return result


def to_customer(kind: str, channel: str, text: str, index: int, wording: Wording) -> Customer:
    """The customer of a conversation; every fourth ticket that names nobody comes from one of the regulars."""
    if kind == "bounce":
        return Customer(f"C{20000 + index}", "Mail Delivery System", "mailer-daemon@post.example")
    signed, address = SIGNED.search(text), ADDRESS.search(text)
    is_regular = channel == "ticket" and index % 4 == 0 and not (signed or address)
    number = 20000 + index if not is_regular else 10400 + 37 * (index // 4 % REGULARS)
    rng = generator("customer", str(number))
    first = pick(rng, wording.customers["first_names"]) if not signed else signed["name"]
    last = pick(rng, wording.customers["last_names"])
    local = pick(rng, (f"{first}.{last}", f"{first[0]}.{last}", f"{first}{last}", f"{last}.{first}"))
    plain = unicodedata.normalize("NFKD", local).encode("ascii", "ignore").decode().lower()
    email = f"{plain}@{pick(rng, wording.customers['domains'])}"
    return Customer(f"C{number}", f"{first} {last}", address[0] if address else email)


def with_politeness(case: Case, wording: Wording) -> Case:
    """A ticket's answer with the agent's greeting and closing; a chat that opens with a bare "hi"."""
    if case.kind != "conversation":
        return case
    rng = generator("politeness", case.id)
    first_name = case.agent.split()[0]
    if case.channel == "chat":
        if rng.random() >= 0.08:
            return case
        opening, welcome = pick(rng, wording.boilerplate["chat_openings"])
        return replace(case, turns=(opening, welcome.format(first_name=first_name), *case.turns))
    question, answer = case.turns
    named = FRIENDLY_START.match(answer) or SIGNED.search(question)
    greeting = pick(rng, wording.boilerplate["greetings"]) if rng.random() < 0.4 and not named else ""
    closing = pick(rng, wording.boilerplate["closings"]) if rng.random() < 0.35 else ""
    parts = (greeting, answer, closing.format(first_name=first_name))
    return replace(case, turns=(question, "\n\n".join(part for part in parts if part)))


def near_duplicate(case: Case, wording: Wording) -> Case | None:
    """The same customer asking again with a word changed, or None if no small edit fits."""
    rng = generator("again", case.id)
    before = shingles(case.turns)
    for old, new in sorted(wording.edits, key=lambda _: rng.random()):
        turns = (re.sub(old, new, case.turns[0], count=1), *case.turns[1:])
        after = shingles(turns)
        if turns != case.turns and len(before & after) / len(before | after) >= NEAR_ENOUGH:
            created = case.created + timedelta(minutes=30 + int(rng.random() * 2000))
            return replace(case, id=f"{case.id}-again", turns=turns, created=created)
    return None


def shingles(turns: tuple[str, ...]) -> set[tuple[str, ...]]:
    words = WORD.findall(" ".join(turns).lower())
    return {tuple(words[start : start + 5]) for start in range(len(words) - 4)}


def with_near_duplicates(cases: list[Case], channel: str, wording: Wording) -> list[Case]:
    candidates = (case for case in cases if case.channel == channel and case.kind == "conversation")
    shuffled = sorted(candidates, key=lambda case: generator("near", case.id).random())
    repeats = (near_duplicate(case, wording) for case in shuffled)
    return [repeat for repeat in repeats if repeat is not None][: NEAR_DUPLICATES[channel]]


def signature(case: Case, rng: Random, wording: Wording) -> str:
    block = next(entry for entry in wording.boilerplate["signatures"] if entry["agent"] == case.agent)
    notice = ["", wording.boilerplate["confidential_notice"]] if rng.random() < 0.07 else []
    return "\n".join([block["separator"], *block["lines"], *notice])


def quote(header: str, quoted: str, case: Case, sent: datetime) -> str:
    clock = f"{sent:%H:%M}"
    head = header.format(
        long_date=f"{sent:%a}, {sent.day} {sent:%b %Y} at {clock}",
        plain_date=f"{sent.day} {sent:%B %Y} {clock}",
        us_date=f"{sent:%a, %b} {sent.day}, {sent:%Y} at {sent.hour % 12 or 12}:{sent:%M} {sent:%p}",
        name=case.customer.name,
        email=case.customer.email,
        subject=case.subject,
    )
    mark = "" if "\n" in head else "> "
    return head + "\n" + ("\n" if not mark else "") + "\n".join(mark + line for line in quoted.splitlines())


def customer_mail(case: Case, rng: Random, wording: Wording) -> list[str]:
    """The parts of a customer's mail: the text, perhaps the telephone's signature and the mail that is answered."""
    parts = [case.turns[0]]
    if case.kind in ("auto_reply", "bounce", "phone"):
        return parts
    if rng.random() < 0.07:
        parts.append("-- \n" + pick(rng, wording.boilerplate["customer_signatures"]))
    if rng.random() < 0.14:
        sent = case.created - timedelta(minutes=40 + int(rng.random() * 4000))
        header = pick(rng, wording.boilerplate["customer_quote_headers"])
        parts.append(quote(header, pick(rng, wording.boilerplate["quoted_mails"]), case, sent))
    return parts


def agent_mail(case: Case, rng: Random, wording: Wording) -> list[str]:
    """The parts of an agent's mail: the answer, mostly a signature, at times the customer's own words below."""
    if len(case.turns) < 2:
        return []
    parts = [case.turns[1]]
    if case.agent and rng.random() < 0.55:
        parts.append(signature(case, rng, wording))
    if case.agent and rng.random() < 0.22:
        header = pick(rng, wording.boilerplate["agent_quote_headers"])
        parts.append(quote(header, case.turns[0], case, case.created))
    return parts


def as_html(text: str, paragraph: tuple[str, str], rng: Random) -> str:
    """The text as a mail program's HTML; a sensible reader gets the same text back."""
    escaped = html.escape(text, quote=False)
    if rng.random() < 0.6:
        escaped = escaped.replace("€", "&euro;").replace("'", "&#39;")
    escaped = UNIT_SPACE.sub("&nbsp;", escaped) if rng.random() < 0.4 else escaped
    if rng.random() < 0.5:
        escaped = LINKED.sub(as_link, escaped, count=1)
    breaks = escaped.replace("\n", pick(rng, ("<br>", "<br/>", "<br>\n")))
    before, after = paragraph
    return "".join(before + part + after for part in re.split(r"(?:<br/?>\n?){2}", breaks))


def as_link(found: re.Match[str]) -> str:
    if found["mail"]:
        return f'<a href="mailto:{found["mail"]}">{found["mail"]}</a>'
    name = found["product"]
    return f'<a href="https://www.alderfinch.example/{name.lower()}" target="_blank">{name}</a>'


def as_mojibake(text: str) -> str:
    """The text with curly apostrophes, its UTF-8 bytes read as Windows-1252."""
    curly = text.replace("'", "’")
    try:
        return curly.encode("utf-8").decode("cp1252")
    except UnicodeDecodeError:
        return text


def rendering(case: Case, side: str) -> Callable[[str], str]:
    """How one side's texts were stored: one choice for the whole case where the export broke the encoding."""
    if case.kind == "conversation" and generator("encoding", case.id).random() < 0.08:
        return as_mojibake
    rng = generator("rendering", case.id, side)
    chance = rng.random()
    if chance < {"ticket": 0.33, "chat": 0.1}[case.channel] and case.kind != "bounce":
        paragraph = pick(rng, PARAGRAPHS) if case.channel == "ticket" else PARAGRAPHS[0]
        return lambda text: as_html(text, paragraph, rng)
    return lambda text: UNIT_SPACE.sub("\u00a0", text) if chance > 0.92 else text


def with_exact_duplicates(rows: list[Json], key: str, count: int) -> list[Json]:
    """The rows with `count` of them a second time a little further down, as overlapping exports leave them."""
    ranked = sorted(range(len(rows)), key=lambda place: generator("exact", rows[place][key]).random())
    result = list(rows)
    for place in sorted(ranked[:count], reverse=True):
        result.insert(min(place + 2 + place % 7, len(rows)), rows[place])
    return result


def tickets(cases: list[Case], wording: Wording) -> list[Json]:
    rows = []
    number = 40_200
    for case in cases:
        rng = generator("ticket", case.id)
        number += 1 + int(rng.random() * 9)
        body, reply = customer_mail(case, rng, wording), agent_mail(case, rng, wording)
        status = ("solved", "closed", "closed", "pending") if case.agent else ("new", "open")
        rows.append(
            {
                "ticket_id": f"AF-{number}",
                "created_at": f"{case.created:%Y-%m-%d %H:%M}",
                "customer_id": case.customer.id,
                "customer_email": case.customer.email,
                "subject": case.subject,
                "body": rendering(case, "body")("\n\n".join(body)),
                "reply": rendering(case, "reply")("\n\n".join(reply)) if reply else "",
                "agent": case.agent,
                "status": pick(rng, status),
                "csat": pick(rng, "5554443215") if case.agent and rng.random() < 0.4 else "",
                "internal_note": "",
            }
        )
    return with_exact_duplicates(rows, "ticket_id", EXACT_DUPLICATES["ticket"])


def chats(cases: list[Case]) -> list[Json]:
    rows = []
    for case in cases:
        render = {role: rendering(case, role) for role in ("user", "assistant")}
        turns = zip(("user", "assistant") * len(case.turns), case.turns, strict=False)
        rows.append(
            {
                "conversation_id": "w-" + hashlib.sha256(f"{SEED}:{case.id}".encode()).hexdigest()[:12],
                "started_at": f"{case.created:%Y-%m-%dT%H:%M:00Z}",
                "channel": "web",
                "customer_id": case.customer.id,
                "messages": [{"role": role, "content": render[role](text)} for role, text in turns],
            }
        )
    return with_exact_duplicates(rows, "conversation_id", EXACT_DUPLICATES["chat"])


def golden() -> list[Json]:
    facts = {fact["id"]: fact for fact in read_jsonl(AUTHORED / "facts.jsonl")}
    rows = []
    asked = dict.fromkeys(facts, 0)
    for question in (row for group in GROUPS for row in read_jsonl(AUTHORED / f"golden_{group}.jsonl")):
        fact = facts[question["fact"]]
        asked[fact["id"]] += 1
        identity = f"{fact['id']}-{asked[fact['id']]}"
        rows.append({"id": identity, "question": question["question"], "facts": fact["facts"], "topic": fact["topic"]})
    return rows


def to_csv(rows: list[Json]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode("utf-8")


def to_jsonl(rows: list[Json]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8")


def build() -> dict[Path, bytes]:
    """Every file this script makes, with its content."""
    wording = read_wording()
    cases = [with_politeness(case, wording) for case in read_cases(wording)]
    cases += [repeat for channel in ("ticket", "chat") for repeat in with_near_duplicates(cases, channel, wording)]
    cases.sort(key=lambda case: (case.created, case.id))
    handbook = (AUTHORED / "handbook.md").read_text(encoding="utf-8").replace("\n", "\r\n")
    return {
        HERE / "raw" / "tickets.csv": to_csv(tickets([case for case in cases if case.channel == "ticket"], wording)),
        HERE / "raw" / "chats.jsonl": to_jsonl(chats([case for case in cases if case.channel == "chat"])),
        HERE / "raw" / "handbook.md": handbook.encode("utf-8-sig"),
        HERE / "golden.jsonl": to_jsonl(golden()),
    }


def main(arguments: list[str]) -> int:
    """Write the files, or with --check compare them; 1 when a file differs, 2 for a wrong argument."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python rebuild.py [--check]\n")
        return 2
    stale = {path: new for path, new in build().items() if not path.is_file() or path.read_bytes() != new}
    for path, content in stale.items():
        sys.stderr.write(f"{'out of date' if arguments else 'written'}: {path.relative_to(HERE)}\n")
        if not arguments:
            path.parent.mkdir(exist_ok=True)
            partial = path.with_name(path.name + ".partial")
            partial.write_bytes(content)
            partial.replace(path)
    return 1 if stale and arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
