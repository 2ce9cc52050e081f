"""A recipe says what it means, or what is wrong with it and where."""

import contextlib
import json
import re
import typing
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from luthier.core.errors import RecipeError
from luthier.core.recipe import Recipe, Section, parse_recipe, recipe_schema

SMALLEST = """\
name: support-bot
model: {base: "pypi:tiny"}
data:
  sources: [{path: raw/tickets.csv}]
"""


def changed(*overrides: str) -> Recipe:
    return parse_recipe(SMALLEST, overrides)


def test_smallest_recipe_has_the_defaults() -> None:
    recipe = parse_recipe(SMALLEST)

    assert recipe.data.sources[0].path == "raw/tickets.csv"
    assert (recipe.adapter.r, recipe.adapter.target_modules) == (16, "all-linear")
    assert recipe.data.clean.redact is not None
    assert recipe.evaluation.gates.loss == "no_worse"
    assert recipe.serving.host == "127.0.0.1"


def test_recipe_survives_being_written_down() -> None:
    recipe = changed("adapter.target_modules=[q_proj, v_proj]", "data.clean.redact=null", "training.learning_rate=1e-3")

    assert parse_recipe(yaml.safe_dump(recipe.model_dump(mode="json"))) == recipe


def test_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        parse_recipe(SMALLEST).training.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.learnig_rate=1", "unknown field training.learnig_rate, did you mean learning_rate?"),
        ("trainng.seed=1", "unknown field trainng, did you mean training?"),
        ("data.clean.redact.regoin=GB", "unknown field data.clean.redact.regoin, did you mean region?"),
        ("data.sources=[{path: a, colums: {}}]", "unknown field data.sources.0.colums, did you mean columns?"),
        (
            "serving.zzz=1",
            "unknown field serving.zzz, allowed: host, max_new_tokens, max_seconds, port, quant",
        ),
        ("data.sources=[{format: text}]", "data.sources.0: exactly one of path, query and hub must be given"),
        (
            "data.sources=[{path: a, thread_by: id, format: text}]",
            "data.sources.0: thread_by makes records of format comment_rows",
        ),
        ("data.sources=[{path: a, hub: b/c}]", "data.sources.0: exactly one of path, query and hub must be given"),
        ("data.sources=[{query: SELECT 1}]", "data.sources.0: query and database belong together"),
        ("data.sources=[{path: a, split: train}]", "data.sources.0: split is for a data set of the Hub"),
        ("data.sources=[]", "data.sources: list should have at least 1 item"),
        ("data.sources=[{path: a, format: xml}]", "data.sources.0.format: input should be 'preference', 'thumbs'"),
        ("name=Support Bot", "name: string should match pattern"),
        ("training.num_train_epochs=0", "training.num_train_epochs: input should be greater than 0"),
        ("training.learning_rate=fast", "training.learning_rate: input should be a valid number"),
        ("training.learning_rate=.nan", "training.learning_rate: input should be a finite number"),
        ("training.learning_rate=.inf", "training.learning_rate: input should be a finite number"),
        ("training=", "training is empty or a single value: it takes fields of its own"),
        ("data.sources=[raw.csv]", "data.sources.0 is empty or a single value"),
        ("data.split.validation=0.9", "data.split: validation and test together must stay below 0.9"),
        ("data.clean.max_words=3", "data.clean: max_words must not be below min_words"),
        ("evaluation.gates.facts=0.6", "evaluation: gates.facts needs evaluation.questions"),
        ("model.dtype=float64", "model.dtype: input should be 'auto', 'bfloat16'"),
        ("adapter.target_modules=5", "adapter.target_modules: input should be a valid string or a valid list"),
        ("adapter.target_modules=[5]", "adapter.target_modules.0: input should be a valid string"),
        (
            "model={config: {model_type: [1]}, tokenizer: t}",
            "model.config.model_type: input should be a valid boolean or",
        ),
        ("planning.assume={target_tokens_per_row: 301}", "planning.assume: target_tokens_per_row are some of the 300"),
        ("planning.assume={rows: 9999999999999}", "planning.assume.rows: input should be less than or equal to"),
        ('model.base="x\\ud800"', "model.base holds half of a character, which no file can hold"),
        ('data.system="\\udc00"', "data.system holds half of a character, which no file can hold"),
        ('data.sources=[{path: a, columns: {"\\ud800": b}}]', "data.sources.0.columns holds half of a character"),
        ("serving.port=70000", "serving.port: input should be less than or equal to 65535"),
    ],
)
def test_faults_name_the_field_and_what_is_allowed(override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(SMALLEST, [override], where="luthier.yaml")

    assert str(caught.value).startswith(f"luthier.yaml: {message}")
    assert caught.value.exit_code == 1


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(
        RecipeError, match=r"adapter\.r: .*; unknown field training\.sed, did you mean seed\?"
    ) as caught:
        changed("training.sed=1", "adapter.r=0")

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "luthier.yaml: empty, or not a mapping of fields (see: luthier init)"),
        ("- name", "luthier.yaml: empty, or not a mapping of fields (see: luthier init)"),
        ("name: a\nmodel: {base: [\n", "luthier.yaml, line 3: not valid YAML: "),
        ("name: a\n\tmodel: b\n", "luthier.yaml, line 2: not valid YAML: "),
        (SMALLEST + "model: {base: other}\n", "luthier.yaml, line 5: model is given twice"),
        (SMALLEST + "training:\n  seed: 1\n  seed: 2\n", "luthier.yaml, line 7: seed is given twice"),
        (SMALLEST + "training: !!python/object/apply:os.system [ls]\n", "luthier.yaml, line 5: not valid YAML: "),
        (SMALLEST + "1: 2\n", "luthier.yaml: 1: keys should be strings"),
        (SMALLEST + "[a]: 2\n", "luthier.yaml, line 5: not valid YAML: a field's name must be text"),
        (SMALLEST + "from: 2020-13-01\n", "luthier.yaml, line 5: not valid YAML: 2020-13-01 is no timestamp"),
        (SMALLEST + "count: !!int ''\n", "luthier.yaml, line 5: not valid YAML: "),
        (SMALLEST + "count: !!int many\n", "luthier.yaml, line 5: not valid YAML: many is no int"),
        (SMALLEST + f"count: 1{':1' * 300}.0\n", "luthier.yaml, line 5: not valid YAML: 1:1:1"),
        (
            SMALLEST + 'odd: "\\UFFFFFFFF"\n',
            "luthier.yaml, line 5: not valid YAML: an escape, or YAML's version, is too",
        ),
        (
            SMALLEST + 'odd: "\\U00110000"\n',
            "luthier.yaml, line 5: not valid YAML: an escape, or YAML's version, is too",
        ),
        (f"%YAML 1.{'1' * 5_000}\n---\n{SMALLEST}", "luthier.yaml, line 1: not valid YAML: an escape, or YAML's"),
        (SMALLEST + "\0", "luthier.yaml, line 5: not valid YAML: the character U+0000 is not allowed"),
        (
            SMALLEST + "more: " + "[" * 600 + "]" * 600,
            "luthier.yaml: not valid YAML: brackets inside brackets, too deep",
        ),
        (SMALLEST + "more: &more [*more]\n", "luthier.yaml: unknown field more, "),
        (
            SMALLEST.replace("[{path: raw/tickets.csv}]", "[]"),
            "luthier.yaml: data.sources: list should have at least 1",
        ),
    ],
)
def test_text_that_is_no_recipe_names_the_line(text: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, where="luthier.yaml")

    assert str(caught.value).startswith(message)


