"""The report of a dataset: what is in it, what was left out and why, and whether it is enough, clean and balanced."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.core.recipe import RedactSection, Task
from luthier.core.rows import Row
from luthier.data.boilerplate import find_boilerplate
from luthier.data.clean import spoken
from luthier.data.content import Content
from luthier.data.dataset import PAGE_NAME, REPORT_NAME
from luthier.data.layout import Layout
from luthier.data.redaction import personal_values
from luthier.data.report_page import render_page
from luthier.data.stage import TokenCounter
from luthier.data.survey import survey_dataset
from luthier.data.verdict import judge
from luthier.sources import Manifest, spread_fields
from luthier.text.personal.own_values import ValueCounts, propose_keep
from luthier.text.personal.residuals import residuals

SEARCHED_RECORDS = 5_000
"""Records in which values that recur are looked for."""
_SHOWN_RESIDUALS = 40
_DIGITS_OF_ESTIMATES = 3


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a dataset is made for.

    `enough` says of the training rows and their target tokens whether they suffice, and why.
    """

    task: Task
    counter: TokenCounter
    enough: Callable[[int, int], tuple[bool, str]]


def write_report(
    folder: Path, counts: Mapping[str, Any], keep: Sequence[object], purpose: Purpose, redact: RedactSection | None
) -> dict[str, object]:
    """Write JSON and page of the dataset in `folder`, whose `counts` are known; gives its `flags` and `verdict`.

    `keep` are values to spare, `redact` what was done about personal data.
    """
    survey = survey_dataset(folder)
    figures: dict[str, Any] = {**counts, **survey.figures(purpose.counter.measure)}
    if "boilerplate" not in figures:
        figures["boilerplate"] = [each.to_json() for each in find_boilerplate(survey.sampled_rows())]
    figures["personal_data"] = {"keep": keep, **_left_over(survey.sampled_rows(), redact)}
    training = counts["splits"]["train"]
    targets = _rounded(training * figures["tokens"]["mean_targets"])
    verdict = [finding.to_json() for finding in judge(figures, purpose.enough(training, targets))]
    figures["verdict"] = verdict
    (folder / REPORT_NAME).write_text(json.dumps(figures, indent=2, ensure_ascii=False), encoding="utf-8")
    (folder / PAGE_NAME).write_text(render_page(figures), encoding="utf-8")
    return {"flags": figures["flags"], "verdict": verdict}


def values_to_keep(manifest: Manifest, layouts: Sequence[Layout], settings: RedactSection | None) -> list[object]:
    """Values that answers and texts of many conversations name, as a hotline is named: perhaps the company's own."""
    if settings is None:
        return []
    counts = ValueCounts()
    for source, fields in spread_fields(manifest, SEARCHED_RECORDS):
        content = layouts[source].read(fields)
        if isinstance(content, Content):
            answers = [message["content"] for message in content.messages if message["role"] == "assistant"]
            counts.add(personal_values([*answers, content.text], settings))
    return [proposal._asdict() for proposal in propose_keep(counts)]


def _left_over(rows: Iterable[Row], settings: RedactSection | None) -> dict[str, object]:
    """What still looks like personal data in sampled rows, for a person to read. Made-up names look real: they are
    passed over, and so is what the recipe keeps."""
    names = settings is None or settings.mode != "pseudonym" or settings.names is False
    keep = settings.keep if settings else ()
    found, sampled, touched = [], 0, 0
    for row in rows:
        sampled += 1
        text = spoken(row, without=("system",))
        for own in keep:
            text = text.replace(own, "…")
        left = residuals(text, names)
        touched += bool(left)
        found += [{**place._asdict(), "file": row.origin.file, "row": row.origin.row} for place in left]
    return {"residuals": found[:_SHOWN_RESIDUALS], "residual_rows": touched, "residual_sampled": sampled}


def _rounded(estimate: float) -> int:
    """The estimate with as many digits as it deserves."""
    return int(float(f"{estimate:.{_DIGITS_OF_ESTIMATES}g}"))
