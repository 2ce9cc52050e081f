"""The passes over all rows that judge them by the vectors of an encoder."""

from collections.abc import Callable, Sequence
from pathlib import Path

from luthier.core.recipe import CleanSection
from luthier.data.label_noise import label_noise
from luthier.data.passes import CorpusPass
from luthier.data.semantic import Embed, semantic_duplicates


def encoder_passes(
    clean: CleanSection, embed: Embed, scratch: Path, progress: Callable[[str], None] = lambda _: None
) -> Sequence[CorpusPass]:
    """Semantic duplicates, then wrong labels, as far as the recipe asks for them; `scratch` is a folder for vectors."""
    passes = []
    if (threshold := clean.semantic_duplicates) is not None:
        passes.append(CorpusPass(lambda rows: semantic_duplicates(rows, embed, threshold, scratch, progress), True))
    if clean.label_noise is not None:
        passes.append(CorpusPass(lambda rows: label_noise(rows, embed, progress), clean.label_noise == "drop"))
    return passes
