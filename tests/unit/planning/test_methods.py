import json
from pathlib import Path

from luthier.core.recipe import AdapterSection
from luthier.planning.duration import Around, Range, Schedule, training_seconds
from luthier.planning.memory import ForwardPass, Way
from luthier.planning.methods import compare_methods
from luthier.planning.setup import Setup
from luthier.planning.shape import ModelShape
from luthier.planning.trained import trained_by

SHAPE = ModelShape.of(json.loads(Path(__file__).with_name("smollm2_135m.json").read_text()))
SETUP = Setup(SHAPE, trained_by(SHAPE, AdapterSection()), Way("bfloat16"), ForwardPass(2048, 1024, 120), 16)
SCHEDULE = Schedule(60_000, 3, 2048, 0, 50)


def test_methods_beside_each_other():
    rows = {one.name: one for one in compare_methods(SETUP, SCHEDULE, Range(400, 500, 600), Around(5.0), int(3.5e9))}
    full, last, lora = rows["full"], rows["freeze, last 7 layers"], rows["lora, r 16"]
    assert full.trained == SHAPE.parameters
    assert lora.seconds == training_seconds(SCHEDULE, Range(400, 500, 600), Around(5.0))
    assert last.seconds.expected < lora.seconds.expected < full.seconds.expected
    assert last.memory_bytes < lora.memory_bytes < full.memory_bytes
    assert (lora.fits, full.fits) == (True, False)
    assert rows["lora, r 8"].trained * 8 == rows["lora, r 64"].trained
    assert all(one.remark for one in rows.values())
