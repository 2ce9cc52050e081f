"""The generation engine under chat, evaluation and serving."""

from luthier.inference.engine import Engine

__all__ = ["Engine"]
