import runpy
import time
from pathlib import Path

import pytest

from luthier.text.unsupported import Support, names_in, unsupported_facts

BENCHMARK = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "bench_unsupported_facts.py"))
SHOP = Support.of([
    "The Halden table costs €120 and comes on 24 December 2024. Open Tuesday to Friday, 9 am to 5 pm.",
    "Write to help@alderfinch.example, call 0117 496 0142, or see alderfinch.example/returns. Refunds take 3 days.",
])  # fmt: skip


def found(answer, support=SHOP):
    return [(one.kind, one.value) for one in unsupported_facts(answer, support)]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "The Halden costs 120 euros, refunds take 72 hours.",
        "It comes on 24 December, in 2024.",
        "We are open on Wednesdays from 9:00.",
        "See https://www.alderfinch.example/returns or alderfinch.example, or call +44 117 496 0142.",
        "I have two options and a few ideas for you, 5 pm at the latest.",
        "Dear Customer, thank you. Our Customer Service Team will help.",
        "**Order Tracking**: Log In and click My Account. [Your Name]",
        "Sorry! Please Contact Us By Email.",
    ],
)
def test_what_is_supported_or_no_fact(answer):
    assert found(answer) == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("It costs €130.", [("price", "130.00 EUR")]),
        ("It comes on 25 December.", [("date", "--12-25")]),
        ("It comes on 24 December 2025.", [("date", "2025-12-24")]),
        ("Open on Mondays until 7 pm.", [("time", "19:00"), ("weekday", "monday")]),
        ("Mail service@alderfinch.example.", [("email", "service@alderfinch.example")]),
        ("See alderfinch.example/cancel.", [("url", "alderfinch.example/cancel")]),
        ("Call 0117 496 0143.", [("phone", "1174960143")]),
        ("Refunds take 3 to 5 days and 10 %.", [("duration", "5 days"), ("percentage", "10 %")]),
        ("Your order AF-20391 is ready.", [("code", "AF20391")]),
        ("Ask John Smith or take the Marlow lamp.", [("name", "John Smith"), ("name", "Marlow")]),
        ("In the Mozart Garage with Dr. Hartmann.", [("name", "Dr Hartmann"), ("name", "Mozart Garage")]),
        ("UPS and BestBuy bring it.", [("name", "BestBuy"), ("name", "UPS")]),
    ],
)
def test_what_nothing_supports(answer, expected):
    assert sorted(found(answer)) == expected


def test_the_question_supports_what_it_says():
    support = SHOP.and_of(["Where is AF-20391 for Jo Marlow?"])
    assert found("AF-20391 is on its way to Jo Marlow.", support) == []


def test_a_value_is_told_once():
    assert found("€130. Yes, €130, that is 130 euros.") == [("price", "130.00 EUR")]


def test_a_word_that_opens_a_sentence_is_no_name_but_two_are():
    assert names_in("Marlow is here.\nNordway Express brings it. - Oakland: yes") == ["Nordway Express"]
    assert names_in("We love Marlow's chairs.") == ["Marlow's"]


@pytest.mark.parametrize("piece", ["Marlow And Finch Of The ", "[", "a-", "VPN (One ", "www.", "Monday to "])
def test_long_answers_are_read_in_linear_time(piece):
    text = piece * 20_000
    start = time.process_time()
    unsupported_facts(text, SHOP)
    assert time.process_time() - start < 4


@pytest.mark.parametrize(("part", "at_least"), [("tuned", 300), ("blind", 40)])
def test_labelled_answers(part, at_least):
    counts, answers, _ = BENCHMARK["measure"](part)
    assert answers >= at_least
    assert BENCHMARK["precision"](counts) >= 0.9, counts
    assert BENCHMARK["recall"](counts) >= 0.9, counts


def test_customers_add_names_but_support_no_value():
    support = Support.of([]).with_words_of(["Is the Lark under €100?"])
    assert found("The Lark is €100.", support) == [("price", "100.00 EUR")]
