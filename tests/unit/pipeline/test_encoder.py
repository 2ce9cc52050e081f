"""The recipe's encoder is fetched when something asks for a vector, and not before."""

import re

import numpy as np
import pytest

import luthier
from luthier.core.errors import ModelError
from luthier.pipeline.encoder import open_embed


def test_the_first_call_loads_the_encoder_of_the_recipe(prepared_shop, tiny_model_folder):
    with luthier.open_project(prepared_shop, overrides=[f"data.encoder={tiny_model_folder}"]) as project:
        embed = open_embed(project)
        vectors = embed(["where is my parcel", "refund"])
        np.testing.assert_allclose(embed(["refund"])[0], vectors[1], atol=1e-5)
    assert vectors.shape == (2, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_an_encoder_that_is_not_there_is_named_by_its_field(prepared_shop):
    with luthier.open_project(prepared_shop, overrides=["data.encoder=nowhere"]) as project:
        embed = open_embed(project)
        with pytest.raises(ModelError, match=re.escape("data.encoder: no base model 'nowhere' (pypi:NAME")):
            embed(["refund"])
