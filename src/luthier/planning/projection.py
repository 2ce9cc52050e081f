"""What a training would take on other machines, from what their makers publish: an estimate, not a measurement."""

from dataclasses import dataclass, replace

from luthier.core.sizes import GIGABYTE
from luthier.planning.choices import fitting_choices
from luthier.planning.duration import Range, Schedule, training_seconds
from luthier.planning.estimate import PlanFigures
from luthier.planning.operations import bytes_per_token, operations_per_token
from luthier.planning.prices import Hardware, Prices
from luthier.planning.setup import Setup

AS_IT_IS = "as it is"
DEVICE_RUNTIME_BYTES = GIGABYTE
"""What a driver and its libraries hold on a device."""


@dataclass(frozen=True, slots=True)
class Projection:
    """One training on one machine: whether it fits, and if not, how it would; time, energy and money; `source` is
    where the machine's figures stand."""

    name: str
    memory_bytes: int
    device_bytes: int
    fits: bool
    how: str
    tokens_per_second: Range
    seconds: Range
    kilowatt_hours: float
    cost: Range
    measured: bool = False
    source: str = ""

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "memory_bytes": self.memory_bytes,
            "device_bytes": self.device_bytes,
            "fits": self.fits,
            "how": self.how,
            "tokens_per_second": self.tokens_per_second.to_json(),
            "seconds": self.seconds.to_json(),
            "kilowatt_hours": self.kilowatt_hours,
            "cost": self.cost.to_json(),
            "measured": self.measured,
            "source": self.source,
        }


def project_on(setup: Setup, schedule: Schedule, hardware: Hardware, prices: Prices, factor: float = 1.0) -> Projection:
    """This training on one device, in bfloat16; where it does not fit, in the first way that does.

    `factor` corrects the memory that grows with the batch, as a probe found it.
    """
    setup = replace(setup, way=replace(setup.way, dtype="bfloat16"), runtime=DEVICE_RUNTIME_BYTES)
    room = int(hardware.memory * GIGABYTE)
    how = AS_IT_IS
    fits = setup.memory.corrected(factor).total <= room
    if not fits:
        choices = fitting_choices(setup, room, factor)
        fits = bool(choices)
        how, setup = choices[0] if choices else ("does not fit", setup)
    speed = projected_speed(setup, schedule.tokens_per_step, hardware.bf16 * 1e12, hardware.bandwidth * 1e9, prices)
    seconds = training_seconds(schedule, speed)
    memory = setup.memory.corrected(factor).total
    return Projection(
        *(hardware.name, memory, room, fits, how, speed, seconds),
        kilowatt_hours=seconds.expected / 3600 * hardware.watts / 1000,
        cost=seconds.scaled(hardware.price_per_hour / 3600),
        source=hardware.source,
    )


def projected_speed(setup: Setup, tokens_per_step: float, flops: float, bandwidth: float, prices: Prices) -> Range:
    """Tokens per second of a device with so many operations and bytes per second: by whichever of them takes longer, or
    by the least that a step takes."""
    operations = operations_per_token(setup)
    moved = bytes_per_token(setup, tokens_per_step) / (bandwidth * prices.share_of_bandwidth)
    least = max(moved, prices.least_seconds_a_step / tokens_per_step)
    shares = prices.share_of_flops
    low, expected, high = (
        1 / max(operations / (flops * share), least) for share in (shares.low, shares.expected, shares.high)
    )
    return Range(low, expected, high)


def here(name: str, free: int, figures: PlanFigures, speed: Range, watts: float, measured: bool) -> Projection:
    """This machine in the same table."""
    needed = figures.memory.total
    hours = figures.seconds.expected / 3600
    return Projection(
        *(name, needed, free, needed <= free, AS_IT_IS, speed, figures.seconds),
        kilowatt_hours=hours * watts / 1000,
        cost=figures.cost,
        measured=measured,
    )
