"""What was measured of one model, before anything is made of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from luthier.core.rows import RowLoss
from luthier.evaluation.classification import LabelScore
from luthier.evaluation.facts import AnswerScore
from luthier.evaluation.preferences import PreferenceScore
from luthier.evaluation.replies import ReplyScore
from luthier.evaluation.skills import SkillScore
from luthier.evaluation.steadiness import SampledScore, VariantScore


@dataclass(frozen=True, slots=True)
class Measured:
    """Losses of the splits and of general text, and scores of answers: to golden questions, to the prompts of test
    rows (`replies`), to tasks of general skills, to questions asked otherwise (`variants`) and drawn several times
    (`sampled`). `seconds` are those of single answers, asked one at a time. Of a classifier, losses are those of the
    labels, one a text; `labelled` are the test rows, `labels` all that there are. `preferences` are the pairs of the
    test rows.

    `model` is the id of a run, release or base model. Two models are compared on the same rows, questions, prompts
    and tasks, in one order.
    """

    model: str
    test: Sequence[RowLoss] = ()
    validation: Sequence[RowLoss] = ()
    answers: Sequence[AnswerScore] = ()
    replies: Sequence[ReplyScore] = ()
    general: Sequence[RowLoss] = ()
    skills: Sequence[SkillScore] = ()
    variants: Sequence[VariantScore] = ()
    sampled: Sequence[SampledScore] = ()
    seconds: Sequence[float] = ()
    labelled: Sequence[LabelScore] = ()
    labels: Sequence[str] = ()
    preferences: Sequence[PreferenceScore] = ()


@dataclass(frozen=True, slots=True)
class HeldOutRow:
    """What is known of a test row beside its loss: `words` of all turns, UTF-8 bytes of what the model had to write,
    the file that it came from, and its language (ISO 639-1, empty where it cannot be told)."""

    row_id: str
    source: str
    language: str
    words: int
    target_bytes: int
