"""What a model could do before it was tuned: short tasks of general skills, and general text.

Both are our own writing and come with the package (`general/`), so that a model is measured by the same ones before and
after, and years later.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from luthier.core.generation import Completion
from luthier.evaluation.statistics import paired_difference
from luthier.text.overlap import words

_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")
_POLITE = frozenset({
    "sorry", "apologise", "apologize", "apologies", "apology", "please", "thank", "thanks", "welcome", "glad", "happy",
    "pleased", "understand", "appreciate", "regret", "grateful", "kindly", "pleasure", "condolences", "hope", "hello",
    "dear", "help", "assist", "delighted", "unfortunately",
})  # fmt: skip
_RUDE = frozenset({
    "idiot", "idiots", "stupid", "dumb", "shut", "liar", "liars", "fool", "fools", "moron", "morons", "nonsense",
    "ridiculous", "whatever", "damn", "hell", "crap", "loser", "losers", "pathetic", "fault",
})  # fmt: skip
_FEWEST_WORDS = 3


@dataclass(frozen=True, slots=True)
class SkillTask:
    """A prompt of a skill and how its answer is checked, see `passes`."""

    skill: str
    prompt: str
    check: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SkillScore:
    """Whether the answer to one task passed its check."""

    skill: str
    prompt: str
    answer: str
    passed: bool


def general_texts() -> list[str]:
    """Passages of general English: encyclopaedic, narrative, instructive, letters, dialogues, code."""
    text = files("luthier.evaluation").joinpath("general", "text.txt").read_text(encoding="utf-8")
    return [passage.strip() for passage in text.split("\n\n")]


def skill_tasks() -> list[SkillTask]:
    """Fifteen tasks of each skill: following instructions, arithmetic, politeness, JSON."""
    lines = files("luthier.evaluation").joinpath("general", "skills.jsonl").read_text(encoding="utf-8")
    return [SkillTask(**json.loads(line)) for line in lines.splitlines()]


def score_skills(tasks: Sequence[SkillTask], completions: Sequence[Completion]) -> list[SkillScore]:
    """One score a task; `completions[i]` answers `tasks[i]`."""
    return [
        SkillScore(task.skill, task.prompt, completion.text, passes(task.check, completion.text))
        for task, completion in zip(tasks, completions, strict=True)
    ]


def lost_skills(candidate: Sequence[SkillScore], reference: Sequence[SkillScore]) -> list[str]:
    """Skills of which the candidate passes fewer tasks than the reference beyond chance, tasks paired.

    Beyond chance: the 95 % bootstrap interval of the difference lies below 0.
    """
    lost = []
    for skill in dict.fromkeys(score.skill for score in candidate):
        ours, theirs = ([score.passed for score in scores if score.skill == skill] for scores in (candidate, reference))
        if theirs and paired_difference(ours, theirs).high < 0:
            lost.append(skill)
    return lost


def passes(check: Mapping[str, Any], answer: str) -> bool:
    """Whether an answer passes a check. By its `kind`:

    `exact` (the same words as `text`, and the same case where `case` is set), `words` (at most `most`, and holds
    `contains`), `lines` (so many lines with words), `starts` (with the word `text`), `contains` (`all` phrases, `|`
    between alternatives), `number` (the last number in it is `value`), `polite` (a polite word, no rude one, three
    words or more, and no word that makes up half of it), `json` (the JSON in it equals `values`).
    """
    found = words(answer)
    match check["kind"]:
        case "exact":
            same_case = not check.get("case") or check["text"] in answer
            return found == words(check["text"]) and same_case
        case "words":
            return 0 < len(found) <= int(check["most"]) and _holds(found, check["contains"])
        case "lines":
            return sum(1 for line in answer.splitlines() if words(line)) == int(check["lines"])
        case "starts":
            return found[:1] == words(check["text"])
        case "contains":
            return _holds(found, check["all"])
        case "number":
            numbers = _NUMBER.findall(answer)
            return bool(numbers and float(numbers[-1].replace(",", "")) == check["value"])
        case "polite":
            return _is_polite(found)
        case "json":
            return bool(_first_json(answer) == check["values"])
    raise ValueError(f"there is no check of kind {check['kind']!r}")


def _holds(found: Sequence[str], phrases: Sequence[str]) -> bool:
    text = f" {' '.join(found)} "
    return all(any(f" {option} " in text for option in phrase.split("|")) for phrase in phrases)


def _is_polite(found: Sequence[str]) -> bool:
    if len(found) < _FEWEST_WORDS or max(Counter(found).values()) * 2 > len(found):
        return False
    return not _POLITE.isdisjoint(found) and _RUDE.isdisjoint(found)


def _first_json(answer: str) -> Any:
    """The first JSON object or list in an answer, be it among words or in a code block; None without one."""
    decoder = json.JSONDecoder()
    for match in re.finditer(r"[{\[]", answer):
        try:
            return decoder.raw_decode(answer, match.start())[0]
        except json.JSONDecodeError:
            continue
    return None
