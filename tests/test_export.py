"""vitlit.export: folders that other libraries load, each loaded by the library itself."""

import contextlib
import errno
import os
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.tiny import dataset
from PIL import Image
from test_layouts import SMALL, random_model

from vitlit import pretrained
from vitlit.checkpoint import CheckpointError
from vitlit.classifier import Classifier
from vitlit.config import ViTConfig
from vitlit.data import open_rgb
from vitlit.export import EXPORTS, export, predicting
from vitlit.finetune import adapted
from vitlit.presets import PRESETS, changes_of, preset
from vitlit.start import started

CLASSES = tuple("abcde")


def classifier(**changes):
    """A classifier of random weights, with unusual statistics."""
    model = random_model(ViTConfig(**{**vars(SMALL), **changes})).float()
    mean, std = torch.tensor([10.0, 100.0, 200.0]), torch.tensor([50.0, 60.0, 70.0])
    channels = model.config.channels
    return Classifier(model, CLASSES, mean[:channels], std[:channels], "tiny")


def run(lines):
    """The model that the printed lines load."""
    names = {}
    exec(lines, names)
    return names["model"].eval()


@pytest.mark.parametrize(
    ("layout", "changes"),
    [
        ("torchvision", {}),
        ("torchvision", {"head": "mlp", "head_width": 20}),
        ("torchvision", {"positions": "sincos"}),
        ("timm", {}),
        ("timm", {"image_size": (8, 12), "channels": 1, "mlp_width": 20}),
        ("timm", {"pooling": "mean", "gelu": "tanh"}),
        ("huggingface", {}),
        ("huggingface", {"image_size": (8, 12), "gelu": "tanh", "eps": 1e-9}),
        ("huggingface", {"channels": 1, "positions": "none"}),
    ],
)
def test_the_printed_lines_load_a_model_that_computes_the_same(tmp_path, layout, changes):
    ours = classifier(**changes)
    theirs = run(export(ours, layout, tmp_path / "out"))
    c = ours.model.config
    images = torch.randint(0, 256, (2, c.channels, *c.image_size), dtype=torch.uint8)
    with torch.no_grad():
        logits = theirs(ours.inputs(images))
    logits = logits if isinstance(logits, torch.Tensor) else logits.logits
    torch.testing.assert_close(logits, ours.logits(images), rtol=1e-5, atol=1e-5)
    assert ours.logits(images).abs().max() > 0.1


