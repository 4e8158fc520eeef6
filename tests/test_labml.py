"""studies.labml: another configuration against the clock, its size and its recipe apart."""

from dataclasses import replace

import pytest
from helpers.tiny import MODEL, dataset
from torch import nn

from studies import labml
from vitlit import records
from vitlit.presets import preset

SEED = 3


@pytest.fixture
def tiny(monkeypatch, tmp_path, one_thread):
    """Tiny models, little data, an empty folder for records, and one thread."""
    whole = labml.recipe_of

    def recipe_of(seed, configuration="theirs"):
        recipe = whole(seed, configuration)
        kept = {name: x for name, x in recipe.model.items() if name in ("activation", "dropout")}
        return replace(recipe, model={**kept, **MODEL, "patch_size": 2})

    monkeypatch.setattr(labml, "recipe_of", recipe_of)
    monkeypatch.setattr(labml.datasets, "load", lambda source: dataset(train=150))
    monkeypatch.setenv("VITLIT_RUNS", str(tmp_path))


def test_a_configuration_is_a_size_and_a_recipe():
    theirs, size, recipe = (labml.recipe_of(SEED, name) for name in labml.CONFIGURATIONS)
    ours = preset("cpu", seed=SEED)
    assert [r.preset for r in (theirs, size, recipe)] == 3 * ["labml"]
    assert [r.variant for r in (theirs, size, recipe)] == ["", "our-size", "our-recipe"]
    assert replace(size, model={}, variant="") == replace(theirs, model={})
    assert replace(recipe, model={}, variant="", preset="cpu") == replace(ours, model={})
    assert size.model == {"patch_size": 4, **ours.model, "dropout": 0.1}
    assert {**recipe.model, "dropout": 0.1} == theirs.model


@pytest.mark.parametrize("name", labml.CONFIGURATIONS)
def test_their_model_alone_has_relu(name, tiny):
    classifier = labml.classifier_of(labml.recipe_of(0, name), dataset(), "cpu")
    kinds = {type(module) for module in classifier.model.modules()}
    assert (nn.ReLU in kinds) == (name != "our-size")


@pytest.mark.parametrize("name", labml.CONFIGURATIONS)
def test_training_against_the_clock_leaves_a_record(name, tiny, tmp_path):
    how = (name, SEED, 0.005, None, "cpu", tmp_path / "run")
    run = labml.run(*how)
    assert run.summary == records.read(tmp_path / "run").summary
    summary, metrics = run.summary, run.metrics
    variant = "" if name == "theirs" else name
    assert (summary["preset"], summary["variant"], summary["seed"]) == ("labml", variant, SEED)
    assert summary["images"] > 0
    assert summary["epochs"] == pytest.approx(summary["images"] / 150, abs=1e-3)
    assert metrics["epoch"] == [summary["epochs"]]
    assert metrics["test_accuracy"] == [summary["test_accuracy"]]
    assert sum(map(sum, summary["confusion"])) == summary["tested"] == run.data["counts"]["test"]
    assert len(run.right) == summary["tested"]
    assert run.config.get("mlp_activation") == (None if name == "our-size" else "relu")
    if name == "our-recipe":
        assert summary["images"] == 128 * run.config["steps"]
    else:
        assert summary["train_seconds"] >= 0.3
        assert run.config["schedule"] == "constant"
    with pytest.raises(FileExistsError, match="holds a finished run"):
        labml.run(*how)


def test_our_steps_are_as_many_as_are_expected_to_fit(monkeypatch, tiny):
    seconds = {0.25: 0.1, 0.5: 0.2}  # 0.13 on average over the parts of `cpu`
    monkeypatch.setattr(labml, "seconds_of", lambda *_: seconds)
    *_, steps, _ = labml.train_ours(labml.recipe_of(0, "our-recipe"), dataset(train=40), "cpu", 2.2)
    assert steps == 16


def test_steps_are_measured_at_every_part_of_the_patches(tiny):
    took = labml.seconds_of(labml.recipe_of(0, "our-recipe"), dataset(train=40), "cpu")
    assert list(took) == [0.25, 0.5]
    assert min(took.values()) > 0


def test_finished_runs_are_not_made_again(monkeypatch, tiny, tmp_path, capsys):
    words = ["labml", "--minutes", "0.001", "--device", "cpu", "--seeds", "0", "1"]
    monkeypatch.setattr("sys.argv", [*words, "--configurations", "theirs", "our-size"])
    labml.main()
    names = {path.name for path in tmp_path.iterdir() if records.is_finished(path)}
    assert names == {f"labml{v}-seed{s}" for v in ("", "-our-size") for s in (0, 1)}
    labml.main()
    assert capsys.readouterr().out.count("is there already") == 4
    command = records.read(tmp_path / "labml-our-size-seed1").config["command"]
    assert command.endswith("--minutes 0.001 --configurations our-size --seeds 1")


def test_no_time_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--minutes is 0; it must be above 0"):
        labml.run("theirs", 0, 0.0, None, "cpu", tmp_path)
