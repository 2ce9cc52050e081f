"""The report of a dataset as one page that needs nothing else: no script, no font, no network."""

from collections.abc import Mapping
from importlib.resources import files

from luthier.text.pages import fill_page

SECTIONS = (
    ("counts", "Counts"),
    ("dropped", "Dropped"),
    ("flagged", "Remarks"),
    ("personal", "Personal data"),
    ("lengths", "Lengths"),
    ("content", "Topics and labels"),
    ("leakage", "Leakage"),
    ("samples", "Before and after"),
)


def render_page(report: Mapping[str, object]) -> str:
    """HTML of a dataset's report, its values escaped. Raises jinja2.UndefinedError for a figure that is missing."""
    template = files("luthier.data").joinpath("report_page.html").read_text(encoding="utf-8")
    return fill_page(template, report=report, sections=SECTIONS)
