"""Facts that nothing supports: how much of what answers make up is found, and how much of what is found is made up.

The answers stand in tests/unit/text/unsupported_facts.jsonl. Three in seven were written for it, each with a page of a
company to support it; the others are what SmolLM2-135M-Instruct and a run tuned on the sample data answered to golden
questions, supported by what agents say in the sample's conversations and by its handbook. What is made up was labelled
by reading: values of the kinds that are checked, amounts of money without a currency too, and names of products,
companies, people and places. A label is found where a finding lies in its words; a finding is right where it lies in
those of a label. Answers marked `tuned` were looked at while rules were written, the 48 of the base model marked
`blind` only afterwards; they changed one rule: what customers say supports no value.

Fails where precision or recall falls short.

    python benchmarks/bench_unsupported_facts.py
"""

import json
import time
from collections import Counter
from importlib.resources import files
from pathlib import Path

from luthier.text.facts import extract_facts
from luthier.text.unsupported import Support, Unsupported, unsupported_facts

ANSWERS = Path(__file__).parents[1] / "tests" / "unit" / "text" / "unsupported_facts.jsonl"
LIMIT = 0.9


def measure(part: str | None = None) -> tuple[Counter[str], int, float]:
    """Counts of `labelled`, `found`, `right` and `wrong` over the answers of a part, or of all; how many these are;
    seconds in all but reading the support."""
    lines = [json.loads(line) for line in ANSWERS.read_text(encoding="utf-8").splitlines()]
    chosen = [line for line in lines if part in (None, line["part"])]
    sample = sample_support()
    counts: Counter[str] = Counter()
    begin = time.perf_counter()
    for line in chosen:
        support = (
            Support.of([line["source"], line["question"]]) if "source" in line else sample.and_of([line["question"]])
        )
        findings = unsupported_facts(line["answer"], support)
        hits = [[label for label in line["unsupported"] if _lies_in(found, label)] for found in findings]
        counts["labelled"] += len(line["unsupported"])
        counts["found"] += len({label for labels in hits for label in labels})
        counts["right"] += sum(1 for labels in hits if labels)
        counts["wrong"] += sum(1 for labels in hits if not labels)
        counts["answers right"] += bool(findings) == bool(line["unsupported"])
    return counts, len(chosen), time.perf_counter() - begin


def precision(counts: Counter[str]) -> float:
    """Right findings of all findings."""
    return counts["right"] / max(1, counts["right"] + counts["wrong"])


def recall(counts: Counter[str]) -> float:
    """Labels found of all labels."""
    return counts["found"] / max(1, counts["labelled"])


def sample_support() -> Support:
    """What the tuned run was trained to say: the agents' turns of the sample's conversations, and its handbook."""
    sample = files("luthier").joinpath("samples", "alder_finch", "authored")
    turns = [
        turn
        for name in "ABCD"
        for line in sample.joinpath(f"conversations_{name}.jsonl").read_text(encoding="utf-8").splitlines()
        for turn in json.loads(line)["turns"]
    ]
    said = [turn["content"] for turn in turns if turn["role"] == "assistant"]
    support = Support.of([*said, sample.joinpath("handbook.md").read_text(encoding="utf-8")])
    return support.with_words_of(turn["content"] for turn in turns)


def _lies_in(found: Unsupported, label: str) -> bool:
    if found.kind == "name":
        words = {word for word in label.split() if word[:1].isupper()} | {label}
        return any(word.strip("()") in found.value or found.value in word for word in words)
    return found.value in {fact.value for fact in extract_facts(label) | extract_facts(f"in {label}")}


def main() -> None:
    for part in ("tuned", "blind", None):
        counts, answers, seconds = measure(part)
        print(
            f"{part or 'all':6} {answers} answers, {counts['labelled']} facts made up: "
            f"precision {precision(counts):.3f}, "
            f"recall {recall(counts):.3f}, {counts['answers right'] / answers:.1%} of answers judged right, "
            f"{1000 * seconds / answers:.2f} ms an answer"
        )
    if min(precision(counts), recall(counts)) < LIMIT:
        raise SystemExit(f"below {LIMIT}")


if __name__ == "__main__":
    main()
