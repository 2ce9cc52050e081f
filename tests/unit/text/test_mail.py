import pytest

from luthier.text import cut_mail


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
