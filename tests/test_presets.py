"""vitlit.presets: recipes that can be repeated, and those that are refused."""

import pytest

from vitlit.config import ViTConfig
from vitlit.presets import PRESETS, Recipe, preset


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_says_how_to_run_it_and_builds_a_model(name):
    recipe = preset(name)
    assert recipe.preset == name
    assert recipe.variant == ""
    assert f"`vitlit train --preset {name}`" in PRESETS[name].__doc__
    ViTConfig(**recipe.model)


def test_the_presets_of_the_book_are_there():
    assert {"smoke", "quick", "cpu"} <= set(PRESETS)


def test_fields_can_be_changed_and_the_rest_of_the_model_stays():
    recipe = preset("cpu", epochs=3, seed=7, variant="narrow", model={"width": 48})
    assert (recipe.epochs, recipe.seed, recipe.variant) == (3, 7, "narrow")
    assert recipe.model == {**preset("cpu").model, "width": 48}
    assert preset("cpu").model["width"] != 48


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("gpu3", {}, r"no preset 'gpu3'; choose one of smoke, quick, cpu"),
        ("cpu", {"epoch": 3}, r"a recipe has no epoch; it has \['batch_size', .*'epochs'"),
        ("cpu", {"optimizer": "sgd"}, r"optimizer 'sgd' does not exist; .*'adamw', 'muon'"),
        ("cpu", {"precision": "fp8"}, r"precision 'fp8' does not exist; .*'fp32', 'bf16'"),
        ("cpu", {"epochs": 0}, r"epochs is 0; it must be at least 1"),
        ("cpu", {"batch_size": -2}, r"batch_size is -2; it must be at least 1"),
    ],
)
def test_what_does_not_exist_is_refused(name, changes, message):
    with pytest.raises(ValueError, match=message):
        preset(name, **changes)


def test_a_recipe_cannot_be_changed_by_accident():
    with pytest.raises(AttributeError):
        Recipe().epochs = 2
