import pytest

from luthier.text.automatic import cut_added_lines, has_automatic_headers, is_automatic


@pytest.mark.parametrize(
    "text",
    [
        "We have received your request (#123) and will answer soon.",
        "Your request (4711) has been received and is being reviewed by our support staff.",
        "Thank you for contacting Birch. We've received your message. Our team will get back to you within 24 hours.",
        "This is an automated response. Please do not reply.",
        "This message was sent automatically.",
        "I am out of the office until Monday. I will reply on my return.",
        "Thank you for your message. I'm on annual leave.",
        "Ich bin bis zum 10. Februar nicht im Büro. In dringenden Fällen hilft Frau Moor.",
        "Dies ist eine automatische Antwort.",
        "Wir haben Ihre Anfrage erhalten und melden uns schnellstmöglich.",
        "Je suis absente jusqu'à lundi. Votre message sera lu à mon retour.",
        "Nous avons bien reçu votre demande et répondrons dans les plus brefs délais.",
        "Hemos recibido su solicitud (#12) y responderemos lo antes posible.",
        'Request #29 "Curtain" was closed and merged into this request.',
        "Your ticket has been resolved. Reply to this mail to reopen it.",
        "Hi Ann,\n\nyour request (#12) has been deemed solved.",
        "Ticket #12 (Curtain) was merged into this one.",
        "Delivery to the following recipient failed permanently: x@y.example",
    ],
)
def test_messages_of_programs(text: str) -> None:
    assert is_automatic(text)


@pytest.mark.parametrize(
    "text",
    [
        "We have received your chair and refunded it.",
        "We have received your request and changed the address. Anything else?",
        "I am out of the office on Monday, can you deliver on Tuesday?",
        "I am on holiday next week, so please wait with the delivery.",
        "The automatic reply of your shop is broken.",
        "Your request has been resolved: the refund of £20 arrives on Monday.",
        "We have merged your two orders into order 4711 and ship them tomorrow.",
        "We have received your message, and the refund (#4711) is paid.",
        "My request was closed without an answer, why?",
        "We have received your message within the last hour. " + "Here is what we found out about it. " * 50,
    ],
)
def test_messages_of_people(text: str) -> None:
    assert not is_automatic(text)


@pytest.mark.parametrize(
    "subject", ["Automatic reply: Order", "Re: Out of office", "Abwesenheitsnotiz", "Undeliverable: x"]
)
def test_subjects_tell(subject: str) -> None:
    assert is_automatic("Back on Monday", subject)
    assert not is_automatic("Back on Monday", "Order")


@pytest.mark.parametrize(
    ("headers", "automatic"),
    [
        ({"auto-submitted": "auto-replied"}, True),
        ({"auto-submitted": "auto-generated; x=y"}, True),
        ({"auto-submitted": "no"}, False),
        ({"x-autoreply": "yes"}, True),
        ({"precedence": "Bulk"}, True),
        ({"precedence": "list"}, False),
        ({"from": "Mail Delivery <MAILER-DAEMON@mx.example>"}, True),
        ({"content-type": "multipart/report; report-type=delivery-status"}, True),
        ({"from": "Ann <ann@mail.example>"}, False),
    ],
)
def test_headers_tell(headers: dict[str, str], automatic: bool) -> None:
    assert has_automatic_headers(headers) is automatic


def test_lines_that_programs_add() -> None:
    added = (
        "[EXTERNAL]\nIt is oak.\n[image: logo.png]\nTicket ID: 4711\n"
        "This email is a service from Birch. Delivered by Zendesk\n[Q7WXYZ-1ABC]"
    )
    assert cut_added_lines(added) == "It is oak.\n"
    assert cut_added_lines("The ticket is 4711.\nDelivered by noon.") == "The ticket is 4711.\nDelivered by noon."
