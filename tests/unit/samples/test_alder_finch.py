"""The sample data is up to date, says what it should, and is as messy as it claims."""

import csv
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import ftfy
import pytest

import luthier

FOLDER = Path(luthier.__file__).parent / "samples" / "alder_finch"
GROUPS = "ABCD"
BELOW_THE_TEXT = re.compile(r"^(?:-- ?$|On .+ wrote:$|-----Original Message-----)", re.MULTILINE)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@cache
def tickets() -> list[dict[str, str]]:
    with (FOLDER / "raw" / "tickets.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@cache
def chats() -> list[dict[str, Any]]:
    return read_jsonl(FOLDER / "raw" / "chats.jsonl")


@cache
def authored() -> list[dict[str, Any]]:
    return [row for group in GROUPS for row in read_jsonl(FOLDER / "authored" / f"conversations_{group}.jsonl")]


@cache
def facts() -> dict[str, list[str]]:
    return {row["id"]: row["facts"] for row in read_jsonl(FOLDER / "authored" / "facts.jsonl")}


class TextOfHtml(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += data.replace("\n", " ")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.text += "\n" if tag in ("p", "div", "br") else ""


def clean(raw: str) -> str:
    """A plain stand-in for the real cleaning: HTML, encoding, what mail programs put below, blanks."""
    text = raw
    if re.search(r"<(p|div)\b|&\w+;|&#\d+;", raw):
        parser = TextOfHtml()
        parser.feed(raw)
        text = "\n".join(line.strip() for line in parser.text.splitlines())
    return " ".join(BELOW_THE_TEXT.split(ftfy.fix_text(text))[0].split())


@cache
def conversations() -> dict[str, tuple[str, ...]]:
    """The cleaned turns of each conversation, exact duplicates once."""
    mails = {row["ticket_id"]: (clean(row["body"]), clean(row["reply"])) for row in tickets()}
    return mails | {row["conversation_id"]: tuple(clean(m["content"]) for m in row["messages"]) for row in chats()}


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:'\w+)?", text.lower())


def jaccard(one: set[Any] | frozenset[Any], other: set[Any] | frozenset[Any]) -> float:
    return len(one & other) / max(1, len(one | other))


def states(fact: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(fact.lower())}(?!\w)", text.lower()) is not None


def run_rebuild(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "rebuild.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_exports_are_up_to_date() -> None:
    result = run_rebuild(FOLDER, "--check")
    assert (result.returncode, result.stderr) == (0, "")


def test_rebuild_restores_a_changed_file_and_check_names_it(tmp_path: Path) -> None:
    copy = tmp_path / "alder_finch"
    shutil.copytree(FOLDER, copy)
    (copy / "golden.jsonl").write_text("{}\n", encoding="utf-8")
    (copy / "raw" / "chats.jsonl").unlink()
    check = run_rebuild(copy, "--check")
    assert check.returncode == 1
    assert "golden.jsonl" in check.stderr
    assert "chats.jsonl" in check.stderr
    assert "tickets.csv" not in check.stderr
    assert run_rebuild(copy).returncode == 0
    for name in ("golden.jsonl", "raw/chats.jsonl"):
        assert (copy / name).read_bytes() == (FOLDER / name).read_bytes()


def test_rebuild_refuses_other_arguments(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "rebuild.py", tmp_path)
    result = run_rebuild(tmp_path, "--chekc")
    assert result.returncode == 2
    assert "usage" in result.stderr


def test_every_authored_turn_survives_cleaning() -> None:
    found = {turn for turns in conversations().values() for turn in turns}
    replies = [turns[1] for turns in conversations().values() if len(turns) == 2]
    for row in authored():
        for turn in row["turns"]:
            text = " ".join(turn["content"].split())
            if row["channel"] == "ticket" and turn["role"] == "assistant":
                assert any(text in reply for reply in replies), row["id"]
            else:
                assert text in found, row["id"]


def test_each_fact_is_in_five_conversations_and_two_questions() -> None:
    answers = Counter[str]()
    for row in authored():
        text = " ".join(turn["content"] for turn in row["turns"] if turn["role"] == "assistant")
        answers.update(fact for fact in row["facts"] if all(states(value, text) for value in facts()[fact]))
    golden = read_jsonl(FOLDER / "golden.jsonl")
    questions = Counter(row["id"].rsplit("-", 1)[0] for row in golden)
    assert len(facts()) == 100
    assert [fact for fact in facts() if answers[fact] < 5] == []
    assert [fact for fact in facts() if questions[fact] < 2] == []
    assert len({row["id"] for row in golden}) == len(golden)
    assert all(row["facts"] == facts()[row["id"].rsplit("-", 1)[0]] for row in golden)


def test_handbook_states_all_facts_and_no_other_number() -> None:
    raw = (FOLDER / "raw" / "handbook.md").read_bytes()
    text = raw.decode("utf-8-sig")
    assert raw.startswith(b"\xef\xbb\xbf")
    assert raw.count(b"\n") == raw.count(b"\r\n") > 100
    assert [value for values in facts().values() for value in values if not states(value, text)] == []
    known = " ".join(row["statement"] for row in read_jsonl(FOLDER / "authored" / "facts.jsonl"))
    number = r"\d(?:[\d.,]*\d)?"
    assert set(re.findall(number, text)) <= set(re.findall(number, known))
    sections = re.split(r"^##+ .*$", text, flags=re.MULTILINE)[1:]
    lengths = [len(section.split()) for section in sections]
    assert 30 <= len(sections) <= 40
    assert sum(length < 40 for length in lengths) == 2
    assert max(lengths) <= 120


def test_golden_questions_are_unlike_every_users_turn() -> None:
    asked = {frozenset(words(turn)) for turns in conversations().values() for turn in turns[::2]}
    for row in read_jsonl(FOLDER / "golden.jsonl"):
        question = frozenset(words(row["question"]))
        assert max(jaccard(question, turn) for turn in asked) < 0.6, row["question"]


def test_conversations_are_long_enough_and_often_have_several_turns() -> None:
    rows = list(conversations().values())
    several = sum(len(turns) > 2 for turns in rows)
    tokens = [1.3 * sum(len(turn.split()) for turn in turns) for turns in rows]
    assert several / len(rows) >= 0.3
    assert sum(tokens) / len(tokens) >= 60


def test_no_sentence_skeleton_is_in_many_rows() -> None:
    skeletons = Counter[str]()
    for turns in conversations().values():
        sentences = {sentence for turn in turns for sentence in re.split(r"(?<=[.!?,])\s+", turn)}
        skeletons.update({re.sub(r"(?<=\s)[A-Z]\w+", "N", re.sub(r"\d+", "0", text)).lower() for text in sentences})
    skeleton, count = skeletons.most_common(1)[0]
    assert count / len(conversations()) < 0.05, skeleton


def test_agents_small_print_is_spread_thin() -> None:
    wording = json.loads((FOLDER / "authored" / "boilerplate.json").read_text(encoding="utf-8"))
    limit = 0.04 * (len(tickets()) + len(chats()))
    replies = [clean(row["reply"]) for row in tickets()]
    for phrase in wording["greetings"] + wording["closings"]:
        pattern = re.escape(" ".join(phrase.split())).replace(r"\{first_name\}", r"\w+")
        assert 2 <= sum(re.search(pattern, reply) is not None for reply in replies) < limit, phrase
    signed = Counter(row["agent"] for row in tickets() if re.search(r"(^|>)-- ?(<br|$)", row["reply"], re.MULTILINE))
    assert len(signed) == len(wording["signatures"]) == 14
    assert max(signed.values()) < limit


@pytest.mark.parametrize(
    ("mess", "pattern", "low", "high"),
    [
        ("HTML", r"<(?:p|div)[ >]", 0.25, 0.4),
        ("entities", r"&amp;|&euro;|&nbsp;|&#39;", 0.08, 0.4),
        ("links", r"<a href=", 0.02, 0.2),
        ("inline styles", r'style="', 0.1, 0.3),
        ("signatures", r"(?m)(?:^|>)-- ?(?:<br|$)", 0.2, 0.5),
        ("quoted mails", r"wrote:|-----Original Message-----", 0.08, 0.25),
        ("broken encoding", r"â€™|â‚¬", 0.02, 0.08),
        ("non-breaking spaces", "\u00a0|&nbsp;", 0.02, 0.2),
    ],
)
def test_mess_of_mails(mess: str, pattern: str, low: float, high: float) -> None:
    texts = [text for row in tickets() for text in (row["body"], row["reply"]) if text]
    share = sum(re.search(pattern, text) is not None for text in texts) / len(texts)
    assert low <= share <= high, mess


def test_broken_encoding_is_in_about_four_percent_of_rows() -> None:
    rows = [row["body"] + row["reply"] for row in tickets()]
    rows += [" ".join(message["content"] for message in row["messages"]) for row in chats()]
    broken = [row for row in rows if re.search(r"â€™|â‚¬", row)]
    assert 0.03 <= len(broken) / len(rows) <= 0.06


def test_exact_duplicates_are_whole_rows() -> None:
    copies = Counter(tuple(row.values()) for row in tickets())
    copied_chats = Counter(json.dumps(row) for row in chats())
    assert sum(count - 1 for count in copies.values()) == 15
    assert sum(count - 1 for count in copied_chats.values()) == 10
    assert len(copies) == len({row["ticket_id"] for row in tickets()})


def test_near_duplicates_differ_by_a_word_or_two() -> None:
    texts = [words(" ".join(turns)) for turns in conversations().values()]
    shingles = [set(zip(*(text[start:] for start in range(5)), strict=False)) for text in texts if len(text) >= 30]
    pairs = [jaccard(one, other) for place, one in enumerate(shingles) for other in shingles[:place] if one & other]
    assert 20 <= sum(0.8 <= value < 1 for value in pairs) <= 30
    assert pairs.count(1.0) == 0


def test_rows_that_cleaning_must_drop_are_there() -> None:
    noise = read_jsonl(FOLDER / "authored" / "noise.jsonl")
    bodies = Counter(clean(row["body"]) for row in tickets()) + Counter(
        clean(row["messages"][0]["content"]) for row in chats()
    )
    assert all(bodies[" ".join(row["turns"][0]["content"].split())] for row in noise if row["kind"] != "bounce")
    assert Counter(row["language"] for row in noise if row["kind"] == "language") == {"de": 6, "fr": 4, "es": 4}
    assert sum(len(words(body)) <= 3 and not re.search(r"\d", body) for body in bodies) >= 12
    assert sum(re.fullmatch(r"[+\d ]+", body) is not None for body in bodies) >= 3
    assert sum(not row["reply"] for row in tickets()) >= 4
    assert sum("automatic reply" in row["reply"] for row in tickets()) >= 2


def test_ticket_export_has_an_empty_column_and_returning_customers() -> None:
    assert {row["internal_note"] for row in tickets()} == {""}
    customers = Counter({row["ticket_id"]: row["customer_id"] for row in tickets()}.values())
    assert 8 <= sum(count >= 3 for count in customers.values()) <= 20
    emails = {(row["customer_id"], row["customer_email"]) for row in tickets()}
    assert len(emails) == len(customers)


def test_chats_alternate_and_start_with_the_customer() -> None:
    for row in chats():
        roles = [message["role"] for message in row["messages"]]
        assert roles[0] == "user"
        assert all(one != other for one, other in pairwise(roles))
    greeted = sum(len(words(row["messages"][0]["content"])) <= 2 and len(row["messages"]) > 3 for row in chats())
    assert greeted >= 5


def test_personal_data_is_made_up() -> None:
    raw = (FOLDER / "raw" / "tickets.csv").read_text(encoding="utf-8")
    raw += (FOLDER / "raw" / "chats.jsonl").read_text(encoding="utf-8")
    addresses = re.findall(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*", raw)
    assert addresses
    assert all(address.endswith(".example") for address in addresses)
    assert set(re.findall(r"\b\d{4} \d{4} \d{4} \d{4}\b", raw)) == {"4111 1111 1111 1111", "5555 5555 5555 4444"}
    drama = r"(?:\+44 |0)7700 900\d{3}|0117 496 0\d{3}|020 7946 0\d{3}|01632 960\d{3}"
    phones = re.findall(r"(?:\+44|\b0)[\d ]{9,}\d", raw)
    assert len(phones) > 20
    assert [phone for phone in phones if not re.fullmatch(drama, phone)] == []
