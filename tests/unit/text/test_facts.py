import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.text.facts import Fact, extract_facts, recalls, wrong_facts

SPELLINGS = {
    ("price", "6.50 EUR"): ["€6.50", "6.50 euros", "EUR 6.50", "6,50 €", "€ 6,50", "6.5 Euro", "6 euros and 50 cents"],
    ("price", "1290.00 EUR"): ["€1,290", "1290 euros", "1.290,00 €", "EUR 1 290", "€1,290.00"],
    ("price", "15.00 GBP"): ["£15", "15 pounds", "fifteen pounds", "GBP 15.00"],
    ("percentage", "7 %"): ["7 %", "7%", "7 percent", "7 per cent", "seven percent"],
    ("percentage", "50 %"): ["half", "50 %", "fifty percent"],
    ("duration", "4 working days"): ["4 working days", "four working days", "4 business days", "4 workdays"],
    ("duration", "1 working day"): ["1 working day", "one business day", "within a working day"],
    ("duration", "3 days"): ["72 hours", "three days", "3 days", "72h", "3-day", "72 hrs"],
    ("duration", "40 days"): ["40 days", "40-day", "forty days", "40 calendar days"],
    ("duration", "1 year"): ["12 months", "1 year", "one year", "within a year"],
    ("duration", "30 minutes"): ["30 minutes", "30 min", "half an hour", "half-hour", "½ hour"],
    ("duration", "90 minutes"): ["90 minutes", "an hour and a half", "1.5 hours", "one hour and a half"],
    ("duration", "150 minutes"): ["2.5 hours", "2½ hours", "150 mins"],
    ("time", "18:00"): ["6 pm", "6:00 pm", "18:00", "6 p.m.", "6pm", "6.00 PM", "six pm"],
    ("time", "12:00"): ["noon", "12 pm", "midday"],
    ("phone", "1174960142"): [
        "0117 496 0142",
        "+44 117 496 0142",
        "(0117) 496-0142",
        "+44 (0)117 4960142",
        "01174960142",
    ],
    ("email", "help@alderfinch.example"): ["help@alderfinch.example", "Help@AlderFinch.example"],
    ("url", "alderfinch.example/returns"): [
        "https://www.alderfinch.example/returns/",
        "alderfinch.example/returns",
        "http://alderfinch.example/returns.",
    ],
    ("measure", "198 cm"): ["198 cm", "1.98 m", "198cm", "198 centimetres", "198-centimeter"],
    ("measure", "40 °c"): ["40 degrees", "40 °C", "40°", "40 degrees Celsius", "forty degrees"],
    ("measure", "40 w"): ["40 watts", "40W", "40 watt"],
    ("measure", "2 m2"): ["2 square metres", "2 m²", "two square meters"],
    ("count", "8 person"): ["8 people", "eight people", "8 persons"],
    ("count", "4 instalment"): ["4 instalments", "four interest-free instalments", "4 equal monthly installments"],
    ("count", "1 leaf"): ["1 leaf", "one leaf"],
    ("count", "2 times a year"): ["2 times a year", "twice a year", "two times per year", "twice yearly"],
    ("code", "E14"): ["E14", "e14"],
    ("code", "AF20391"): ["AF-20391", "af-20391", "AF20391"],
    ("date", "2026-03-12"): ["12 March 2026", "March 12th, 2026", "2026-03-12", "12/03/2026", "12.3.2026"],
    ("date", "--12-24"): ["24 December", "December 24", "24th of December", "Dec 24th"],
    ("date", "1987"): ["1987", "in 1987"],
    ("weekday", "monday"): ["Monday", "mondays", "on Monday"],
}
CASES = [(kind, value, text) for (kind, value), texts in SPELLINGS.items() for text in texts]


@pytest.mark.parametrize(("kind", "value", "text"), CASES, ids=[text for _, _, text in CASES])
def test_every_spelling_is_the_same_fact(kind, value, text):
    assert extract_facts(text) == {Fact(kind, value)}


@pytest.mark.parametrize(("kind", "value", "text"), CASES, ids=[text for _, _, text in CASES])
def test_a_spelling_is_recalled_within_a_sentence_by_every_other(kind, value, text):
    for other in SPELLINGS[kind, value]:
        assert recalls(f"As far as we know, {text}, dear customer.", other)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("open from 8 am to 7 pm", {"08:00", "19:00"}),
        ("open 9-5 pm", {"09:00", "17:00"}),
        ("between 2 and 4 pm", {"14:00", "16:00"}),
        ("3-5 working days", {"3 working days", "5 working days"}),
        ("between €10 and €20", {"10.00 EUR", "20.00 EUR"}),
        ("10-20 euros", {"10.00 EUR", "20.00 EUR"}),
        ("the top is 90 x 200 cm", {"90 cm", "200 cm"}),
        ("Earn 1 leaf for every €2 spent.", {"1 leaf", "2.00 EUR"}),
        ("It takes two people 30 minutes.", {"2 person", "30 minutes"}),
        ("an E14 bulb of at most 40 watts", {"E14", "40 w"}),
        ("Trade orders have a minimum of €1,500 a year.", {"1500.00 EUR"}),
        ("at 17 Quayside, Bristol, by the water", set()),
        ("It is £5.Next day it is £6.", {"5.00 GBP", "6.00 GBP"}),
    ],
)
def test_facts_of_a_sentence(text, values):
    assert {fact.value for fact in extract_facts(text)} == values


