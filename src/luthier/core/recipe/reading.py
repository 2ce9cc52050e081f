"""YAML text to a recipe."""

import json
import re
from collections.abc import Iterable

import yaml
from pydantic import ValidationError

from luthier.core.characters import LONE_SURROGATE
from luthier.core.errors import RecipeError
from luthier.core.recipe.faults import explained
from luthier.core.recipe.whole import Recipe

SECRET = re.compile(
    r"\b(hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16})|://[^/\s:@]+:[^/\s@]+@"
)
"""Access tokens of common services, and passwords inside URLs."""
MOST_MERGED = 10_000
"""Fields that sections may take over from others (`<<: *name`) in one file: a few that merge each other would else
double, level by level, beyond all memory."""
MOST_DEPTH = 100
"""Levels of sections and lists in JSON; YAML's own reading ends not much deeper."""


def parse_recipe(text: str, overrides: Iterable[str] = (), where: str = "recipe") -> Recipe:
    """Read YAML text, apply overrides such as `training.learning_rate=1e-3`, and check everything.

    Raises RecipeError naming the line or field, with the nearest allowed name for a misspelt one.
    """
    tree = read_yaml(text, where, "not valid YAML")
    if not isinstance(tree, dict):
        raise RecipeError("empty, or not a mapping of fields", where=where, allowed="see: luthier init")
    for override in overrides:
        _apply_override(tree, override)
    _refuse_unsaved(tree, where, set())
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError(explained(error), where=where) from error


def recipe_schema() -> dict[str, object]:
    """JSON schema of the recipe, for editors."""
    return Recipe.model_json_schema()


def read_yaml(text: str, where: str, fault: str) -> object:
    """The value of YAML or JSON text.

    JSON is not all YAML: it may be indented by tabs, and writes some characters as two escapes. Raises RecipeError that
    names the line of several, and begins with `fault` unless the text is sound and is not taken all the same.
    """
    try:
        if text.lstrip()[:1] in ("{", "["):
            try:
                return _not_too_deep(json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number))
            except _RefusedError:
                text = text.replace("\t", " ")  # the same JSON; YAML's reading knows the line
            except ValueError:
                pass  # brackets of YAML
        return yaml.load(text, _UniqueKeyLoader)
    except _RefusedError as error:
        mark = error.problem_mark
        fault, problem, line = "", str(error.problem), mark.line if mark else 0
    except yaml.reader.ReaderError as error:
        problem, line = f"the character U+{int(error.character):04X} is not allowed", text[: error.position].count("\n")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem, line = str(getattr(error, "problem", "cannot be read")), mark.line if mark else 0
    except RecursionError:
        raise RecipeError(f"{fault}: brackets inside brackets, too deep", where=where) from None
    told = f"{fault}: {problem}" if fault else problem
    raise RecipeError(told, where=f"{where}, line {line + 1}" if "\n" in text else where)


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
    node[last] = read_yaml(value, f"-o {override}", "not a YAML value")


class _RefusedError(yaml.constructor.ConstructorError):
    """Sound YAML or JSON that is not taken all the same."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object. Raises _RefusedError for a key that stands twice."""
    read = dict(pairs)
    if len(read) < len(pairs):
        raise _RefusedError
    return read


def _not_too_deep(value: object) -> object:
    """The value that JSON was read to. Raises RecursionError where it has more than `MOST_DEPTH` levels."""
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    if level:
        raise RecursionError
    return value


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is Python's, not JSON's")


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error; plain YAML would drop the first."""

    _merged = 0
    _merging = 0

    def fetch_more_tokens(self) -> None:
        try:
            super().fetch_more_tokens()
        except (ValueError, OverflowError) as error:  # such as "\UFFFFFFFF"
            fault = "an escape, or YAML's version, is too large a number"
            raise yaml.scanner.ScannerError(None, None, fault, self.get_mark()) from error

    def compose_mapping_node(self, anchor: dict[str, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        assert node is not None
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a field's name must be text", key.start_mark)
            if key.value in seen:
                raise _RefusedError(None, None, f"{key.value} is given twice", key.start_mark)
            seen.add(key.value)
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """PyYAML calls this for a section that it makes, and from inside for each one whose fields that takes over."""
        self._merging += 1
        super().flatten_mapping(node)
        self._merging -= 1
        self._merged += len(node.value) if self._merging else 0
        if self._merged > MOST_MERGED:
            fault = f"sections are merged with << into more than {MOST_MERGED:,} fields"
            raise _RefusedError(None, None, fault, node.start_mark)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:  # such as a 13th month
            fault = f"{node.value} is no {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, fault, node.start_mark) from error


def _refuse_unsaved(node: object, where: str, walked: set[int], path: str = "") -> None:
    """Raise RecipeError for what must not, or cannot, be saved with a run.

    `walked` are the ids of sections and lists that were looked through: YAML's aliases may name one many times, and
    even inside itself.
    """
    if isinstance(node, dict | list):
        if id(node) in walked:
            return
        walked.add(id(node))
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            _refuse_unsaved(str(key), where, walked, path or "a field's name")
            _refuse_unsaved(value, where, walked, f"{path}.{key}".lstrip("."))
    elif isinstance(node, str) and LONE_SURROGATE.search(node):
        raise RecipeError(f"{path} holds half of a character, which no file can hold", where=where)
    elif isinstance(node, str) and SECRET.search(node):
        raise RecipeError(
            f"{path} holds what looks like a password or access token; recipes are saved with every run",
            where=where,
            allowed="set it as an environment variable instead, e.g. HF_TOKEN",
        )
