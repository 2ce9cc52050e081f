"""Import what is large without looking for garbage in it."""

import gc
import importlib
from types import ModuleType


def import_large(name: str) -> ModuleType:
    """The module of this name, imported while the search for cyclic garbage is off.

    torch and transformers make a million objects that all stay. To look through them again and again takes a third of
    the time of their import.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        if collecting:
            gc.enable()
