"""The benchmarks: that they compare the same thing, and that what they write means what it says."""

import importlib
import json
import statistics
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.tiny import dataset
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from vitlit import records
from vitlit.config import ViTConfig

ROOT = Path(__file__).absolute().parents[1]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny products are no work to be shared, and a machine may be busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def throughput():
    """The script as a module."""
    sys.path[:0] = [str(ROOT / "benchmarks")]
    yield importlib.import_module("throughput")
    sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def measured(throughput, tmp_path_factory):
    """The file that a quick benchmark writes, and what is in it."""
    file = tmp_path_factory.mktemp("bench") / "new" / "cpu.json"
    throughput.run(["--quick", "--device", "cpu", "--out", str(file)])
    return file, json.loads(file.read_text(encoding="utf-8"))


def architectures(throughput):
    return throughput.FULL | throughput.QUICK


def needs(throughput, name):
    if name not in throughput.installed():
        pytest.skip(f"{name} is not installed; `make bench` does it")


PEERS = ["torchvision", "timm", "vit-pytorch", "transformers"]


@pytest.mark.parametrize("name", ["vitlit", *PEERS])
def test_all_implementations_compute_the_architecture(throughput, name):
    needs(throughput, name)
    for architecture in architectures(throughput).values():
        with torch.device("meta"):
            model = throughput.built(name, architecture)
            images = torch.rand(2, 3, architecture.image_size, architecture.image_size)
            with FlopCounterMode(display=False) as counter:
                logits = model(images)
        assert logits.shape == (2, architecture.classes)
        count = sum(p.numel() for p in model.parameters())
        if name == "vit-pytorch":
            norms = 2 * (3 * architecture.patch_size**2 + architecture.width)
            count += 3 * architecture.depth * architecture.width - norms
        assert count == architecture.parameters
        assert counter.get_total_flops() == sum(p.flops for p in architecture.products(2))


def test_the_size_is_known_of_b16(throughput):
    assert throughput.B16.parameters == 86_567_656  # torchvision's


def test_another_architecture_is_refused(throughput, monkeypatch):
    wrong = throughput.Implementation("vitlit", throughput.vitlit, lambda a: 1)
    monkeypatch.setitem(throughput.IMPLEMENTATIONS, "vitlit", wrong)
    with pytest.raises(ValueError, match=r"vitlit has [\d,]+ parameters instead of [\d,]+"):
        throughput.built("vitlit", throughput.TINY)


@pytest.mark.parametrize("training", [False, True])
def test_the_limit_does_the_matrix_products_of_the_architecture(throughput, training):
    architecture = throughput.TINY
    model = throughput.built("vitlit", architecture)
    images = torch.rand(2, 3, architecture.image_size, architecture.image_size)
    plain = sdpa_kernel(SDPBackend.MATH)  # a fused attention computes its weights twice
    with plain, FlopCounterMode(display=False) as models:
        logits = model(images)
        if training:
            logits.sum().backward()
    like = {"dtype": torch.float32, "device": "cpu"}
    step = throughput.limit_step(architecture.products(2), training, like)
    with FlopCounterMode(display=False) as limit:
        step()
    assert limit.get_total_flops() == models.get_total_flops()


def test_every_mode_and_precision_is_measured(measured):
    _, result = measured
    found = [(m["architecture"], m["mode"], m["precision"]) for m in result["measurements"]]
    first, second = result["architectures"]
    assert found == [
        *((first, mode, p) for mode in ("training", "inference") for p in ("fp32", "bf16")),
        *((second, "inference", p) for p in ("fp32", "bf16")),
    ]
    assert {"torch", "vitlit"} <= set(result["environment"]["versions"])
    assert result["environment"]["threads"] == 1


def test_throughputs_ratios_and_shares_agree(measured):
    _, result = measured
    rounds = result["settings"]["rounds"]
    for case in result["measurements"]:
        limit, speeds = case["limit"]["images_per_second"], case["implementations"]
        assert set(speeds) == set(result["implementations"])
        ours = speeds["vitlit"]["images_per_second"]
        for name, speed in speeds.items():
            theirs = speed["images_per_second"]
            assert len(theirs) == len(limit) == rounds
            assert speed["median"] == statistics.median(theirs) > 0
            shares = [mine / best for mine, best in zip(theirs, limit, strict=True)]
            assert speed["share_of_limit"] == statistics.median(shares)
            assert 0 < speed["share_of_limit"] < 1.5
            if name == "vitlit":
                continue
            ratio = speed["ratio_vitlit_to_this"]
            assert ratio["rounds"] == pytest.approx(
                [mine / other for mine, other in zip(ours, theirs, strict=True)]
            )
            assert ratio["min"] <= ratio["median"] <= ratio["max"]
            assert ratio["deviation"] == pytest.approx(statistics.stdev(ratio["rounds"]))


def test_training_takes_three_times_the_products(throughput, measured):
    _, result = measured
    flops = {m["mode"]: m["limit"]["flops_per_image"] for m in result["measurements"][:4]}
    first = throughput.TINY.products(1)[0].flops
    assert flops["training"] == 3 * flops["inference"] - first


def test_peers_agree_about_the_parameters(measured):
    _, result = measured
    for title, architecture in result["architectures"].items():
        for about in result["implementations"].values():
            same = about["parameters"][title] == architecture["parameters"]
            assert same == (not about["note"])