@pytest.mark.parametrize(
    ("answer", "fact"),
    [
        ("It leaves with Nordway's lorry.", "Nordway"),
        ("Rub in some Linseed-Oil.", "linseed oil"),
        ("Please wash it BY HAND only.", "by hand"),
        ("Visit us at 17, Quayside.", "17 Quayside"),
        ("Visit us at seventeen Quayside.", "17 Quayside"),
        ("Bring the serial numbers.", "serial number"),
        ("Our café is in Pôrto.", "Porto"),
        ("Weekdays, 08:00-19:00.", "8 am to 7 pm"),
        ("You have fourteen days after delivery.", "14 days after delivery"),
        ("Two weeks after the delivery.", "within 14 days"),
    ],
)
def test_recalled(answer, fact):
    assert recalls(answer, fact)


@pytest.mark.parametrize(
    ("answer", "fact"),
    [
        ("You have 114 days.", "14 days"),
        ("You have 14 days.", "4 days"),
        ("You have 1.14 days.", "14 days"),
        ("You have 14 working days.", "14 days"),
        ("It costs €16.50.", "€6.50"),
        ("It costs £6.50.", "€6.50"),
        ("Open from 8 am.", "8 am to 7 pm"),
        ("At 6 am.", "6 pm"),
        ("Halden is a town.", "Hal"),
        ("We are at 117 Quayside.", "17 Quayside"),
        ("We are at 17.5 Quayside.", "17 Quayside"),
        ("Call 0117 496 01423.", "0117 496 0142"),
        ("Days after delivery: 15.", "14 days after delivery"),
        ("", "Nordway"),
        ("anything", ""),
        ("anything", " .,"),
    ],
)
def test_not_recalled(answer, fact):
    assert not recalls(answer, fact)


def test_wrong_facts_share_the_quantity_of_an_expected_one():
    answer = "Express is €19, not €14; it takes 2 days, for orders above €85 and up to 130 kg."
    assert wrong_facts(answer, ["€14"], "What is express for an order of €85?") == {Fact("price", "19.00 EUR")}


def test_measures_and_counts_contradict_only_in_their_own_unit():
    assert wrong_facts("It is 90 cm wide and holds 140 kg.", ["130 kg"], "") == {Fact("measure", "140 kg")}
    assert wrong_facts("11 colours and 3 sizes", ["11 colours"], "") == set()
    assert wrong_facts("12 colours", ["11 colours"], "") == {Fact("count", "12 colour")}


def test_nothing_contradicts_a_name():
    assert wrong_facts("Nordway brings it for €14.", ["Nordway"], "") == set()


@settings(deadline=None)
@given(st.decimals(min_value=0, max_value=999_999, places=2))
def test_any_amount_has_one_spelling(amount):
    english, german = f"€{amount:,.2f}", f"{amount:,.2f} €".translate(str.maketrans(",.", ".,"))
    assert extract_facts(english) == extract_facts(german) == {Fact("price", f"{amount:.2f} EUR")}


@settings(deadline=None)
@given(st.integers(1, 10_000), st.sampled_from([("minutes", "hours", 60), ("hours", "days", 24), ("days", "weeks", 7)]))
def test_durations_are_equal_across_units(number, units):
    small, large, factor = units
    assert extract_facts(f"{number * factor} {small}") == extract_facts(f"{number} {large}")


@settings(deadline=None)
@given(st.integers(0, 23), st.integers(0, 59))
def test_both_clocks_agree(hour, minute):
    half = "pm" if hour >= 12 else "am"
    assert extract_facts(f"{hour}:{minute:02d}") == extract_facts(f"{hour % 12 or 12}:{minute:02d} {half}")


@pytest.mark.parametrize("text", ["$0B", "$10k off", "€6.50for"])
def test_an_amount_with_letters_is_recalled_by_itself(text):
    assert recalls(text, text)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_and_its_facts_are_recalled_by_itself(text):
    assert all(fact.value for fact in extract_facts(text))
    assert recalls(text, text) or not any(character.isalnum() for character in text) or "|" in text


@pytest.mark.parametrize(
    "text", ["1 " * 20_000, "a-" * 20_000, "9" * 40_000, "a." * 20_000, "(0" * 20_000, "x" * 40_000]
)
def test_long_degenerate_answers_are_read_in_linear_time(text):
    start = time.process_time()
    extract_facts(text)
    assert time.process_time() - start < 3
