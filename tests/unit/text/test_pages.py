import pytest
from jinja2 import UndefinedError

from luthier.text.pages import fill_page


def test_values_are_escaped_and_the_style_is_shared():
    page = fill_page("<style>{{ style | safe }}</style>{{ name }}", name="<script>")
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "--ink: #1c2430" in page


def test_a_missing_value_is_an_error():
    with pytest.raises(UndefinedError):
        fill_page("{{ nothing }}")
