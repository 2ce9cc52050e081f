import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.data import language
from luthier.data.common_words import COMMON_WORDS
from luthier.data.language import MIN_PROBABILITY, guess_language, known_languages, surely_in

SENTENCES = {
    "en": (
        "My parcel has not arrived yet and the tracking page shows nothing.",
        "Could you please send me a new invoice for the last order?",
        "We are sorry to hear that the lamp arrived broken.",
        "You can return it within thirty days, and the refund takes about a week.",
        "There is a scratch on the top of the table.",
        "Which size should I order if I am between two of them?",
    ),
    "de": (
        "Mein Paket ist noch nicht angekommen und die Sendungsverfolgung zeigt nichts an.",
        "Können Sie mir bitte eine neue Rechnung für die letzte Bestellung schicken?",
        "Es tut uns leid, dass die Lampe beschädigt geliefert wurde.",
        "Ich möchte die Lieferadresse ändern, bevor die Ware das Lager verlässt.",
    ),
    "es": (
        "Mi paquete todavía no ha llegado y el seguimiento no muestra nada.",
        "Sentimos mucho que la lámpara llegara rota.",
        "Quiero cambiar la dirección de entrega antes de que salga del almacén.",
    ),
    "fr": (
        "Mon colis n'est pas encore arrivé et le suivi n'affiche rien.",
        "Vous pouvez retourner l'article dans les trente jours.",
        "Je voudrais changer l'adresse de livraison avant le départ du colis.",
    ),
    "nl": (
        "Mijn pakket is nog niet aangekomen en de tracking laat niets zien.",
        "Het spijt ons dat de lamp kapot is aangekomen.",
        "Er zit een kras op het tafelblad, we hebben het zo gekregen.",
    ),
    "pl": (
        "Moja paczka jeszcze nie dotarła i nie widać jej w systemie.",
        "Przykro nam, że lampa przyszła uszkodzona, to nasza wina.",
        "Chcę zmienić adres dostawy, by paczka trafiła do biura.",
    ),
}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Wo ist meine Bestellung bitte?", "de"),
        ("hola, dónde está mi pedido, gracias", "es"),
        ("Gdzie jest moje zamówienie", "pl"),
    ],
)
def test_foreign_texts_are_told(text: str, language: str) -> None:
    guess = guess_language(text, ["en"])
    assert guess is not None
    assert guess.likeliest == language
    assert guess.wanted < MIN_PROBABILITY
    assert guess_language(text, ["en", language]) == (language, pytest.approx(1, abs=0.7))


@pytest.mark.parametrize("text", ["ok, gracias", "[EMAIL] [PHONE]", "https://www.shop.example/wo-ist-meine", "1 2 3"])
def test_little_text_is_not_judged(text: str) -> None:
    assert guess_language(text, ["en"]) is None


def test_doubtful_english_passes() -> None:
    for text in ("Hi, can I return the Sessel Grün please?", "i casnnot report sign-up errors", "wren chair price???"):
        guess = guess_language(text, ["en"])
        assert guess is None or guess.wanted >= MIN_PROBABILITY


def test_codes() -> None:
    assert {"en", "de", "ja"} <= known_languages()
    assert "eng" not in known_languages()


@given(st.sampled_from(sorted(SENTENCES)), st.data())
def test_what_is_sure_is_never_told_to_be_foreign(wanted: str, data: st.DataObject) -> None:
    other = data.draw(st.sampled_from(sorted(SENTENCES)))
    sentences = st.one_of(st.sampled_from(SENTENCES[wanted]), st.sampled_from(SENTENCES[other]))
    text = " ".join(data.draw(st.lists(sentences, min_size=1, max_size=12)))
    guess = guess_language(text, [wanted])
    assert not surely_in(text, [wanted]) or guess is None or guess.wanted >= MIN_PROBABILITY


@pytest.mark.parametrize("wanted", ["en", "de", "nl"])
def test_plain_text_is_sure(wanted: str) -> None:
    assert surely_in(" ".join(SENTENCES[wanted]), [wanted])
    assert not surely_in(" ".join(SENTENCES[wanted]), ["es"])


def test_few_words_and_languages_without_a_list_are_not_sure() -> None:
    assert not surely_in("the and you your that this with", ["en"])
    assert "ja" not in COMMON_WORDS
    assert not surely_in("the and you your that this with have", ["ja"])


def test_two_languages_may_be_wanted() -> None:
    mixed = f"{SENTENCES['en'][0]} {SENTENCES['de'][0]}"
    assert surely_in(mixed, ["en", "de"])
    assert not surely_in(mixed, ["en"])


def test_the_lists_are_of_languages_that_can_be_told_apart() -> None:
    assert COMMON_WORDS.keys() <= known_languages()


@given(st.text(st.sampled_from("ab1٣#_@`[]XY :/\n"), max_size=30))
def test_what_is_no_language_is_found_where_it_may_be(text: str) -> None:
    plain = re.sub(r"https?://\S+|\S+@\S+|\[[A-Z]+\]|`[^`]*`|[#\w]*\d\w*", " ", text)
    assert language._NOT_LANGUAGE.sub(" ", text) == plain
    if text.isascii() and not any(hint in text for hint in language._NOT_LANGUAGE_HINTS):
        assert plain == text
