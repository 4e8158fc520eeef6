"""The command `vitlit`, from its words to its files and errors."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.archives import pack_zip
from helpers.tiny import CLASSES, MODEL, dataset
from PIL import Image

from vitlit import cli, figures, locks, presets, pretrained, records
from vitlit.classifier import load
from vitlit.config import ViTConfig
from vitlit.layouts import to_layout
from vitlit.onnx import about
from vitlit.receipts import randomize_
from vitlit.vit import VisionTransformer

TINY = ["--preset", "smoke", *(f"--set=model.{name}={value}" for name, value in MODEL.items())]
HIDE = """
import runpy, sys

hidden = "pooch requests sklearn scipy timm transformers huggingface_hub jupytext nbformat"
hidden += " nbclient IPython ipykernel beartype onnx onnxscript onnxruntime"

class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden.split():
            return None
        return self.finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(Without, sys.meta_path)
runpy.run_module("vitlit", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def vitlit(tmp_path, monkeypatch, capsys):
    """Runs the command in an empty folder; returns its exit code and what it wrote."""
    monkeypatch.chdir(tmp_path)
    for name in ("VITLIT_DATA", "VITLIT_MIRRORS", "VITLIT_RUNS", "VITLIT_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(records, "book", lambda: tmp_path / "runs")
    monkeypatch.setenv("VITLIT_CACHE", str(tmp_path / "cache"))

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["vitlit", *map(str, words)])
        monkeypatch.setattr(cli, "console", cli.Terminal())
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with images, a run on them under my-runs/, and what the command printed."""
    root = tmp_path_factory.mktemp("trained")
    data = dataset(train=30, test=24)
    for split in ("train", "test"):
        images, labels = getattr(data, f"{split}_images"), getattr(data, f"{split}_labels")
        for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            path = root / "tiny" / split / CLASSES[label] / f"{i:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
    # As for a reader who has only what training needs.
    words = ["train", *TINY, "--data", "tiny", "--name", "one", "--set=batch_size=10"]
    environment = {"HOME": str(root), "OMP_NUM_THREADS": "1"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VITLIT_")}
    command = [sys.executable, "-c", HIDE, *words]
    ran = subprocess.run(
        command, cwd=root, env=kept | environment, text=True, capture_output=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    return root, ran


def test_training_needs_only_what_it_declares(trained):
    root, ran = trained
    assert "smoke on tiny, 30 images → " in ran.stdout
    assert "images/s" in ran.stderr
    run = records.read(root / "my-runs" / "one")
    assert run.summary["preset"] == "smoke"
    assert run.config["command"].startswith("vitlit train --preset smoke --seed 0 --set model.wid")
    assert run.config["batch_size"] == 10
    assert run.weights is not None
    assert f"{run.summary['test_accuracy']:.2%}" in ran.stdout


def test_predict_agrees_with_evaluate_file_by_file(vitlit, trained, tmp_path):
    root, _ = trained
    weights = root / "my-runs" / "one" / "model.safetensors"
    code, out, _ = vitlit(
        "evaluate", "--weights", weights, "--data", root / "tiny", "--files", "new/files.csv"
    )
    assert code == 0
    with open(tmp_path / "new" / "files.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    assert all(row["true"] == Path(row["file"]).parent.name for row in rows)
    right = sum(row["true"] == row["predicted"] for row in rows)
    assert f"tiny: {right} of 24 test images right, {right / 24:.2%}" in out
    assert right / 24 == records.read(root / "my-runs" / "one").summary["test_accuracy"]

    images = [root / "tiny" / row["file"] for row in rows[:20]]
    code, out, _ = vitlit("predict", *images, "--weights", weights, "--top", 1)
    assert code == 0
    said = [re.fullmatch(r"(.+): (\w+) [\d.]+%", line).groups() for line in out.splitlines()]
    assert said == [
        (str(image), row["predicted"]) for image, row in zip(images, rows[:20], strict=True)
    ]


def test_chances_of_all_classes_add_up(vitlit, trained):
    root, _ = trained
    weights = root / "my-runs" / "one" / "model.safetensors"
    image = next((root / "tiny" / "test" / "bee").iterdir())
    _, out, _ = vitlit("predict", image, "--weights", weights, "--top", 9)
    chances = dict(re.findall(r"(\w+) ([\d.]+)%", out))
    assert set(chances) == set(CLASSES)
    assert sum(map(float, chances.values())) == pytest.approx(100, abs=0.2)
    assert list(map(float, chances.values())) == sorted(map(float, chances.values()), reverse=True)


@pytest.mark.parametrize("pooling", ["class", "mean"])
def test_attention_of_any_picture_is_drawn(vitlit, trained, tmp_path, pooling):
    root, _ = trained
    weights = root / "my-runs" / "one" / "model.safetensors"
    if pooling == "mean":
        classifier = load(weights)
        config = replace(classifier.model.config, pooling="mean")
        weights = tmp_path / "mean.safetensors"
        replace(classifier, model=VisionTransformer(config)).save(weights)
    picture = tmp_path / "large.jpg"
    Image.effect_noise((90, 40), 80).save(picture)
    code, out, _ = vitlit("predict", picture, "--weights", weights, "--attention", "seen.png")
    assert (code, out.count("\n")) == (0, 1)
    drawn = Image.open(BytesIO((tmp_path / "seen.png").read_bytes()))
    assert drawn.format == "PNG"
    assert drawn.width > 2 * drawn.height


def test_the_newest_own_run_is_taken_by_default_and_then_the_books_best(vitlit, trained, tmp_path):
    root, _ = trained
    image = next((root / "tiny" / "test" / "bee").iterdir())
    places = [tmp_path / name for name in ("my-runs/new", "my-runs/old", "runs/good", "runs/bad")]
    for age, place in enumerate(places):
        shutil.copytree(root / "my-runs" / "one", place)
        summary = place / "summary.json"
        about = {"preset": "cpu", "data": "cifar10", "test_accuracy": (9 - age) / 10}
        summary.write_text(json.dumps(json.loads(summary.read_text()) | about))
        os.utime(summary, (1000 - age, 1000 - age))
    # A study's own start is no model to ask, however new.
    shutil.copytree(places[0], tmp_path / "my-runs/base")
    base = tmp_path / "my-runs/base/summary.json"
    base.write_text(json.dumps(json.loads(base.read_text()) | {"preset": "pretraining"}))
    for place in places[:3]:
        code, _, err = vitlit("predict", image)
        assert (code, err) == (0, f"model: {place}\n")
        shutil.rmtree(place)
    shutil.rmtree(tmp_path / "runs")
    code, _, err = vitlit("predict", image)
    assert code == 1
    assert f"no trained weights under {tmp_path / 'my-runs'}; give --weights FILE, or train" in err


def test_a_name_says_whose_run_it_means(vitlit, trained, tmp_path):
    root, _ = trained
    image = next((root / "tiny" / "test" / "bee").iterdir())
    for folder in ("runs", "my-runs"):
        shutil.copytree(root / "my-runs", tmp_path / folder)
    for folder in ("runs", "my-runs"):
        code, _, err = vitlit("predict", image, "--weights", "one")
        assert (code, err) == (0, f"model: {tmp_path / folder / 'one'}\n")
        (tmp_path / folder / "one" / "model.safetensors").unlink()
    code, _, err = vitlit("predict", image, "--weights", "one")
    assert code == 1
    assert "one is the record of a run whose weights were not kept" in err


def test_a_damaged_record_of_the_readers_is_named_and_stops_nothing(vitlit, trained, tmp_path):
    root, _ = trained
    image = next((root / "tiny" / "test" / "bee").iterdir())
    shutil.copytree(root / "my-runs", tmp_path / "my-runs")
    (tmp_path / "my-runs" / "broken").mkdir()
    (tmp_path / "my-runs" / "broken" / "summary.json").write_text("{}")
    code, _, err = vitlit("predict", image)
    assert code == 0
    assert re.search(r"left out: .*broken.config.json cannot be read", err)


def test_predict_takes_another_librarys_weights(vitlit, trained, tmp_path, monkeypatch):
    root, _ = trained
    model = randomize_(VisionTransformer(ViTConfig(image_size=(16, 16), classes=4))).float()
    state = to_layout(model.state_dict(), "torchvision", model.config)
    about = {"classes": list("wxyz"), "mean": (0.5,) * 3, "std": (0.25,) * 3}
    found = {"torchvision": lambda name: (state, about | {"name": name}, {"heads": 3})}
    monkeypatch.setattr(pretrained, "LIBRARIES", found)
    image = next((root / "tiny" / "test" / "bee").iterdir())
    drawn = tmp_path / "attention.png"
    words = ("--weights", "torchvision:vit_b_16", "--top", "4", "--attention", drawn)
    code, out, _ = vitlit("predict", image, *words)
    assert code == 0
    assert all(f"{name} " in out for name in "wxyz")
    assert drawn.stat().st_size > 1000


def test_what_hugging_face_was_given_is_predicted_with_from_its_folder(vitlit, trained, tmp_path):
    root, _ = trained
    ours = load(root / "my-runs" / "one" / "model.safetensors")
    linear = randomize_(VisionTransformer(replace(ours.model.config, head="linear"))).float()
    replace(ours, model=linear).save(tmp_path / "linear.safetensors")
    words = ("--to", "huggingface", "--weights", "linear.safetensors")
    assert vitlit("export", "theirs", *words)[0] == 0
    image = next((root / "tiny" / "test" / "bee").iterdir())
    _, expected, _ = vitlit("predict", image, "--weights", "linear.safetensors")
    code, out, _ = vitlit("predict", image, "--weights", "theirs")
    assert (code, out) == (0, expected)


def test_predict_takes_the_papers_file(vitlit, trained, tmp_path):
    root, _ = trained
    model = randomize_(VisionTransformer(ViTConfig(image_size=(16, 16), classes=4, gelu="tanh")))
    state = to_layout(model.float().state_dict(), "npz", model.config)
    np.savez(tmp_path / "paper.npz", **{name: t.numpy() for name, t in state.items()})
    image = next((root / "tiny" / "test" / "bee").iterdir())
    code, out, _ = vitlit("predict", image, "--weights", "paper.npz", "--top", 4)
    assert code == 0
    assert {name for name, _ in re.findall(r"(\w+) ([\d.]+)%", out)} == set("0123")


def test_export_writes_a_folder_and_says_how_to_load_it(vitlit, trained, tmp_path):
    root, _ = trained
    weights = root / "my-runs" / "one" / "model.safetensors"
    out = tmp_path / "out"
    code, said, _ = vitlit("export", out, "--to", "timm", "--weights", weights)
    assert code == 0
    assert f'timm.create_model("local-dir:{out.as_posix()}", pretrained=True)' in said
    assert sorted(file.name for file in out.iterdir()) == ["config.json", "model.safetensors"]
    for words, message in (
        (("--to", "timm"), "is there already; give another folder"),
        (("--to", "npz"), "'npz'; choose one of torchvision, timm, huggingface, onnx"),
    ):
        code, _, err = vitlit("export", out, *words, "--weights", weights)
        assert (code, message in err) == (1, True)


def test_the_lines_of_every_export_run_as_printed_and_predict_the_same(vitlit, trained, tmp_path):
    root, _ = trained
    ours = load(root / "my-runs" / "one" / "model.safetensors")
    replace(ours, model=randomize_(ours.model).float()).save(tmp_path / "w")
    for library in ("torchvision", "timm", "huggingface"):
        code, lines, err = vitlit("export", library, "--to", library, "--weights", "w")
        assert code == 0, err
        ran = subprocess.run(
            [sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
        _, expected, _ = vitlit("predict", figures.CHELSEA, "--weights", library, "--top", 1)
        assert expected.endswith(f": {ran.stdout}"), (library, expected, ran.stdout)


@pytest.mark.slow
def test_a_graph_is_written_and_its_lines_predict_the_same(vitlit, trained, tmp_path):
    root, _ = trained
    ours = load(root / "my-runs" / "one" / "model.safetensors")
    replace(ours, model=randomize_(ours.model).float()).save(tmp_path / "w", torch.float16)
    words = ("--to", "onnx", "--weights", "w", "--stored", "fp16")
    code, lines, err = vitlit("export", "mine.onnx", *words)
    assert (code, err) == (0, "")
    assert about(Path("mine.onnx").read_bytes())["stored"] == "fp16"
    ran = subprocess.run(
        [sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    _, expected, _ = vitlit("predict", figures.CHELSEA, "--weights", "w", "--top", 1)
    assert expected.endswith(f": {ran.stdout}")


def test_an_export_that_a_library_cannot_hold_names_the_command_that_helps(vitlit, trained):
    root, _ = trained
    ours = load(root / "my-runs" / "one" / "model.safetensors")
    config = replace(ours.model.config, head="mlp")
    replace(ours, model=VisionTransformer(config)).save("w")
    code, _, err = vitlit("export", "out", "--to", "timm", "--weights", "w")
    assert code == 1
    assert "vitlit train --preset own --set start=w, or train anew" in err


def test_what_is_assumed_of_weights_is_said_and_can_be_said_otherwise(vitlit, trained, tmp_path):
    root, _ = trained
    image = next((root / "tiny" / "test" / "bee").iterdir())
    model = randomize_(VisionTransformer(ViTConfig(image_size=(16, 16), classes=3))).float()
    torch.save({"net": model.state_dict()}, tmp_path / "mine.pth.tar")
    code, _, err = vitlit("predict", image, "--weights", "mine.pth.tar")
    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith("assumed of mine.pth.tar: heads=3 image_size=16x16 eps=1e-06 gelu=none ")
    said = "heads=3,eps=1e-6,gelu=none,image_size=16x16,mean=0.5,std=0.5,classes=x:y:z"
    code, out, err = vitlit("predict", image, "--weights", f"mine.pth.tar,{said}")
    assert (code, err) == (0, "")
    assert {name for name, _ in re.findall(r"(\w+) ([\d.]+)%", out)} == {"x", "y", "z"}
    code, out, _ = vitlit("evaluate", "--weights", "mine.pth.tar,classes=ant:bee:cat",
                          "--data", root / "tiny")  # fmt: skip
    assert (code, "of 24 test images right" in out) == (0, True)


@pytest.mark.parametrize("command", ["predict", "evaluate", "export"])
def test_weights_that_are_no_numbers_are_refused_by_every_command(vitlit, trained, command):
    root, _ = trained
    model = randomize_(VisionTransformer(ViTConfig(image_size=(16, 16), classes=3))).float()
    model.head.bias.data[0] = float("nan")
    torch.save(model.state_dict(), "nan.pt")
    image = next((root / "tiny" / "test" / "bee").iterdir())
    words = {"predict": [image], "evaluate": ["--data", root / "tiny"],
             "export": ["out", "--to", "timm"]}[command]  # fmt: skip
    code, _, err = vitlit(command, *words, "--weights", "nan.pt")
    assert code == 1
    assert err.startswith("error: nan.pt: head.bias holds 1 of 3 numbers that are NaN")
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (".", "--attention . is a folder; give a file, attention.png"),
        ("seen.jpg", "--attention seen.jpg is to be a PNG; call it seen.png"),
        ("picture.png", "--attention picture.png is the picture itself; give another file"),
    ],
)
def test_a_place_for_a_drawing_that_is_none_is_refused_first(vitlit, tmp_path, place, words):
    Image.effect_noise((9, 9), 80).save(tmp_path / "picture.png")
    before = (tmp_path / "picture.png").read_bytes()
    code, _, err = vitlit("predict", "picture.png", "--attention", place)
    assert (code, err) == (1, f"error: {words}\n")
    assert (tmp_path / "picture.png").read_bytes() == before


def test_training_from_foreign_weights_says_what_was_assumed(vitlit, trained, tmp_path):
    root, _ = trained
    model = randomize_(VisionTransformer(ViTConfig(image_size=(16, 16), classes=7))).float()
    torch.save({"model_state_dict": model.state_dict()}, tmp_path / "mine.ckpt")
    words = ["--preset", "finetune-32", "--set=start=mine.ckpt", "--set=epochs=1"]
    code, _, err = vitlit("train", *words, "--data", root / "tiny", "--name", "tuned")
    assert code == 0, err
    assert "assumed of mine.ckpt: heads=3 image_size=16x16" in err
    about = records.read(tmp_path / "my-runs" / "tuned").config["started"]
    assert about["trained_on"] == "mine.ckpt"
    assert about["assumed"]["heads"] == 3


def test_data_says_what_is_there(vitlit, trained):
    root, _ = trained
    code, out, _ = vitlit("data", root / "tiny")
    assert code == 0
    assert "30 train, 24 test" in out
    assert "3: ant, bee, cat" in out


def test_data_shows_how_a_folder_is_laid_out(vitlit):
    code, out, _ = vitlit("data", "--help")
    assert code == 0
    for line in ("photos/train/cat/1.jpg        photos/cat/1.jpg", "photos/test/dog/4.jpg"):
        assert f"      {line}\n" in out


@pytest.fixture
def photos(trained, tmp_path):
    """The images of `trained` in a zip, one of them at another size, in folders of classes only."""
    root = tmp_path / "photos"
    for path in sorted((trained[0] / "tiny" / "test").rglob("*.png")):
        (root / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path.parent.name)
    with Image.open(path) as image:
        image.resize((40, 30)).save(root / path.parent.name / "large.jpg")
    (root / "notes.txt").write_text("")
    return pack_zip(tmp_path / "photos", tmp_path / "photos.zip", "photos")


def test_own_pictures_of_any_size_are_trained_on_with_one_command(vitlit, photos, tmp_path):
    words = ["train", *TINY, "--data", photos, "--name", "own"]
    code, _, err = vitlit(*words)
    assert code == 1
    assert "photos.zip has images of 2 sizes" in err
    assert "--size 8 (or VITLIT_SIZE=8)" in err
    code, out, err = vitlit(*words, "--size", "16x24")
    assert code == 0, err
    assert "smoke on photos, 19 images → " in out
    for line in (
        "images: 25 images cropped and resized to 16×24 (H×W)",
        "images: 3 classes: ant, bee, cat",
        "images: 19 to learn from, 6 to test on: one in 5 of each class is tested on",
        "images: skipped: 1 .txt",
    ):
        assert line in out
    run = records.read(tmp_path / "my-runs" / "own")
    assert run.data["size"] == [16, 24]
    assert run.data["skipped"] == {".txt": 1}
    assert run.data["division"].startswith("one in 5")
    assert run.config["command"].endswith(" --size 16x24")
    assert run.config["vit"]["image_size"] == [16, 24]


def test_images_of_many_sizes_are_evaluated_at_the_models_own(vitlit, trained, photos, monkeypatch):
    weights = trained[0] / "my-runs" / "one" / "model.safetensors"
    words = ["evaluate", "--weights", weights, "--data", photos]
    code, out, err = vitlit(*words)
    assert code == 0, err
    assert "images: at the model's own size, --size 8" in err
    assert vitlit(*words, "--size", "8")[1] == out
    assert "of 6 test images right" in out
    monkeypatch.setenv("VITLIT_SIZE", "97")
    code, _, err = vitlit(*words)
    assert code == 1
    assert "--size 96" in err


def test_help_names_the_commands(vitlit):
    code, out, _ = vitlit("--help")
    assert code == 0
    assert all(
        f" {command} " in out
        for command in ("train", "ablate", "evaluate", "predict", "export", "data")
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train --preset gpu3", "no preset 'gpu3'; choose one of smoke, quick, cpu"),
        ("train --variant bigger", "no variant 'bigger'; choose one of positions=none, "),
        ("train --set norm=post", "whose weights are not stored; give --variant"),
        ("train --set epochs", "--set 'epochs' has no value; write NAME=VALUE"),
        ("train --set epoch=3", "a recipe has no 'epoch'; did you mean epochs?"),
        ("train --set model.wdth=3", "a model has no 'wdth'; did you mean model.width?"),
        ("train --set epochs=many", "epochs is 'many'; it must be a whole number, at least 1"),
        ("train --set epochs=1.5", "epochs is 1.5; it must be a whole number, at least 1"),
        ("train --set crop=true", "crop is True; it must be a number, at least 0 and at most 0.5"),
        (
            "train --set model.head_width=wide",
            "head_width is 'wide'; it must be a whole number, at least 1 and at most",
        ),
        ("train --set model=3", "model is 3; change its fields, such as model.width"),
        ("train --set name=x", "a recipe has no 'name' to set; give --name x"),
        ("train --set epochs=0", "epochs is 0; it must be at least 1"),
        ("train --set optimizer=sgd", "optimizer 'sgd' does not exist; choose one of"),
        ("train --data TOYS --set model.heads=5", "heads 5 does not divide width 32; choose"),
        ("train --data TOYS --set model.patch_size=3", "patch_size 3 does not divide the image"),
        ("train --data TOYS --set model.pooling=max", "pooling 'max' does not exist; choose"),
        (
            "train --data TOYS --set holdout=30",
            "holdout is 30; of 30 images in 3 classes it",
        ),
        (
            "train --data TOYS --device tpu",
            "no device 'tpu'; choose cpu, cuda, cuda:N, mps or auto",
        ),
        ("train --data nowhere", "source is 'nowhere', where nothing is; give the path"),
        ("train --data TEXT", "text.txt cannot be read"),
        ("train --data TOYS --size big", "size is 'big'; write a side, such as 64, or height"),
        ("train --data TOYS --size 4096", "size is 4096; a side must be 8 to 1024"),
        ("data TOYS --size 97", "--size 96 (or VITLIT_SIZE=96)"),
        ("evaluate --weights WEIGHTS --data TOYS --size 97", "--size 96 (or VITLIT_SIZE=96)"),
        ("evaluate", "no trained weights under "),
        (
            "evaluate --weights nowhere",
            "no weights nowhere; give a file, or a run's folder or its name",
        ),
        ("evaluate --weights TEXT", "text.txt is no safetensors, npz or PyTorch file; give a file"),
        ("evaluate --weights WEIGHTS --data nowhere", "where nothing is"),
        ("predict nowhere.png --weights WEIGHTS", "nowhere.png cannot be read"),
        ("predict TEXT --weights WEIGHTS", "text.txt is no readable image"),
        ("predict a.png b.png --attention c.png", "--attention draws one picture, not 2"),
        ("data --jpeg 75", "--jpeg QUALITY and --to FOLDER go together; give both or none"),
        ("data TOYS --jpeg 75 --to new", "tiny is not the official CIFAR-10"),
        ("data TOYS --jpeg 0 --to new", "JPEG quality 0 is not between 1 and 95"),
    ],
)
def test_bad_input_ends_with_one_line_that_says_what_would_do(
    vitlit, trained, tmp_path, words, message
):
    root, _ = trained
    (tmp_path / "text.txt").write_text("neither weights nor a picture")
    places = {
        "TOYS": root / "tiny",
        "TEXT": tmp_path / "text.txt",
        "WEIGHTS": root / "my-runs" / "one" / "model.safetensors",
    }
    command, *rest = [str(places.get(word, word)) for word in words.split()]
    code, _, err = vitlit(
        command, *(["--preset", "smoke"] if rest[:1] == ["--data"] else []), *rest
    )
    assert code == 1
    assert err.startswith("error: ")
    assert message in err.replace("\n", " ")
    assert "Traceback" not in err
    assert {path.name for path in tmp_path.iterdir()} <= {"text.txt", "cache"}


def test_wrong_words_are_explained(vitlit):
    code, _, err = vitlit("predict", "--weight", "x")
    assert code == 2
    assert "No such option" in err


def test_data_with_other_classes_is_refused(vitlit, trained, tmp_path):
    root, _ = trained
    shutil.copytree(root / "tiny", tmp_path / "other")
    for split in ("train", "test"):
        (tmp_path / "other" / split / "ant").rename(tmp_path / "other" / split / "wasp")
    weights = root / "my-runs" / "one" / "model.safetensors"
    code, _, err = vitlit("evaluate", "--weights", weights, "--data", "other")
    assert code == 1
    assert "the model knows the classes ant, bee, cat; other has bee, cat, wasp; evaluate it" in err


def test_a_gpu_that_is_not_there_is_refused(vitlit, trained, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    weights = trained[0] / "my-runs" / "one" / "model.safetensors"
    code, _, err = vitlit("evaluate", "--weights", weights, "--device", "cuda:1")
    assert code == 1
    assert "device 'cuda:1' is not there; use --device cpu" in err


def test_a_name_that_is_taken_is_refused_and_kept(vitlit, trained, tmp_path):
    root, _ = trained
    shutil.copytree(root / "my-runs", tmp_path / "my-runs")
    before = (tmp_path / "my-runs" / "one" / "summary.json").read_bytes()
    code, _, err = vitlit("train", *TINY, "--data", root / "tiny", "--name", "one")
    assert code == 1
    assert "holds a finished run; give another --name, or move it" in err
    assert (tmp_path / "my-runs" / "one" / "summary.json").read_bytes() == before


def test_the_seed_may_be_set_like_any_field(vitlit, trained, tmp_path):
    root, _ = trained
    words = ["--set=seed=5", "--set=epochs=1", "--data", root / "tiny", "--name", "x"]
    assert vitlit("train", *TINY, *words)[0] == 0
    run = records.read(tmp_path / "my-runs" / "x")
    assert run.summary["seed"] == 5
    assert run.config["command"].startswith("vitlit train --preset smoke --seed 5")


@pytest.mark.slow
def test_ablate_trains_what_is_missing_and_only_that(vitlit, trained, tmp_path, monkeypatch):
    root, _ = trained
    (tmp_path / "my-runs").mkdir()
    variants = {name: presets.VARIANTS[name] for name in ("norm=post", "patch_size=2")}
    monkeypatch.setattr(presets, "VARIANTS", variants)
    words = ["ablate", "--preset", "ablation", "--seeds", 1, "--jobs", 2, "--data", root / "tiny"]
    code, out, err = vitlit(*words)
    assert code == 0, err
    names = ["ablation-seed0", "ablation-norm-post-seed0", "ablation-patch_size-2-seed0"]
    assert [line.split()[0] for line in out.splitlines()] == names
    runs = [records.read(tmp_path / "my-runs" / name) for name in names]
    assert [run.summary["variant"] for run in runs] == ["", *variants]
    assert {run.summary["preset"] for run in runs} == {"ablation"}
    assert (
        runs[1].config["command"] == "vitlit train --preset ablation --variant norm=post --seed 0"
    )

    kept = [(run.path / "summary.json").stat().st_mtime_ns for run in runs]
    shutil.rmtree(runs[2].path)
    assert vitlit(*words)[1] == out
    again = [(run.path / "summary.json").stat().st_mtime_ns for run in runs]
    assert again[:2] == kept[:2]
    assert again[2] > kept[2]


def test_two_ablations_at_once_are_refused(vitlit, tmp_path):
    with locks.held(tmp_path / "my-runs" / "ablation"):
        code, _, err = vitlit("ablate", "--seeds", 1, "--data", "nowhere")
    assert code == 1
    assert "ablation is being written by another process; wait until it is done" in err


@pytest.mark.slow
def test_an_ablation_that_fails_says_which(vitlit, tmp_path):
    (tmp_path / "my-runs").mkdir()
    code, _, err = vitlit("ablate", "--seeds", 1, "--data", "nowhere", "--size", "48x64")
    assert code == 1
    assert "--name ablation-seed0 --data nowhere --size 48x64 failed" in err
    assert "source is 'nowhere', where nothing is" in err.replace("\n", " ")
    assert [path.name for path in (tmp_path / "my-runs").iterdir()] == [".locks"]


def test_a_seed_is_given_once(vitlit):
    code, _, err = vitlit("train", *TINY, "--seed", 0, "--set", "seed=5")
    assert (code, err) == (
        1,
        "error: seed is given twice, by --seed 0 and by --set; give it once\n",
    )


def test_a_run_that_another_process_writes_is_refused(vitlit, trained, tmp_path):
    with locks.held(tmp_path / "my-runs" / "x"):
        code, _, err = vitlit("train", *TINY, "--data", trained[0] / "tiny", "--name", "x")
    assert code == 1
    assert re.search(r"error: .*x is being written by another process; wait until .*name\n$", err)


def test_a_run_that_diverges_ends_with_an_error(vitlit, trained, tmp_path):
    wild = [f"--set={name}" for name in ("learning_rate=10", "weight_decay=10", "batch_size=1")]
    words = ["--set=warmup=0", "--data", trained[0] / "tiny", "--name", "x"]
    code, _, err = vitlit("train", *TINY, *wild, *words)
    assert code == 1
    assert re.search(r"error: the run diverged in epoch 1: the loss is (nan|inf) in step \d+", err)
    assert not (tmp_path / "my-runs" / "x").exists()


def test_several_processes_need_a_name(vitlit, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, _, err = vitlit("train", *TINY)
    assert code == 1
    assert "2 processes need one folder; give --name" in err


# Who starts the tests in the background lets their processes ignore Ctrl-C.
SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from vitlit import cli, data
def slow(*_, **__):
    print("begun", flush=True)
    time.sleep(60)
{where} = slow
sys.argv[0] = "vitlit"
cli.main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("import vitlit.train; vitlit.train.train_epoch", "no epoch was done; the same command"),
        ("data.load", "nothing was written; the same command begins anew"),
    ],
)
def test_ctrl_c_ends_in_one_line(tmp_path, where, said):
    words = ["train", "--preset", "smoke", "--data", "digits"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW.format(where=where), *words], cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while process.stdout.readline() != "begun\n":
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.strip().splitlines()[-1].startswith(f"stopped; {said}")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp/a"])
def test_a_name_is_one_folder(vitlit, name):
    code, _, err = vitlit("train", "--data", "digits", "--preset", "smoke", "--name", name)
    assert code == 1
    assert f"--name {name!r} is no name of a folder; give one without slashes" in err


def test_a_run_that_starts_from_weights_needs_no_preset(vitlit, tmp_path):
    smoke = ("--preset", "smoke", "--name", "first")
    for words in (smoke, ("--set", "epochs=1", "--set", "start=first", "--name", "tuned")):
        code, _, err = vitlit("train", "--data", "digits", *words)
        assert code == 0, err
    config = records.read(tmp_path / "my-runs" / "tuned").config
    assert (config["preset"], config["start"]) == ("own", "first")


def test_weights_whose_answers_overflow_are_refused(vitlit, tmp_path):
    vitlit("train", "--data", "digits", "--preset", "smoke", "--name", "one")
    file = tmp_path / "my-runs" / "one" / "model.safetensors"
    large = load(file)
    with torch.no_grad():
        for parameter in large.model.parameters():
            parameter.mul_(1e30)
    large.save(tmp_path / "large.safetensors")
    picture = Image.new("L", (8, 8))
    picture.save(tmp_path / "gray.png")
    for words in (("predict", "gray.png"), ("evaluate", "--data", "digits")):
        code, _, err = vitlit(*words, "--weights", "large.safetensors")
        assert code == 1
        assert "large.safetensors gives answers that are no finite numbers" in err
