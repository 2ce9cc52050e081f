"""constraints.txt is as scripts/write_constraints.py writes it: making it again changes only versions."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_file_is_in_the_order_of_the_script():
    spec = importlib.util.spec_from_file_location("write_constraints", ROOT / "scripts" / "write_constraints.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    committed = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = dict(line.split("==") for line in committed.splitlines() if not line.startswith("#"))
    assert len(pinned) > 50
    assert script.constraints(pinned) == committed
