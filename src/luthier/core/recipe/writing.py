"""Put values into a recipe's text and leave all the rest of it, comments too, as it is."""

import json
from collections.abc import Mapping, Sequence

import yaml

from luthier.core.errors import RecipeError

NULL = "tag:yaml.org,2002:null"
Value = str | int | float | bool


def with_fields(text: str, fields: Mapping[str, Value], where: str = "recipe") -> str:
    """The YAML text with these values in these fields, as in {"training.learning_rate": 1e-3}; sections and fields that
    are not there are added.

    Raises RecipeError for a field below a value or a list, and for a section.
    """
    for field, value in fields.items():
        text = _with_field(text, field.split("."), json.dumps(value), where)
    return text


def _with_field(text: str, path: Sequence[str], value: str, where: str) -> str:
    node, known = yaml.compose(text, yaml.SafeLoader), 0
    while known < len(path) and (child := _child(node, path[known])) is not None:
        node, known = child, known + 1
    if node is None:
        return f"{text}{_flow(path, value)[1:-1]}\n"
    begin, end = node.start_mark.index, node.end_mark.index
    rest = path[known:]
    if not rest and not isinstance(node, yaml.ScalarNode):
        raise RecipeError(f"{'.'.join(path)} is a section or a list, not a value", where=where)
    if not rest:
        return text[:begin] + value + text[end:]
    empty = not node.value if isinstance(node, yaml.MappingNode) else node.tag == NULL
    if empty:
        return f"{text[:begin].rstrip(' ')} {_flow(rest, value)}{text[end:]}"
    if not isinstance(node, yaml.MappingNode):
        raise RecipeError(f"{'.'.join(path[:known])} is a value or a list, not a section", where=where)
    added = _flow(rest, value)[1:-1]
    if node.flow_style:
        return f"{text[: begin + 1]}{added}, {text[begin + 1 :]}"
    if not known:
        return text + "\n" * (not text.endswith("\n")) + f"{added}\n"
    first = node.value[0][0].start_mark
    return f"{text[: first.index]}{added}\n{' ' * first.column}{text[first.index :]}"


def _child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in node.value if key.value == name), None)


def _flow(path: Sequence[str], value: str) -> str:
    """{a: {b: value}}"""
    return f"{{{path[0]}: {_flow(path[1:], value) if path[1:] else value}}}"
