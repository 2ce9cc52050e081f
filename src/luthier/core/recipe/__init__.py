"""The recipe: one typed, nested configuration for the whole life cycle, a module a section.

Unknown fields are errors with a suggestion. Functions elsewhere take the section or values
they use, never a whole recipe.
"""

from luthier.core.recipe.adapter import AdapterSection, Method
from luthier.core.recipe.cleaning import CleanSection, PersonalKind, RedactSection
from luthier.core.recipe.data import DataSection, OverLength, SplitSection
from luthier.core.recipe.evaluation import EvaluationSection, GatesSection, JudgeSection
from luthier.core.recipe.model import BaseQuantization, Dtype, Initialisation, ModelSection
from luthier.core.recipe.planning import AssumeSection, PlanningSection
from luthier.core.recipe.reading import SECRET, parse_recipe, read_yaml, recipe_schema
from luthier.core.recipe.section import Positive, Section, Share, refuse_truth
from luthier.core.recipe.serving import Quantization, ServingSection
from luthier.core.recipe.sources import RowFormat, SourceSection
from luthier.core.recipe.training import Optim, PreferenceLoss, ReplaySection, Tracker, TrainingSection
from luthier.core.recipe.whole import Recipe, Task
from luthier.core.recipe.writing import with_fields

__all__ = [
    "SECRET",
    "AdapterSection",
    "AssumeSection",
    "BaseQuantization",
    "CleanSection",
    "DataSection",
    "Dtype",
    "EvaluationSection",
    "GatesSection",
    "Initialisation",
    "JudgeSection",
    "Method",
    "ModelSection",
    "Optim",
    "OverLength",
    "PersonalKind",
    "PlanningSection",
    "Positive",
    "PreferenceLoss",
    "Quantization",
    "Recipe",
    "RedactSection",
    "ReplaySection",
    "RowFormat",
    "Section",
    "ServingSection",
    "Share",
    "SourceSection",
    "SplitSection",
    "Task",
    "Tracker",
    "TrainingSection",
    "parse_recipe",
    "read_yaml",
    "recipe_schema",
    "refuse_truth",
    "with_fields",
]
