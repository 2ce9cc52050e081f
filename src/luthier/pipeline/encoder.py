"""The project's encoder, loaded when a vector is first asked for."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from luthier.models.cache import ModelCache, default_cache_root
from luthier.models.encoder import Encoder, load_encoder
from luthier.models.sources import find_base
from luthier.pipeline.project import Project


def open_embed(project: Project) -> Callable[[Sequence[str]], npt.NDArray[np.float32]]:
    """Texts to vectors of length 1, float32 [texts, dimension], by the recipe's `data.encoder`.

    The first call fetches and loads it, and raises ModelError where it cannot be found or is no encoder.
    """
    loaded: list[Encoder] = []

    def embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        if not loaded:
            cache = ModelCache(default_cache_root())
            name = project.recipe.data.encoder
            files = find_base(name, project.workspace.root, cache, project.reporter.say, "data.encoder")
            loaded.append(load_encoder(files))
        return loaded[0].embed(texts)

    return embed
