"""README's commands, copied literally into a checkout: they run, or mean what exists."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.archives import CIFAR10, image_folder, pack_zip, picture

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs/start.md"]
LEFT_OUT = ("node_modules", "site", "build", "my-runs", ".venv", ".git", ".*_cache", "__pycache__")


def commands(text):
    """The lines of blocks of shell, without comments, and what else stands in code and is one."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    starts = r"(?:[A-Z_]+=\S+ )*(?:make|vitlit|\.venv/bin/\w+) [^`…]+"
    return [line for line in lines if line], re.findall(rf"`({starts})`", text)


README = commands((ROOT / "README.md").read_text(encoding="utf-8"))
BLOCKS = [line for line in README[0] if not line.startswith("make ")]
LONG = re.compile(r"\.venv/bin/(vitlit (train|ablate)|torchrun)")
NAMED = [line for line in README[1] if LONG.match(line)]
MAKES = {
    re.sub(r"^(?:[A-Z_]+=\S+ )+", "", line)
    for path in TEXTS
    for lines in commands(path.read_text(encoding="utf-8"))
    for line in lines
    if re.match(r"(?:[A-Z_]+=\S+ )*make ", line)
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout in which somebody put photos.zip and photo.jpg, and installed the module."""
    folder = tmp_path_factory.mktemp("reader") / "book"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
    program = folder / ".venv/bin/vitlit"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m vitlit "$@"\n')
    program.chmod(0o755)
    for kind in ("owl", "robin", "wren"):
        (folder / "photos" / kind).mkdir(parents=True)
        for i in range(4):
            size = (80 + 40 * i, 90 + len(kind))
            picture(size, "L" if i == 1 else "RGB", i).save(folder / f"photos/{kind}/{i}.png")
    pack_zip(folder / "photos", folder / "photos.zip")
    picture((300, 200)).save(folder / "photo.jpg")
    image_folder(folder / "pictures", CIFAR10, (1, 1), size=(32, 32))
    return folder


def run(checkout, command, **variables):
    """Run a line in the shell of who reads README at the root of the checkout."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("VITLIT_")},
        "PYTHONPATH": str(checkout / "src"),
        "VITLIT_CACHE": str(checkout / "cache"),
        "VITLIT_MIRRORS": "http://127.0.0.1:9/nowhere",
        "OMP_NUM_THREADS": "1",
        **variables,
    }
    return subprocess.run(
        command, shell=True, cwd=checkout, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="is a shell's")
def test_the_commands_of_a_block_run_one_after_the_other(checkout):
    assert [shlex.split(line)[1] for line in BLOCKS] == [
        "train", "predict", "export", "predict", "predict", "evaluate",
    ]  # fmt: skip
    for line in BLOCKS:
        if "torchvision:" in line:  # which is downloaded
            continue
        done = run(checkout, line, VITLIT_DATA=str(checkout / "pictures"))
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert (checkout / "my-runs/birds/model.safetensors").exists()
    assert (checkout / "build/birds/config.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="is a shell's")
@pytest.mark.parametrize("line", NAMED)
def test_a_command_that_takes_long_is_understood(checkout, line):
    """It stops at the data, which are not there: all before that was right."""
    line = line.replace("torchrun --nproc-per-node 4 -m ", "").replace(" --data photos.zip", "")
    done = run(checkout, line)
    assert done.returncode == 1
    assert "could not be downloaded" in done.stderr, done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("line", sorted(MAKES))
def test_make_knows_the_target(line):
    done = subprocess.run(f"{line} --dry-run", shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