def test_timm_and_hugging_face_learn_classes_and_statistics(tmp_path):
    from transformers import ViTImageProcessor

    ours = classifier()
    theirs = run(export(ours, "timm", tmp_path / "timm"))
    assert theirs.pretrained_cfg["label_names"] == list(CLASSES)
    torch.testing.assert_close(torch.tensor(theirs.pretrained_cfg["mean"]), ours.mean / 255)
    theirs = run(export(ours, "huggingface", tmp_path / "hf"))
    assert theirs.config.id2label == dict(enumerate(CLASSES))
    processor = ViTImageProcessor.from_pretrained(tmp_path / "hf")
    picture = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    found = processor(picture, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(found, ours.inputs(picture[None]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layout", [*EXPORTS, pytest.param("onnx", marks=pytest.mark.slow)])
@pytest.mark.parametrize("channels", [3, 1])
def test_the_lines_that_are_printed_predict_what_we_predict(tmp_path, layout, channels, capsys):
    if (layout, channels) == ("torchvision", 1):
        pytest.skip("torchvision has no model of one channel")
    ours, picture = classifier(channels=channels), tmp_path / 'a "cat".png'
    noise = torch.randint(0, 256, (30, 50, 3), dtype=torch.uint8)
    Image.fromarray(noise.numpy()).save(picture)
    folder = tmp_path / "out ü.onnx"
    lines = export(ours, layout, folder) + predicting(ours, layout, folder, picture)
    exec(lines, {})
    chances = ours.logits(open_rgb(picture, (8, 8), channels)[None])[0].softmax(dim=0)
    expected = f"{CLASSES[int(chances.argmax())]} {chances.max():.1%}"
    assert capsys.readouterr().out.splitlines()[-1] == expected


@pytest.mark.parametrize("layout", EXPORTS)
def test_equal_weights_make_equal_folders(tmp_path, layout):
    folders = [tmp_path / str(i) for i in range(6)]
    for folder in folders:
        export(classifier(), layout, folder)
    for name in os.listdir(folders[0]):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1, name


def test_weights_that_are_no_numbers_are_not_exported(tmp_path):
    ours = classifier()
    ours.model.head.bias.data[2] = float("nan")
    with pytest.raises(CheckpointError, match=r"my-runs/x: head.bias holds 1 of 5 numbers"):
        export(ours, "timm", tmp_path / "out", "my-runs/x")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_preset_trains_goes_to_every_layout_or_a_command_is_named(tmp_path, name):
    fields = {"image_size": (32, 32), "classes": 5} | PRESETS[name]().model
    small = {"width": 12, "depth": 1, "heads": 3, "mlp_width": 24}
    ours = classifier(**{**fields, **small})
    for layout in ("timm", "huggingface") if fields.get("head") == "mlp" else ():
        with pytest.raises(ValueError, match=r"train anew with --set model.head=linear$") as caught:
            export(ours, layout, tmp_path / layout, "my-runs/a b")
        command = str(caught.value).partition("linear head: ")[2].partition(", or train")[0]
        words = shlex.split(command)
        assert words[:4] == ["vitlit", "train", "--preset", "finetune-32"]
        assert "start=my-runs/a b" in words
        assert PRESETS[words[3]]().model["head"] == "linear"
        ours = replace(ours, model=adapted(ours.model, head="linear"))
        export(ours, layout, tmp_path / layout)
        ours = classifier(**{**fields, **small})
    for layout in set(EXPORTS) - {path.name for path in tmp_path.iterdir()}:
        export(ours, layout, tmp_path / layout)


@pytest.mark.parametrize(
    ("side", "name"), [(8, "own"), (32, "finetune-32"), (48, "own"), (224, "own")]
)
def test_the_command_for_a_linear_head_keeps_the_size_of_the_model(tmp_path, side, name):
    ours = classifier(image_size=(side, side), head="mlp")
    ours.save(tmp_path / "my w")
    with pytest.raises(ValueError, match="linear head: ") as caught:
        export(ours, "timm", tmp_path / "out", str(tmp_path / "my w"))
    command = str(caught.value).partition("linear head: ")[2].partition(", or train")[0]
    words = shlex.split(command)
    assert words[:-1] == ["vitlit", "train", "--preset", name, "--set"]
    new = started(preset(name, **changes_of(words[-1:])), dataset(), lambda config: None)
    assert new.model.config.image_size == (side, side)
    export(new, "timm", tmp_path / "out")


def test_hugging_faces_folder_comes_back_to_us_bit_by_bit(tmp_path):
    ours = classifier()
    export(ours, "huggingface", tmp_path / "out")
    back = pretrained.load(str(tmp_path / "out"))
    assert back.model.config == ours.model.config
    state = back.model.state_dict()
    assert all(torch.equal(state[n], t) for n, t in ours.model.state_dict().items())
    assert back.classes == CLASSES
    torch.testing.assert_close(back.mean, ours.mean)


@pytest.mark.parametrize(
    ("layout", "changes", "words"),
    [
        (
            "timm",
            {"head": "mlp"},
            "timm has no model with an MLP head; export it to torchvision, or give it a linear "
            "head: vitlit train --preset own --set start=WEIGHTS, or train anew with --set "
            "model.head=linear$",
        ),
        ("huggingface", {"head": "mlp"}, "huggingface has no model with an MLP head"),
        ("huggingface", {"pooling": "mean"}, "mean pooling; export it to timm$"),
        (
            "torchvision",
            {"head": "mlp", "activation": "relu"},
            "relu in its MLP head; give it a linear head: vitlit train",
        ),
        (
            "torchvision",
            {"gelu": "tanh"},
            "the tanh approximation of GELU; export it to timm or huggingface",
        ),
        ("huggingface", {"pooling": "mean", "eps": 1e-9}, "pooling; train a model without"),
        ("torchvision", {"image_size": (8, 12)}, r"images of \(8, 12\), which are no square"),
        ("torchvision", {"channels": 1, "eps": 1e-12}, r"eps 1e-12 .* and 1 channels"),
        ("timm", {"eps": 1e-12}, "eps 1e-12"),
    ],
)
def test_what_a_library_cannot_hold_is_refused_before_anything_is_written(
    tmp_path, layout, changes, words
):
    with pytest.raises(ValueError, match=words):
        export(classifier(**changes), layout, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_papers_layout_is_read_only(tmp_path):
    with pytest.raises(ValueError, match="no export to 'npz'; choose one of torchvision, timm"):
        export(classifier(), "npz", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "layout", "stored", "words"),
    [
        ("there.onnx", "onnx", "fp32", r"there\.onnx is there already; give another file"),
        ("mine.v2", "onnx", "fp32", r"to be a graph, in one file; call it mine\.v2\.onnx"),
        ("out.onnx", "onnx", "bf16", "stored as fp32 or fp16, not as 'bf16'"),
        ("out", "timm", "fp16", "timm gets the weights as fp32; fp16 is for a graph, onnx"),
    ],
)
def test_a_graph_is_one_new_file(tmp_path, name, layout, stored, words):
    (tmp_path / "there.onnx").touch()
    with pytest.raises((ValueError, FileExistsError), match=words):
        export(classifier(), layout, tmp_path / name, stored=stored)
    assert os.listdir(tmp_path) == ["there.onnx"]
    assert not (tmp_path / "there.onnx").stat().st_size


def test_a_folder_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    def fail(path, content):
        if path.name == "config.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, content)

    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match=r"new/out cannot be written \(No space left .*make room"):
        export(classifier(), "timm", tmp_path / "new" / "out")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("layout", EXPORTS)
def test_nothing_is_overwritten(tmp_path, layout):
    with contextlib.suppress(FileExistsError):
        export(classifier(), layout, tmp_path / "out")
    before = (tmp_path / "out" / "model.safetensors").read_bytes()
    other = replace(classifier(), classes=tuple("vwxyz"))
    with pytest.raises(FileExistsError, match="is there already; give another folder"):
        export(other, layout, tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == before
