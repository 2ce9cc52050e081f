import re
from html.parser import HTMLParser

import pytest
from jinja2 import UndefinedError

from luthier.data.report_page import SECTIONS, render_page

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Open elements, ids and text of a page; fails on an end tag without its start."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value for name, value in attributes if name == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def report(**changes: object) -> dict[str, object]:
    lengths = {"bars": [["to 8", 3], ["to 16", 1]], "longest": 12}
    remark = {"file": "a.csv", "row": 3, "remark": "too short: 1 words", "original": '{"body": "<b>Hm</b>"}'}
    return {
        "dataset": "dataset-0123456789ab",
        "read": 1234,
        "kept": 1230,
        "dropped": 4,
        "splits": {"train": 1000, "validation": 100, "test": 130},
        "files": [{"path": "a.csv", "read": 1234, "kept": 1230, "dropped": 4}],
        "formats": {"a.csv": "messages"},
        "kinds": {"conversation": 1230},
        "reasons": {"too short": 4},
        "flags": {"toxic": 2},
        "remarks": {"too short": [remark], "toxic": [remark | {"remark": "toxic: insult"}]},
        "redactions": {"email": 7},
        "personal_data": {
            "keep": [{"value": "help@shop.example", "kind": "email", "conversations": 40}],
            "residuals": [{"kind": "digits", "file": "a.csv", "row": 9, "snippet": "… 12345678 …"}],
            "residual_rows": 1,
            "residual_sampled": 500,
        },
        "words": {"train": lengths, "validation": lengths, "test": {"bars": [], "longest": 0}},
        "tokens": {**lengths, "rows": 4, "mean": 9.5, "mean_targets": 4.0},
        "topics": [{"terms": ["parcel", "courier"], "texts": 3, "example": "Where is my parcel?"}],
        "labels": {"train": {"delivery": 3, "refund": 1}},
        "languages": {"en": 4},
        "leakage": {"complete": False, "found": [{"one": "test", "other": "train", "rows": 1, "of": 130}]},
        "boilerplate": [{"sentence": "Thank you for asking us.", "edge": "start", "conversations": 41}],
        "changed": [{"origin": ["a.csv", 5], "before": '{"body": "<p>Hi</p>"}', "after": "Hi"}],
        "verdict": [{"question": "Is it clean?", "answer": "no", "why": "Rows leak."}],
        **changes,
    }


def test_the_page_is_whole_and_needs_nothing_else():
    html = render_page(report())
    page = Page(html)
    assert page.open == []
    assert page.ids == [anchor for anchor, _ in SECTIONS]
    assert not re.search(r"https?://|<script|<link|@import|url\(", html)


def test_figures_and_samples_stand_on_the_page():
    page = Page(render_page(report()))
    for words in (
        "1,234",
        "Is it clean? No.",
        "help@shop.example",
        "… 12345678 …",
        "1 of 130",
        "parcel, courier",
        "Thank you for asking us.",
    ):
        assert words in page.words


def test_what_records_hold_is_text_and_no_markup():
    html = render_page(report(changed=[{"origin": ["a", 1], "before": "<script>alert(1)</script>", "after": "x"}]))
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_an_empty_dataset_of_figures_still_reads_well():
    nothing = {"keep": [], "residuals": [], "residual_rows": 0, "residual_sampled": 10}
    empty = {
        "reasons": {},
        "flags": {},
        "remarks": {},
        "redactions": {},
        "topics": [],
        "labels": {},
        "leakage": {"complete": True, "found": []},
        "boilerplate": [],
    }
    page = Page(render_page(report(**empty, personal_data=nothing, changed=[])))
    for words in ("Nothing was dropped.", "No row has a remark.", "Nothing was masked.", "Too few rows to tell"):
        assert words in page.words


def test_a_figure_that_is_missing_is_an_error():
    whole = report()
    del whole["topics"]
    with pytest.raises(UndefinedError, match="topics"):
        render_page(whole)
