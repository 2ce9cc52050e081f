"""Configurations of LLaMA-Factory, axolotl and TRL as recipes, with a list of what has no counterpart here."""

from luthier.pipeline.other_tools.common import SAME_HERE, WITHOUT_EFFECT
from luthier.pipeline.other_tools.config import ReadConfig
from luthier.pipeline.other_tools.reading import FIELDS, read_config

__all__ = ["FIELDS", "SAME_HERE", "WITHOUT_EFFECT", "ReadConfig", "read_config"]
