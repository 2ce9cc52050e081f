import pytest

from luthier.data.language import MIN_PROBABILITY, guess_language, known_languages


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
