"""vitlit.terminal and the command: names from outside, under every encoding."""

import os
import re
import subprocess
import sys
from io import BytesIO, TextIOWrapper

import pytest
from helpers.tiny import CLASSES, MODEL, dataset
from PIL import Image

from vitlit import cli
from vitlit.cli import Terminal
from vitlit.terminal import plain

NAMES = ("owl [barn]", "cow :horse:", "[/red]", "[bold]x[/]", "{0}%s", "é 猫 😀", "بقرة", "a×b→c")


@pytest.mark.parametrize("name", NAMES)
def test_what_can_be_read_is_printed_verbatim(name, capsys):
    Terminal().print(f"{name}: {name}")
    assert capsys.readouterr().out == f"{name}: {name}\n"
    assert plain(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b[31mb", r"a\x1b[31mb"), ("a\nb", r"a\nb"), ("a\rb", r"a\rb"), ("a\tb", r"a\tb"),
        ("a\x07b", r"a\x07b"), ("a\x7fb", r"a\x7fb"), ("a\x9bb", r"a\x9bb"), ("a\0b", r"a\x00b"),
        ("a\u202eb", r"a\u202eb"), ("a\u2066b", r"a\u2066b"), ("a\u2028b", r"a\u2028b"),
        (b"a\xffb".decode(errors="surrogateescape"), r"a\xffb"), ("a\ud800b", r"a\ud800b"),
    ],
)  # fmt: skip
def test_what_controls_a_terminal_is_escaped(name, shown, capsys):
    assert plain(name) == shown
    Terminal().print(name)
    printed = name if "\n" in name else shown  # a message may have several lines
    assert capsys.readouterr().out == f"{printed}\n"


def test_an_emoji_joined_of_several_stays_one():
    assert plain("👩\u200d🔬") == "👩\u200d🔬"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder whose classes are called strangely."""
    root = tmp_path_factory.mktemp("pictures")
    data = dataset(train=12, test=6)
    names = dict(zip(CLASSES, ("owl [barn]", "cow :horse:", "é→猫\x1b[31m"), strict=True))
    for split in ("train", "test"):
        images, labels = getattr(data, f"{split}_images"), getattr(data, f"{split}_labels")
        for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            path = root / "pics [x]" / split / names[CLASSES[label]] / f"{i} [copy].png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
    return root


@pytest.fixture
def vitlit(pictures, monkeypatch):
    """Runs the command with output piped in an encoding; its exit code and the bytes it wrote."""
    monkeypatch.chdir(pictures)
    for name in ("VITLIT_DATA", "VITLIT_RUNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VITLIT_CACHE", str(pictures / "cache"))

    def run(encoding, *words):
        pipes = [TextIOWrapper(BytesIO(), encoding=encoding, newline="\n") for _ in range(2)]
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["vitlit", *map(str, words)])
            for name, pipe in zip(("stdout", "stderr"), pipes, strict=True):
                patch.setattr(sys, name, pipe)
            with pytest.raises(SystemExit) as end:
                cli.main()
        texts = []
        for pipe in pipes:
            pipe.flush()
            texts.append(pipe.buffer.getvalue().decode(encoding, "replace"))
        return end.value.code, *texts

    return run


TINY = [f"--set=model.{name}={value}" for name, value in MODEL.items()]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252", "gbk"])
def test_a_run_ends_well_under_every_encoding(vitlit, pictures, encoding):
    words = ["train", "--preset", "smoke", *TINY, "--data", "pics [x]", "--name", encoding]
    code, out, err = vitlit(encoding, *words)
    assert code == 0, err
    arrow = "→" if encoding in ("utf-8", "gbk") else "->"
    assert out.startswith(f"smoke on pics [x], 12 images {arrow} ")
    assert "pics [x], test images\n" in out
    assert "24/24" in err
    assert ("█" in err) == (arrow == "→")

    image = next((pictures / "pics [x]" / "test").glob("é*/*.png")).relative_to(pictures)
    code, out, err = vitlit(encoding, "predict", image, "--weights", encoding)
    letters = {"utf-8": "é→猫", "gbk": "é→猫", "cp1252": r"é->\u732b", "ascii": r"\xe9->\u732b"}
    name = rf"{letters[encoding]}\x1b[31m"
    assert code == 0, err
    assert out.startswith(f"pics [x]/test/{name}/")
    assert " [copy].png: " in out
    shown = set(re.findall(r"(?:: |, )(.+?) [\d.]+%", out))
    assert shown == {"owl [barn]", "cow :horse:", name}


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_an_error_and_help_are_printed_under_every_encoding(vitlit, encoding):
    code, _, err = vitlit(encoding, "predict", "nö [bold]x[/]→.png", "--weights", "no → run\x1b[0m")
    assert code == 1
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "\x1b[0m" not in err
    code, out, _ = vitlit(encoding, "train", "--help")  # typer's, which takes ASCII for UTF-8
    assert (code, "torchrun --nproc-per-node 4 -m vitlit train" in out) == (0, True)


@pytest.mark.slow
def test_a_system_that_knows_only_ascii_trains(pictures):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VITLIT_")}
    kept |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "OMP_NUM_THREADS": "1"}
    words = ["train", "--preset", "smoke", *TINY, "--data", "pics [x]", "--name", "C"]
    done = subprocess.run(
        [sys.executable, "-m", "vitlit", *words],
        cwd=pictures, env=kept | {"VITLIT_CACHE": "cache"}, capture_output=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"smoke on pics [x], 12 images -> ")
    assert b"24/24" in done.stderr
