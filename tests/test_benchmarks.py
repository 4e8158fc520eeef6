"""The benchmarks: that they compare the same thing, and that what they write means what it says."""

import json
import statistics
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import rounds, throughput
from benchmarks.products import limit_step
from website.throughput import benchmarks

ROOT = Path(__file__).absolute().parents[1]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The file that a quick benchmark writes, and what is in it."""
    file = tmp_path_factory.mktemp("bench") / "new" / "cpu.json"
    throughput.run(["--quick", "--device", "cpu", "--out", str(file)])
    return file, json.loads(file.read_text(encoding="utf-8"))


def architectures():
    return throughput.FULL | throughput.QUICK


def needs(name):
    if name not in throughput.installed():
        pytest.skip(f"{name} is not installed; `make bench` does it")


PEERS = ["torchvision", "timm", "vit-pytorch", "transformers"]


@pytest.mark.parametrize("name", ["vitlit", *PEERS])
def test_all_implementations_compute_the_architecture(name):
    needs(name)
    for architecture in architectures().values():
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


def test_the_size_is_known_of_b16():
    assert throughput.B16.parameters == 86_567_656  # torchvision's


def test_another_architecture_is_refused(monkeypatch):
    wrong = throughput.Implementation("vitlit", throughput.vitlit, lambda a: 1)
    monkeypatch.setitem(throughput.IMPLEMENTATIONS, "vitlit", wrong)
    with pytest.raises(ValueError, match=r"vitlit has [\d,]+ parameters instead of [\d,]+"):
        throughput.built("vitlit", throughput.TINY)


@pytest.mark.parametrize("training", [False, True])
def test_the_limit_does_the_matrix_products_of_the_architecture(training):
    architecture = throughput.TINY
    model = throughput.built("vitlit", architecture)
    images = torch.rand(2, 3, architecture.image_size, architecture.image_size)
    plain = sdpa_kernel(SDPBackend.MATH)  # a fused attention computes its weights twice
    with plain, FlopCounterMode(display=False) as models:
        logits = model(images)
        if training:
            logits.sum().backward()
    like = {"dtype": torch.float32, "device": "cpu"}
    step = limit_step(architecture.products(2), training, like)
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


def test_training_takes_three_times_the_products(measured):
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


def test_a_peer_that_is_not_installed_is_left_out(monkeypatch, capsys):
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
        (["--device", "tpu"], "no device 'tpu'; choose cpu, cuda, cuda:N, mps or auto"),
    ],
)
def test_a_bad_option_ends_in_one_line(monkeypatch, words, message):
    monkeypatch.setattr(sys, "argv", ["throughput.py", "--quick", *words])
    with pytest.raises(SystemExit) as end:
        rounds.main(throughput.run)
    assert end.value.code == f"error: {message}"


def test_a_gpu_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device 'cuda' is not there; use --device cpu"):
        throughput.run(["--quick", "--device", "cuda"])


def test_the_page_shows_what_was_written(measured):
    file, result = measured
    [shown] = benchmarks(file.parent)
    assert shown["command"] == result["command"]
    assert [row["name"] for row in shown["tables"][0]["rows"]] == list(result["implementations"])
