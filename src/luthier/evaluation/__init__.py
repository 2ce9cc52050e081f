"""Metrics with intervals, scores of answers, gates, and the report. Losses and answers are passed in."""

from luthier.evaluation.assessment import Assessment, assess
from luthier.evaluation.diagnosis import Diagnosis, diagnose
from luthier.evaluation.facts import AnswerScore, score_answer, score_answers
from luthier.evaluation.gates import MIN_PAIRED_EXAMPLES, GateResult, Measured, Verdict
from luthier.evaluation.losses import RowLoss, loss_difference, loss_interval, perplexity
from luthier.evaluation.questions import GoldenQuestion, read_questions
from luthier.evaluation.report import render_report
from luthier.evaluation.statistics import Interval, mean_interval, paired_difference, ratio_interval, share_interval

__all__ = [
    "MIN_PAIRED_EXAMPLES",
    "AnswerScore",
    "Assessment",
    "Diagnosis",
    "GateResult",
    "GoldenQuestion",
    "Interval",
    "Measured",
    "RowLoss",
    "Verdict",
    "assess",
    "diagnose",
    "loss_difference",
    "loss_interval",
    "mean_interval",
    "paired_difference",
    "perplexity",
    "ratio_interval",
    "read_questions",
    "render_report",
    "score_answer",
    "score_answers",
    "share_interval",
]
