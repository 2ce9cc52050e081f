"""Made-up values look alike, are the same for the same value, and are nobody's."""

import re

import pytest

from luthier.text.personal.bank import iban_at, is_card
from luthier.text.personal.finding import Finding, Kind
from luthier.text.personal.national_ids import is_identity_number
from luthier.text.personal.pseudonyms import Pseudonyms


def finding(kind: Kind, value: str) -> Finding:
    return Finding(0, len(value), kind, value)


def made_up(kind: Kind, value: str, region: str = "GB") -> str:
    return Pseudonyms(region).of(finding(kind, value))


@pytest.mark.parametrize(
    ("kind", "value", "shape"),
    [
        ("email", "ann.reed@birch.co.uk", r"[a-z]+\.[a-z]+@example\.(com|net|org)"),
        ("phone", "0117 496 0142", r"07700 900\d{3}"),
        ("phone", "+44 117 496 0142", r"\+44 7700 900\d{3}"),
        ("phone", "0049 30 1234567", r"\+49 30 23125 \d{3}"),
        ("phone", "+39 06 1234567", r"\+44 7700 900\d{3}"),
        ("iban", "GB82 WEST 1234 5698 7654 32", r"GB00 [A-Z]{4} \d{4} \d{4} \d{4} \d\d"),
        ("card", "4111 1111 1111 1111", r"4\d{3} \d{4} \d{4} \d{4}"),
        ("national_id", "AB 12 34 56 C", r"[QXZ]{2} \d\d \d\d \d\d [QXZ]"),
        ("ip", "203.0.113.77", r"(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+"),
        ("ip", "2001:4860::8888", r"2001:db8::[0-9a-f]+"),
        ("address", "14 Larkspur Lane, Leeds LS6 2QX", r"\d+ [A-Z]\w+ [A-Z]\w+, [A-Z][\w ]+"),
        ("address", "LS6 2QX", r"ZZ\d\d \dZZ"),
        ("order", "AF-204913", r"AF-\d{6}"),
        ("account", "KD/99-12a", r"KD/\d\d-\d\d[a-z]"),
        ("name", "Ana Diaz", r"[A-Z]\w+(-\w+)? [A-Z]\w+(-\w+)?"),
        ("name", "ANA", r"[A-Z-]+"),
    ],
)
def test_shapes(kind: Kind, value: str, shape: str) -> None:
    other = made_up(kind, value)
    assert re.fullmatch(shape, other), other
    assert other != value
    assert made_up(kind, value) == other


@pytest.mark.parametrize(
    ("region", "value", "shape"),
    [
        ("DE", "030 1234567", r"030 23125 \d{3}"),
        ("US", "(212) 555-1234", r"\d{3}-555-01\d\d"),
        ("BR", "11 91234-5678", r"\+44 7700 900\d{3}"),
    ],
)
def test_numbers_for_films_of_the_region(region: str, value: str, shape: str) -> None:
    assert re.fullmatch(shape, made_up("phone", value, region))


@pytest.mark.parametrize(
    ("region", "shape"),
    [("DE", r"[A-Z]\w+ \d+, [A-Z][\w ]+"), ("AT", r"[A-Z]\w+ \d+, [A-Z][\w ]+"), ("FR", r"\d+ \w+ .+, [A-Z].+"),
     ("ES", r"(Calle|Avenida|Paseo) .+ \d+, [A-Z].+")],
)  # fmt: skip
def test_addresses_take_the_form_of_the_region(region: str, shape: str) -> None:
    assert re.fullmatch(shape, made_up("address", "Musterstraße 12, 10115 Berlin", region))


def test_equal_values_stay_equal_however_they_are_written() -> None:
    of = Pseudonyms("GB").of
    assert of(finding("phone", "0117 496 0142")) == of(finding("phone", "(0117) 4960142"))
    assert of(finding("email", "Ann@birch.example")) == of(finding("email", "ann@Birch.example"))


def test_one_person_stays_one_person() -> None:
    of = Pseudonyms("GB").of
    given, family = of(finding("name", "Ana Diaz")).split(" ")
    assert of(finding("name", "Ana")) == given
    assert of(finding("name", "ANA DIAZ")) == f"{given} {family}".upper()
    assert of(finding("name", "Ana van Diaz")) == f"{given} {family}"


@pytest.mark.parametrize(
    ("kind", "value"), [("email", "a{}@birch.example"), ("name", "Person{:c}"), ("order", "AF-9{:04}")]
)
def test_two_values_of_a_conversation_never_meet(kind: Kind, value: str) -> None:
    of = Pseudonyms("GB").of
    values = [value.format(number if "c" not in value else 97 + number) for number in range(26)]
    assert len({of(finding(kind, one)) for one in values}) == len(values)


def test_more_numbers_than_a_range_has_share_some() -> None:
    of = Pseudonyms("GB").of
    numbers = {of(finding("phone", f"0117 496 {number:04}")) for number in range(1100)}
    assert 900 < len(numbers) <= 1000


@pytest.mark.parametrize("number", range(40))
def test_nothing_made_up_is_valid(number: int) -> None:
    card = re.sub(" ", "", made_up("card", f"4111 1111 1111 {number:04}"))
    assert not is_card(card)
    iban = made_up("iban", f"GB82 WEST 1234 5698 7654 {number:02}")
    assert iban_at(iban, 0) is None
    for value in (f"811228-{number:04}", f"123456{number:02}Z", f"943 476 {5900 + number}"):
        assert not is_identity_number(made_up("national_id", value))
