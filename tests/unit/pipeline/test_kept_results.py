import math

import pytest

from luthier.core.generation import GenerationEvent, GenerationRequest
from luthier.core.rows import RowLoss, TokenRow
from luthier.pipeline.kept_results import KeptResults

ASKED = GenerationRequest("base", ({"role": "user", "content": "When?"},))
ANSWERED = GenerationEvent(0, "Today.", "stop", 12, 3)


def read(messages):
    return [len(message["content"]) for message in messages]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "measured" / "results.jsonl"


def test_answers_are_found_again_by_what_the_model_reads(path):
    KeptResults("base", path, read).keep_answers([(ASKED, "Today.", ANSWERED)])
    assert KeptResults("base", path, read).answer(ASKED) == ANSWERED
    tomorrow = KeptResults("base", path, lambda messages: [*read(messages), 2026])
    assert tomorrow.answer(ASKED) is None, "the template writes another date"


@pytest.mark.parametrize("change", [{"temperature": 0.7}, {"cache_salt": "timed"}, {"n": 2}, {"logprobs": 3}])
def test_only_the_likeliest_answer_is_kept_as_text(path, change):
    results = KeptResults("base", path, read)
    assert results.keeps(ASKED)
    assert not results.keeps(GenerationRequest(ASKED.model, ASKED.messages, **change))
    assert not results.keeps(GenerationRequest("run", ASKED.messages))


def test_what_cannot_be_written_is_known_until_the_end(path):
    path.parent.write_text("a file where the folder should be")
    results = KeptResults("base", path, read)
    results.keep_answers([(ASKED, "Today.", ANSWERED)])
    assert results.answer(ASKED) == ANSWERED


def test_losses_are_computed_once_and_those_that_are_no_number_each_time(path):
    rows = [TokenRow("one", (1, 2), (False, True)), TokenRow("two", (1, 3), (False, True))]
    asked = []

    def compute(some):
        asked.append([row.id for row in some])
        return [RowLoss(row.id, math.nan if row.id == "two" else 1.5, 1, 0) for row in some]

    for _ in range(2):
        losses = KeptResults("base", path, read).losses(rows, compute)
        assert losses[0] == RowLoss("one", 1.5, 1, 0)
        assert math.isnan(losses[1].loss_sum)
    assert asked == [["one", "two"], ["two"]]
