"""vitlit.config: the sizes of a model."""

import dataclasses
import json

import pytest

from vitlit.config import SIZES, ViTConfig


@pytest.mark.parametrize(
    ("name", "sizes"),
    [("B/16", (768, 12, 12, 3072)), ("L/16", (1024, 24, 16, 4096)), ("H/14", (1280, 32, 16, 5120))],
)
def test_the_papers_sizes_are_those_of_its_table_1(name, sizes):
    config = ViTConfig.named(name, image_size=(224, 224))
    assert (config.width, config.depth, config.heads, config.mlp_width) == sizes
    assert config.patch_size == int(name.partition("/")[2])


@pytest.mark.parametrize("size", SIZES)
def test_every_size_can_be_named_and_changed(size):
    config = ViTConfig.named(f"{size}/4", classes=7, depth=1)
    assert (config.classes, config.depth) == (7, 1)
    assert config.width % config.heads == 0


def test_a_configuration_survives_json():
    config = ViTConfig(image_size=(8, 12), head="mlp", head_width=20, stochastic_depth=0.1)
    stored = json.loads(json.dumps(dataclasses.asdict(config)))
    stored["image_size"] = tuple(stored["image_size"])
    assert ViTConfig(**stored) == config


def test_a_configuration_cannot_be_changed_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ViTConfig().width = 3


@pytest.mark.parametrize("name", ["head", "activation", "gelu", "pooling", "positions"])
def test_a_choice_that_does_not_exist_is_refused_with_those_that_do(name):
    with pytest.raises(ValueError, match=rf"{name} 'round' does not exist; choose one of \('"):
        ViTConfig(**{name: "round"})


@pytest.mark.parametrize("name", ["channels", "classes", "width", "depth", "mlp_width"])
def test_a_size_below_one_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} is 0; it must be at least 1"):
        ViTConfig(**{name: 0})


@pytest.mark.parametrize("name", ["dropout", "stochastic_depth"])
@pytest.mark.parametrize("chance", [-0.1, 1.0, 1.5])
def test_a_chance_out_of_range_is_refused(name, chance):
    with pytest.raises(ValueError, match=rf"{name} is {chance}; .* at least 0 and below 1"):
        ViTConfig(**{name: chance})


def test_a_patch_size_that_does_not_divide_the_image_is_refused():
    with pytest.raises(ValueError, match=r"patch_size 5 .* 32×32 .* choose one of 1, 2, 4, 8"):
        ViTConfig(patch_size=5)


@pytest.mark.parametrize("name", ["XL/16", "B", "B/", "B-16", "B/x", ""])
def test_an_unknown_name_is_refused_with_the_sizes_that_exist(name):
    with pytest.raises(
        ValueError, match=rf"no model '{name}'; write SIZE/PATCH .* \['Ti', 'S', 'B'"
    ):
        ViTConfig.named(name)
