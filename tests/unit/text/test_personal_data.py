"""What is found in the labelled sentences beside this file, counted as the benchmark does."""

import runpy
from pathlib import Path

import pytest

from luthier.text.personal.finding import STRUCTURED_KINDS

BENCHMARK = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "bench_personal_data.py"))


@pytest.mark.parametrize("part", ["tuned", "blind"])
def test_structured_kinds_are_found_and_look_alikes_are_not(part):
    counts, sentences, _ = BENCHMARK["measure"](part)
    assert sentences >= 100
    for kind in STRUCTURED_KINDS:
        assert counts.labelled[kind] >= 2
        assert counts.recall((kind,)) >= 0.98, kind
    assert counts.precision(STRUCTURED_KINDS) >= 0.95


def test_findings_of_another_kind_or_place_do_not_count():
    counts = BENCHMARK["Counts"]()
    counts.add([(0, 5, "email"), (9, 20, "phone")], [(5, 9, "email"), (9, 20, "card"), (9, 12, "phone")])
    assert counts.recall(("email", "phone")) == 0.5
    assert counts.whole["phone"] == 0
    assert counts.precision(("email", "phone", "card")) == pytest.approx(1 / 3)
