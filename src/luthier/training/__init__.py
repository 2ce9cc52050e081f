"""Packing, the loop, checkpoints, and checks that model and rows are sound."""

from luthier.training.checkpoint import Checkpoint
from luthier.training.finding import Finding, Verdict, overall
from luthier.training.first_pass import Guess, check_first_pass, few_rows
from luthier.training.health import check_learns, fingerprints
from luthier.training.l2_sp import StartPenalty
from luthier.training.labels import check_labels, plain_logits
from luthier.training.learning_rates import RangeTest, range_test
from luthier.training.loop import Training, fit
from luthier.training.master import MasterWeights
from luthier.training.memory import kept_bytes
from luthier.training.objective import CausalObjective, LabelObjective, MaskedObjective, Objective
from luthier.training.preference import (
    AnswerPair,
    DpoObjective,
    KtoObjective,
    OrpoObjective,
    RatedAnswer,
    log_likelihoods,
)
from luthier.training.ranks import Ranks
from luthier.training.reading import (
    check_added_tokens,
    check_end_known,
    check_ends,
    check_masks,
    check_round_trip,
    check_rows,
    check_template,
)
from luthier.training.schedule import Schedule, pack_capacity
from luthier.training.soundness import check_initialisation, check_weights
from luthier.training.state import TrainingState
from luthier.training.trackers import trackers

__all__ = [
    "AnswerPair",
    "CausalObjective",
    "Checkpoint",
    "DpoObjective",
    "Finding",
    "Guess",
    "KtoObjective",
    "LabelObjective",
    "MaskedObjective",
    "MasterWeights",
    "Objective",
    "OrpoObjective",
    "RangeTest",
    "Ranks",
    "RatedAnswer",
    "Schedule",
    "StartPenalty",
    "Training",
    "TrainingState",
    "Verdict",
    "check_added_tokens",
    "check_end_known",
    "check_ends",
    "check_first_pass",
    "check_initialisation",
    "check_labels",
    "check_learns",
    "check_masks",
    "check_round_trip",
    "check_rows",
    "check_template",
    "check_weights",
    "few_rows",
    "fingerprints",
    "fit",
    "kept_bytes",
    "log_likelihoods",
    "overall",
    "pack_capacity",
    "plain_logits",
    "range_test",
    "trackers",
]