def test_sections_that_name_each_other_many_times_are_read_in_no_time() -> None:
    doubled = "".join(f"a{depth}: &a{depth} [*a{depth - 1}, *a{depth - 1}]\n" for depth in range(1, 60))

    with pytest.raises(RecipeError, match="unknown field a0"):
        parse_recipe(f"{SMALLEST}a0: &a0 [x]\n{doubled}")


@pytest.mark.parametrize("merged", ["<<: [*a{0}, *a{0}]", "<<: [*a{0}, *a0], b{0}: *a{0}"])
def test_sections_that_merge_each_other_many_times_are_refused(merged: str) -> None:
    doubled = "".join(f"a{depth}: &a{depth} {{{merged.format(depth - 1)}}}\n" for depth in range(1, 200))

    with pytest.raises(RecipeError) as caught:
        parse_recipe(f"{SMALLEST}a0: &a0 {{x: 1}}\n{doubled}", where="luthier.yaml")

    assert re.fullmatch(
        r"luthier.yaml, line \d+: sections are merged with << into more than 10,000 fields", str(caught.value)
    )


@pytest.mark.parametrize("times", [1, 20_000])
def test_a_large_section_is_not_merged_many_times_before_that_is_refused(times: int) -> None:
    large = ", ".join(f"x{number}: 1" for number in range(1_000))
    fault = "sections are merged" if times > 1 else "unknown field a"

    with pytest.raises(RecipeError, match=fault):
        parse_recipe(f"{SMALLEST}a: &a {{{large}}}\nb: {{<<: [{', '.join(['*a'] * times)}]}}\n")


