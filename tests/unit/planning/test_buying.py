import pytest

from luthier.planning.buying import do_or_buy
from luthier.planning.prices import Offer, default_prices, read_prices

PRICES = read_prices(default_prices(), "prices.yaml")
"""88 hours once and 12 a month at 80; 10 trainings and one a month."""


def test_doing_it_is_people_trainings_and_a_machine():
    found = do_or_buy(PRICES, 5.0, "a box")
    assert found.doing == 88 * 80 + 10 * 5 + 12 * (12 * 80 + 5)
    assert found.buying is None
    assert "Put a quote into" in found.sentence
    assert all(line.assumption for line in found.lines)
    assert "at 5.00 each on a box" in " ".join(line.assumption for line in found.lines)


@pytest.mark.parametrize(
    ("offer", "total", "sentence"),
    [
        (Offer(once=50_000, a_month=0, hours=10), 50_800, "doing it saves 32,1"),
        (Offer(once=1_000, a_month=100, hours=0), 2_200, "buying it saves 16,4"),
        (Offer(once=0, a_month=2_000, hours=0), 24_000, "Doing it costs more at first and is even after 7 months"),
    ],
)
def test_a_quote_is_set_beside_it(offer, total, sentence):
    found = do_or_buy(PRICES.model_copy(update={"offer": offer}), 5.0, "a box")
    assert found.buying == total
    assert sentence in found.sentence, found.sentence
