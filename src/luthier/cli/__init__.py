"""The command line: thin commands over the functions of `luthier`."""

from luthier.cli.main import main

__all__ = ["main"]
