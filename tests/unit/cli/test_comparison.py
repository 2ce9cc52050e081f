import pytest

import luthier
from luthier.cli.comparison import take_votes
from luthier.evaluation import Pair


class Votes:
    """A comparison of three pairs."""

    def __init__(self):
        self.pairs = [Pair(f"{number}?", "ours", "theirs", swapped=number == 1) for number in range(3)]
        self.votes = {}

    def open_pairs(self):
        return iter(self.pairs)

    def vote(self, pair, winner):
        self.votes[pair.question] = winner


def answering(monkeypatch, *lines):
    remaining = iter(lines)

    def read(_):
        line = next(remaining, None)
        if line is None:
            raise EOFError
        return line

    monkeypatch.setattr("builtins.input", read)


@pytest.mark.parametrize(
    ("lines", "votes"),
    [
        (["1", "1", "TIE"], {"0?": "one", "1?": "other", "2?": "tie"}),
        (["left", "2", ""], {"0?": "other"}),
        (["1"], {"0?": "one"}),
        ([], {}),
    ],
)
def test_votes_are_taken_blind(monkeypatch, capsys, lines, votes):
    answering(monkeypatch, *lines)
    comparison = Votes()
    take_votes(comparison)
    assert comparison.votes == votes
    shown = capsys.readouterr().out
    assert "1 of 3: 0?" in shown
    assert ("Type 1, 2 or tie." in shown) == ("left" in lines)


def test_the_command_prints_who_wins(command, evaluated_shop, monkeypatch):
    with luthier.open_project(evaluated_shop) as project:
        models = [project.registry.latest(kind).id for kind in ("run", "base")]
    answering(monkeypatch, "tie", "")
    ended = command(evaluated_shop, "evaluate", "--compare", *models)
    assert ended.code == 0, ended.err
    assert f"People prefer {models[0]} in 50% of 1 pairs, ties half" in ended.out
    assert not any(model in ended.out.partition("pairs of answers differ")[0] for model in models), "not blind"
    figures = command(evaluated_shop, "evaluate", "--compare", *models, "--json").json
    assert figures["people"]["votes"] == 1
