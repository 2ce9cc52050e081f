"""Whether there is enough data, by a rule of thumb that an evaluation overrules.

The numbers behind it:
- From 50 to 100 rows a change is seen at all (OpenAI, fine-tuning guide); 1,000 good rows teach tone and format
  (Zhou et al. 2023, LIMA).
- About 36 readings of a fact, 6 wordings in 6 epochs, let a 135M model recall 80 % of 100 facts on unseen phrasings
  with LoRA r=16 (our own trial).
- About 20 tokens for each weight make the best of a given effort when a model begins from nothing (Hoffmann et al.
  2022, Training Compute-Optimal Large Language Models).
- With 8 rows of each label an encoder already tells labels apart much better than by chance (Tunstall et al. 2022,
  SetFit).
- Repeats up to 4 epochs teach almost as much as new rows, beyond 16 next to nothing
  (Muennighoff et al. 2023, Scaling Data-Constrained Language Models).
"""

import math
from dataclasses import dataclass

from luthier.planning.learning_curve import CurveForecast

MIN_ROWS = 50
ROWS_PER_LABEL = 8
TOKENS_PER_WEIGHT = 20
MIN_ROW_READINGS = 1000
READINGS_PER_FACT = 36
MAX_USEFUL_EPOCHS = 16


@dataclass(frozen=True, slots=True)
class DataNeed:
    """`enough`, and in words what to expect: by the rule of thumb, or by a learning curve where one was measured."""

    enough: bool
    forecast: str
    curve: CurveForecast | None = None

    def with_curve(self, curve: CurveForecast) -> "DataNeed":
        """What was measured goes before the rule of thumb."""
        return DataNeed(curve.enough, f"{curve.sentence} {self.forecast}", curve)

    def to_json(self) -> dict[str, object]:
        curve = self.curve.to_json() if self.curve else None
        return {"enough": self.enough, "forecast": self.forecast, "curve": curve}


def forecast_data(rows: int, target_tokens: int, num_train_epochs: int) -> DataNeed:
    """Judge a training split by its rows, the target tokens in them and how often each row is read (the epochs)."""
    readings = rows * num_train_epochs
    size = f"{_counted(rows)} ({target_tokens:,} target tokens), each read {_often(num_train_epochs)}"
    wordings = math.ceil(READINGS_PER_FACT / num_train_epochs)
    closing = (
        f"A fact is recalled well once it was read about {READINGS_PER_FACT} times: "
        f"here, when it stands in {wordings} or more rows in different words. "
        "This is a rule of thumb; what was learned, only `luthier evaluate` can say."
    )
    if not target_tokens:
        return DataNeed(False, f"{size}: there is nothing to learn, because no row has an answer.")
    if rows < MIN_ROWS:
        return DataNeed(False, f"{size}: too few to expect much, at least {MIN_ROWS} rows are needed. {closing}")
    if readings < MIN_ROW_READINGS:
        epochs = math.ceil(MIN_ROW_READINGS / rows)
        return DataNeed(
            False,
            f"{size}: tone may change, facts will hardly stick before {MIN_ROW_READINGS:,} readings. "
            f"Add rows or set training.num_train_epochs to {epochs}. {closing}",
        )
    if num_train_epochs > MAX_USEFUL_EPOCHS:
        return DataNeed(True, f"{size}: beyond {MAX_USEFUL_EPOCHS} times a row teaches next to nothing more. {closing}")
    return DataNeed(True, f"{size}: enough to learn tone and format. {closing}")


def forecast_labels(rows: int, num_train_epochs: int) -> DataNeed:
    """Judge the training split of a classifier by its rows and how often each is read."""
    size = f"{_counted(rows)}, each read {_often(num_train_epochs)}"
    closing = "What was learned, only `luthier evaluate` can say."
    if rows < MIN_ROWS:
        return DataNeed(False, f"{size}: too few to expect much, at least {MIN_ROWS} rows are needed. {closing}")
    return DataNeed(True, f"{size}: enough to tell labels apart that have {ROWS_PER_LABEL} rows or more. {closing}")


def forecast_texts(rows: int, tokens: int, num_train_epochs: int) -> DataNeed:
    """Judge the training split of a model that learns the words of texts, by rows, tokens and readings of each."""
    size = f"{_counted(rows)} ({tokens:,} tokens), each read {_often(num_train_epochs)}"
    if rows < MIN_ROWS:
        return DataNeed(False, f"{size}: too few to expect much, at least {MIN_ROWS} rows are needed.")
    return DataNeed(
        True,
        f"{size}: enough to adapt a model to these texts. One that begins from nothing could learn from "
        f"{TOKENS_PER_WEIGHT} tokens for each weight: these suffice for {tokens // TOKENS_PER_WEIGHT:,} weights.",
    )


def _counted(rows: int) -> str:
    return f"{rows:,} training row{'s' * (rows != 1)}"


def _often(times: int) -> str:
    return "once" if times == 1 else f"{times} times"