def test_a_peer_that_is_not_installed_is_left_out(throughput, monkeypatch, capsys):
    for name in PEERS[1:]:
        absent = throughput.IMPLEMENTATIONS[name]._replace(package="not-there")
        monkeypatch.setitem(throughput.IMPLEMENTATIONS, name, absent)
    result = throughput.run(["--quick", "--device", "cpu", "--rounds", "1"])
    assert result["left_out"] == PEERS[1:]
    assert list(result["implementations"]) == ["vitlit", "torchvision"]
    assert "left out: timm, vit-pytorch, transformers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rounds", "0"], "--rounds is 0; it must be at least 1"),
        (["--batch-size", "-1"], "--batch-size is -1; it must be at least 1"),
        (["--seconds", "nan"], "--seconds is nan; it must be above 0"),
        (["--device", "tpu"], "no device 'tpu'; choose cpu, cuda or auto"),
    ],
)
def test_a_bad_option_ends_in_one_line(throughput, monkeypatch, words, message):
    monkeypatch.setattr(sys, "argv", ["throughput.py", "--quick", *words])
    with pytest.raises(SystemExit) as end:
        throughput.main()
    assert end.value.code == f"error: {message}"


def test_a_gpu_that_is_not_there_is_said(throughput, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device 'cuda' is not there; use --device cpu"):
        throughput.run(["--quick", "--device", "cuda"])


@pytest.fixture
def labml(throughput):
    """The other script as a module."""
    return importlib.import_module("against_labml")


def test_training_against_the_clock_leaves_a_record(labml, tmp_path):
    words = ["--minutes", "0.01", "--data", "digits", "--device", "cpu", "--out"]
    run = labml.run([*words, str(tmp_path / "run")])
    assert run.summary == records.read(tmp_path / "run").summary
    summary, metrics = run.summary, run.metrics
    assert (summary["preset"], summary["variant"], summary["data"]) == ("labml", "", "digits")
    assert summary["images"] > 0
    assert summary["train_seconds"] >= 0.6
    trained_on = run.data["counts"]["train"]
    assert summary["epochs"] == pytest.approx(summary["images"] / trained_on, abs=1e-3)
    assert metrics["epoch"] == [summary["epochs"]]
    assert metrics["test_accuracy"] == [summary["test_accuracy"]]
    assert sum(map(sum, summary["confusion"])) == summary["tested"] == run.data["counts"]["test"]
    assert run.config["vit"]["activation"] == run.config["mlp_activation"] == "relu"
    assert run.config["vit"]["dropout"] == 0.1
    with pytest.raises(FileExistsError, match="holds a finished run"):
        labml.run([*words, str(tmp_path / "run")])


def test_no_time_is_refused(labml, tmp_path):
    with pytest.raises(ValueError, match="--minutes is 0; it must be above 0"):
        labml.run(["--minutes", "0", "--out", str(tmp_path)])


# Accuracy against the number of images


@pytest.fixture
def scaling(monkeypatch, tmp_path):
    """The script as a module, with tiny for data and an empty folder for records."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    module = importlib.import_module("scaling")
    monkeypatch.setattr(module, "load", lambda source: dataset(train=100))
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    return module


def test_vit_and_resnet_cost_about_the_same(scaling):
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


def test_the_resnet_is_that_of_the_paper(scaling):
    model = scaling.ResNet8(ViTConfig(classes=10))
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    weighted = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    projections = 2
    assert len(weighted) - projections == 8


def test_a_larger_part_of_the_images_contains_the_smaller(scaling):
    data = dataset(train=60)
    small, large, other = (scaling.part_of(data, *how) for how in ((20, 0), (30, 0), (20, 1)))
    assert torch.equal(large.train_images[:20], small.train_images)
    assert torch.equal(large.train_labels[:20], small.train_labels)
    assert not torch.equal(other.train_images, small.train_images)
    with pytest.raises(ValueError, match="61 training images are more than the 60 there are"):
        scaling.part_of(data, 61, 0)


@pytest.mark.parametrize("model", ["vit", "resnet"])
def test_every_run_takes_the_same_number_of_steps_and_leaves_a_record(scaling, model):
    for images in (64, 100):
        line = scaling.run(scaling.Job(model, images, 0, steps=3))
        assert f"scaling-{model}-{images}-seed0" in line
    small, large = (records.read(Path(f"runs/scaling-{model}-{n}-seed0")) for n in (64, 100))
    assert [run.config["steps"] for run in (small, large)] == [3, 3]
    assert small.summary["epochs"] == 3
    assert large.summary["epochs"] == 1.92
    assert (large.summary["model"], large.summary["images"]) == (model, 100)
    assert large.config["optimizer"] == {"vit": "muon", "resnet": "sgd"}[model]
    assert f"--models {model} --sizes 100 --seeds 0" in large.config["command"]
    assert large.is_study


def test_tuning_leaves_no_record_and_does_not_touch_the_test_images(scaling, monkeypatch):
    tested = []
    evaluate = scaling.evaluate
    monkeypatch.setattr(scaling, "evaluate", lambda *a: tested.append(a[1]) or evaluate(*a))
    line = scaling.run(scaling.Job("resnet", 64, 0, steps=2, rate=0.05, holdout=20))
    assert "rate 0.05" in line
    held = {image.numpy().tobytes() for image in tested[0]}
    data = dataset(train=100)
    assert held <= {image.numpy().tobytes() for image in data.train_images}
    assert not held & {image.numpy().tobytes() for image in data.test_images}
    assert list(Path("runs").iterdir()) == []
