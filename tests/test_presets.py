"""vitlit.presets: recipes that can be repeated, and those that are refused."""

import re
from dataclasses import replace

import pytest

from vitlit.config import ViTConfig
from vitlit.presets import PRESETS, VARIANTS, Recipe, changes_of, preset


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_says_how_to_run_it_and_builds_a_model(name):
    recipe = preset(name)
    assert recipe.preset == name
    assert recipe.variant == ""
    assert f"`vitlit train --preset {name}" in PRESETS[name].__doc__
    ViTConfig(**recipe.model)


def test_the_presets_of_the_book_are_there():
    names = ["smoke", "quick", "cpu", "cpu-mlp", "cpu-long", "own", "ablation", "ablation-half"]
    names += ["gpu", "gpu-long"]
    names += ["finetune-32", "finetune-32-short", "finetune-48", "finetune-48-fresh"]
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
    mirroring = {"flip", "alternate"}
    assert changed == ({"crop", *mirroring} if variant == "augmentation=none" else changed)
    assert len(changed - mirroring) == 1
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
        ("cpu", {"norm": "post"}, r"norm=post, .* are ablations, .*; give --variant, one of"),
        ("cpu", {"mix": 1.5}, r"mix is 1.5; it must be at least 0 and at most 1"),
        (
            "cpu",
            {"keep": 0.0},
            r"keep is 0.0; it must be a number, above 0 and at most 1, or sev",
        ),
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


@pytest.mark.parametrize(
    ("texts", "changes"),
    [
        (["epochs=10", "flip=false"], {"epochs": 10, "flip": False}),
        (["model.width=128", "model.head=mlp"], {"model": {"width": 128, "head": "mlp"}}),
        (["crop=0", "learning_rate=1e-3"], {"crop": 0.0, "learning_rate": 1e-3}),
        ([" seed = 5"], {"seed": 5}), (["start=123"], {"start": "123"}),
        (["start=a=b"], {"start": "a=b"}),
        (["model.head_width=null"], {"model": {"head_width": None}}),
    ],
)  # fmt: skip
def test_words_become_changes(texts, changes):
    assert changes_of(texts) == changes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs", "--set 'epochs' has no value; write NAME=VALUE, such as epochs=10"),
        ("epochs=", "--set 'epochs=' has no value"), ("=3", "--set '=3' has no name; write NAME"),
        ("=", "--set '=' has no name"), ("", "--set '' has no name"),
        ("model={}", "model is {}; change its fields, such as model.width"),
        ("preset=gpu", "a recipe has no 'preset' to set; give --preset gpu"),
        ("variant=warmup=0", "a recipe has no 'variant' to set; give --variant warmup=0"),
        ("name=x", "a recipe has no 'name' to set; give --name x"),
        ("device=cuda", "a recipe has no 'device' to set; give --device cuda"),
        ("image_size=64", "a recipe has no 'image_size' to set; give --size 64"),
        ("size=64", "a recipe has no 'size' to set; give --size 64"),
    ],
)  # fmt: skip
def test_words_that_set_nothing_say_what_would(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        changes_of([text])


@pytest.mark.parametrize("name", ["epochs", "model.width", " epochs "])
def test_a_field_is_set_once(name):
    with pytest.raises(ValueError, match=f"--set gives {name.strip()} twice; give it once"):
        changes_of([f"{name}=1", "seed=3", f"{name}=1"])


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("epoch=3", "a recipe has no 'epoch'; did you mean epochs?"),
        ("Epochs=3", "a recipe has no 'Epochs'; did you mean epochs?"),
        ("learning-rate=3", "a recipe has no 'learning-rate'; did you mean learning_rate?"),
        ("lerning_rate=3", "did you mean learning_rate?"), ("width=3", "did you mean model.width?"),
        ("model.wdith=3", "a model has no 'wdith'; did you mean model.width?"),
        ("model.epochs=3", "a model has no 'epochs'; did you mean epochs?"),
        ("model.model.width=3", "a model has no 'model.width'; did you mean model.width?"),
        ("optim.lr.qq=1", "a recipe has no 'optim.lr.qq'; it has preset, variant, model, start"),
        ("model.=1", "a model has no ''; it has image_size, patch_size"),
    ],
)  # fmt: skip
def test_a_misspelled_name_says_the_nearest(text, meant):
    with pytest.raises(ValueError, match=re.escape(meant)):
        preset("cpu", **changes_of([text]))


@pytest.mark.parametrize("value", ["64", "[64,64]", "null", "[0,0]", "[8.0,8.0]", "[1000000,9]"])
def test_the_size_of_images_is_no_matter_of_the_model(value):
    with pytest.raises(ValueError, match=r"model.image_size is .*the images decide it: .* --size"):
        preset("cpu", **changes_of([f"model.image_size={value}"]))


@pytest.mark.parametrize("name", ["cpu", "finetune-32"])
@pytest.mark.parametrize("field", ["classes", "channels"])
def test_classes_and_channels_are_those_of_the_images(name, field):
    with pytest.raises(ValueError, match=rf"model\.{field} is 7, but the images decide it"):
        preset(name, model={field: 7})


