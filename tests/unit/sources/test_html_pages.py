from pathlib import Path

import pytest

from luthier.core.errors import SourceError
from luthier.sources import lines
from luthier.sources.html_pages import read_html

PAGE = """<!doctype html><html><head><title>Returns &amp; more | Shop</title></head>
<body><nav><h2>Menu</h2><a href="x">Home</a></nav>
<main><p>Before.</p><h1>Returns <b>policy</b></h1><p>Thirty &lt;30&gt; days.</p><ul><li>One</li><li>Two</li></ul>
<div><h2>Refunds</h2>Five days.</div><h2>Empty</h2><h1>End</h1>Bye.</main><footer>© Shop</footer></body></html>"""


def read(folder: Path, text: str) -> list[tuple[object, object]]:
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    return [(record.fields["title"], record.fields["body"]) for record in read_html(path, "page.html")]


def test_sections_of_the_main_text_under_their_headings(tmp_path: Path) -> None:
    assert read(tmp_path, PAGE) == [
        ("", "Before."),
        ("Returns policy", "Thirty <30> days.\n\n- One\n- Two"),
        ("Returns policy > Refunds", "Five days."),
        ("End", "Bye."),
    ]


def test_a_page_without_headings_is_one_record(tmp_path: Path) -> None:
    assert read(tmp_path, "<title>Hours</title><body><p>Nine to five.</p><p>Closed on Sunday.</p>") == [
        ("Hours", "Nine to five.\n\nClosed on Sunday.")
    ]


@pytest.mark.parametrize("page", ["", "<html></html>", "<body><nav>Menu</nav></body>"])
def test_a_page_without_text_has_no_records(tmp_path: Path, page: str) -> None:
    assert read(tmp_path, page) == []


def test_a_page_that_never_ends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_CHARACTERS", 100)
    with pytest.raises(SourceError, match=r"page\.html: a page of more than 100 characters"):
        read(tmp_path, PAGE)
