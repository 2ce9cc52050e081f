"""Where an address begins and ends that holds a number, in the ways that countries write them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.text.personal.addresses import address_at


def found(text: str) -> str | None:
    """What the first number that is part of an address gives."""
    for number in re.finditer("[0-9]+", text):
        if (span := address_at(text, *number.span())) is not None:
            return text[slice(*span)]
    return None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("I live at 14 Larkspur Lane, Leeds LS6 2QX now", "14 Larkspur Lane, Leeds LS6 2QX"),
        ("Flat 3, 14 Larkspur Lane, Leeds", "Flat 3, 14 Larkspur Lane"),
        ("send it to 221b Baker Street, please", "221b Baker Street"),
        ("14 larkspur lane is mine", "14 larkspur lane"),
        ("1600 Pennsylvania Ave NW, Washington, DC 20500.", "1600 Pennsylvania Ave NW, Washington, DC 20500"),
        ("100 King St W, Toronto, ON M5X 1A9", "100 King St W, Toronto, ON M5X 1A9"),
        ("PO Box 123, Leeds LS6 2QX", "PO Box 123, Leeds LS6 2QX"),
        ("the postcode is LS6 2QX", "LS6 2QX"),
        ("Musterstraße 12a, 10115 Berlin", "Musterstraße 12a, 10115 Berlin"),
        ("wohnt Am Hof 3, 10115 Berlin", "Am Hof 3, 10115 Berlin"),
        ("Postfach 1234, 10115 Berlin", "Postfach 1234, 10115 Berlin"),
        ("au 12 rue de la Paix, 75002 Paris", "12 rue de la Paix, 75002 Paris"),
        ("en la Calle Mayor 5, 28013 Madrid", "Calle Mayor 5, 28013 Madrid"),
        ("in Via Roma 10, 00184 Roma", "Via Roma 10, 00184 Roma"),
        ("Avenida da Liberdade, nº 10, 1250-096 Lisboa", "Avenida da Liberdade, nº 10, 1250-096 Lisboa"),
        ("Kerkstraat 7-2, 1012 AB Amsterdam", "Kerkstraat 7-2, 1012 AB Amsterdam"),
        ("na ul. Długa 5, 00-238 Warszawa", "ul. Długa 5, 00-238 Warszawa"),
        ("Drottninggatan 5, 111 51 Stockholm", "Drottninggatan 5, 111 51 Stockholm"),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert found(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "2 Google Drive folders",
        "5 Red Place Mats",
        "5 minutes down the road",
        "12 months on the street",
        "£14 Larkspur Lane",
        "It takes 3 to 5 days. Way to go!",
        "an der Kasse 3 bezahlen",
        "im Weg 5 % mehr",
        "ISO 2QX and A4 paper",
        "123456 Larkspur Lane",
        "version 3.14 Larkspur",
    ],
)
def test_look_alikes(text: str) -> None:
    assert found(text) is None


@given(st.text(alphabet="1 9,aLS6QX.\nStreet", max_size=50))
def test_a_span_holds_the_number_and_lies_in_the_text(text: str) -> None:
    for number in re.finditer("[0-9]+", text):
        span = address_at(text, *number.span())
        if span is not None:
            assert 0 <= span[0] <= number.start() < span[1] <= len(text)