def test_json_with_tabs_and_characters_in_two_escapes_is_read() -> None:
    text = json.dumps(
        yaml.safe_load(SMALLEST) | {"data": {"sources": [{"path": "raw"}], "system": "\U0001f600"}}, indent="\t"
    )

    assert "\\ud83d\\ude00" in text
    assert "\t" in text
    assert parse_recipe(text).data.system == "\U0001f600"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n\t"name": "a",\n\t"name": "b"\n}', "luthier.yaml, line 3: name is given twice"),
        ('{"data": {"system": "a", "system": "b"}}', "luthier.yaml: system is given twice"),
        ('{\n\t"name": "a"\n\t"task": "chat"\n}', "luthier.yaml, line 2: not valid YAML: "),
        (
            '{"a": ' + "[" * 2_000 + "]" * 2_000 + "}",
            "luthier.yaml: not valid YAML: brackets inside brackets, too deep",
        ),
        ('{"training": {"seed": NaN}}', "luthier.yaml: name is missing; "),
    ],
)
def test_json_that_is_no_recipe_is_told_as_yaml_is(text: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, where="luthier.yaml")

    assert str(caught.value).startswith(message)


def test_sections_take_over_fields_of_others_and_their_own_go_first() -> None:
    text = """\
name: support-bot
model: {base: "pypi:tiny"}
data:
  sources: [&one {path: raw/tickets.csv, split: ""}, &two {<<: *one, path: b}, {<<: [*two, *one], format: text}]
  clean: {<<: &words {min_words: 3, max_words: 9}, redact: &redact {<<: {region: FR, mode: drop}, mode: mask}}
evaluation: {judge: {<<: {url: a}, url: b, model: c}}
"""

    recipe = parse_recipe(text)

    assert [source.path for source in recipe.data.sources] == ["raw/tickets.csv", "b", "b"]
    assert recipe.data.clean.min_words == 3
    assert recipe.data.clean.redact is not None
    assert (recipe.data.clean.redact.region, recipe.data.clean.redact.mode) == ("FR", "mask")
    assert recipe.evaluation.judge is not None
    assert recipe.evaluation.judge.url == "b"


def test_a_field_that_was_taken_over_is_not_given_twice() -> None:
    """What stands deeper is made later: it has been merged by then."""
    with pytest.raises(RecipeError, match="unknown field a"):
        parse_recipe(f"{SMALLEST}a: {{b: {{c: &c {{<<: {{x: 1}}, x: 2}}}}}}\nd: {{<<: *c}}\n")


def numbers(section: type[Section], path: str = "") -> Iterator[str]:
    """The fields of a section that are numbers, and of those inside it."""
    for name, field in section.model_fields.items():
        parts = {field.annotation, *typing.get_args(field.annotation)}
        inner = {part for part in parts if isinstance(part, type) and issubclass(part, Section)}
        yield from (found for one in inner for found in numbers(one, f"{path}{name}."))
        kinds = {part for one in parts for part in (one, *typing.get_args(one))}
        if not inner and kinds & {int, float} and bool not in kinds and not path.endswith("sources."):
            yield f"{path}{name}"


NUMBERS = sorted(numbers(Recipe))


def test_there_are_numbers_of_all_kinds() -> None:
    kinds = {"data.clean.max_words", "data.split.seed", "training.learning_rate", "training.warmup_ratio"}
    assert kinds <= set(NUMBERS)
    assert len(NUMBERS) > 40


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", ["true", "false"])
def test_true_and_false_are_no_numbers(field: str, value: str) -> None:
    with pytest.raises(RecipeError) as caught:
        changed(f"{field}={value}")

    assert f"{field}: must be a number, not {value}" in str(caught.value)


