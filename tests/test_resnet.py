"""studies.resnet: tries on images that are kept back, and records of the best."""

import json
from dataclasses import replace

import pytest
import torch
from helpers.tiny import dataset

from studies import resnet
from vitlit import records

SHORT = {"width": 8, "epochs": 2, "batch_size": 20, "learning_rate": 0.05}


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path, one_thread):
    """Little data, an empty folder for records."""
    monkeypatch.setattr(resnet, "load", lambda source: dataset(train=100))
    monkeypatch.setenv("VITLIT_RUNS", str(tmp_path))


def trial(**said):
    return resnet.Trial.of({"name": "short", **SHORT, **said})


def states(learner):
    return [tensor.clone() for tensor in learner.tested.state_dict().values()]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"optimizer": "muon", "learning_rate": 0.003, "decay": "linear", "stride": 2},
        {"keep": [0.25, 1.0], "average": 0.9, "whitened": True, "channels_last": False},
    ],
)
def test_a_record_says_what_was_trained(said, tmp_path):
    job = resnet.Job(trial(**said), "resnet", seed=3)
    assert "resnet-seed3" in resnet.record(job)
    run = records.read(tmp_path / "resnet-seed3")
    assert run.config["command"] == "python -m studies.resnet --presets resnet --seeds 3"
    assert (run.config["model"], run.config["try"], run.config["width"]) == ("ResNet-8", "short", 8)
    assert run.config["optimizer"] == said.get("optimizer", "sgd")
    assert run.config["keep"] == said.get("keep", [1.0])
    assert not {"norm", "patches", "initialization"} & run.config.keys()
    assert (run.summary["preset"], run.summary["seed"], run.is_study) == ("resnet", 3, True)
    assert run.metrics["epoch"] == [1, 2]
    assert run.metrics["test_accuracy"][-1] == run.summary["test_accuracy"]
    assert run.right is not None
    assert not (tmp_path / "resnet-seed3/training.pt").exists()
    with pytest.raises(FileExistsError, match="holds a finished run"):
        resnet.record(job)


def test_it_learns():
    job = resnet.Job(trial(epochs=6), "resnet")
    _, _, result = resnet.train(job, records.mine() / "x")
    assert result.accuracy > 0.8


