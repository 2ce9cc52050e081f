"""The generation engine under chat, evaluation and serving."""

from luthier.inference.engine import Engine, MemoryBudget

__all__ = ["Engine", "MemoryBudget"]
