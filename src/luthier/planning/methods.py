"""Ways of training the same rows beside each other."""

from dataclasses import dataclass, replace

from luthier.core.recipe import AdapterSection
from luthier.planning.choices import fits
from luthier.planning.duration import Around, Range, Schedule, training_seconds
from luthier.planning.operations import operations_per_token
from luthier.planning.setup import Setup
from luthier.planning.trained import trained_by


@dataclass(frozen=True, slots=True)
class MethodRow:
    """What one method would take here, by calculation from what the recipe's own was found to take."""

    name: str
    trained: int
    memory_bytes: int
    fits: bool
    seconds: Range
    remark: str

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "trained": self.trained,
            "memory_bytes": self.memory_bytes,
            "fits": self.fits,
            "seconds": self.seconds.to_json(),
            "remark": self.remark,
        }


def compare_methods(
    setup: Setup, schedule: Schedule, speed: Range, around: Around, free: int, factor: float = 1.0
) -> list[MethodRow]:
    """Full fine-tuning, the last quarter of the layers, and LoRA of several ranks, on the same rows and steps.

    Times follow the number of operations, from the speed that was found for `setup`.
    """
    quarter = max(1, setup.shape.layers // 4)
    ways = (
        ("full", AdapterSection(method="full"), "learns most and forgets most; a whole model to keep"),
        (
            f"freeze, last {quarter} layers",
            AdapterSection(method="freeze", last_layers=quarter),
            "fast, in less memory; learns less, and changes the model itself",
        ),
        *(
            (f"lora, r {r}", AdapterSection(r=r), remark)
            for r, remark in (
                (8, "the smallest adapter that is usual"),
                (16, "the usual one: as good as full on some million tokens, little is forgotten"),
                (64, "for more rows"),
            )
        ),
        ("ia3", AdapterSection(method="ia3"), "a few thousand weights, for few rows"),
    )
    rows = []
    now = operations_per_token(setup)
    for name, adapter, remark in ways:
        way = setup.way if adapter.method in ("lora", "ia3") else replace(setup.way, quantization=None)
        r = adapter.r if adapter.method == "lora" else 0
        changed = replace(setup, trained=trained_by(setup.shape, adapter), r=r, way=way)
        seconds = training_seconds(schedule, speed.scaled(now / operations_per_token(changed)), around)
        memory = changed.memory.corrected(factor).total
        rows.append(MethodRow(name, changed.trained.parameters, memory, fits(changed, free, factor), seconds, remark))
    return rows
