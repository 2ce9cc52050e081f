import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.text.signature import cut_sign_off, cut_signature


@pytest.mark.parametrize(
    "tail",
    [
        "\n\n-- \nAnn Reed\nBuyer",
        "\n\n—\nBirch Support",
        "\n\nSent from my iPhone",
        "\n\nVon meinem iPhone gesendet",
        "\n\nEnvoyé de mon iPhone",
        "\n\nEnviado desde mi iPhone",
        "\n\nVerzonden vanaf mijn telefoon",
        "\n\nGet Outlook for Android",
        "\n\nCONFIDENTIALITY NOTICE: for the addressee only.\nDelete it otherwise.",
        "\n\nThis e-mail and any attachments are confidential.",
        "\n\nDiese E-Mail enthält vertrauliche Informationen.",
        "\n\nCe message est confidentiel et réservé à son destinataire.",
        "\n\nPlease consider the environment before printing this.",
    ],
)
def test_what_stands_below_goes(tail: str) -> None:
    assert cut_signature(f"Is it oak?{tail}").strip() == "Is it oak?"


@pytest.mark.parametrize(
    "text", ["range -- from 3 to 5", "It was sent from my house", "This message is about oak", "Is it confidential?"]
)
def test_words_stay(text: str) -> None:
    assert cut_signature(text) == text
    assert cut_sign_off(text) == text


@pytest.mark.parametrize(
    "tail",
    [
        "Best regards,\nJane",
        "Best regards,\n\nJane Doe\nHead of Support\nBirch Ltd\n+44 20 7946 0123\nwww.birch.example",
        "Kind regards",
        "Kind regards, Jane",
        "Thanks,\nTom",
        "Many thanks and best wishes\nTom",
        "Mit freundlichen Grüßen\nIhr Birkenhaus",
        "Viele Grüße, Jana",
        "Cordialement,\nLuc",
        "Un saludo,\nEva",
        "Met vriendelijke groet,\nPiet van den Berg",
        "Cordiali saluti\nUgo",
        "Atenciosamente,\nRui",
        "Cheers!\nMo",
        "Thank you.\nAnn Reed",
        "thanks,\nann",
        "Thanks\n\nAnn Reed\nCEO | Reed Ltd",
        "Liebe Grüße aus Köln\nJana",
        "LG Jana",
        "Thanks in advance for your help,\nAnn Reed",
        "Merci d'avance,\nLuc Vert",
        "Vielen Dank und viele Grüße\nJana Moor\nMusterweg 1\n50667 Köln",
        "Grazie mille,\nUgo",
        "Br,\nAnn",
        "Thanks & regards,\nAnn",
        "Regards,\n\nAnn Reed | Buyer\nReed Ltd. Registered in England and Wales with the number 123 since a long"
        " time ago.",
        "Gruß\nJana",
        "Mit freundlichen Grüßen / Kind regards\nJana Moor",
        "*Best regards,*\n*Tom*",
    ],
)
def test_sign_offs_go(tail: str) -> None:
    assert cut_sign_off(f"It is oak.\n\n{tail}") == "It is oak."


@pytest.mark.parametrize(
    "text",
    [
        "It is oak.\n\nThanks",
        "It is oak.\n\nThanks\nperfect",
        "It is oak.\n\nBest Price Guarantee",
        "It is oak.\n\nBest regards,\nI will come back to you on Monday with the offer that we spoke of.",
        "Best regards,\nJane",
        "It is oak.\n\nThanks, and could you send me the invoice?",
        "Regards the colour: it is oak.",
    ],
)
def test_what_is_no_signature_stays(text: str) -> None:
    assert cut_sign_off(text) == text


def test_a_postscript_stays() -> None:
    assert cut_sign_off("It is oak.\n\nRegards,\nAnn\n\nPS: the left one") == "It is oak.\n\nPS: the left one"


@given(st.lists(st.sampled_from(["Best regards,", "Ann", "", "It is oak.", "Thanks", "PS: x", "why?"]), max_size=30))
def test_something_is_always_left(lines: list[str]) -> None:
    text = "\n".join(lines).strip()
    assert bool(cut_sign_off(text)) == bool(text)
