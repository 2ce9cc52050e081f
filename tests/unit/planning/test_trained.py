import pytest

from luthier.core.recipe import AdapterSection
from luthier.planning.shape import ModelShape
from luthier.planning.trained import trained_by


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "full"},
        {"method": "lora", "r": 4},
        {"method": "lora", "r": 4, "use_dora": True},
        {"method": "lora", "r": 8, "target_modules": ["q_proj", "v_proj"]},
        {"method": "ia3"},
        {"method": "freeze", "last_layers": 1},
        {"method": "freeze", "first_layers": 1, "last_layers": 1},
        {"method": "freeze", "train_modules": ["lm_head"]},
        {"method": "freeze", "train_modules": ["down_proj"]},
    ],
)
def test_as_many_weights_are_counted_as_train(settings, make_model):
    from luthier.models.adapter import trainable
    from luthier.models.methods import prepare

    model, adapter = make_model("Llama"), AdapterSection(**settings)
    shape = ModelShape.of(model.config.to_dict())
    counted = sum(parameter.numel() for parameter in trainable(prepare(model, adapter, 0)).values())
    assert trained_by(shape, adapter).parameters == counted


@pytest.mark.parametrize(
    ("settings", "layers"),
    [
        ({"method": "full"}, 3),
        ({"method": "lora"}, 3),
        ({"method": "freeze", "last_layers": 1}, 1),
        ({"method": "freeze", "first_layers": 1}, 3),
        ({"method": "freeze", "train_modules": ["lm_head"]}, 0),
        ({"method": "freeze", "last_layers": 1, "train_modules": ["embed_tokens"]}, 3),
    ],
)
def test_the_gradient_flows_down_to_the_first_layer_that_trains(settings, layers):
    config = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 100}
    assert trained_by(ModelShape.of(config), AdapterSection(**settings)).layers == layers
