"""Every field of the recipe and of the prices is read by some code: an option that does nothing is a fault.

Reads are found in the syntax trees of `src`: `settings.seed` counts for the section that `settings` is annotated as,
follows assignments, loops and attributes, and does not count for another section's field of the same name.
"""

import ast
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

import luthier
from luthier.core import recipe as recipe_package
from luthier.core.recipe import Recipe, Section
from luthier.planning.prices import Prices

SOURCE = Path(luthier.__file__).parent
Names = dict[str, set[type[Section]]]


def section_inside(annotation: object) -> type[Section] | None:
    """The section type in an annotation such as `tuple[SourceSection, ...]` or `RedactSection | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in typing.get_args(annotation) if (found := section_inside(part))), None)


def sections(root: type[Section]) -> Iterator[type[Section]]:
    yield root
    for field in root.model_fields.values():
        if inner := section_inside(field.annotation):
            yield from sections(inner)


RECIPE = set(sections(Recipe))
SECTIONS = {section.__name__: section for section in RECIPE | set(sections(Prices))}
SOURCES, SPLIT = ("DataSection", "sources"), ("DataSection", "split")
FIELDS = sorted((name, field) for name, section in SECTIONS.items() for field in section.model_fields)


class Reads(ast.NodeVisitor):
    """Collects (section, field) pairs that are read. `known` holds what names and attributes anywhere stand for."""

    def __init__(self) -> None:
        self.known: Names = {}
        self.scopes: list[Names] = []
        self.scope_of: dict[ast.AST, Names] = {}
        self.found: set[tuple[str, str]] = set()

    def types_of(self, node: ast.AST | None) -> set[type[Section]]:
        """The sections that an expression may stand for, or hold several of."""
        match node:
            case ast.Name(id=name):
                return next((scope[name] for scope in reversed(self.scopes) if name in scope), set())
            case ast.Attribute(value=value, attr=attr):
                inside = {section_inside(s.model_fields[attr].annotation) for s in self.types_of(value) & owners(attr)}
                return {section for section in inside if section} or self.known.get(attr, set())
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                return self.known.get(f"{name}()", set())
            case ast.Subscript(value=value) | ast.NamedExpr(value=value):
                return self.types_of(value)
            case ast.IfExp(body=body, orelse=orelse):
                return self.types_of(body) | self.types_of(orelse)
            case ast.BoolOp(values=values):
                return set().union(*map(self.types_of, values))
        return set()

    def bind(self, target: ast.AST, value: ast.AST) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one_target, one_value in zip(target.elts, value.elts, strict=False):
                self.bind(one_target, one_value)
        types = self.types_of(value)
        if types and isinstance(target, ast.Name) and self.scopes:
            self.scopes[-1].setdefault(target.id, set()).update(types)
        elif types and isinstance(target, ast.Attribute):
            self.known.setdefault(target.attr, set()).update(types)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.known.setdefault(f"{node.name}()", set()).update(named_in(node.returns))
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        scope = {argument.arg: named_in(argument.annotation) for argument in arguments}
        self.scopes.append(self.scope_of.setdefault(node, scope))
        self.generic_visit(node)
        self.scopes.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        name = node.target.id if isinstance(node.target, ast.Name) else ""
        self.known.setdefault(name, set()).update(named_in(node.annotation))
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self.bind(target, node.value)
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.bind(node.target, node.value)
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self.bind(node.target, node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self.bind(node.target, node.iter)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Load):
            self.found |= {(section.__name__, node.attr) for section in self.types_of(node.value) & owners(node.attr)}
        self.generic_visit(node)


def owners(field: str) -> set[type[Section]]:
    return {section for section in SECTIONS.values() if field in section.model_fields}


def named_in(annotation: ast.AST | None) -> set[type[Section]]:
    """The sections that an annotation names."""
    words = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)} if annotation else set()
    return {SECTIONS[word] for word in words & set(SECTIONS)}


def fields_read(*trees: ast.Module) -> set[tuple[str, str]]:
    reads = Reads()
    for _ in range(2):  # what comes later may be used earlier
        for tree in trees:
            reads.visit(tree)
    return reads.found


@pytest.fixture(scope="module")
def read() -> set[tuple[str, str]]:
    types = Path(recipe_package.__file__).parent
    paths = [path for path in SOURCE.rglob("*.py") if types not in path.parents]
    assert len(paths) > 50
    return fields_read(*(ast.parse(path.read_text(encoding="utf-8")) for path in paths))


@pytest.mark.parametrize(("section", "field"), FIELDS, ids=[".".join(pair) for pair in FIELDS])
def test_field_is_read(section: str, field: str, read: set[tuple[str, str]]) -> None:
    assert (section, field) in read, f"no code reads {section}.{field}"


def test_every_section_is_a_part_of_the_recipe_or_the_prices() -> None:
    assert set(Section.__subclasses__()) == set(SECTIONS.values())


def test_every_section_of_the_recipe_is_public() -> None:
    assert {section.__name__ for section in RECIPE} <= set(recipe_package.__all__)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f(settings: TrainingSection): return settings.seed", {("TrainingSection", "seed")}),
        ("def f(settings: object): return settings.seed", set()),
        ("def f(settings: TrainingSection): settings.seed = 1", set()),
        ("def f(data: DataSection): return data.split.seed", {SPLIT, ("SplitSection", "seed")}),
        ("def f(d: DataSection): return [s.path for s in d.sources]", {SOURCES, ("SourceSection", "path")}),
        ("def f(d: DataSection):\n    for s in d.sources:\n        s.path", {SOURCES, ("SourceSection", "path")}),
        ("class P:\n    t: TrainingSection\ndef f(p): return p.t.packing", {("TrainingSection", "packing")}),
        ("def f(d: DataSection): a, b = d.split, 1; return a.seed", {SPLIT, ("SplitSection", "seed")}),
        ("def g() -> DataSection: ...\ndef f(): return g().system", {("DataSection", "system")}),
    ],
)
def test_reads_are_told_from_what_only_looks_like_one(code: str, expected: set[tuple[str, str]]) -> None:
    assert fields_read(ast.parse(code)) == expected
