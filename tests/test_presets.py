"""vitlit.presets: recipes that can be repeated, and those that are refused."""

import pytest

from vitlit.config import ViTConfig
from vitlit.presets import PRESETS, VARIANTS, Recipe, preset


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_says_how_to_run_it_and_builds_a_model(name):
    recipe = preset(name)
    assert recipe.preset == name
    assert recipe.variant == ""
    assert f"`vitlit train --preset {name}`" in PRESETS[name].__doc__
    ViTConfig(**recipe.model)


def test_the_presets_of_the_book_are_there():
    names = ["smoke", "quick", "cpu", "cpu-long", "ablation", "gpu", "gpu-long"]
    names += ["finetune-32", "finetune-32-short", "finetune-48", "finetune-48-fresh"]
    names += ["finetune-64"]
    assert list(PRESETS) == names


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_changes_one_thing_about_the_preset(variant):
    base, varied = preset("ablation"), preset("ablation", variant)
    assert varied.variant == variant
    models = base.model, varied.model
    changed = {name for name in models[1] if models[0].get(name) != models[1][name]}
    changed |= {
        name
        for name, value in vars(varied).items()
        if name not in ("variant", "model") and value != getattr(base, name)
    }
    assert changed == ({"crop", "flip"} if variant == "augmentation=none" else changed)
    assert len(changed - {"flip"}) == 1
    ViTConfig(**varied.model)


def test_fields_can_be_changed_and_the_rest_of_the_model_stays():
    recipe = preset("cpu", "warmup=0", epochs=3, seed=7, model={"width": 48})
    assert (recipe.epochs, recipe.seed, recipe.variant) == (3, 7, "warmup=0")
    assert recipe.model == {**preset("cpu").model, "width": 48}
    assert preset("cpu").model["width"] != 48


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("gpu3", {}, r"no preset 'gpu3'; choose one of smoke, quick, cpu"),
        (
            "cpu",
            {"epoch": 3},
            r"a recipe has no 'epoch'; did you mean epochs\?",
        ),
        ("cpu", {"variant": "narrow"}, r"no variant 'narrow'; choose one of positions=none, "),
        ("cpu", {"norm": "post"}, r"norm=post .* are ablations, .*; give --variant, one of"),
        ("cpu", {"mix": 1.5}, r"mix is 1.5; it must be at least 0 and at most 1"),
        ("cpu", {"keep": 0.0}, r"keep is 0.0; it must be above 0 and at most 1"),
        ("cpu", {"compile": True}, r"keep below 1 changes the model .*; set compile=false"),
        ("cpu", {"compile": 1}, r"compile is 1; it must be true or false"),
        ("cpu", {"epochs": True}, r"epochs is True; it must be a whole number, at least 1"),
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
