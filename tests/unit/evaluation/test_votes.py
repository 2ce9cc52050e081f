import pytest

from luthier.evaluation.votes import Pair, agreement_with_people, judge_pairs, pairs_of, preference


def test_only_answers_that_differ_are_paired():
    pairs = pairs_of(["a?", "b?", "c?"], ["x", "same", "y"], ["z", "same ", "w"])
    assert [pair.question for pair in pairs] == ["a?", "c?"]
    assert pairs == pairs_of(["a?", "b?", "c?"], ["x", "same", "y"], ["z", "same ", "w"])


def test_about_half_of_the_pairs_are_swapped():
    pairs = pairs_of([f"{number}?" for number in range(200)], ["x"] * 200, ["y"] * 200)
    assert 70 <= sum(pair.swapped for pair in pairs) <= 130


@pytest.mark.parametrize(
    ("swapped", "choice", "winner"),
    [(False, "1", "one"), (False, "2", "other"), (True, "1", "other"), (True, "2", "one"), (True, "tie", "tie")],
)
def test_a_choice_by_place_is_a_vote_for_a_model(swapped, choice, winner):
    pair = Pair("a?", "x", "y", swapped)
    assert pair.winner(choice) == winner
    if choice != "tie":
        assert pair.shown[int(choice) - 1] == {"one": "x", "other": "y"}[winner]


def test_the_win_rate_counts_ties_half():
    found = preference(["one", "one", "tie", "other"])
    assert found is not None
    assert (found.votes, found.win_rate.value) == (4, 0.625)
    assert found.win_rate.low < 0.625 < found.win_rate.high
    assert preference([]) is None


PAIRS = [Pair(f"{number}?", "good", "bad", False) for number in range(4)]


def prefers(better):
    """A judge that looks at the answers."""

    def ask(prompt):
        first = prompt.partition("Answer 1:\n")[2].partition("\n")[0]
        return "1" if first == better else "2"

    return ask


def test_a_judge_that_reads_decides():
    judged = judge_pairs(PAIRS, prefers("good"))
    assert set(judged.winners.values()) == {"one"}
    assert (judged.unusable, judged.position_decided) == (0, 0)
    assert set(judge_pairs(PAIRS, prefers("bad")).winners.values()) == {"other"}


def test_a_judge_that_likes_a_place_decides_nothing():
    judged = judge_pairs(PAIRS, lambda _: "Answer 1 is better.")
    assert set(judged.winners.values()) == {"tie"}
    assert judged.position_decided == 4


@pytest.mark.parametrize("reply", ["", None, "Both are fine!", "1 or 2", "3", "12"])
def test_nonsense_is_counted_and_never_a_vote(reply):
    judged = judge_pairs(PAIRS, lambda _: reply)
    assert (judged.winners, judged.unusable) == ({}, 4)


def test_a_tie_in_one_order_is_a_tie():
    replies = iter(["1", "tie"] * 4)
    judged = judge_pairs(PAIRS, lambda _: next(replies))
    assert set(judged.winners.values()) == {"tie"}
    assert judged.position_decided == 0


def test_agreement_is_over_what_both_decided_on():
    found = agreement_with_people({"a": "one", "b": "other"}, {"a": "one", "b": "one", "c": "tie"})
    assert found is not None
    assert found.value == 0.5
    assert agreement_with_people({}, {"a": "one"}) is None
