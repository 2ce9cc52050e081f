"""A model that has learnt nothing yet, from its sizes and a tokenizer, as files like those of any base model."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

from luthier.core.errors import ModelError
from luthier.core.files import atomic_directory
from luthier.core.identity import content_id, file_digest
from luthier.core.recipe import Initialisation
from luthier.core.sizes import gigabytes
from luthier.kernels.allocator import attainable_memory
from luthier.models.cache import ModelCache
from luthier.models.initialisation import initialise
from luthier.models.loading import tokenizer_in
from luthier.models.quantized import weight_count
from luthier.models.sources import BaseFiles, model_files

Config = Mapping[str, bool | int | float | str]
SPECIAL_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")
OF_SOME_ARCHITECTURES = ("cls_token_id", "sep_token_id", "mask_token_id")
OF_THE_TOKENIZER = ("vocab_size", *SPECIAL_TOKENS, *OF_SOME_ARCHITECTURES)
WHERE = "model.config"
MOST_LAYERS = 1000
"""Several times those of any model."""


def new_model(
    config: Config,
    tokenizer_folder: Path,
    masked: bool,
    seed: int,
    cache: ModelCache,
    initialisation: Initialisation = "default",
) -> BaseFiles:
    """A model of `config["model_type"]` with these sizes, whose weights are drawn by `seed` and a scheme: a
    decoder, or with `masked` an encoder that predicts masked words. It is kept in the cache.

    Raises ModelError for a field or value that the architecture does not know, for more weights than there is memory,
    and for a folder without a tokenizer.
    """
    tokenizer = tokenizer_in(tokenizer_folder)
    made = _config(config, tokenizer)
    name = f"new {config['model_type']}"
    drawn = [dict(config), file_digest(model_files(tokenizer_folder)), masked, seed]
    identity = content_id("new", drawn if initialisation == "default" else [*drawn, initialisation])
    folder = cache.folder(identity)
    if not folder.is_dir():
        head: Any = AutoModelForMaskedLM if masked else AutoModelForCausalLM
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                _refuse_absurd(head, made)
                model = head.from_config(made)
                initialise(model, initialisation)
            except (ValueError, TypeError, KeyError, RuntimeError, AssertionError, ArithmeticError) as error:
                fault = f"nothing is called {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
                raise ModelError(f"no such model: {fault[:300]}", where=WHERE) from error
        with atomic_directory(folder) as partial:
            model.save_pretrained(partial)
            tokenizer.save_pretrained(partial)
    return BaseFiles(name, folder, cache.digest(model_files(folder)))


def _refuse_absurd(head: Any, made: Any) -> None:
    """Raise ModelError for a model that this machine cannot hold: weights are drawn for as long as there is memory."""
    layers = getattr(made, "num_hidden_layers", 1)
    if not 1 <= layers <= MOST_LAYERS:
        raise ModelError(f"no model has {layers} layers", where=WHERE, allowed=f"1 to {MOST_LAYERS}")
    with torch.device("meta"):
        weights = weight_count(head.from_config(made))
    needed, there = weights * torch.float32.itemsize, attainable_memory()
    if needed > there:
        raise ModelError(
            f"{weights:,} weights take {gigabytes(needed)}, and this machine has {gigabytes(there)}",
            where=WHERE,
            allowed="smaller sizes",
        )


def _config(config: Config, tokenizer: Any) -> Any:
    kind = str(config["model_type"])
    if kind not in CONFIG_MAPPING:
        close = difflib.get_close_matches(kind, list(CONFIG_MAPPING), n=1)
        raise ModelError(
            f"no architecture {kind!r}", where=WHERE, allowed=f"did you mean {close[0]}?" if close else "llama, bert"
        )
    defaults = CONFIG_MAPPING[kind]()
    known = {*vars(defaults), *defaults.attribute_map}
    for name in config:
        if name in OF_THE_TOKENIZER:
            raise ModelError(f"{name} is the tokenizer's", where=WHERE, allowed="leave it out")
        if name != "model_type" and name not in known:
            close = difflib.get_close_matches(name, list(known), n=1)
            raise ModelError(
                f"{kind} has no {name}", where=WHERE, allowed=f"did you mean {close[0]}?" if close else "see its config"
            )
    sizes = {name: value for name, value in config.items() if name != "model_type"}
    special = (*SPECIAL_TOKENS, *(name for name in OF_SOME_ARCHITECTURES if name in known))
    tokens = {name: getattr(tokenizer, name) for name in special}
    try:
        return AutoConfig.for_model(kind, **sizes, **tokens, vocab_size=len(tokenizer))
    except Exception as error:  # each architecture checks its values in its own way
        raise ModelError(f"not a configuration of {kind}: {' '.join(str(error).split())[:300]}", where=WHERE) from error
