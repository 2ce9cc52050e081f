"""Packing, the loop, checkpoints, and the check that a model can learn."""

from luthier.training.checkpoint import Checkpoint
from luthier.training.health import Finding, Guess, Verdict, check_health, fingerprints, overall
from luthier.training.l2_sp import StartPenalty
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
from luthier.training.schedule import Schedule, pack_capacity
from luthier.training.soundness import check_ends, check_flow, check_rows, check_weights
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
    "Ranks",
    "RatedAnswer",
    "Schedule",
    "StartPenalty",
    "Training",
    "TrainingState",
    "Verdict",
    "check_ends",
    "check_flow",
    "check_health",
    "check_rows",
    "check_weights",
    "fingerprints",
    "fit",
    "kept_bytes",
    "log_likelihoods",
    "overall",
    "pack_capacity",
    "trackers",
]
