import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.text import cut_mail
from luthier.text.quotes import cut_quotes
from luthier.text.signature import cut_signature


@pytest.mark.parametrize(
    "tail",
    [
        "\n\nOn Mon, 3 Feb 2025 at 10:02, Ann <ann@mail.example> wrote:\n> old words\n> more",
        "\n\nOn Mon, 3 Feb 2025 at 10:02, Ann Longname\n<ann@mail.example> wrote:\n\nold words",
        "\n\nAm 3. Februar 2025 um 10:02 schrieb Ann <ann@mail.example>:\n> alt",
        "\n-----Original Message-----\nFrom: Ann\nold words",
        "\n\n________________________________\nFrom: Ann\nSent: Monday\nTo: Bob\nSubject: Chair\n\nold words",
        "\n\n--\nAnn Smith\nBuyer",
        "\n\nSent from my iPhone",
        "\n\nGet Outlook for iOS",
        "\n> old words\n> more",
    ],
)
def test_cuts_what_the_mail_program_added(tail: str) -> None:
    assert cut_mail("Thanks, that works.\n\nBye" + tail) == "Thanks, that works.\n\nBye"


def test_keeps_answers_between_quotes() -> None:
    assert cut_mail("> which wood?\noak\n> which size?\nlarge") == "oak\nlarge"


@pytest.mark.parametrize(
    "text",
    [
        "On Monday she wrote to me",
        "range -- from 3 to 5",
        "x > y",
        ">>> print(1)",
        "It was sent from my house",
        "> all of it is quoted",
    ],
)
def test_leaves_plain_words_alone(text: str) -> None:
    assert cut_mail(text) == text


PIECES = (
    *("On Mon, 3 Feb 2025 at 10:02, Ann <ann@mail.example> wrote:", "schrieb Ann:", "-----Original Message-----", ">"),
    *(
        "--",
        "-- ",
        "—",
        "Sent from my iPhone",
        "Get Outlook for iOS",
        "CONFIDENTIALITY NOTICE",
        "This e-mail is confidential",
    ),
    *(
        "## please reply above this line ##",
        "---------- Forwarded message ----------",
        "hello",
        " ",
        "x > y",
        "From: Ann",
    ),
)


@given(st.lists(st.sampled_from(PIECES), max_size=4), st.sampled_from(["", " ", "\t"]))
def test_a_single_line_stays_whole(pieces: list[str], between: str) -> None:
    line = between.join(pieces)
    own = cut_signature(cut_quotes(line))
    assert own in (line, "") or not own.strip() or own.strip() == line.strip()
    assert cut_mail(line) == line
