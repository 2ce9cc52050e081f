"""Answers of two models side by side in the terminal, and the votes on them."""

from typing import TYPE_CHECKING, Literal, get_args

from luthier.cli.console import print_json, print_text

if TYPE_CHECKING:
    from luthier.pipeline.compare import Comparison

Choice = Literal["1", "2", "tie"]


def show_comparison(comparison: "Comparison", as_json: bool) -> None:
    """As JSON, what is known so far; else the pairs without a vote are shown first, and votes taken."""
    if not as_json:
        take_votes(comparison)
    figures = comparison.to_json()
    if as_json:
        print_json(figures)
        return
    print_text(
        f"\n{figures['pairs']} pairs of answers differ, {figures['same']} are the same; {figures['left']} have no vote."
    )
    _print_preference("People", comparison.one, figures["people"])
    _print_preference("The judge", comparison.one, figures["judge"])


def take_votes(comparison: "Comparison") -> None:
    """Show pair after pair, without names, until an empty line or the end of input. Every vote is kept at once."""
    left = list(comparison.open_pairs())
    if left:
        print_text("Which answer helps the customer more: 1, 2 or tie? An empty line ends it; votes are kept.")
    for number, pair in enumerate(left, start=1):
        print_text(f"\n{number} of {len(left)}: {pair.question}")
        for place, answer in enumerate(pair.shown, start=1):
            print_text(f"\n  {place}: {answer.strip() or '(nothing)'}")
        choice = _read_choice()
        if choice is None:
            return
        comparison.vote(pair, pair.winner(choice))


def _read_choice() -> Choice | None:
    while True:
        try:
            typed = input("\n1, 2 or tie: ").strip().lower()
        except EOFError:
            return None
        if not typed:
            return None
        for choice in get_args(Choice):
            if typed == choice:
                return choice  # type: ignore[no-any-return]
        print_text("Type 1, 2 or tie.")


def _print_preference(who: str, one: str, figures: object) -> None:
    if not isinstance(figures, dict) or not figures["votes"]:
        return
    rate = figures["win_rate"]
    line = (
        f"{who} prefer {one} in {rate['value']:.0%} of {figures['votes']} pairs, ties half "
        f"(95 % interval {rate['low']:.0%} to {rate['high']:.0%})"
    )
    if agreement := figures.get("agreement"):
        line += (
            f"; it agrees with people on {agreement['value']:.0%} ({agreement['low']:.0%} to {agreement['high']:.0%})"
        )
    if "unusable" in figures:
        line += f"; {figures['unusable']} replies unusable, {figures['position_decided']} decided by position"
    print_text(f"{line}.")
