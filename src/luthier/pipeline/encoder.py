"""The project's encoder, loaded when a vector is first asked for."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from luthier.core.artefacts import BaseModel
from luthier.core.files import default_cache_root
from luthier.models.cache import ModelCache
from luthier.models.encoder import Encoder, load_encoder
from luthier.models.sources import BaseFiles, find_base
from luthier.pipeline.base import register_model
from luthier.pipeline.project import Project


def register_encoder(project: Project) -> BaseModel:
    """The recipe's encoder, fetched on first use, as an artefact that datasets come from."""
    return register_model(project, _encoder_files(project))


def open_embed(project: Project) -> Callable[[Sequence[str]], npt.NDArray[np.float32]]:
    """Texts to vectors of length 1, float32 [texts, dimension], by the recipe's `data.encoder`.

    The first call fetches and loads it, and raises ModelError where it cannot be found or is no encoder.
    """
    loaded: list[Encoder] = []

    def embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        if not loaded:
            loaded.append(load_encoder(_encoder_files(project)))
        return loaded[0].embed(texts)

    return embed


def _encoder_files(project: Project) -> BaseFiles:
    cache = ModelCache(default_cache_root())
    name = project.recipe.data.encoder
    return find_base(name, project.workspace.root, cache, project.reporter.say, "data.encoder")
