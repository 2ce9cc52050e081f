import pytest

from luthier.text import html_mail_to_text


@pytest.mark.parametrize(
    "tail",
    [
        '<div class="gmail_quote">On Monday Ann wrote:<blockquote>old</blockquote></div>',
        '<div class="moz-cite-prefix">Am Montag:</div><blockquote type="cite">old</blockquote>',
        '<div id="appendonsend"></div><hr><div id="divRplyFwdMsg">From: Ann</div><p>old</p>',
        '<div class="yahoo_quoted">old</div>',
        '<div class="gmail_signature">Ann<br>Buyer</div>',
        '<div class="freshdesk_quote"><blockquote class="freshdesk_quote">old</blockquote></div>',
    ],
)
def test_quoted_parts_go(tail: str) -> None:
    assert html_mail_to_text(f"<p>Is it oak?</p>{tail}") == "Is it oak?"


def test_a_mail_that_is_all_quote_stays() -> None:
    assert html_mail_to_text('<div class="gmail_quote"><p>old</p></div>') == "old"


def test_a_forwarded_mail_stays() -> None:
    html = (
        '<p>Yours?</p><div class="gmail_quote">---------- Forwarded message ---------<br>From: Ann<p>new door</p></div>'
    )
    assert "new door" in html_mail_to_text(html)
