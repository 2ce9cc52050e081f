"""The whole recipe, and what its sections ask of each other."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from luthier.core.recipe.adapter import AdapterSection
from luthier.core.recipe.data import DataSection
from luthier.core.recipe.evaluation import EvaluationSection
from luthier.core.recipe.model import ModelSection
from luthier.core.recipe.planning import PlanningSection
from luthier.core.recipe.section import Section, refuse_set
from luthier.core.recipe.serving import ServingSection
from luthier.core.recipe.training import TrainingSection

Task = Literal["chat", "completion", "causal_lm", "masked_lm", "classification", "preference", "seq2seq"]


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
    def _only_adapters_train_on_few_bits(self) -> "Recipe":
        adapter = self.adapter
        if self.model.quantization and (
            adapter.method not in ("lora", "ia3") or adapter.use_dora or adapter.init_lora_weights == "pissa"
        ):
            raise ValueError("model.quantization is for LoRA and IA3: DoRA, PiSSA and other methods need the weights")
        if self.model.quantization == "nf4" and adapter.bias != "none":
            raise ValueError(
                f"model.quantization nf4 keeps biases frozen: adapter.bias must be none, not {adapter.bias}"
            )
        return self

    @model_validator(mode="after")
    def _shards_are_of_decoders(self) -> "Recipe":
        if self.training.sharding != "none" and self.task in ("classification", "masked_lm"):
            raise ValueError(f"training.sharding is for models that write text, not task {self.task}")
        if self.training.sharding != "none" and self.model.quantization:
            raise ValueError("training.sharding is for weights as they are: leave out model.quantization")
        if self.training.sharding != "none" and self.training.profile:
            raise ValueError("training.profile is of weights that are whole: leave out training.sharding")
        if self.training.sharding != "none" and self.training.optim != "adamw_torch":
            raise ValueError(f"training.sharding is for training.optim adamw_torch, not {self.training.optim}")
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
            refuse_set(self.training, ("replay",), owner, "training.")
        if self.adapter.method != "lora":
            owner = f"method lora, not {self.adapter.method}"
            refuse_set(self.training, ("loraplus_lr_ratio",), owner, "training.")
        if self.training.l2_sp and self.adapter.method not in ("full", "freeze"):
            raise ValueError(
                f"training.l2_sp is for method full or freeze, not {self.adapter.method}: for an adapter, which begins "
                "with no change, the same is training.weight_decay"
            )
        if self.task != "preference":
            fields = ("preference_loss", "beta", "desirable_weight", "undesirable_weight")
            refuse_set(self.training, fields, f"task preference, not {self.task}", "training.")
        return self
