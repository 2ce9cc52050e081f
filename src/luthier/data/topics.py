"""What a collection of texts is about: topics by non-negative matrix factorisation (Lee and Seung 1999) of TF-IDF."""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_TOPICS = 8
_TERMS = 6
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
    if len(texts) < _FEWEST_TEXTS:
        return []
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
        return []
    count = min(MOST_TOPICS, len(texts) // _TEXTS_PER_TOPIC, weights.shape[1])
    if count < 2:
        return []
    factorisation = NMF(n_components=count, init="nndsvda", random_state=0, max_iter=200, tol=1e-3)
    shares = factorisation.fit_transform(weights)
    names = vectorizer.get_feature_names_out()
    leading = shares.argmax(axis=1)
    has_topic = shares.max(axis=1) > 0
    topics = []
    for number, component in enumerate(factorisation.components_):
        members = (leading == number) & has_topic
        if members.any():
            terms = tuple(str(names[place]) for place in component.argsort()[::-1][:_TERMS])
            topics.append(Topic(terms, int(members.sum()), texts[int((shares[:, number] * members).argmax())]))
    return sorted(topics, key=lambda topic: -topic.texts)
