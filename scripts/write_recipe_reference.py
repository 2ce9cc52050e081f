"""Write docs/reference/recipe.md from the types of the recipe."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from luthier.core.recipe import recipe_schema

TARGET = Path(__file__).resolve().parents[1] / "docs" / "reference" / "recipe.md"
Schema = Mapping[str, Any]

INTRODUCTION = """\
# The recipe

Every field of `luthier.yaml`. This page is written from `src/luthier/core/recipe` by
`scripts/write_recipe_reference.py`: change it there.

A field that does not stand here is an error, and the message names the nearest one that does; so is a value outside of
what is allowed. A path that is not absolute starts at the workspace. Any field can be overridden for one command, as in
`luthier train -o training.learning_rate=1e-3`. What looks like a password or an access token is refused, because the
recipe is saved with every run. `luthier init` writes a JSON schema, by which editors complete and check fields.
"""


def reference() -> str:
    """The whole page, as Markdown."""
    schema = recipe_schema()
    return "\n".join([INTRODUCTION, *_section("", schema, schema["$defs"])])


def _section(path: str, section: Schema, definitions: Mapping[str, Schema]) -> Iterator[str]:
    """Heading, docstring and table of a section, then the sections inside it."""
    yield f"## {path or 'Top level'}\n"
    yield f"{section['description']}\n"
    yield "| field | value | default | meaning |"
    yield "|---|---|---|---|"
    inner: list[tuple[str, Schema]] = []
    for name, field in section["properties"].items():
        target = _target(field)
        below = f"{path}.{name}".lstrip(".")
        if target:
            inner.append((below, definitions[target]))
        description = field.get("description") or (definitions[target]["description"] if target else "")
        required = name in section.get("required", ())
        cells = (f"`{name}`", _value(field, below), "required" if required else _default(field), description)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""
    for below, definition in inner:
        yield from _section(below, definition, definitions)


def _target(field: Schema) -> str | None:
    """The name of the section that a field holds, once, in a list or optionally."""
    for part in (field, field.get("items", {}), *field.get("anyOf", ())):
        if "$ref" in part:
            return str(part["$ref"]).rpartition("/")[2]
    return None


def _value(field: Schema, path: str) -> str:
    """What a field may hold, in words."""
    if "anyOf" in field:
        return " or ".join(_value(part, path) for part in field["anyOf"])
    if "$ref" in field:
        return f"section [{path}](#{path.replace('.', '')})"
    if "const" in field or "enum" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    kind = field["type"]
    if kind == "array":
        least = ", at least one" if field.get("minItems") else ""
        items = _value(field["items"], path).replace("section ", "sections ")
        return f"list of {items}{least}"
    if kind == "object":
        return f"mapping of text to {_value(field['additionalProperties'], path)}"
    words = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "`true`, `false`",
        "null": "`null`",
    }
    return words[kind] + _limits(field)


def _limits(field: Schema) -> str:
    words = {
        "exclusiveMinimum": "above {}",
        "minimum": "from {}",
        "exclusiveMaximum": "below {}",
        "maximum": "up to {}",
        "pattern": "matching `{}`",
    }
    return "".join(f" {words[name].format(field[name])}" for name in words if name in field)


def _default(field: Schema) -> str:
    """The default as YAML; a section's stands in its own table."""
    default = field.get("default", {})
    if isinstance(default, dict):
        return "`{}`" if field.get("type") == "object" else ""
    if isinstance(default, list):
        return f"`[{', '.join(default)}]`"
    text = default if isinstance(default, str) else json.dumps(default)
    return f"`{text}`" if text else "empty"


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(reference(), encoding="utf-8")
