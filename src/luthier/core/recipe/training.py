"""`training`: the hyperparameters of the loop."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from luthier.core.recipe.section import ENGINE, Positive, Section, Share, refuse_set

PreferenceLoss = Literal["dpo", "orpo", "kto"]
Optim = Literal["adamw_torch", "adamw_8bit"]
Tracker = Literal["tensorboard", "mlflow", "wandb"]


class ReplaySection(Section):
    """General rows that are read between those of the dataset, so that what they teach is not forgotten."""

    sources: tuple[str, ...] = Field(
        min_length=1, description="files, folders or patterns of conversations and texts, e.g. [general.jsonl]"
    )
    share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="of the rows of each epoch; each epoch takes the next ones of a shuffle"
    )


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
    optim: Optim = Field(
        "adamw_torch",
        description="adamw_8bit keeps the moments of AdamW in bytes: 2 of each weight that trains instead of 8, at "
        "almost the same loss",
    )
    engine: Annotated[str, Field(pattern=ENGINE)] = Field(
        "local",
        description="where Luthier starts the processes that train: local (this one, or those of torchrun), ray (one "
        "that is started here) or ray://host:port",
    )
    num_workers: Positive = Field(1, description="engine ray: how many processes train together")
    sharding: Literal["none", "fsdp"] = Field(
        "none",
        description="of several processes: fsdp leaves to each a part of every weight, gradient and optimiser state "
        "(FSDP2); with none each has all of them",
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
    profile: bool = Field(
        False,
        description="run the first step five times before training: where its time and memory go is told and kept",
    )
    health: bool = Field(
        True,
        description="refuse to train what the checks that cost seconds find unsound; off trains it all the same",
    )
    find_learning_rate: bool | Literal["auto"] = Field(
        "auto",
        description="whether luthier check tries learning rates and suggests one; auto where that takes at most 20 "
        "seconds",
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
    def _workers_are_of_ray(self) -> "TrainingSection":
        if self.engine == "local":
            refuse_set(self, ("num_workers",), "engine ray, not local: torchrun says how many it starts")
        return self

    @model_validator(mode="after")
    def _weights_are_of_kto(self) -> "TrainingSection":
        if self.preference_loss != "kto":
            refuse_set(
                self, ("desirable_weight", "undesirable_weight"), f"preference_loss kto, not {self.preference_loss}"
            )
        return self
