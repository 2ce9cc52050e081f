"""Personal data: how much of it is found, and how much of what is found is it, on labelled sentences.

The sentences stand in tests/unit/text/personal_data.jsonl with their look-alikes: order numbers, dates, product codes,
prices. Those marked `tuned` were looked at while rules were written, those marked `blind` were not. A finding is right
where it has the kind of a labelled span and overlaps it; masking is complete where it covers the whole span. Names are
counted, and promised nothing.

Fails where recall of the structured kinds or precision falls short.

    python benchmarks/bench_personal_data.py
"""

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from luthier.text.personal.detect import find_personal_data
from luthier.text.personal.finding import KINDS, STRUCTURED_KINDS

SENTENCES = Path(__file__).parents[1] / "tests" / "unit" / "text" / "personal_data.jsonl"
RECALL, PRECISION = 0.98, 0.95
Span = tuple[int, int, str]


@dataclass(slots=True)
class Counts:
    """Of spans by kind: those labelled, those of them found, covered whole, and how many findings were right or not."""

    labelled: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    whole: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)

    def add(self, labelled: list[Span], findings: list[Span]) -> None:
        for span in labelled:
            hits = [each for each in findings if _match(each, span)]
            self.labelled[span[2]] += 1
            self.found[span[2]] += bool(hits)
            self.whole[span[2]] += any(each[0] <= span[0] and span[1] <= each[1] for each in hits)
        for each in findings:
            side = self.right if any(_match(each, span) for span in labelled) else self.wrong
            side[each[2]] += 1

    def recall(self, kinds: tuple[str, ...]) -> float:
        return sum(self.found[kind] for kind in kinds) / max(1, sum(self.labelled[kind] for kind in kinds))

    def precision(self, kinds: tuple[str, ...]) -> float:
        right, wrong = (sum(side[kind] for kind in kinds) for side in (self.right, self.wrong))
        return right / max(1, right + wrong)


def _match(finding: Span, span: Span) -> bool:
    return finding[2] == span[2] and finding[0] < span[1] and span[0] < finding[1]


def measure(part: str | None = None) -> tuple[Counts, int, float]:
    """Counts over the sentences of a part, or of all; how many these are; seconds in all."""
    counts, sentences, seconds = Counts(), 0, 0.0
    for line in SENTENCES.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if part not in (None, record["part"]):
            continue
        started = time.perf_counter()
        findings = find_personal_data(record["text"], record["region"], KINDS, {})
        seconds += time.perf_counter() - started
        sentences += 1
        counts.add([tuple(span) for span in record["spans"]], [(each.start, each.end, each.kind) for each in findings])
    return counts, sentences, seconds


def main() -> None:
    counts, sentences, seconds = measure()
    print(f"{sentences} sentences, {1e6 * seconds / sentences:,.0f} µs each\n")
    print(f"{'kind':<12} {'labelled':>8} {'recall':>8} {'whole':>8} {'precision':>10}")
    for kind in KINDS:
        of_kind = (kind,)
        whole = counts.whole[kind] / max(1, counts.labelled[kind])
        print(
            f"{kind:<12} {counts.labelled[kind]:>8} {counts.recall(of_kind):>8.3f} {whole:>8.3f}"
            f" {counts.precision(of_kind):>10.3f}"
        )
    print()
    for name, part in (("all", None), ("tuned", "tuned"), ("blind", "blind")):
        found, size, _ = measure(part)
        recall, precision = found.recall(STRUCTURED_KINDS), found.precision(STRUCTURED_KINDS)
        print(f"structured kinds, {name} ({size}): recall {recall:.3f}, precision {precision:.3f}")
    recall, precision = counts.recall(STRUCTURED_KINDS), counts.precision(STRUCTURED_KINDS)
    if recall < RECALL or precision < PRECISION:
        raise SystemExit(f"recall {RECALL} and precision {PRECISION} are wanted")


if __name__ == "__main__":
    main()
