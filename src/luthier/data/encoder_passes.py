"""The passes over all rows that judge them by the vectors of an encoder."""

from collections.abc import Callable, Sequence
from pathlib import Path

from luthier.core.recipe import CleanSection
from luthier.data.label_noise import label_noise
from luthier.data.passes import CorpusPass
from luthier.data.semantic import Embed, semantic_duplicates


def needs_encoder(clean: CleanSection) -> bool:
    """Whether the recipe asks for something that vectors tell."""
    return clean.semantic_duplicates is not None or clean.label_noise is not None


def encoder_passes(
    clean: CleanSection, embed: Embed | None, scratch: Path, progress: Callable[[str], None] = lambda _: None
) -> Sequence[CorpusPass]:
    """Semantic duplicates, then wrong labels, as far as the recipe asks for them; `scratch` is a folder for vectors.

    Raises ValueError where the recipe needs an encoder and there is no `embed`.
    """
    passes: list[CorpusPass] = []
    if not needs_encoder(clean):
        return passes
    if embed is None:
        raise ValueError("data.clean.semantic_duplicates and label_noise need `embed`")
    if (threshold := clean.semantic_duplicates) is not None:
        passes.append(CorpusPass(lambda rows: semantic_duplicates(rows, embed, threshold, scratch, progress), True))
    if clean.label_noise is not None:
        passes.append(CorpusPass(lambda rows: label_noise(rows, embed, progress), clean.label_noise == "drop"))
    return passes
