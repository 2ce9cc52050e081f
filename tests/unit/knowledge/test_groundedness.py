import zlib

import numpy as np
import pytest

from luthier.knowledge import ground, share_grounded
from luthier.knowledge.groundedness import content_words, probability, signals_of, windows_of

PASSAGE = "Breakfast is from 7 to 10 am and costs €16. Dogs stay for €12 a night. The spa is closed on Tuesdays."


def embed(texts):
    """Vectors of length 1 that are alike where texts share words: what an encoder does, without meaning."""
    vectors = np.zeros((len(texts), 256), np.float32)
    for row, text in enumerate(texts):
        for word in content_words(text):
            vectors[row, zlib.crc32(word.encode()) % 256] += 1
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def test_each_sentence_is_judged_with_its_evidence():
    judged = ground(
        "Breakfast costs €16. Our pool is heated by the sun and open to guests of all ages.", [PASSAGE], embed
    )
    assert [one.grounded for one in judged] == [True, False]
    assert judged[0].sentence == "Breakfast costs €16."
    assert judged[0].evidence.startswith("Breakfast is from 7")
    assert share_grounded(judged) == 0.5


def test_another_value_is_not_grounded():
    right, wrong = ("Breakfast is from 7 to 10 am and costs €16.", "Breakfast is from 7 to 11 am and costs €19.")
    assert ground(right, [PASSAGE], embed)[0].probability > 0.8
    assert ground(wrong, [PASSAGE], embed)[0].probability < 0.2


def test_a_sentence_may_draw_on_two():
    assert "Dogs stay for €12 a night. The spa is closed on Tuesdays." in windows_of(PASSAGE)
    assert len(windows_of(PASSAGE)) == 5


@pytest.mark.parametrize("passages", [[], [""], ["..."]])
def test_without_text_nothing_is_grounded(passages):
    [judged] = ground("Dogs stay for €12.", passages, embed)
    assert (judged.probability, judged.evidence, judged.grounded) == (0.0, "", False)


def test_what_claims_nothing_is_not_judged():
    assert ground("", [PASSAGE], embed) == ground(" … ", [PASSAGE], embed) == []
    assert share_grounded([]) == 1.0


def test_signals_count_what_the_passages_lack():
    said = ["Dogs always stay for €99.", "Dogs stay for €12 a night."]
    (first, _), (second, best) = signals_of(said, [PASSAGE], windows_of(PASSAGE), embed)
    assert first[2:] == (1.0, 1.0)
    assert second[2:] == (0.0, 0.0)
    assert second[0] == 1.0
    assert windows_of(PASSAGE)[best] == said[1]


def test_more_support_is_more_probable():
    assert probability((1.0, 0.9, 0.0, 0.0)) > probability((0.5, 0.9, 0.0, 0.0)) > probability((0.5, 0.9, 1.0, 0.0))
    assert 0 < probability((0.0, 0.0, 2.0, 2.0)) < probability((1.0, 1.0, 0.0, 0.0)) < 1


def test_an_encoder_is_asked_once():
    asked = []

    def counting(texts):
        asked.append(len(texts))
        return embed(texts)

    ground("Dogs stay. The spa is closed.", [PASSAGE, PASSAGE], counting)
    assert asked == [12]
