"""The documents that ground an answer: is an answer grounded in the text that it was given."""

from luthier.knowledge.groundedness import GroundedSentence, ground, share_grounded

__all__ = ["GroundedSentence", "ground", "share_grounded"]
