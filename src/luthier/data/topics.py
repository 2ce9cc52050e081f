"""What a collection of texts is about: topics by non-negative matrix factorisation (Lee and Seung 1999) of TF-IDF."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sklearn.decomposition import NMF
    from sklearn.feature_extraction.text import TfidfVectorizer

MOST_TOPICS = 8
TOPIC_SAMPLE = 10_000
"""So many texts tell the topics of all."""
_TERMS = 6
_BATCH = 1_000
_FEWEST_TEXTS = 20
_TEXTS_PER_TOPIC = 10
_MOST_WORDS = 4_000
_COMMON_SHARE = 0.5
"""A word in more than this share of the texts tells no topic from another."""


@dataclass(frozen=True, slots=True)
class Topic:
    """The words that tell a topic from the others, the heaviest first, how many texts it leads, and one of them."""

    terms: tuple[str, ...]
    texts: int
    example: str

    def to_json(self) -> dict[str, object]:
        return {"terms": list(self.terms), "texts": self.texts, "example": self.example}


def find_topics(texts: Sequence[str]) -> list[Topic]:
    """Topics of the texts, the largest first; none of fewer than twenty texts, or of texts without common words."""
    model = _Topics.of(texts)
    if model is None:
        return []
    shares = model.shares(texts)
    names = model.vectorizer.get_feature_names_out()
    leading = shares.argmax(axis=1)
    has_topic = shares.max(axis=1) > 0
    topics = []
    for number, component in enumerate(model.factorisation.components_):
        members = (leading == number) & has_topic
        if members.any():
            terms = tuple(str(names[place]) for place in component.argsort()[::-1][:_TERMS])
            topics.append(Topic(terms, int(members.sum()), texts[int((shares[:, number] * members).argmax())]))
    return sorted(topics, key=lambda topic: -topic.texts)


def topic_names(sample: Iterable[str], texts: Iterable[str]) -> list[str]:
    """A name for the topic of each text, by the topics of the sample; empty for a text of none of them."""
    model, remaining = _Topics.of(list(sample)), iter(texts)
    named: list[str] = []
    names = ["", *(f"topic {number + 1}" for number in range(MOST_TOPICS))]
    for batch in iter(lambda: list(islice(remaining, _BATCH)), []):
        if model is None:
            named += [""] * len(batch)
            continue
        shares = model.shares(batch)
        numbers = np.where(shares.max(axis=1) > 0, shares.argmax(axis=1) + 1, 0).tolist()
        named += [names[number] for number in numbers]
    return named


@dataclass(frozen=True, slots=True)
class _Topics:
    """A fitted TF-IDF and its factorisation."""

    vectorizer: "TfidfVectorizer"
    factorisation: "NMF"

    @classmethod
    def of(cls, texts: Sequence[str]) -> "_Topics | None":
        """Fitted to the texts; None where they are too few or have no words in common."""
        if len(texts) < _FEWEST_TEXTS:
            return None
        from sklearn.decomposition import NMF
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(
            min_df=2,
            max_df=_COMMON_SHARE,
            max_features=_MOST_WORDS,
            stop_words="english",
            token_pattern=r"(?u)\b[^\W\d_]{3,}\b",
            sublinear_tf=True,
        )
        try:
            weights = vectorizer.fit_transform(texts)
        except ValueError:  # no word is left
            return None
        count = min(MOST_TOPICS, len(texts) // _TEXTS_PER_TOPIC, weights.shape[1])
        if count < 2:
            return None
        factorisation = NMF(n_components=count, init="nndsvda", random_state=0, max_iter=200, tol=1e-3)
        with _rough_is_enough():
            return cls(vectorizer, factorisation.fit(weights))

    def shares(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """(texts, topics): how much of each topic is in each text."""
        with _rough_is_enough():
            shares: npt.NDArray[np.float64] = self.factorisation.transform(self.vectorizer.transform(texts))
        return shares


@contextmanager
def _rough_is_enough() -> Iterator[None]:
    """Texts that are very alike take more iterations to tell apart than topics are worth, and the error of a
    factorisation that is exact may come out below zero by rounding: scikit-learn warns of both."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
