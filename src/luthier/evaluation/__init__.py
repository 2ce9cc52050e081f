"""Metrics with intervals, scores of answers, gates, and the report. Losses and answers are passed in."""

from luthier.evaluation.assessment import Assessment, Context, Forgetting, assess
from luthier.evaluation.classification import LabelScore
from luthier.evaluation.diagnosis import Curve, Diagnosis, diagnose
from luthier.evaluation.facts import AnswerScore, score_answer, score_answers
from luthier.evaluation.gates import MIN_PAIRED_EXAMPLES, GateResult, Leak, Verdict
from luthier.evaluation.losses import loss_difference, loss_interval, refuse_broken
from luthier.evaluation.measured import HeldOutRow, Measured
from luthier.evaluation.metrics import METRICS, Metric
from luthier.evaluation.preferences import PreferenceScore, score_preferences
from luthier.evaluation.questions import GoldenQuestion, read_questions
from luthier.evaluation.replies import ReplyScore, ReplyTask, score_reply
from luthier.evaluation.report import difference_text, figure_text, forgetting_sentence, render_report
from luthier.evaluation.report_page import render_page
from luthier.evaluation.skills import SkillScore, SkillTask, general_texts, score_skills, skill_tasks
from luthier.evaluation.slices import Slice
from luthier.evaluation.statistics import Interval, mean_interval, paired_difference, share_interval
from luthier.evaluation.steadiness import (
    SAMPLES,
    TEMPERATURE,
    SampledScore,
    VariantScore,
    reworded,
    score_sampled,
    score_variants,
)
from luthier.evaluation.votes import (
    Ask,
    Judged,
    Pair,
    Preference,
    Winner,
    agreement_with_people,
    judge_pairs,
    pairs_of,
    preference,
)

__all__ = [
    "METRICS",
    "MIN_PAIRED_EXAMPLES",
    "SAMPLES",
    "TEMPERATURE",
    "AnswerScore",
    "Ask",
    "Assessment",
    "Context",
    "Curve",
    "Diagnosis",
    "Forgetting",
    "GateResult",
    "GoldenQuestion",
    "HeldOutRow",
    "Interval",
    "Judged",
    "LabelScore",
    "Leak",
    "Measured",
    "Metric",
    "Pair",
    "Preference",
    "PreferenceScore",
    "ReplyScore",
    "ReplyTask",
    "SampledScore",
    "SkillScore",
    "SkillTask",
    "Slice",
    "VariantScore",
    "Verdict",
    "Winner",
    "agreement_with_people",
    "assess",
    "diagnose",
    "difference_text",
    "figure_text",
    "forgetting_sentence",
    "general_texts",
    "judge_pairs",
    "loss_difference",
    "loss_interval",
    "mean_interval",
    "paired_difference",
    "pairs_of",
    "preference",
    "read_questions",
    "refuse_broken",
    "render_page",
    "render_report",
    "reworded",
    "score_answer",
    "score_answers",
    "score_preferences",
    "score_reply",
    "score_sampled",
    "score_skills",
    "score_variants",
    "share_interval",
    "skill_tasks",
]
