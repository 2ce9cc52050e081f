import pytest

from luthier.text import bare_subject, is_reply


@pytest.mark.parametrize(
    ("subject", "bare"),
    [
        ("Re: Re: Order", "Order"),
        ("AW: [Ticket #4711] Order", "Order"),
        ("Fwd: Order", "Order"),
        ("RE[2]: Order", "Order"),
        ("[EXTERNAL]  Order  12", "Order 12"),
        ("(no subject)", ""),
        ("Chat with Ann", ""),
        ("Missed call from Ann", ""),
        ("Regarding my order", "Regarding my order"),
        ("Chat window is broken", "Chat window is broken"),
        ("", ""),
    ],
)
def test_bare_subjects(subject: str, bare: str) -> None:
    assert bare_subject(subject) == bare


def test_replies_are_told() -> None:
    assert is_reply("SV: Order")
    assert not is_reply("Refund: order")
