"""Values put into a recipe leave the rest of its text alone."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from luthier.core.errors import RecipeError
from luthier.core.recipe import with_fields

TEXT = """\
# the shop
name: "shop"   # served
model:
  base: a
adapter:
  r: 16   # rank
training: {learning_rate: 1.0e-3, packing: true}
evaluation:
serving: {}
"""


def test_values_are_replaced_and_added_in_place():
    fields = {
        "name": "bot",
        "adapter.r": 32,
        "adapter.method": "lora",
        "training.learning_rate": 5e-4,
        "training.eval_steps": 10,
        "evaluation.max_new_tokens": 4,
        "serving.port": 1,
        "planning.assume.rows": 10,
    }
    assert (
        with_fields(TEXT, fields)
        == """\
# the shop
name: "bot"   # served
model:
  base: a
adapter:
  method: "lora"
  r: 32   # rank
training: {eval_steps: 10, learning_rate: 0.0005, packing: true}
evaluation: {max_new_tokens: 4}
serving: {port: 1}
planning: {assume: {rows: 10}}
"""
    )


@pytest.mark.parametrize("field", ["model.base.deeper", "name.x"])
def test_a_field_below_a_value_is_refused(field):
    with pytest.raises(RecipeError, match="is a value or a list, not a section"):
        with_fields(TEXT, {field: 1})


NAMES = st.sampled_from(["a", "b", "c"])
TREES = st.recursive(
    st.none() | st.integers() | st.text("xyz# :", max_size=5),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
).filter(lambda tree: isinstance(tree, dict))


@given(TREES, st.lists(NAMES, min_size=1, max_size=3), st.integers(), st.booleans())
def test_the_field_has_the_value_and_all_others_what_they_had(tree, path, value, flow):
    text = yaml.safe_dump(tree, default_flow_style=flow)
    expected, node = tree, tree
    for name in path[:-1]:
        inner = node.get(name)
        if inner is None:
            inner = node[name] = {}
        elif not isinstance(inner, dict):
            with pytest.raises(RecipeError):
                with_fields(text, {".".join(path): value})
            return
        node = inner
    if isinstance(node.get(path[-1]), dict):
        with pytest.raises(RecipeError, match="is a section or a list"):
            with_fields(text, {".".join(path): value})
        return
    node[path[-1]] = value
    assert yaml.safe_load(with_fields(text, {".".join(path): value})) == expected
