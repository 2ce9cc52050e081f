"""Figures of a plan in words, for terminal and page alike."""

from luthier.core.sizes import gigabytes
from luthier.planning.duration import Range
from luthier.planning.methods import MethodRow
from luthier.planning.projection import AS_IT_IS, Projection

UNITS = (("hours", 3600), ("minutes", 60), ("seconds", 1))


def time_text(seconds: Range) -> str:
    """`4.6 minutes (4.5 to 5.2)`, in the largest unit that there are two of."""
    unit, size = next((one for one in UNITS if seconds.expected >= 2 * one[1]), UNITS[-1])
    low, expected, high = (f"{value / size:.1f}" for value in (seconds.low, seconds.expected, seconds.high))
    return f"{expected} {unit} ({low} to {high})"


def money_text(cost: Range) -> str:
    return f"{cost.expected:.2f} ({cost.low:.2f} to {cost.high:.2f})"


def machine_row(machine: Projection) -> dict[str, str]:
    """Cells of the table of machines; what does not fit has neither time nor cost."""
    changed = machine.fits and machine.how != AS_IT_IS
    return {
        "name": machine.name,
        "memory": gigabytes(machine.device_bytes),
        "needs": gigabytes(machine.memory_bytes),
        "fits": "with a change" if changed else "yes" if machine.fits else "no",
        "time": time_text(machine.seconds) if machine.fits else "",
        "cost": money_text(machine.cost) if machine.fits else "",
        "energy": f"{machine.kilowatt_hours:.2f}" if machine.fits else "",
    }


def change_text(machine: Projection) -> str:
    """What makes the training fit there, as a sentence; empty where nothing has to change."""
    return f"{machine.name}: fits with {machine.how}." if machine.fits and machine.how != AS_IT_IS else ""


def method_row(method: MethodRow) -> dict[str, str]:
    """Cells of the table of methods."""
    return {
        "name": method.name,
        "trained": f"{method.trained:,}",
        "memory": gigabytes(method.memory_bytes),
        "fits": "yes" if method.fits else "no",
        "time": time_text(method.seconds),
        "remark": method.remark,
    }
