import random
import string

import pytest

from luthier.data.topics import find_topics

DELIVERY = ["parcel", "courier", "delivered", "driver", "neighbour", "doorstep", "tracking", "depot"]
REFUND = ["refund", "money", "invoice", "bank", "transfer", "payment", "credit", "amount"]
REPAIR = ["broken", "hinge", "screw", "warranty", "spare", "repair", "wobbles", "crack"]


def texts(count: int) -> list[str]:
    draw = random.Random(0)
    return [" ".join(draw.sample((DELIVERY, REFUND, REPAIR)[number % 3], 5)) for number in range(count)]


def test_topics_tell_what_texts_are_about():
    topics = find_topics(texts(60))
    assert sum(topic.texts for topic in topics) == 60
    assert [topic.texts for topic in topics] == sorted((topic.texts for topic in topics), reverse=True)
    for subject in (DELIVERY, REFUND, REPAIR):
        about = [topic for topic in topics if topic.terms[0] in subject]
        assert about
        assert all(set(topic.example.split()) <= set(subject) for topic in about)
    assert topics == find_topics(texts(60))


@pytest.mark.parametrize(("seed", "count", "words", "known"), [(5, 60, 1, 6), (8, 60, 8, 60), (0, 120, 8, 16)])
def test_texts_that_are_very_alike_warn_of_nothing(seed, count, words, known):
    draw = random.Random(seed)
    vocabulary = ["".join(draw.choices(string.ascii_lowercase, k=6)) for _ in range(known)]
    assert find_topics([" ".join(draw.choices(vocabulary, k=words)) for _ in range(count)])


def test_too_few_texts_or_words_have_no_topics():
    assert find_topics(texts(19)) == []
    assert find_topics(["12 34"] * 50) == []
    assert find_topics([]) == []
