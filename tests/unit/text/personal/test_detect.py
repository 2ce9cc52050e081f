"""All kinds in one text: what is surest wins a place, and what is no personal data is left alone."""

from collections.abc import Collection
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.text.personal.detect import find_personal_data
from luthier.text.personal.finding import KINDS, Finding, Kind, comparable, settle_overlaps
from luthier.text.personal.names import name_index


def found(text: str, kinds: Collection[Kind] = KINDS, region: str = "GB") -> list[tuple[str, str]]:
    findings = find_personal_data(text, region, kinds, name_index(["Ana Diaz", "Jo"]))
    assert all(finding.value == text[finding.start : finding.end] for finding in findings)
    return [(finding.kind, finding.value) for finding in findings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (
            "Mail ann@birch.example or call 0117 496 0142.",
            [("email", "ann@birch.example"), ("phone", "0117 496 0142")],
        ),
        (
            "IBAN GB82 WEST 1234 5698 7654 32, card 4111 1111 1111 1111",
            [("iban", "GB82 WEST 1234 5698 7654 32"), ("card", "4111 1111 1111 1111")],
        ),
        ("IP 192.168.0.7 and 203.0.113.9", [("ip", "192.168.0.7"), ("ip", "203.0.113.9")]),
        ("2001:db8::1 at 12:30:45", [("ip", "2001:db8::1")]),
        ("Call 0117 496 0142 or 0117 496 0143", [("phone", "0117 496 0142"), ("phone", "0117 496 0143")]),
        ("order no. AF-204913, AF-204914 and AF-7", [("order", "AF-204913"), ("order", "AF-204914")]),
        ("customer number: 12 345 678", [("account", "12 345 678")]),
        ("call 07911 123456 about order 5512998", [("phone", "07911 123456"), ("order", "5512998")]),
        ("ana diaz came; Jo went; jo stays", [("name", "ana diaz"), ("name", "Jo")]),
    ],
)
def test_kinds_are_found_by_place(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2025-02-03, £1,200.50, 3 for 2, 1 000 000 units",
        "SKU 4111111111111111 and item #4111111111111111",
        "version 10.2.3.4 of the app",
        "https://birch.example/07911123456?card=4111111111111111",
        "It opens 9-17 from 1998/2001 on, room 12",
        "a:b::c or 1:2",
    ],
)
def test_look_alikes_are_not(text: str) -> None:
    assert found(text) == []


def test_machines_in_links_are_found_and_their_paths_are_not() -> None:
    assert found("see https://203.0.113.9/a/07911123456") == [("ip", "203.0.113.9")]


def test_a_kind_that_is_not_wanted_keeps_its_place() -> None:
    text = "My order 07911123456 is late; mail ann@birch.example"
    assert found(text, {"phone", "email"}) == [("email", "ann@birch.example")]
    assert found(text, {"email"}) == [("email", "ann@birch.example")]
    assert found(text, {"order"}) == [("order", "07911123456")]


def test_the_region_tells_numbers_without_a_country_code() -> None:
    assert found("030 2312 5123 bitte", region="DE") == [("phone", "030 2312 5123")]


def test_of_findings_that_overlap_the_first_given_stays() -> None:
    findings = [
        Finding(5, 9, "card", ""),
        Finding(0, 6, "phone", ""),
        Finding(9, 12, "ip", ""),
        Finding(1, 5, "order", ""),
    ]
    assert [finding.kind for finding in settle_overlaps(findings)] == ["order", "card", "ip"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0117 496-0142", "(0117) 4960142", True),
        ("Ann@Birch.example", "ann@birch.example", True),
        ("a.b@birch.example", "ab@birch.example", False),
        ("GB82 WEST", "gb82west", True),
    ],
)
def test_spacing_and_case_make_no_other_value(one: str, other: str, same: bool) -> None:
    assert (comparable(one) == comparable(other)) is same


@given(st.text(alphabet="09a.:-/@+ (#GB", max_size=40))
def test_findings_never_overlap_and_nothing_crashes(text: str) -> None:
    findings = find_personal_data(text, "GB", KINDS, {})
    assert all(one.end <= other.start for one, other in pairwise(findings))
    assert all(finding.start < finding.end for finding in findings)
