"""`luthier --help` is quick, because it loads nothing heavy."""

import json
import subprocess
import sys
import time

HEAVY = {"torch", "transformers", "peft", "daft", "pyarrow", "pandas", "scipy", "fastapi", "sqlalchemy", "pydantic"}
PROGRAM = """
import json, sys
from luthier.cli.main import run
assert run(["--help"]) == 0
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def test_help_loads_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stderr))
    assert {"luthier", "typer"} <= loaded
    assert not loaded & HEAVY
    assert "demo" in done.stdout


def test_help_is_quick():
    """0.4 s on an idle machine; the test leaves room for a busy one."""
    seconds = []
    for _ in range(3):
        begin = time.monotonic()
        program = "from luthier.cli import main; main()"
        subprocess.run([sys.executable, "-c", program, "--help"], capture_output=True, check=True)
        seconds.append(time.monotonic() - begin)
    assert min(seconds) < 1.0
