from html.parser import HTMLParser

from luthier.core.recipe import GatesSection
from luthier.core.rows import RowLoss
from luthier.evaluation.assessment import Context, assess
from luthier.evaluation.diagnosis import diagnose
from luthier.evaluation.facts import AnswerScore
from luthier.evaluation.gates import Leak
from luthier.evaluation.measured import Measured
from luthier.evaluation.metrics import METRIC_OF
from luthier.evaluation.report import render_report
from luthier.evaluation.report_page import GATE_QUESTIONS, change_of, render_page
from luthier.evaluation.skills import SkillScore
from luthier.evaluation.statistics import Interval
from luthier.evaluation.steadiness import VariantScore

TRAIN = [{"step": step, "loss": 3.0 - step / 50} for step in range(1, 100)]
VALIDATION = [{"step": 30, "loss": 2.5}, {"step": 60, "loss": 2.2}, {"step": 90, "loss": 2.6}]


class Text(HTMLParser):
    """All text of a page, and every tag that loads something or runs."""

    def __init__(self, page):
        super().__init__()
        self.text, self.loads, self.open = "", [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "br", "line", "circle", "polyline"):
            self.open.append(tag)
        if tag in ("script", "link", "img", "iframe") or any(name in ("src", "href") for name, _ in attributes):
            self.loads.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("line", "circle", "polyline"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def answer(number, recalled, text="It is <b>€14</b>.", wrong=(), unsupported=()):
    return AnswerScore(f"Question {number}?", ("€14",), text, recalled, wrong, False, "prices", unsupported)


def assessed(**gates):
    ours = [answer(n, n % 3 > 0, wrong=() if n % 3 else ("9.00 EUR",)) for n in range(240)]
    theirs = [answer(n, n % 3 == 0, text="") for n in range(240)]
    losses = [[RowLoss(f"row-{n}", loss, 10, 5) for n in range(20)] for loss in (12.0, 30.0)]
    skills = [SkillScore("JSON", f"task {n}", "", n < 4) for n in range(15)]
    base = Measured("base-1", losses[1], (), theirs, (), losses[0], skills)
    context = Context(base=base, leaks=[], diagnosis=diagnose(TRAIN, VALIDATION))
    return assess(GatesSection(**gates), Measured("run-1", losses[0], (), ours, (), losses[1], skills), base, context)


def page(assessment):
    return Text(render_page(assessment, {"train": TRAIN, "validation": VALIDATION}))


def test_the_verdict_comes_first_and_in_plain_words():
    read = page(assessed(facts=0.9, forgetting=0.5))
    text = " ".join(read.text.split())
    order = ["Did it work?", "FAIL: this run must not be released.", "Does it know the facts? No.", "The worst answers"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert text.index("Does it know the facts?") < text.index("Does it write like your people do? Yes.")
    assert "Has it kept enough of what it knew before? No." in text


def test_it_needs_nothing_else():
    read = page(assessed())
    assert read.loads == []
    assert read.open == []


def test_answers_are_escaped_and_empty_ones_said():
    assessment = assessed()
    source = render_page(assessment, {})
    assert "&lt;b&gt;€14&lt;/b&gt;" in source
    assert "<b>€14</b>" not in source
    assert "(nothing)" in source


def test_all_parts_are_there():
    text = page(assessed()).text
    for part in (
        "What it learnt",
        "Overfitting.",
        "What it forgot",
        "4 of 15",
        "All figures",
        "better",
        "Words used here",
    ):
        assert part in text, part
    assert "polyline" in render_page(assessed(), {"train": TRAIN})


def test_ten_answers_are_shown_and_those_with_wrong_facts_among_them():
    text = page(assessed()).text
    worst = text[text.index("The worst answers") : text.index("What it learnt")]
    assert worst.count("should say: €14") == 10
    assert worst.count("wrong: 9.00 EUR") == 10


def test_ways_of_asking_have_a_table():
    variants = [VariantScore("Emily", f"{number}?", "", False, True) for number in range(10)]
    one = assess(GatesSection(), Measured("run-1", variants=variants), Measured("base-1"), Context())
    text = " ".join(page(one).text.split())
    assert "Asked otherwise" in text
    assert "by Emily10" in text.replace(" 10", "10")
    assert "-100.0 [-100.0, -100.0]worse" in text
    assert "| by Emily | 10 " in render_report(one).replace("  ", " ")


def test_without_any_measurement_it_still_says_why():
    nothing = assess(GatesSection(), Measured("run-1"), Measured("base-1"), Context())
    text = page(nothing).text
    assert "There are no test rows" in text
    assert "The worst answers" not in text


def test_every_gate_has_a_question():
    gates = assessed(facts=0.1, accuracy=0.9, unsupported_facts=0.5, forgetting=1.0, latency=1.0).gates
    leaked = assess(GatesSection(loss=None), Measured("a"), Measured("b"), Context(leaks=[Leak("a", "b", 1.0)])).gates
    assert {gate.gate for gate in (*gates, *leaked)} == GATE_QUESTIONS.keys()


def test_a_change_is_told_only_beyond_chance():
    loss, recalled, words = (METRIC_OF[name] for name in ("test_loss", "facts_recalled", "answer_words"))
    assert change_of(loss, Interval(-1, -2, -0.5)) == change_of(recalled, Interval(0.2, 0.1, 0.3)) == "better"
    assert change_of(loss, Interval(1, 0.5, 2)) == change_of(recalled, Interval(-0.2, -0.3, -0.1)) == "worse"
    assert change_of(words, Interval(5, 4, 6)) == "other"
    assert change_of(loss, Interval(1, -1, 2)) == change_of(loss, None) == ""
