"""studies.scaling: a ViT and a ResNet on the same images, steps and cost."""

from dataclasses import replace

import pytest
import torch
from helpers.tiny import dataset
from torch.utils.flop_counter import FlopCounterMode

from studies import scaling
from vitlit import records, studies


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path, one_thread):
    """Little data, an empty folder for records."""
    monkeypatch.setattr(scaling, "load", lambda source: dataset(train=100))
    monkeypatch.setenv("VITLIT_RUNS", str(tmp_path))


def test_vit_and_resnet_cost_about_the_same():
    flops = {}
    for model in scaling.MODELS:
        job = scaling.Job(model, 1000, 0)
        images = torch.zeros(24, 3, 32, 32, dtype=torch.uint8)
        data = replace(dataset(), train_images=images, test_images=images[:11])
        classifier = scaling.classifier_of(job, scaling.recipe_of(job), data)
        with FlopCounterMode(display=False) as counter:
            classifier.logits(data.train_images[:1])
        flops[model] = counter.get_total_flops()
    assert 0.8 < flops["vit"] / flops["resnet"] < 1.25


def test_a_larger_part_of_the_images_contains_the_smaller():
    data = dataset(train=60)
    small, large, other = (scaling.part_of(data, *how) for how in ((20, 0), (30, 0), (20, 1)))
    assert torch.equal(large.train_images[:20], small.train_images)
    assert torch.equal(large.train_labels[:20], small.train_labels)
    assert not torch.equal(other.train_images, small.train_images)
    with pytest.raises(ValueError, match="61 training images are more than the 60 there are"):
        scaling.part_of(data, 61, 0)


@pytest.mark.parametrize("model", ["vit", "resnet"])
def test_every_run_takes_the_same_number_of_steps_and_leaves_a_record(model, tmp_path):
    for images in (64, 100):
        line = scaling.run(scaling.Job(model, images, 0, steps=3))
        assert f"scaling-{model}-{images}-steps3-seed0" in line
    small, large = (records.read(tmp_path / f"scaling-{model}-{n}-steps3-seed0") for n in (64, 100))
    assert [run.config["steps"] for run in (small, large)] == [3, 3]
    assert small.summary["epochs"] == 3
    assert large.summary["epochs"] == 1.92
    assert (large.summary["model"], large.summary["images"]) == (model, 100)
    assert large.config["optimizer"] == {"vit": "muon", "resnet": "sgd"}[model]
    assert f"--models {model} --sizes 100 --seeds 0 --steps 3" in large.config["command"]
    assert large.is_study


def test_runs_of_several_lengths_are_told_apart(tmp_path):
    for images, steps in ((64, 2), (64, 4), (100, 2)):
        scaling.run(scaling.Job("vit", images, 0, steps))
    found = records.find(tmp_path)
    assert list(studies.by_images(found)["vit"]) == [64, 100]
    assert [run.config["steps"] for run in studies.by_images(found)["vit"][64]] == [2]
    assert list(studies.by_steps(found)) == [64]
    assert list(studies.by_steps(found)[64]) == [2, 4]
    assert studies.by_steps(found, "resnet") == {}


def test_tuning_leaves_no_record_and_does_not_touch_the_test_images(monkeypatch, tmp_path):
    tested = []
    evaluate = scaling.evaluate
    monkeypatch.setattr(scaling, "evaluate", lambda *a: tested.append(a[1]) or evaluate(*a))
    line = scaling.run(scaling.Job("resnet", 64, 0, steps=2, rate=0.05, holdout=20))
    assert "rate 0.05" in line
    held = {image.numpy().tobytes() for image in tested[0]}
    data = dataset(train=100)
    assert held <= {image.numpy().tobytes() for image in data.train_images}
    assert not held & {image.numpy().tobytes() for image in data.test_images}
    assert list(tmp_path.iterdir()) == []
