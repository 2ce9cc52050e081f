"""`import luthier` costs nothing, and every name of it is there."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import luthier

SOURCE = ast.parse(Path(luthier.__file__).read_text(encoding="utf-8"))
FUNCTIONS = [name for name in luthier.__all__ if name not in ("GateRefused", "LuthierError")]


def typed_imports():
    """Name -> module, of the imports that type checkers see."""
    [block] = [node for node in SOURCE.body if isinstance(node, ast.If)]
    return {alias.name: node.module for node in block.body for alias in node.names}


def test_what_types_see_is_what_is_loaded():
    assert {name: f"luthier.pipeline.{home}" for name, home in luthier._HOMES.items()} == typed_imports()
    assert sorted(luthier._HOMES) == sorted(FUNCTIONS)
    assert luthier.__all__ == sorted(luthier.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_name_is_a_documented_function(name):
    for _ in range(2):  # also after its home was loaded
        function = getattr(luthier, name)
        assert inspect.isfunction(function)
    assert function is getattr(importlib.import_module(typed_imports()[name]), name)
    assert function.__doc__


def test_no_name_is_that_of_a_package():
    """Loading a package `luthier.NAME` would put the module in place of the function."""
    packages = {module.name for module in pkgutil.iter_modules(luthier.__path__)}
    assert "pipeline" in packages
    assert not packages & set(luthier.__all__)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="module 'luthier' has no attribute 'trian'"):
        _ = luthier.trian


def test_the_import_loads_no_library():
    program = "import sys; import luthier; print(sorted(n for n in sys.modules if n.startswith('luthier')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = ["luthier", "luthier.core", "luthier.core.errors", "luthier.core.importing"]
    assert ast.literal_eval(done.stdout) == modules
