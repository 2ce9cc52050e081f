import pytest

from luthier.data.verdict import judge


def figures(**changes: object) -> dict[str, object]:
    return {
        "read": 1000,
        "dropped": 100,
        "splits": {"train": 700, "validation": 100, "test": 100},
        "reasons": {"too short": 100},
        "flags": {},
        "personal_data": {"residual_rows": 0, "residual_sampled": 500},
        "leakage": {"complete": True, "found": []},
        "labels": {},
        "topics": [{"terms": ["a", "b", "c", "d"], "texts": 40}, {"terms": ["e"], "texts": 60}],
        **changes,
    }


def answers(changes: dict[str, object], enough: tuple[bool, str] = (True, "plenty")) -> list[str]:
    return [finding.answer for finding in judge(figures(**changes), enough)]


@pytest.mark.parametrize(
    ("changes", "clean", "balanced"),
    [
        ({}, "yes", "yes"),
        ({"dropped": 400}, "no", "yes"),
        ({"flags": {"toxic": 46}}, "partly", "yes"),
        ({"flags": {"toxic": 45}}, "yes", "yes"),
        ({"personal_data": {"residual_rows": 1, "residual_sampled": 500}}, "partly", "yes"),
        ({"leakage": {"complete": True, "found": [{"one": "test", "rows": 2, "of": 100}]}}, "no", "yes"),
        ({"leakage": {"complete": False, "found": []}}, "partly", "yes"),
        ({"topics": []}, "yes", "partly"),
        ({"topics": [{"terms": ["a"], "texts": 60}, {"terms": ["b"], "texts": 40}]}, "yes", "partly"),
        ({"labels": {"train": {"a": 50, "b": 50}}}, "yes", "yes"),
        ({"labels": {"train": {"a": 90, "b": 30}}}, "yes", "partly"),
        ({"labels": {"train": {"a": 50, "b": 45, "c": 9}}}, "yes", "partly"),
        ({"labels": {"train": {"a": 100}}}, "yes", "no"),
    ],
)
def test_answers_follow_the_figures(changes, clean, balanced):
    assert answers(changes) == ["yes", clean, balanced]


def test_whether_it_is_enough_is_told_by_the_caller():
    [finding, *_] = judge(figures(), (False, "12 rows are too few."))
    assert (finding.answer, finding.why) == ("no", "12 rows are too few.")


def test_faults_are_named_in_sentences():
    clean = judge(figures(dropped=400, flags={"toxic": 99}), (True, ""))[1]
    assert clean.why == (
        "40% of the records were dropped, most of them as too short: look at these first. 99 rows are flagged: toxic."
    )


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ({"train": 9, "validation": 1, "test": 1}, "plenty"),
        ({"train": 9, "validation": 0, "test": 1}, "plenty No row is for validation: "),
        ({"train": 9, "validation": 0, "test": 0}, "plenty No row is for validation and test: "),
    ],
)
def test_splits_without_rows_are_told(splits: dict[str, int], said: str) -> None:
    enough = judge(figures(splits=splits), (True, "plenty"))[0]

    assert enough.answer == "yes"
    assert enough.why == said if said == "plenty" else enough.why.startswith(said)
