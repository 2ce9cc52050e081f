import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.text import luhn, redact


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to Ann.Lee+x@mail.example.org.", "write to [EMAIL]."),
        ("<ann@mail.example>,bob@mail.example", "<[EMAIL]>,[EMAIL]"),
        ("ring +44 7700 900118 now", "ring [PHONE] now"),
        ("07700 900123 or (0117) 496 0142", "[PHONE] or [PHONE]"),
        ("(555) 555-0123", "[PHONE]"),
        ("my mobile is 7700900123", "my mobile is [PHONE]"),
        ("card 4111 1111 1111 1111 please", "card [CARD] please"),
        ("5555-5555-5555-4444", "[CARD]"),
        ("amex 378282246310005", "amex [CARD]"),
    ],
)
def test_masks(text: str, masked: str) -> None:
    assert redact(text).text == masked


@pytest.mark.parametrize(
    "text",
    [
        "order 113542617735902, purchase 00004587345, order #10482913 and W4923227 and AF-204913",
        "order number is 4111111111111111",
        "on 2024-05-15 14:30, 15/05/2024 or 15.05.2024, from 1756–1791",
        "£1,299.00 or 1.299.000 or 1 000 000, and 0.3571428571",
        '{"item_id": "7751905257", "price": 153.23}',
        "https://shop.example/item/02079460123",
        "(1859 - 140) * 2 + (1679 - 101) * 2",
        "4111 1111 1111 1112 is no card",
        "me @ home",
    ],
)
def test_order_numbers_dates_and_prices_survive(text: str) -> None:
    assert redact(text).text == text


def test_counts_by_kind() -> None:
    found = redact("a@b.example, c@d.example, 0161 496 0000, 4111111111111111")
    assert found.counts == {"card": 1, "email": 2, "phone": 1}


def test_kept_entries_are_compared_without_spaces_and_case() -> None:
    keep = ["support@shop.example", "0117 496 0142"]
    text = "Support@Shop.example, 01174960142, 0117-496-0142, other@shop.example"
    assert redact(text, keep).text == "Support@Shop.example, 01174960142, 0117-496-0142, [EMAIL]"


def test_region_decides_about_numbers_without_country_code() -> None:
    assert redact("415-555-2671", region="US").text == "[PHONE]"
    assert redact("030 901820", region="DE").text == "[PHONE]"


def test_luhn() -> None:
    assert luhn("4111111111111111")
    assert not luhn("4111111111111112")


@given(st.text(st.sampled_from("ab @.0123456789-+()[]EMAIL\n"), max_size=60))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    once = redact(text)
    assert redact(once.text).counts.get("email", 0) == 0
    assert (once.text == text) == (not once.counts)
