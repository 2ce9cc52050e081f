"""Do it, or buy it: the same months reckoned both ways, line by line, with what each line assumes."""

from dataclasses import dataclass

from luthier.planning.prices import Prices


@dataclass(frozen=True, slots=True)
class Line:
    """One position: money once and each month, and the assumption behind it in words."""

    side: str
    what: str
    once: float
    a_month: float
    assumption: str

    def to_json(self) -> dict[str, object]:
        return {
            "side": self.side,
            "what": self.what,
            "once": self.once,
            "a_month": self.a_month,
            "assumption": self.assumption,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """`lines` of both sides, `doing` and `buying` over all `months`, and which is dearer, and from when, in words.

    `buying` is None where there is no quote.
    """

    lines: tuple[Line, ...]
    months: int
    doing: float
    buying: float | None
    sentence: str

    def to_json(self) -> dict[str, object]:
        return {
            "lines": [line.to_json() for line in self.lines],
            "months": self.months,
            "do": self.doing,
            "buy": self.buying,
            "sentence": self.sentence,
        }


def do_or_buy(prices: Prices, training_cost: float, machine: str) -> Comparison:
    """Both ways over `prices.months`; `training_cost` is that of one training on `machine`."""
    lines = (*_doing(prices, training_cost, machine), *_buying(prices))
    doing = _total(lines, "do", prices.months)
    quoted = prices.offer.once + prices.offer.a_month > 0
    buying = _total(lines, "buy", prices.months) if quoted else None
    return Comparison(lines, prices.months, doing, buying, _sentence(prices, lines, doing, buying))


def _doing(prices: Prices, training_cost: float, machine: str) -> list[Line]:
    people, trainings, serving = prices.people, prices.trainings, prices.serving
    rate = people.price_per_hour
    lines = [
        Line("do", what, hours * rate, 0.0, f"{hours:g} hours at {rate:g}") for what, hours in people.hours.items()
    ]
    lines += [
        Line("do", what, 0.0, hours * rate, f"{hours:g} hours a month at {rate:g}")
        for what, hours in people.hours_a_month.items()
    ]
    each = f"at {training_cost:.2f} each on {machine}"
    assumption = f"{trainings.first:g} at first and {trainings.a_month:g} a month, {each}"
    lines.append(
        Line("do", "trainings", trainings.first * training_cost, trainings.a_month * training_cost, assumption)
    )
    running = serving.price_per_hour * serving.hours_a_month
    assumption = f"{serving.hours_a_month:g} hours a month at {serving.price_per_hour:g}"
    return [*lines, Line("do", "a machine that answers", 0.0, running, assumption)]


def _buying(prices: Prices) -> list[Line]:
    offer, rate = prices.offer, prices.people.price_per_hour
    quoted = "as quoted" if offer.once + offer.a_month else "no quote yet"
    return [
        Line("buy", "the offer", offer.once, offer.a_month, quoted),
        Line("buy", "briefing and acceptance", offer.hours * rate, 0.0, f"{offer.hours:g} hours at {rate:g}"),
    ]


def _total(lines: tuple[Line, ...], side: str, months: int) -> float:
    return sum(line.once + months * line.a_month for line in lines if line.side == side)


def _sentence(prices: Prices, lines: tuple[Line, ...], doing: float, buying: float | None) -> str:
    money = prices.currency
    own = f"Over {prices.months} months, doing it takes about {doing:,.0f} {money}"
    if buying is None:
        return f"{own}. Put a quote into prices.yaml (offer) to have it beside this; below that sum, buying is cheaper."
    cheaper = "doing it" if doing < buying else "buying it"
    text = f"{own}, buying it {buying:,.0f}: {cheaper} saves {abs(buying - doing):,.0f}"
    once = {side: sum(line.once for line in lines if line.side == side) for side in ("do", "buy")}
    a_month = {side: sum(line.a_month for line in lines if line.side == side) for side in ("do", "buy")}
    more, saved = once["do"] - once["buy"], a_month["buy"] - a_month["do"]
    if more * saved > 0:
        first = "Doing" if more > 0 else "Buying"
        return f"{text}. {first} it costs more at first and is even after {more / saved:.0f} months."
    return f"{text}."
