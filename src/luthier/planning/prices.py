"""What machines, power and people cost: a file that users edit."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError

from luthier.core.errors import RecipeError
from luthier.core.recipe import Positive, Section, read_yaml, refuse_truth

Amount = Annotated[float, Field(ge=0)]
AboveZero = Annotated[float, Field(gt=0)]


class Hardware(Section):
    """A device as its maker describes it: memory in GB, bandwidth in GB/s, products of bfloat16 in TFLOP/s."""

    name: str
    memory: AboveZero
    bandwidth: AboveZero
    bf16: AboveZero
    watts: Amount
    price_per_hour: Amount
    source: str = ""


class Shares(Section):
    """What part of the published operations a training reaches."""

    low: AboveZero
    expected: AboveZero
    high: AboveZero


class Trainings(Section):
    """How many whole trainings there will be."""

    first: Amount
    a_month: Amount


class People(Section):
    """Hours of people, by what they do."""

    price_per_hour: Amount
    hours: Mapping[str, Annotated[Amount, BeforeValidator(refuse_truth)]]
    hours_a_month: Mapping[str, Annotated[Amount, BeforeValidator(refuse_truth)]]


class Serving(Section):
    """The machine that answers."""

    price_per_hour: Amount
    hours_a_month: Amount


class Offer(Section):
    """What somebody else asks, and the hours that it takes all the same."""

    once: Amount
    a_month: Amount
    hours: Amount


class Prices(Section):
    """The whole file."""

    currency: str
    electricity_per_kwh: Amount
    watts_here: Amount
    share_of_flops: Shares
    share_of_bandwidth: AboveZero
    least_seconds_a_step: Amount = 0.05
    hardware: tuple[Hardware, ...]
    months: Positive
    trainings: Trainings
    people: People
    serving: Serving
    offer: Offer


def default_prices() -> str:
    """The file as a new workspace gets it."""
    return files("luthier.planning").joinpath("prices.yaml").read_text(encoding="utf-8")


def read_prices(text: str, where: str) -> Prices:
    """The prices in YAML text. Raises RecipeError that names the field which is wrong."""
    tree = read_yaml(text, where, "not valid YAML")
    try:
        return Prices.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        field, fault = ".".join(map(str, first["loc"])) or "the file", first["msg"].removeprefix("Value error, ")
        raise RecipeError(f"{field}: {fault[:1].lower()}{fault[1:]}", where=where) from error
