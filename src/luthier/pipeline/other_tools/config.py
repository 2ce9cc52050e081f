"""What a configuration of another tool says, and how what it names is found."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from luthier.core.recipe import SECRET, Recipe, parse_recipe

Tool = Literal["LLaMA-Factory", "axolotl", "TRL"]
Config = Mapping[str, Any]
_ENDINGS = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".txt", ".gz", ".zst")
_SHOWN_CHARACTERS = 1_000


@dataclass(slots=True)
class ReadConfig:
    """What a configuration of another tool says: fields of a recipe by dotted name, and what has none."""

    tool: Tool
    fields: dict[str, object] = field(default_factory=dict)
    sources: list[dict[str, object]] = field(default_factory=list)
    without_counterpart: list[str] = field(default_factory=list)

    def leave_out(self, name: str, value: object, why: str = "") -> None:
        told = f"{_shown(name)[1:-1]}: {_shown(value)}{f' ({why})' if why else ''}"
        self.without_counterpart.append(SECRET.sub("***", told))  # the recipe is saved with every run

    def recipe(self, name: str, where: str) -> str:
        """A recipe of this name as YAML, with what is left out as comments.

        Raises RecipeError, at `where`, for values that no recipe takes.
        """
        tree: dict[str, Any] = {section: {} for section in Recipe.model_fields} | {"name": name}
        for path, value in {**self.fields, "data.sources": self.sources or [{"path": "raw"}]}.items():
            *parents, last = path.split(".")
            node = tree
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = value
        tree = {section: value for section, value in tree.items() if value != {}}
        text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, default_flow_style=False)
        comments = [f"# Read from a configuration of {self.tool}. Without counterpart here:"] * bool(
            self.without_counterpart
        )
        whole = "\n".join([*comments, *(f"#   {left_out}" for left_out in self.without_counterpart), text])
        parse_recipe(whole, where=where)
        return whole


def _shown(value: object) -> str:
    """The value as JSON in ASCII, in which nothing ends the line of a comment.

    It is cut off where it is long or JSON has no word for it: YAML's aliases make a few lines into endless values.
    """
    text = ""
    with suppress(TypeError, ValueError, RecursionError):
        for piece in json.JSONEncoder(default=str).iterencode(value):
            text += piece
            if len(text) > _SHOWN_CHARACTERS:
                break
        else:
            return text
    return f"{text[:_SHOWN_CHARACTERS].rstrip()} ..."


@dataclass(frozen=True, slots=True)
class Places:
    """Where the configuration lies, and the workspace."""

    beside: Path
    root: Path

    def find(self, name: str) -> Path | None:
        """A file or folder as the tool would find it: from where it is run, or beside the configuration."""
        return next((place for start in (Path.cwd(), self.beside) if (place := start / name).exists()), None)

    def source(self, name: str) -> dict[str, object]:
        """A source by its path if it is there, or looks like one; else of the Hub."""
        found = self.find(name)
        if found is not None:
            return {"path": os.path.relpath(found.resolve(), self.root)}
        return {"path": name} if name.startswith((".", "/", "~")) or Path(name).suffix in _ENDINGS else {"hub": name}


Handler = Callable[[ReadConfig, Config, Places], None]
"""Takes over a field whose name alone does not say where it goes."""
Settle = Callable[[ReadConfig, Config], None]
"""Adds what a tool does unless told otherwise, where that differs from what is done here."""


def source_of(dataset: Config, places: Places) -> dict[str, object] | None:
    """The source of an entry with `path`, or with `data_files` where the path only names their kind."""
    files = dataset.get("data_files")
    name = files[0] if isinstance(files, list) and len(files) == 1 else files
    if not isinstance(name, str):
        name = dataset.get("path")
    if not isinstance(name, str):
        return None
    source = places.source(name)
    if "hub" in source and dataset.get("split"):
        source["split"] = dataset["split"]
    return source


def mappings(value: object) -> Iterator[Config]:
    """The mappings in a list, or the value itself if it is one."""
    yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict))


def nothing(*_: object) -> None:
    """Said together with another field."""