@pytest.mark.parametrize(
    ("override", "section", "field", "value"),
    [
        ("training.learning_rate=1e-3", "training", "learning_rate", 1e-3),
        ("training.learning_rate=0.5", "training", "learning_rate", 0.5),
        ("training.packing=false", "training", "packing", False),
        ("training.early_stopping_patience=null", "training", "early_stopping_patience", None),
        ("adapter.target_modules=[q_proj, v_proj]", "adapter", "target_modules", ("q_proj", "v_proj")),
        ("adapter.target_modules=q_proj", "adapter", "target_modules", "q_proj"),
        ("data.system='Be kind: always.'", "data", "system", "Be kind: always."),
        ("data.system='a=b'", "data", "system", "a=b"),
    ],
)
def test_overrides_replace_a_field(override: str, section: str, field: str, value: object) -> None:
    recipe = changed(override)

    assert getattr(getattr(recipe, section), field) == value


def test_overrides_reach_sections_that_the_recipe_leaves_out_and_the_last_one_wins() -> None:
    recipe = changed("data.clean.min_words=7", "data.clean.redact.region=DE", "training.seed=1", "training.seed=2")

    assert recipe.data.clean.min_words == 7
    assert recipe.data.clean.redact is not None
    assert recipe.data.clean.redact.region == "DE"
    assert recipe.training.seed == 2


def test_override_of_a_name_that_looks_like_a_number_stays_text() -> None:
    assert changed("name=1e3").name == "1e3"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.seed", "-o: cannot read the override 'training.seed' (key.path=value)"),
        ("=3", "-o: cannot read the override '=3' (key.path=value)"),
        ("name.first=3", "-o name.first=3: name is a value or a list, not a section"),
        ("data.sources.0.path=b", "-o data.sources.0.path=b: data.sources is a value or a list, not a section"),
        ("adapter.target_modules=[a", "-o adapter.target_modules=[a: not a YAML value: "),
        ("training..seed=1", "recipe: unknown field training., allowed: "),
        ("name=\0", "-o name=\0: not a YAML value: the character U+0000 is not allowed"),
    ],
)
def test_overrides_that_cannot_be_applied(override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        changed(override)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("field", "secret"),
    [
        ("model.base", "hf_" + "a1B2" * 8),
        ("data.system", "Use sk-" + "abcd1234" * 4 + " to log in"),
        ("data.sources.0.path", "https://user:hunter2@example.com/a.csv"),
        ("data.sources.0.columns.prompt", "ghp_" + "x" * 36),
        ("adapter.target_modules.1", "AKIA" + "ABCD1234" * 2),
    ],
)
def test_secrets_are_refused_and_not_repeated(field: str, secret: str) -> None:
    tree: Any = yaml.safe_load(SMALLEST)
    tree["adapter"] = {"target_modules": ["q_proj", "v_proj"]}
    tree["data"]["sources"][0]["columns"] = {"prompt": "body"}
    *parents, last = field.split(".")
    node = tree
    for parent in parents:
        node = node[int(parent) if parent.isdigit() else parent]
    node[int(last) if last.isdigit() else last] = secret

    with pytest.raises(RecipeError) as caught:
        parse_recipe(yaml.safe_dump(tree))

    assert f"{field} holds what looks like a password or access token" in str(caught.value)
    assert secret not in str(caught.value)
    assert "HF_TOKEN" in str(caught.value)


def test_a_fault_of_a_field_of_several_types_is_told_once() -> None:
    with pytest.raises(RecipeError) as caught:
        changed("model={config: {model_type: [1]}, tokenizer: t}", "training.gradient_checkpointing=[]")
    assert str(caught.value).count("model.config.model_type") == 1
    assert str(caught.value).count("training.gradient_checkpointing") == 1


def test_secrets_in_overrides_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"data\.system holds what looks like"):
        changed("data.system=hf_" + "a" * 30)


@pytest.mark.parametrize("text", ["https://example.com/a.csv", "a skiing trip: sk-i", "hf_short", "me@example.com"])
def test_harmless_text_is_no_secret(text: str) -> None:
    assert changed(f"data.system={json.dumps(text)}").data.system == text


