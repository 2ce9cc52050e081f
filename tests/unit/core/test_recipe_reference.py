import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from luthier.core.recipe import recipe_schema

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipe_reference", ROOT / "scripts" / "write_recipe_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(script):
    written = (ROOT / "docs" / "reference" / "recipe.md").read_text(encoding="utf-8")
    assert written == script.reference(), "run: python scripts/write_recipe_reference.py"


def test_every_field_is_described(script):
    lines = script.reference().splitlines()
    sections = [recipe_schema(), *recipe_schema()["$defs"].values()]
    fields = [name for section in sections for name in section["properties"]]
    rows = [line for line in lines if line.startswith("| `")]
    assert len(rows) == len(fields) > 40
    assert [row for row in rows if row.endswith("|  |")] == []


@pytest.mark.parametrize(
    "row",
    [
        "| `seed` | whole number | `0` | another one draws other rows into validation and test |",
        "| `near_duplicates` | number above 0 up to 1 or `null` | `0.8` |",
        "| `sources` | list of sections [data.sources](#datasources), at least one | required |",
        "| `packing` | `true`, `false` | `true` |",
        "| `columns` | mapping of text to text | `{}` |",
        "| `redact` | section [data.clean.redact](#datacleanredact) or `null` |  |",
    ],
)
def test_types_defaults_and_limits_are_told(script, row):
    assert row in script.reference()