@pytest.mark.parametrize("value", [64, None, [0, 0], [8.0, 8.0], [1_000_000, 1_000_000], [64]])
def test_the_size_that_fine_tuning_enlarges_to_is_bounded(value):
    with pytest.raises(ValueError, match=r"model\.image_size is .*; it must be 2 values such as"):
        preset("finetune-48", model={"image_size": value})
    assert preset("finetune-48", model={"image_size": [64, 40]}).model["image_size"] == [64, 40]


@pytest.mark.parametrize("field", ["initialization=mimetic", "norm=post", "patches=shuffled"])
def test_what_a_start_leaves_without_effect_is_refused(field):
    name = field.partition("=")[0]
    message = f"{name} is .*, which a run that starts from cpu-long-seed0 cannot have"
    with pytest.raises(ValueError, match=message):
        replace(preset("finetune-32"), variant="x", **changes_of([field]))


@pytest.mark.parametrize(
    ("keep", "epochs", "expected"),
    [
        (0.5, 2, [0.5, 0.5]),
        ((0.25, 0.5, 1.0), 3, [0.25, 0.5, 1.0]),
        ((0.25, 0.5, 1.0), 6, [0.25, 0.25, 0.5, 0.5, 1.0, 1.0]),
        ((0.25, 0.5, 1.0), 2, [0.5, 1.0]),  # of too few epochs the last one has the last part
        ((0.25, 0.5, 1.0), 1, [1.0]),
    ],
)
def test_every_part_of_keep_has_its_share_of_the_epochs(keep, epochs, expected):
    recipe = Recipe(keep=keep, epochs=epochs)
    assert isinstance(recipe.keep, tuple)
    assert recipe.kept == expected


# What was accepted without sense, or ended in a traceback, before there were bounds.
SENSELESS = """
crop=-0.5 crop=1 crop=Infinity crop=0.51 learning_rate=NaN learning_rate=Infinity
learning_rate=1e308 learning_rate=0 learning_rate=-1 muon_learning_rate=NaN muon_learning_rate=11
weight_decay=NaN weight_decay=-5 weight_decay=1e9 clip=-1 clip=NaN clip=Infinity average=1
average=-0.1 operations=-1 operations=100000000 operations=1.5 plain_epochs=-5
keep=0 keep=2 keep=NaN keep=[] keep=[0.5,0] keep=[0.5,"a"] keep={}
warmup=1 warmup=-0.1 warmup=NaN label_smoothing=1
label_smoothing=-1 magnitude=1.1 erase=NaN mix=2 holdout=-1 holdout=1e9 seed=-1 seed=1e30 seed=0.5
epochs=0 epochs=1000000000 epochs=1e3 epochs=null epochs=true epochs=[1] batch_size=0
batch_size=1000000001 flip=1 flip=yes compile=null compile=0 precision=fp8 stored=3 norm=none
patches=random optimizer=sgd initialization=zero start_positions=old
model.eps=-1 model.eps=0 model.eps=NaN model.eps=Infinity model.eps=0.5 model.head_width=0
model.head_width=-3 model.head_width=1000000000 model.head_width=2.5 model.width=0
model.width=1000000000 model.depth=0 model.depth=100000 model.heads=0 model.heads=-2
model.mlp_width=0 model.mlp_width=1000000000 model.patch_size=0 model.patch_size=-4
model.patch_size=4.0 model.patch_size=null model.dropout=1 model.dropout=-0.1 model.dropout=NaN
model.stochastic_depth=1 model.pooling=max model.positions=null model.head=3 model.activation=gelu
model.gelu=true
"""


@pytest.mark.parametrize("text", SENSELESS.split())
def test_values_without_sense_are_refused_by_their_name(text):
    name = text.partition("=")[0]
    with pytest.raises(ValueError, match=rf"^{re.escape(name)} "):
        preset("quick", **changes_of([text]))


def test_a_recipe_cannot_be_changed_by_accident():
    with pytest.raises(AttributeError):
        Recipe().epochs = 2


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("quick", {"optimizer": "adamw", "muon_learning_rate": 0.1}, "with optimizer=adamw"),
        ("quick", {"magnitude": 1.0}, "without operations"),
        ("quick", {"plain_epochs": 5}, "without mix"),
        ("quick", {"flip": False, "alternate": True}, "without flip"),
        ("quick", {"model": {"activation": "relu"}}, "under a linear head"),
        ("quick", {"model": {"head_width": 7}}, "under a linear head"),
    ],
)
def test_what_would_have_no_effect_is_refused(name, changes, words):
    with pytest.raises(ValueError, match=rf"which has no effect {words}"):
        preset(name, **changes)


def test_what_has_an_effect_is_taken():
    changes = {"operations": 2, "magnitude": 1.0, "mix": 0.5, "plain_epochs": 5}
    assert preset("quick", **changes, model={"head": "mlp", "head_width": 7}).magnitude == 1.0


def test_a_variant_that_changes_nothing_is_refused():
    with pytest.raises(ValueError, match=r"ablation-half is keep=0\.5 already; leave --variant"):
        preset("ablation-half", "keep=0.5")