def test_a_run_that_was_stopped_ends_with_the_same_weights(monkeypatch, tmp_path):
    job = resnet.Job(trial(average=0.8, keep=[0.25, 1.0]), "resnet")
    _, whole, _ = resnet.train(job, tmp_path / "whole")
    save = resnet.Checkpoint.save

    def save_and_stop(run):
        save(run)
        raise KeyboardInterrupt

    monkeypatch.setattr(resnet.Checkpoint, "save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        resnet.train(job, tmp_path / "stopped")
    monkeypatch.setattr(resnet.Checkpoint, "save", save)
    run, resumed, _ = resnet.train(job, tmp_path / "stopped")
    assert len(run.rows) == 2
    assert all(map(torch.equal, states(whole), states(resumed)))


def test_the_parts_of_the_pixels_that_epochs_get(monkeypatch):
    sides = []
    train_epoch = resnet.train_epoch

    def watch(learner, batches, bar):
        kept = list(batches)
        sides.append({images.shape[2:] for images, _ in kept})
        return train_epoch(learner, kept, bar)

    monkeypatch.setattr(resnet, "train_epoch", watch)
    job = resnet.Job(trial(epochs=3, keep=[0.25, 0.5625, 1.0]), "resnet")
    resnet.train(job, records.mine() / "x")
    assert sides == [{(4, 4)}, {(6, 6)}, {(8, 8)}]


def test_smaller_images_are_averaged():
    checks = torch.tensor([[0, 200], [200, 0]], dtype=torch.uint8).repeat(8, 8)[None, None]
    small = resnet.smaller(checks, 0.25)
    assert (small.shape, small.dtype) == ((1, 1, 8, 8), torch.uint8)
    assert (small[..., 1:-1, 1:-1].float() - 100).abs().max() <= 1
    assert resnet.smaller(checks, 1.0) is checks


def test_a_straight_line_up_and_one_down():
    rates = [resnet.straight(step, 10, 0.2) for step in range(11)]
    assert rates == pytest.approx([0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0])


def test_average_and_batch_norm_belong_together(monkeypatch):
    job = resnet.Job(trial(average=0.9), "resnet")
    _, learner, _ = resnet.train(job, records.mine() / "x")
    averaged = learner.tested.get_submodule("stem.1").running_mean
    assert not torch.equal(averaged, learner.classifier.model.get_submodule("stem.1").running_mean)
    images = learner.classifier.inputs(dataset(train=100).train_images)
    with torch.no_grad():
        seen = learner.tested.get_submodule("stem.0")(images).mean(dim=(0, 2, 3))
    torch.testing.assert_close(averaged, seen)


def test_a_try_is_noted_once_and_leaves_the_test_images_alone(monkeypatch, tmp_path, capsys):
    tested = []
    evaluate = resnet.evaluate
    monkeypatch.setattr(resnet, "evaluate", lambda *a: tested.append(a[1]) or evaluate(*a))
    trials = {"short": trial()}
    (job,) = resnet.to_try(trials, 20, None, 1)
    assert (job.minutes > 0, job.threads) == (True, 1)
    assert "short" in (line := resnet.attempt(job))
    assert "s on 1 thread" in line
    held = {image.numpy().tobytes() for images in tested for image in images}
    data = dataset(train=100)
    assert held <= {image.numpy().tobytes() for image in data.train_images}
    assert not held & {image.numpy().tobytes() for image in data.test_images}
    (noted,) = map(json.loads, (tmp_path / "resnet-tries.jsonl").read_text().splitlines())
    assert (noted["name"], noted["width"], noted["holdout"]) == ("short", 8, 20)
    assert noted["by_epoch"][-1] == noted["accuracy"]
    assert {path.name for path in tmp_path.iterdir()} == {"resnet-tries.jsonl", ".locks"}

    assert resnet.to_try(trials, 20, None, 1) == []
    assert capsys.readouterr().out == f"{line}\n"
    assert len(resnet.to_try(trials, 30, None, 1)) == 1
    assert len(resnet.to_try({"short": trial(epochs=3)}, 20, None, 1)) == 1


def test_a_try_that_diverges_is_noted_too(monkeypatch):
    def diverge(*arguments):
        raise resnet.DivergedError("the loss is nan in step 7")

    monkeypatch.setattr(resnet, "train_epoch", diverge)
    job = resnet.Job(trial(), "resnet-try", holdout=20)
    assert "the loss is nan in step 7" in resnet.attempt(job)
    assert resnet.done(job)["accuracy"] is None


def test_a_line_that_is_damaged_is_named(tmp_path):
    (tmp_path / "resnet-tries.jsonl").write_text('{"name": "sho')
    with pytest.raises(ValueError, match=r"resnet-tries.jsonl is damaged in line 1"):
        resnet.done(resnet.Job(trial(), "resnet-try", holdout=20))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"name": "a", "depth": 3}, "a try has no 'depth'; it has name, blocks, width"),
        ({"name": "a", "stride": 3}, "stride is 3; it must be at least 1 and at most 2"),
        ({"name": "a", "width": 4}, "width is 4; it must be at least 8"),
        ({"name": "a", "optimizer": "lion"}, "optimizer 'lion' does not exist; choose one of"),
        ({"name": "a", "epochs": 0}, "epochs is 0"),
        ({"epochs": 3}, "a try has no name"),
    ],
)
def test_what_no_try_can_be(said, message):
    with pytest.raises(ValueError, match=message):
        resnet.Trial.of(said)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "is no JSON"),
        ('{"name": "a"}', "holds no list of tries"),
        ('[{"name": "a"}, {"name": "a"}]', "two tries are called 'a'"),
    ],
)
def test_what_no_file_of_tries_can_be(content, message, tmp_path):
    (tmp_path / "tries.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        resnet.tries_of(tmp_path / "tries.json")


def test_a_file_of_tries(tmp_path):
    (tmp_path / "tries.json").write_text(json.dumps([{"name": "short", **SHORT}]))
    assert resnet.tries_of(tmp_path / "tries.json") == {"short": trial()}
    assert resnet.tries_of(None) is resnet.TRIES


def test_records_are_of_what_was_tried():
    assert resnet.CHOSEN in resnet.TRIES.values()
    names = [job.name for job in resnet.to_record(resnet.RECORDS, None, None)]
    assert names == ["resnet-seed0", "resnet-seed1", "resnet-seed2", "resnet-long-seed0"]
    assert [j.name for j in resnet.to_record(["resnet-long"], [1], None)] == ["resnet-long-seed1"]


def test_minutes_are_those_of_all_epochs():
    recipe = trial(epochs=4, keep=[0.25, 0.25, 0.25, 1.0]).recipe_for("resnet")
    subject = resnet.Timed(recipe, lambda part: 4 * part)
    found = resnet.minutes_of({"a": subject}, 100, 3)
    steps = 100 // 20
    assert found == {"a": (steps * (3 * 1 + 4) / 60, {0.25: 1.0, 1.0: 4.0})}


def test_a_try_is_timed_beside_the_presets(capsys, monkeypatch):
    small = resnet.preset("smoke", keep=(0.5, 1.0))
    monkeypatch.setattr(resnet, "preset", lambda name: replace(small, preset=name))
    resnet.print_times([trial(keep=[0.25, 1.0])], dataset(train=100), 1)
    first, *rows = capsys.readouterr().out.splitlines()
    assert first.startswith("1 thread;")
    assert [row.split()[0] for row in rows] == ["cpu", "cpu-long", "short"]
    assert "1.00 × cpu" in rows[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tries"], "give --holdout 5000 too"),
        (["--holdout", "5000"], "--holdout 5000 is for tries"),
        (["--jobs", "0"], "must be at least 1"),
    ],
)
def test_what_no_command_can_be(words, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["resnet", *words])
    with pytest.raises(SystemExit):
        resnet.main()
    assert message in capsys.readouterr().err
