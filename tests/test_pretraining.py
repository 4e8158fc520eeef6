"""studies.pretraining: learning three classes with and without having seen others."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny import MODEL, dataset

from studies import pretraining
from vitlit import records
from vitlit.presets import Recipe
from vitlit.studies import WAYS

CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox")
NEW = ("bee", "dog", "eel")


def six(train=240, test=60):
    """Pictures of six classes, told apart by their brightness."""
    data = dataset(train=train, test=test)
    labels = torch.arange(train + test) % 6
    images = torch.randint(0, 30, (train + test, 3, 8, 8), dtype=torch.uint8)
    images += (35 * labels[:, None, None, None]).to(torch.uint8)
    return replace(
        data, classes=CLASSES, patch_size=2, train_images=images[:train],
        train_labels=labels[:train], test_images=images[train:], test_labels=labels[train:],
    )  # fmt: skip


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path, one_thread):
    """Little data, a tiny model, few steps, an empty folder for records, and one thread."""

    def preset(name, **changes):
        keep = (0.5, 1.0)
        return Recipe(preset=name, model=MODEL, optimizer="muon", keep=keep, epochs=2, **changes)

    monkeypatch.setattr(pretraining, "load", lambda source: six())
    monkeypatch.setattr(pretraining, "preset", preset)
    monkeypatch.setattr(pretraining, "STEPS", dict.fromkeys(pretraining.SIZES, 3))
    monkeypatch.setenv("VITLIT_RUNS", str(tmp_path))


def job(way, images=30, seed=0, **other):
    """A job with the classes of these tests."""
    return pretraining.Job(way, images, seed, NEW, **other)


def test_pictures_of_some_classes_are_numbered_in_the_order_given():
    data = six()
    part = pretraining.with_classes(data, ("eel", "bee"))
    assert part.classes == ("eel", "bee")
    assert torch.equal(part.train_images[part.train_labels == 0],
                       data.train_images[data.train_labels == 4])  # fmt: skip
    assert len(part.test_files) == len(part.test_images) == len(part.test_labels) == 20
    assert part.test_files[0] == data.test_files[int((data.test_labels == 1).nonzero()[0])]
    with pytest.raises(ValueError, match="has no class 'gnu'; give --new some of its classes, ant"):
        pretraining.with_classes(data, ("bee", "gnu"))
    with pytest.raises(ValueError, match="names a class twice"):
        pretraining.with_classes(data, ("bee", "bee"))
    with pytest.raises(ValueError, match="leaves 1 of 6 classes to pre-train on"):
        pretraining.others(data, CLASSES[1:])


def test_few_pictures_are_balanced_and_part_of_more():
    data = pretraining.with_classes(six(), NEW)

    def drawn(count, seed):
        part = pretraining.balanced(data, count, seed)
        assert len(part.train_images) == count
        counts = part.train_labels.bincount(minlength=3)
        assert counts.max() - counts.min() <= 1
        return {image.numpy().tobytes() for image in part.train_images}

    assert drawn(10, 0) < drawn(31, 0)
    assert drawn(10, 0) != drawn(10, 1)
    with pytest.raises(ValueError, match=r"300 pictures of 3 classes take 100 of bee, .* are 40"):
        pretraining.balanced(data, 300, 0)


def test_ways_differ_in_what_they_are_named_for_alone():
    recipes = {way: pretraining.recipe_of(job(way)) for way in WAYS}
    assert (
        recipes["finetune"].start == recipes["frozen"].start == "pretraining-base-bee+dog+eel-seed0"
    )
    assert recipes["scratch"].start == recipes["scratch-long"].start == ""
    assert recipes["finetune"].keep == recipes["scratch"].keep == (1.0,)
    assert recipes["scratch-long"].keep == (0.5, 1.0)
    assert job("finetune").steps == job("scratch").steps
    assert job("scratch-long", longer=5).steps == 5 * job("scratch").steps
    slow, fast = (pretraining.recipe_of(job("scratch", rate=rate)) for rate in (1, 2))
    assert fast.learning_rate == 2 * slow.learning_rate
    assert fast.muon_learning_rate == 2 * slow.muon_learning_rate


def test_every_way_and_size_has_a_rate():
    assert set(pretraining.RATES) == set(WAYS)
    for table in (*pretraining.RATES.values(), pretraining.LONGER):
        assert set(table) == set(pretraining.SIZES)


def test_runs_leave_records_of_the_same_test_pictures(tmp_path):
    base = pretraining.run(job("base", 0))
    assert base.accuracy is not None
    made = records.read(tmp_path / "pretraining-base-bee+dog+eel-seed0")
    assert made.weights
    assert made.weights.stat().st_size < 2 * 2**20
    assert made.data["classes"] == ["ant", "cat", "fox"]
    found = {}
    for way in WAYS:
        assert "%" in str(pretraining.run(job(way)))
        found[way] = records.read(tmp_path / job(way).name)
        summary = found[way].summary
        assert (summary["variant"], summary["images"], summary["tested"]) == (way, 30, 30)
        assert (summary["preset"], summary["tested_on"]) == ("pretraining", "test images")
        assert list(summary["per_class"]) == list(NEW)
        assert found[way].data["counts"]["train"] == 30
        assert found[way].is_study
        assert (
            found[way]
            .config["command"]
            .endswith(f"--ways {way} --sizes 30 --seeds 0 --new bee dog eel")
        )
    answers = [np.load(run.path / "predictions.npz")["true"] for run in found.values()]
    assert all(np.array_equal(answers[0], other) for other in answers)
    weights = {run.config["started"]["weights"] for run in (found["finetune"], found["frozen"])}
    assert len(weights) == 1
    assert (found["frozen"].config["optimizer"], found["frozen"].summary["steps"]) == ("lbfgs", 0)
    assert found["finetune"].summary["parameters"] == found["scratch"].summary["parameters"]


def test_a_frozen_model_keeps_all_but_its_head():
    pretraining.run(job("base", 0))
    one = job("frozen")
    data = pretraining.balanced(pretraining.with_classes(six(), NEW), 30, 0)
    recipe = pretraining.recipe_of(one)
    before = pretraining.classifier_of(one, recipe, data).model.state_dict()
    losses, norms = [], []
    for penalty in (0.0001, 1.0):
        classifier = pretraining.classifier_of(one, recipe, data)
        losses.append(pretraining.solve_head(classifier, data, penalty))
        after = classifier.model.state_dict()
        assert {n for n in before if not torch.equal(before[n], after[n])} == {
            "head.weight", "head.bias",
        }  # fmt: skip
        norms.append(after["head.weight"].norm().item())
    assert losses[0] < losses[1]
    assert norms[0] > norms[1]


def test_the_solved_head_is_scikit_learns():
    linear_model = pytest.importorskip("sklearn.linear_model")
    pretraining.run(job("base", 0))
    one = job("frozen")
    data = replace(pretraining.balanced(pretraining.with_classes(six(), NEW), 30, 0), flip=False)
    classifier = pretraining.classifier_of(one, pretraining.recipe_of(one), data)
    features = classifier.watch(data.train_images)["class_token"].numpy().astype(np.float64)
    pretraining.solve_head(classifier, data, 0.1)
    theirs = linear_model.LogisticRegression(C=1 / (0.1 * 30), max_iter=10_000, tol=1e-8)
    theirs.fit(features, data.train_labels.numpy())
    logits = classifier.logits(data.train_images).softmax(dim=1).numpy()
    assert np.allclose(theirs.predict_proba(features), logits, atol=1e-2)


def test_tuning_leaves_no_record_and_does_not_touch_the_test_images(monkeypatch, tmp_path):
    tested = []
    evaluate = pretraining.evaluate
    monkeypatch.setattr(pretraining, "evaluate", lambda *a: tested.append(a[1]) or evaluate(*a))
    done = pretraining.run(job("scratch-long", rate=0.5, longer=2, holdout=30))
    assert "0.5, 2 × longer" in str(done)
    held = {image.numpy().tobytes() for image in tested[0]}
    assert len(held) == 30
    assert not held & {image.numpy().tobytes() for image in six().test_images}
    assert list(tmp_path.iterdir()) == []


def test_a_try_that_diverges_says_so():
    done = pretraining.Done(job("scratch", rate=9.0, holdout=30), None, 1.0)
    assert "diverged" in str(done)
    better = replace(done, job=job("scratch", rate=1.0, holdout=30), accuracy=0.5)
    assert pretraining.table_of([done, better]).split() == [
        "scratch",
        "30",
        "9:",
        "0.0%",
        "1:",
        "50.0%*",
    ]


def test_every_rate_and_length_is_tried_once():
    class Given:
        rates, longer, holdout = None, None, 7

    tries = pretraining.tries_of(Given, [job("finetune"), job("scratch-long")])
    assert [one.rate for one in tries[:3]] == list(pretraining.TRIED["finetune"])
    assert [one.longer for one in tries[3:]] == list(pretraining.TRIED_LONGER)
    assert {one.holdout for one in tries} == {7}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--rates 1", "are for tuning; give --tune too"),
        ("--tune --holdout 0", "--holdout 0 and --jobs 1 must be at least 1"),
        ("--tune --longer 0", "--rates and --longer above 0"),
        ("--seeds -1", "--seeds must be 0 or more"),
        ("--sizes 31", "invalid choice: 31"),
    ],
)
def test_what_makes_no_sense_is_refused(words, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pretraining", "--jobs", "1", *words.split()])
    with pytest.raises(SystemExit):
        pretraining.main()
    assert said in capsys.readouterr().err


def test_what_is_there_is_not_made_again_and_bases_come_first(monkeypatch):
    asked = []
    monkeypatch.setattr(
        pretraining, "run_all", lambda run, *phases, at_once: asked.append(phases) or []
    )
    words = ["pretraining", "--jobs", "1", "--new", *NEW, "--sizes", "30", "--seeds", "0", "1"]
    monkeypatch.setattr(sys, "argv", words)
    pretraining.run(job("base", 0))
    pretraining.run(job("scratch"))
    pretraining.main()
    [(first, then)] = asked
    assert [one.name for one in first] == [
        "pretraining-base-bee+dog+eel-seed1",
        "pretraining-scratch-long-30-bee+dog+eel-seed0",
        "pretraining-scratch-long-30-bee+dog+eel-seed1",
        "pretraining-scratch-30-bee+dog+eel-seed1",
    ]
    assert {one.way for one in then} == {"finetune", "frozen"}


def test_the_usual_classes_are_in_no_name():
    assert pretraining.Job("frozen", 100, 2).name == "pretraining-frozen-100-seed2"
    assert pretraining.Job("base", 0, 2).name == "pretraining-base-seed2"
    assert Path(job("frozen", 100, 2).name).name == "pretraining-frozen-100-bee+dog+eel-seed2"
