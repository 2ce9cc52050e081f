import pytest

from luthier.text import has_html, html_to_text


@pytest.mark.parametrize("text", ["a < b and c > d", "write to <ann@mail.example>", "order <id here>", "I <3 it", ""])
def test_text_without_tags_stays(text: str) -> None:
    assert not has_html(text)
    assert html_to_text(text) == text


def test_blocks_lists_links_and_entities() -> None:
    html = (
        "<div>Hello <b>Ann</b>,</div><p>it costs &pound;40 &amp; more.</p><ul><li>oak</li><li>ash</li></ul>"
        "See <a href='https://shop.example/oak'>our page</a> or <a href='mailto:a@b.example'>a@b.example</a>."
    )
    assert html_to_text(html) == (
        "Hello Ann,\n\nit costs £40 & more.\n\n- oak\n- ash\n\nSee our page (https://shop.example/oak) or a@b.example."
    )


def test_breaks_and_quotes() -> None:
    assert html_to_text("one<br>two<br><br>three<blockquote>old<br>words</blockquote>") == (
        "one\ntwo\n\nthree\n\n> old\n> words"
    )


def test_scripts_styles_and_comments_go() -> None:
    assert html_to_text("<style>p{}</style><p>text</p><script>x()</script><!-- note -->") == "text"


def test_preformatted_text_keeps_its_lines() -> None:
    assert html_to_text("<p>x</p><pre><code>a\n  b</code></pre>") == "x\n\na\n  b"


def test_line_ends_count_where_only_words_are_marked_up() -> None:
    assert html_to_text("first\n\nsecond is <b>bold</b>\nthird") == "first\n\nsecond is bold\nthird"


def test_table_rows_are_lines() -> None:
    assert html_to_text("<table><tr><td>oak</td><td>40</td></tr><tr><td>ash</td><td>30</td></tr></table>") == (
        "oak 40\nash 30"
    )


def test_deep_nesting_is_no_error() -> None:
    assert html_to_text("<div>" * 5_000 + "deep") == "deep"
