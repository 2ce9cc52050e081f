import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.text.quotes import cut_quotes, cut_reply_marker

OWN = "Thanks, that works.\n\nBye"


@pytest.mark.parametrize(
    "header",
    [
        "On Mon, 3 Feb 2025 at 10:02, Ann <ann@mail.example> wrote:",
        "*On Mon, 3 Feb 2025 at 10:02, Ann <ann@mail.example> wrote:*",
        "2025-02-03 10:02 GMT+01:00 Ann <ann@mail.example> wrote:",
        "Ann Reed <ann@mail.example> wrote:",
        "Am 3. Februar 2025 um 10:02 schrieb Ann <ann@mail.example>:",
        "Am Mo., 3. Feb. 2025 um 10:02 Uhr schrieb Ann Reed\n<ann@mail.example>:",
        "Ann <ann@mail.example> schrieb am Mo., 3. Feb. 2025, 10:02:",
        "Le lun. 3 févr. 2025 à 10:02, Ann <ann@mail.example> a écrit :",
        "El lun, 3 feb 2025 a las 10:02, Ann (<ann@mail.example>) escribió:",
        "Op ma 3 feb 2025 om 10:02 schreef Ann <ann@mail.example>:",
        "Il giorno lun 3 feb 2025 alle ore 10:02 Ann <ann@mail.example> ha scritto:",
        "Em seg., 3 de fev. de 2025 às 10:02, Ann <ann@mail.example> escreveu:",
        "-----Original Message-----",
        "-----Ursprüngliche Nachricht-----",
        "----- Mensaje original -----",
        "________________________________\nFrom: Ann\nSent: Monday\nTo: Bob\nSubject: Chair",
        "From: Ann\nDate: Monday\nTo: Bob\nCc: Eve\nSubject: Chair",
        "*From:* Ann\n*Sent:* Monday\n*To:* Bob\n*Subject:* Chair",
        "Von: Ann\nGesendet: Montag\nAn: Bob\nBetreff: Stuhl",
        "De : Ann\nEnvoyé : lundi\nÀ : Bob\nObjet : Chaise",
        "De: Ann\nEnviado el: lunes\nPara: Bob\nAsunto: Silla",
        "Van: Ann\nVerzonden: maandag\nAan: Bob\nOnderwerp: Stoel",
        "Da: Ann\nInviato: lunedì\nA: Bob\nOggetto: Sedia",
        "De: Ann\nEnviado: segunda-feira\nPara: Bob\nAssunto: Cadeira",
        "##- Please type your reply above this line -##",
        "##- Bitte geben Sie Ihre Antwort oberhalb dieser Zeile ein -##",
        "-- Please reply above this line --",
    ],
)
def test_what_a_mail_answers_goes(header: str) -> None:
    assert cut_quotes(f"{OWN}\n\n{header}\n\nold words\n> older words").strip() == OWN


@pytest.mark.parametrize(
    "text",
    [
        "On Monday she wrote to me",
        "On the box it says, and you wrote:\nno tools needed",
        "From: the heart\nto you",
        "I put it above the line -- carefully",
        "x > y and y > z",
        ">>> print(1)",
        "They wrote: hello",
    ],
)
def test_plain_words_stay(text: str) -> None:
    assert cut_quotes(text) == text


def test_a_header_in_any_language_above_quoted_lines() -> None:
    assert cut_quotes("Yes.\n\n2025年2月3日(月) 10:02 Birch <help@birch.example>:\n\n> old").strip() == "Yes."


def test_answers_between_quoted_lines_stay() -> None:
    assert cut_quotes("> which wood?\noak\n> which size?\nlarge") == "oak\nlarge"


@pytest.mark.parametrize(
    "marker",
    [
        "---------- Forwarded message ---------",
        "Begin forwarded message:",
        "-------- Weitergeleitete Nachricht --------",
    ],
)
def test_the_words_of_a_forwarded_mail_stay(marker: str) -> None:
    mail = (
        f"Is it yours?\n\n{marker}\nFrom: Shop <shop@birch.example>\nDate: Monday\nSubject: Sale\n\nAll is half price."
    )
    assert cut_quotes(mail) == "Is it yours?\n\nAll is half price."


def test_a_reply_marker_on_top_goes_alone() -> None:
    assert cut_reply_marker("##- Please type your reply above this line -##\n\nhello") == "hello"
    assert cut_reply_marker("hello\n##- Please type your reply above this line -##") == (
        "hello\n##- Please type your reply above this line -##"
    )


@given(st.text(alphabet="On wrote:>#-\nFmSubject<@3", max_size=200))
def test_any_text_can_be_cut(text: str) -> None:
    assert len(cut_quotes(text)) <= len(text) + len("\n\n")
