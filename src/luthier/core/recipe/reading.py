"""YAML text to a recipe."""

import re
from collections.abc import Hashable, Iterable

import yaml
from pydantic import ValidationError

from luthier.core.errors import RecipeError
from luthier.core.recipe.faults import explained
from luthier.core.recipe.whole import Recipe

SECRET = re.compile(
    r"\b(hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16})|://[^/\s:@]+:[^/\s@]+@"
)
"""Access tokens of common services, and passwords inside URLs."""


def parse_recipe(text: str, overrides: Iterable[str] = (), where: str = "recipe") -> Recipe:
    """Read YAML text, apply overrides such as `training.learning_rate=1e-3`, and check everything.

    Raises RecipeError naming the line or field, with the nearest allowed name for a misspelt one.
    """
    try:
        tree = yaml.load(text, _UniqueKeyLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}, line {mark.line + 1}" if mark else where
        raise RecipeError(f"not valid YAML: {getattr(error, 'problem', error)}", where=place) from error
    if not isinstance(tree, dict):
        raise RecipeError("empty, or not a mapping of fields", where=where, allowed="see: luthier init")
    for override in overrides:
        _apply_override(tree, override)
    _refuse_secrets(tree, where)
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError(explained(error), where=where) from error


def recipe_schema() -> dict[str, object]:
    """JSON schema of the recipe, for editors."""
    return Recipe.model_json_schema()


def _apply_override(tree: dict[str, object], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"cannot read the override {override!r}", where="-o", allowed="key.path=value")
    *parents, last = key.split(".")
    node: object = tree
    for index, parent in enumerate(parents):
        node = node.setdefault(parent, {}) if isinstance(node, dict) else None
        if not isinstance(node, dict):
            raise RecipeError(
                f"{'.'.join(parents[: index + 1])} is a value or a list, not a section",
                where=f"-o {override}",
            )
    assert isinstance(node, dict)
    try:
        node[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", error)
        raise RecipeError(f"not a YAML value: {problem}", where=f"-o {override}") from error


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error; plain YAML would drop the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _refuse_secrets(node: object, where: str, path: str = "") -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            _refuse_secrets(value, where, f"{path}.{key}".lstrip("."))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            _refuse_secrets(value, where, f"{path}.{index}")
    elif isinstance(node, str) and SECRET.search(node):
        raise RecipeError(
            f"{path} holds what looks like a password or access token; recipes are saved with every run",
            where=where,
            allowed="set it as an environment variable instead, e.g. HF_TOKEN",
        )
