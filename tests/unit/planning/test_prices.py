import pytest
import yaml

from luthier.core.errors import RecipeError
from luthier.planning.prices import default_prices, read_prices


def test_the_file_that_everybody_gets_names_its_sources():
    prices = read_prices(default_prices(), "prices.yaml")
    assert len(prices.hardware) >= 5
    assert all(device.source for device in prices.hardware)
    assert prices.share_of_flops.low < prices.share_of_flops.expected < prices.share_of_flops.high


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"currency": None}, "prices.yaml: currency: input should be a valid string"),
        ({"months": 0}, "months: input should be greater than 0"),
        ({"electricty_per_kwh": 1}, "electricty_per_kwh: extra inputs are not permitted"),
        ({"electricity_per_kwh": True}, "electricity_per_kwh: must be a number, not true"),
        ({"months": True}, "months: must be a number, not true"),
        ({"people": {"price_per_hour": 1, "hours": {"a": False}}}, "people.hours.a: must be a number, not false"),
        ({"people": {"price_per_hour": -1}}, "people.price_per_hour: input should be greater than or equal to 0"),
    ],
)
def test_a_wrong_field_is_named(change, message):
    tree = yaml.safe_load(default_prices()) | change
    with pytest.raises(RecipeError, match=message):
        read_prices(yaml.safe_dump(tree), "prices.yaml")


def test_a_file_that_is_no_yaml_is_told():
    for text in ("a: [", "date: 2024-13-45", "a: " + "[" * 600):
        with pytest.raises(RecipeError, match="not valid YAML"):
            read_prices(text, "prices.yaml")