def test_schema_describes_the_recipe_for_editors() -> None:
    schema: Any = recipe_schema()

    assert set(schema["properties"]) == set(Recipe.model_fields)
    assert schema["required"] == ["name", "model", "data"]
    assert all(section["additionalProperties"] is False for section in schema["$defs"].values())
    training = schema["$defs"]["TrainingSection"]["properties"]
    assert (training["learning_rate"]["exclusiveMinimum"], training["learning_rate"]["type"]) == (0, "number")
    assert "optimiser steps" in training["eval_steps"]["description"]
    json.dumps(schema)


yaml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(yaml_values)
def test_any_yaml_is_a_recipe_or_a_plain_error(tree: object) -> None:
    smallest = yaml.safe_load(SMALLEST)
    for text in (yaml.safe_dump(tree), yaml.safe_dump({**smallest, "training": tree})):
        with contextlib.suppress(RecipeError):
            assert parse_recipe(text).name == "support-bot"


@pytest.mark.parametrize(
    ("adapter", "sentence"),
    [
        ("{method: full, r: 8}", "adapter: r is for method lora, not full"),
        ("{last_layers: 2}", "adapter: last_layers is for method freeze, not lora"),
        ("{method: ia3, use_dora: true}", "adapter: use_dora is for method lora, not ia3"),
        ("{method: freeze}", "adapter: method freeze needs first_layers, last_layers or train_modules"),
        ("{bias: all, init_lora_weights: pissa}", "adapter: bias and init_lora_weights: pissa exclude each other"),
    ],
)
def test_fields_of_another_method_are_refused(adapter, sentence):
    with pytest.raises(RecipeError, match=sentence):
        parse_recipe(f"name: a\nmodel: {{base: b}}\ndata: {{sources: [{{path: c}}]}}\nadapter: {adapter}")


@pytest.mark.parametrize("adapter", ["{method: full}", "{method: ia3}", "{method: freeze, last_layers: 1}"])
def test_the_rates_of_lora_plus_are_for_lora(adapter: str) -> None:
    with pytest.raises(RecipeError, match=r"training\.loraplus_lr_ratio is for method lora, not (full|ia3|freeze)"):
        changed(f"adapter={adapter}", "training.loraplus_lr_ratio=16")
    assert changed("training.loraplus_lr_ratio=16").training.loraplus_lr_ratio == 16


@pytest.mark.parametrize(
    ("task", "evaluation", "message"),
    [
        ("chat", "{gates: {accuracy: 0.9}}", r"evaluation\.gates\.accuracy is for task classification or preference"),
        ("classification", "{questions: golden.jsonl}", r"evaluation\.questions are for models that answer"),
        ("masked_lm", "{questions: golden.jsonl}", r"evaluation\.questions are for models that answer"),
        ("classification", "{gates: {forgetting: 0.1}}", r"evaluation\.gates\.forgetting is for models that predict"),
    ],
)
def test_gates_are_of_the_task(task: str, evaluation: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        changed(f"task={task}", f"evaluation={evaluation}")


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
@pytest.mark.parametrize("adapter", ["{method: full}", "{use_dora: true}", "{init_lora_weights: pissa}"])
def test_only_adapters_that_leave_the_weights_alone_train_on_few_bits(adapter, quantization):
    with pytest.raises(RecipeError, match=r"model\.quantization is for LoRA and IA3"):
        changed(f"model.quantization={quantization}", f"adapter={adapter}")


def test_biases_train_in_bytes_and_not_in_nf4():
    assert changed("model.quantization=int8", "adapter.bias=all").adapter.bias == "all"
    assert changed("model.quantization=nf4").model.quantization == "nf4"
    with pytest.raises(RecipeError, match=r"nf4 keeps biases frozen: adapter\.bias must be none, not all"):
        changed("model.quantization=nf4", "adapter.bias=all")


@pytest.mark.parametrize(
    "other", ["task=masked_lm", "task=classification", "model.quantization=int8", "training.profile=true"]
)
def test_shards_exclude_what_would_not_work_with_them(other):
    assert changed("training.sharding=fsdp").training.sharding == "fsdp"
    with pytest.raises(RecipeError, match=r"training\.sharding"):
        changed("training.sharding=fsdp", other)
