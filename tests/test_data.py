"""Every source that vitlit.data reads, well and badly made. Nothing here leaves the machine."""

import io
import json
import os
import pickletools
import shutil
import socket
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import archives
from helpers.archives import (
    CIFAR10,
    image_folder,
    official_archive,
    official_batches,
    pack,
    pack_zip,
    picture,
    png,
    serve,
)
from PIL import Image, ImageOps
from torch import Tensor

from vitlit import cifar10, data, pictures
from vitlit.data import DataError, Dataset, SizeError, load

# The user's settings, before the fixture below takes them away.
VITLIT_DATA, VITLIT_CACHE = (os.environ.get(name, "") for name in ("VITLIT_DATA", "VITLIT_CACHE"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no settings of the user's, and no proxy before the local server."""
    for name in ("VITLIT_DATA", "VITLIT_MIRRORS", "VITLIT_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("VITLIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """A small archive of the official form, and its md5."""
    path = tmp_path_factory.mktemp("official") / cifar10.ARCHIVE
    md5 = official_archive(path)
    return path.read_bytes(), md5


def assert_same(a: Dataset, b: Dataset, but: tuple[str, ...] = ()) -> None:
    for field in fields(Dataset):
        if field.name not in but:
            ours, theirs = getattr(a, field.name), getattr(b, field.name)
            same = torch.equal(ours, theirs) if isinstance(ours, Tensor) else ours == theirs
            assert same, field.name


def dead_url() -> str:
    """An address of this machine at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/whole"


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# The official archive


def test_official_archive_is_downloaded_once_and_decoded(official, cache):
    content, md5 = official
    with serve(content) as server:
        first = load("official", mirrors=[server.url("whole")], md5=md5)
        again = load("official", mirrors=[server.url("whole")], md5=md5)
    assert server.asked == ["whole"]
    assert files_in(cache) == [cifar10.ARCHIVE, f"official-{md5}.safetensors"]
    assert_same(first, again)
    batches = official_batches()
    rows = np.concatenate([batches[name]["data"] for name in archives.TRAIN_BATCHES])
    assert first.train_images.shape == (100, 3, 32, 32)
    assert np.array_equal(first.train_images.flatten(1).numpy(), rows)
    assert np.array_equal(first.test_images.flatten(1).numpy(), batches["test_batch"]["data"])
    assert first.test_labels.tolist() == batches["test_batch"]["labels"]
    assert first.train_labels.tolist() == [i % 10 for i in range(20)] * 5
    assert (first.name, first.title, first.classes) == ("cifar10", "CIFAR-10", CIFAR10)
    assert (first.checksum, first.source) == (f"md5:{md5}", cifar10.ARCHIVE)
    assert (first.patch_size, first.flip) == (4, True)
    assert first.test_files[17] == "test_batch/17"
    assert first.summary() == {
        "name": "cifar10",
        "title": "CIFAR-10",
        "source": cifar10.ARCHIVE,
        "checksum": f"md5:{md5}",
        "classes": list(CIFAR10),
        "counts": {"train": 100, "test": 20},
        "image_shape": [3, 32, 32],
        "size": None,
        "division": "",
        "skipped": {},
    }


def test_environment_names_mirrors_and_official_is_the_default(official, monkeypatch):
    content, md5 = official
    with serve(content) as server:
        monkeypatch.setenv("VITLIT_MIRRORS", f"{server.url('gone')} {server.url('whole')}")
        assert load(md5=md5).name == "cifar10"
        assert server.asked == ["gone", "whole"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("cut", "broke off before the end"),
        ("corrupted", "its md5 differs"),
        ("page", "its md5 differs"),
        ("gone", "404"),
        ("stalled", "sent nothing for 0.3 seconds"),
        ("stalls", "sent nothing for 0.3 seconds"),
        ("dead", "refused the connection"),
    ],
)
def test_bad_mirror_is_named_and_the_next_is_tried(official, cache, path, reason):
    content, md5 = official
    with serve(content) as server:
        bad = dead_url() if path == "dead" else server.url(path)
        with pytest.raises(DataError, match=reason) as caught:
            load(mirrors=[bad], md5=md5, timeout=0.3)
        assert bad in str(caught.value)
        assert "VITLIT_DATA" in str(caught.value)
        assert files_in(cache) == []
        assert not data.available(md5=md5)
        assert len(load(mirrors=[bad, server.url("whole")], md5=md5, timeout=0.3).test_labels) == 20
    assert files_in(cache) == [cifar10.ARCHIVE, f"official-{md5}.safetensors"]


def test_every_mirror_is_named_when_all_fail(official):
    content, md5 = official
    with serve(content) as server:
        urls = [dead_url(), server.url("page"), server.url("gone")]
        with pytest.raises(DataError) as caught:
            load(mirrors=urls, md5=md5)
    for url in urls:
        assert url in str(caught.value)
    assert "to a folder of images, or a complete .zip, .tar, " in str(caught.value)


def test_damaged_archive_in_the_cache_is_downloaded_again(official, cache):
    content, md5 = official
    cache.mkdir()
    (cache / cifar10.ARCHIVE).write_bytes(content[:-100])
    with serve(content) as server:
        assert not data.available(md5=md5)
        load(mirrors=[server.url("whole")], md5=md5)
    assert (cache / cifar10.ARCHIVE).read_bytes() == content


def test_download_into_a_folder_that_cannot_be_made(official, tmp_path):
    content, md5 = official
    (tmp_path / "file").write_text("")
    with serve(content) as server, pytest.raises(DataError, match="VITLIT_CACHE"):
        data.download(tmp_path / "file" / "cache", [server.url("whole")], md5=md5)


def test_download_without_pooch_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DataError, match="pip install pooch"):
        data.download()


def test_copy_of_the_official_archive_is_recognized_by_its_md5(official, tmp_path):
    content, md5 = official
    copy = tmp_path / "copy.tar.gz"
    copy.write_bytes(content)
    assert load(copy, md5=md5).checksum == f"md5:{md5}"
    with pytest.raises(DataError, match="looks like the official archive, but its md5"):
        load(copy)


def test_unpacked_archive_is_refused(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(b"")
    for given in (folder, tmp_path):
        with pytest.raises(DataError, match=r"unpacked; give cifar-10-python.tar.gz itself"):
            load(given)


def test_archive_of_other_sizes_and_classes(tmp_path):
    path = tmp_path / cifar10.ARCHIVE
    md5 = official_archive(path, official_batches(images=6, side=8, classes=("cat", "dog")))
    loaded = load(path, md5=md5)
    assert loaded.train_images.shape == (30, 3, 8, 8)
    assert loaded.classes == ("cat", "dog")


def test_python2_pickle_has_byte_strings_only():
    opcodes = {op.name for op, _, _ in pickletools.genops(archives.python2_pickle({"a": b"b"}))}
    assert "BINSTRING" in opcodes
    assert not any("UNICODE" in name or "BINBYTES" in name for name in opcodes)


@pytest.mark.parametrize("call", ["cos\nsystem\n", "c__builtin__\neval\n", "cnumpy\nload\n"])
def test_pickle_that_calls_something_else_is_refused(tmp_path, call):
    victim = tmp_path / "victim"
    malicious = f"{call}(S'touch {victim}'\ntR.".encode()
    path = tmp_path / cifar10.ARCHIVE
    md5 = official_archive(path, members={"cifar-10-batches-py/data_batch_3": malicious})
    name = call[1:].strip().replace("\n", ".")
    with pytest.raises(DataError, match=f"data_batch_3 cannot be read .*{name}.*refused"):
        load(path, md5=md5)
    assert not victim.exists()


def test_names_that_lead_outside_do_no_harm(tmp_path, cache):
    home = tmp_path / "a" / "b"
    home.mkdir(parents=True)
    evil = {"../evil": b"1", "../../cifar-10-batches-py/data_batch_1": b"2", "/tmp/evil": b"3"}
    md5 = official_archive(home / cifar10.ARCHIVE, members=evil)
    assert len(load(home / cifar10.ARCHIVE, md5=md5).train_labels) == 100
    assert [
        path for path in tmp_path.rglob("*") if path.is_file() and cache not in path.parents
    ] == [home / cifar10.ARCHIVE]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [10] * 20}, "labels from 10 to 10 for 10 classes"),
        ({"labels": [-1] * 20}, "labels from -1"),
        ({"labels": [0] * 19}, "for 19 labels"),
        ({"data": np.zeros((20, 3072), dtype=np.float32)}, "float32"),
        ({"data": np.zeros((20, 3000), dtype=np.uint8)}, "3000"),
    ],
)
def test_batch_of_another_form_is_refused(tmp_path, change, message):
    batches = official_batches()
    batches["data_batch_2"] |= change
    md5 = official_archive(tmp_path / cifar10.ARCHIVE, batches)
    with pytest.raises(DataError, match=message):
        load(tmp_path / cifar10.ARCHIVE, md5=md5)


def test_archive_without_a_batch_is_refused(tmp_path):
    left_out = {"cifar-10-batches-py/data_batch_4": None, "cifar-10-batches-py/batches.meta": None}
    md5 = official_archive(tmp_path / cifar10.ARCHIVE, members=left_out)
    with pytest.raises(DataError, match=r"lacks data_batch_4, batches.meta"):
        load(tmp_path / cifar10.ARCHIVE, md5=md5)


# Image folders and tar archives of them


def test_folder(tmp_path):
    root = image_folder(tmp_path / "pets")
    loaded = load(root)
    assert (loaded.name, loaded.title, loaded.source) == ("pets", "pets", "pets")
    assert loaded.classes == ("cat", "dog")
    assert loaded.train_images.shape == (6, 3, 8, 8)
    assert loaded.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert loaded.test_labels.tolist() == [0, 0, 1, 1]
    assert loaded.test_files == tuple(
        f"test/{name}/{i:04}.png" for name in ("cat", "dog") for i in (0, 1)
    )
    for name, image in zip(loaded.test_files, loaded.test_images, strict=True):
        pixels = np.asarray(Image.open(root / name)).transpose(2, 0, 1)
        assert np.array_equal(image.numpy(), pixels)
    assert loaded.checksum.startswith("sha256:")
    assert (loaded.patch_size, loaded.flip) == (1, True)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".zip"])
@pytest.mark.parametrize("top", ["", "pets", "./other", "one/two/three"])
def test_folder_and_archive_are_the_same(tmp_path, suffix, top):
    root = image_folder(tmp_path / "pets")
    archive = tmp_path / f"pets{suffix}"
    if suffix == ".zip":
        pack_zip(root, archive, top)
    elif suffix == ".tgz":
        shutil.move(pack(root, tmp_path / "pets.tar.gz", top), archive)
    else:
        pack(root, archive, top)
    assert_same(load(root), load(archive), but=("source",))
    assert load(archive).source == archive.name


def test_folder_within_the_folder_that_is_given(tmp_path):
    image_folder(tmp_path / "outer" / "pets")
    assert len(load(tmp_path / "outer").train_labels) == 6


def test_two_datasets_in_one_are_refused(tmp_path):
    image_folder(tmp_path / "outer" / "pets")
    image_folder(tmp_path / "outer" / "tiny", classes=("ball", "doll"))
    for given in (tmp_path / "outer", pack(tmp_path / "outer", tmp_path / "outer.tar")):
        with pytest.raises(DataError, match=r"'pets', 'tiny'.*keep one"):
            load(given)


def test_environment_names_the_source(tmp_path, monkeypatch):
    monkeypatch.setenv("VITLIT_DATA", str(image_folder(tmp_path / "pets")))
    assert load().name == "pets"
    monkeypatch.setenv("VITLIT_DATA", "digits")
    assert load().name == "digits"


def test_no_such_source(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"source is '.*nowhere', where nothing is"):
        load(tmp_path / "nowhere")
    monkeypatch.setenv("VITLIT_DATA", "digit")
    with pytest.raises(DataError, match=r"VITLIT_DATA is 'digit', .* or 'digits'"):
        load()
    assert not data.available()


def test_jpeg_copy_is_recognized_by_what_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "COUNTS", (20, 10))
    jpeg = {"classes": CIFAR10, "counts": (2, 1), "size": (32, 32), "suffix": ".jpg"}
    loaded = load(image_folder(tmp_path / "any", **jpeg))
    assert (loaded.name, loaded.title) == ("cifar10-jpeg", "CIFAR-10, JPEG copy")
    assert (loaded.classes, loaded.patch_size) == (CIFAR10, 4)
    for i, change in enumerate(
        (
            {"counts": (3, 1)},
            {"size": (16, 16)},
            {"suffix": ".png"},
            {"mode": "L"},
            {"classes": (*CIFAR10[:-1], "van")},
        )
    ):
        assert load(image_folder(tmp_path / f"other{i}", **(jpeg | change))).name == f"other{i}"


@pytest.mark.parametrize("name", ["cifar10", "cifar10-jpeg", "digits"])
def test_folder_cannot_pass_for_another_dataset(tmp_path, name):
    root = image_folder(tmp_path / name)
    assert load(root).name == load(pack(root, tmp_path / f"{name}.tar")).name == f"{name}-folder"


def test_gray_stays_gray_and_mixed_becomes_rgb(tmp_path):
    root = image_folder(tmp_path / "gray", mode="L")
    gray = load(root)
    assert gray.train_images.shape == (6, 1, 8, 8)
    picture().save(root / "train" / "cat" / "0000.png")
    mixed = load(root)
    assert mixed.train_images.shape == (6, 3, 8, 8)
    assert torch.equal(mixed.test_images, gray.test_images.expand(-1, 3, -1, -1))


def test_what_is_no_image_and_what_lies_beside_is_skipped_and_counted(tmp_path):
    root = image_folder(tmp_path / "pets")
    plain = load(root)
    for name in (
        "README.txt",
        "val/cat/0000.png",
        "banner.png",
        "train/.DS_Store",
        "train/cat/._0000.png",
        "train/.git/config",
        "train/.git/objects",
        "train/cat/Thumbs.db",
        "train/dog/Desktop.ini",
        "train/dog/@eaDir/0000.png",
        "train/dog/.ipynb_checkpoints/0000.png",
        "train/__MACOSX/cat/0000.png",
        "train/cat/notes.TXT",
        "train/dog/labels.csv",
        "train/dog/LICENSE",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no image")
    skipped = {
        ".csv": 1,
        ".txt": 2,
        "hidden, or left by a system": 8,
        "images in no class folder": 1,
        "images in val/": 1,
        "without a suffix": 1,
    }
    loaded = load(root)
    assert_same(loaded, plain, but=("skipped",))
    assert (plain.skipped, loaded.skipped) == ({}, skipped)
    assert loaded.summary()["skipped"] == skipped
    assert "2 .txt" in data.describe(root)
    assert loaded.remarks[-1].startswith("skipped: 1 .csv, 2 .txt, 8 hidden")
    assert_same(load(pack(root, tmp_path / "pets.tar")), loaded, but=("source",))
    assert_same(load(pack_zip(root, tmp_path / "pets.zip")), loaded, but=("source",))


def test_linked_folders_are_followed(tmp_path):
    root = image_folder(tmp_path / "pets")
    moved = shutil.move(root / "train" / "cat", tmp_path / "elsewhere")
    try:
        (root / "train" / "cat").symlink_to(moved, target_is_directory=True)
    except OSError:
        pytest.skip("this system lets no user make links")
    assert len(load(root).train_labels) == 6


def test_broken_link_is_refused(tmp_path):
    root = image_folder(tmp_path / "pets")
    try:
        (root / "train" / "cat" / "0009.png").symlink_to(tmp_path / "nothing.png")
    except OSError:
        pytest.skip("this system lets no user make links")
    with pytest.raises(DataError, match=r"nothing.png|0009.png"):
        load(root)


def _break(change):
    """A broken folder or tar archive, and what its error says, for the test below."""
    return pytest.param(change, id=change.__name__)


def unreadable(root: Path) -> str:
    (root / "train" / "cat" / "0001.png").write_bytes(b"no image")
    return r"train/cat/0001.png is no readable image .*replace or remove"


def truncated(root: Path) -> str:
    path = root / "test" / "dog" / "0000.png"
    path.write_bytes(path.read_bytes()[:60])
    return r"test/dog/0000.png is no readable image"


def empty_file(root: Path) -> str:
    (root / "test" / "dog" / "0000.png").write_bytes(b"")
    return r"test/dog/0000.png is no readable image"


def empty_class(root: Path) -> str:
    (root / "train" / "bird").mkdir()
    (root / "test" / "bird").mkdir()
    return "class 'bird', but train/bird/ is empty; put images"


def class_only_in_test(root: Path) -> str:
    shutil.copytree(root / "test" / "cat", root / "test" / "bird")
    return "class 'bird', but train/bird/ does not exist"


def class_only_in_train(root: Path) -> str:
    shutil.copytree(root / "train" / "cat", root / "train" / "bird")
    return "class 'bird', but test/bird/ does not exist"


def no_train(root: Path) -> str:
    shutil.rmtree(root / "train")
    return "pets.* has no train/<class>/; it needs one"


def nothing(root: Path) -> str:
    shutil.rmtree(root)
    root.mkdir()
    return "pets.* has no images; it needs train/<class>/ and test/<class>/, or"


def no_images(root: Path) -> str:
    for path in root.rglob("*.png"):
        path.unlink()
    return "pets.* has no images; it needs"


def another_size(root: Path) -> str:
    picture((9, 7)).save(root / "test" / "cat" / "0001.png")
    return r"pets.* of 2 sizes, from 7×9 to 8×8 .*--size 8 \(or VITLIT_SIZE=8\)"


def no_class_folder(root: Path) -> str:
    picture().save(root / "train" / "0001.png")
    return "train/0001.png lies in no class; move it to train/<class>/"


BROKEN = [
    unreadable,
    truncated,
    empty_file,
    empty_class,
    class_only_in_test,
    class_only_in_train,
    no_train,
    nothing,
    no_images,
    another_size,
    no_class_folder,
]


@pytest.mark.parametrize("broken", [_break(change) for change in BROKEN])
def test_half_broken_folder_is_refused(tmp_path, cache, broken):
    root = image_folder(tmp_path / "pets")
    message = broken(root)
    for source in (root, pack(root, tmp_path / "pets.tar.gz", "pets")):
        with pytest.raises(DataError, match=message):
            load(source)
    assert files_in(cache) == []


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz"])
def test_truncated_tar_is_refused(tmp_path, suffix):
    archive = pack(image_folder(tmp_path / "pets"), tmp_path / f"pets{suffix}")
    content = archive.read_bytes()
    for end in (len(content) // 3, len(content) // 2, len(content) * 2 // 3):
        archive.write_bytes(content[: end + 7])
        with pytest.raises(DataError, match=f"pets{suffix} cannot be read"):
            load(archive)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 this is a zip", b"x" * 2000, b"Rar!\x1a\x07\x01\x00" * 99]
)
def test_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "pets.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"pets.zip cannot be read .*\.zip, .*\.tar\.xz"):
        load(path)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_archive_with_names_that_lead_outside(tmp_path, cache, kind):
    write = archives.write_tar if kind == "tar" else archives.write_zip
    image = png()
    places = [f"{split}/{name}/0.png" for split in ("train", "test") for name in ("cat", "dog")]
    good = write(tmp_path / f"good.{kind}", dict.fromkeys(places, image))
    outside = {"../train/cat/1.png": image, "train/../../cat/2.png": image, "../evil": b"1"}
    evil = write(tmp_path / f"evil.{kind}", dict.fromkeys(places, image) | outside)
    assert_same(load(evil), load(good), but=("name", "title", "source", "skipped"))
    assert files_in(tmp_path) == ["cache", f"evil.{kind}", f"good.{kind}"]
    absolute = {f"/{place}": image for place in places}
    assert_same(
        load(write(tmp_path / f"rooted.{kind}", absolute)),
        load(good),
        but=("name", "title", "source"),
    )


# Sizes


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_images_of_any_size_are_loaded_at_the_size_that_is_asked_for(tmp_path, monkeypatch, form):
    root = image_folder(tmp_path / "pets", size=(50, 40))
    picture((300, 80)).save(root / "train" / "cat" / "wide.jpg")
    source = root if form == "folder" else pack_zip(root, tmp_path / "pets.zip")
    with pytest.raises(SizeError, match=r"2 sizes, from 40×50 to 80×300 .*--size 32 \(or VITLIT_S"):
        load(source)
    loaded = load(source, size=32)
    assert (loaded.train_images.shape, loaded.size) == ((7, 3, 32, 32), (32, 32))
    assert (loaded.name, loaded.patch_size) == ("pets", 4)
    assert loaded.summary()["size"] == [32, 32]
    assert loaded.remarks == [
        "11 images cropped and resized to 32×32 (H×W)",
        "2 classes: cat, dog",
        "7 to learn from, 4 to test on: train/ and test/",
    ]
    monkeypatch.setattr(data, "read_images", lambda *_: pytest.fail("decoded again"))
    assert_same(load(source, size="32x32"), loaded)
    monkeypatch.setenv("VITLIT_SIZE", "32")
    assert_same(load(source), loaded)


def test_each_size_is_kept_by_itself(tmp_path, cache):
    root = image_folder(tmp_path / "pets", size=(50, 40))
    wide, tall = load(root, size=(16, 24)), load(root, size=(24, 16))
    assert wide.train_images.shape[2:] == (16, 24)
    assert tall.train_images.shape[2:] == (24, 16)
    assert len(files_in(cache)) == 2
    assert_same(load(root, size=(16, 24)), wide)


def test_a_size_that_no_patches_suit_is_refused(tmp_path):
    root = image_folder(tmp_path / "pets", size=(97, 97))
    with pytest.raises(SizeError, match=r"97×97 .*--size 96"):
        load(root)
    with pytest.raises(SizeError, match=r"97×97 .*--size 96"):
        load(root, size=97)
    assert load(root, size=96).patch_size == 12


def test_a_resized_dataset_does_not_pass_for_the_known_one(tmp_path, monkeypatch):
    digits = load("digits", size=16)
    assert (digits.name, digits.title) == ("digits-16", "digits (not CIFAR-10), at 16×16")
    assert digits.train_images.shape == (1442, 1, 16, 16)
    assert (digits.flip, digits.patch_size) == (False, 2)
    assert digits.checksum != load("digits").checksum
    assert_same(load("digits", size=8), load("digits"))
    monkeypatch.setattr(cifar10, "COUNTS", (20, 10))
    jpeg = {"classes": CIFAR10, "counts": (2, 1), "suffix": ".jpg"}
    root = image_folder(tmp_path / "copy", size=(32, 32), **jpeg)
    assert load(root, size=48).name == "copy"
    assert load(root, size=32).name == "cifar10-jpeg"
    assert load(image_folder(tmp_path / "large", size=(64, 64), **jpeg), size=32).name == "large"


def test_the_official_images_are_resized_as_pillow_does_it(official, tmp_path):
    content, md5 = official
    (tmp_path / "copy.tar.gz").write_bytes(content)
    small = load(tmp_path / "copy.tar.gz", md5=md5, size=(16, 24))
    plain = load(tmp_path / "copy.tar.gz", md5=md5)
    image = Image.fromarray(plain.test_images[3].permute(1, 2, 0).numpy())
    want = ImageOps.fit(image, (24, 16), Image.Resampling.BICUBIC)
    assert np.array_equal(small.test_images[3].permute(1, 2, 0).numpy(), np.asarray(want))
    assert (small.name, small.checksum[:7]) == ("cifar10-16x24", "sha256:")


def test_the_size_in_the_environment_does_not_reach_the_jpeg_copy(official, tmp_path, monkeypatch):
    content, md5 = official
    (tmp_path / "copy.tar.gz").write_bytes(content)
    monkeypatch.setenv("VITLIT_SIZE", "16")
    kept = data._load
    monkeypatch.setattr(data, "_load", lambda where, size, **how: kept(where, size, **how, md5=md5))
    copy = data.reencode(75, tmp_path / "new", tmp_path / "copy.tar.gz")
    assert Image.open(copy / "test" / "cat" / "0000.jpg").size == (32, 32)


# Own pictures, as anyone has them


def test_photographs_in_a_zip_without_a_split(tmp_path):
    root = image_folder(tmp_path / "photos" / "photos", counts=(9, 1), size=(60, 50))
    for side in ("train", "test"):
        for name in ("cat", "dog"):
            (root / name).mkdir(exist_ok=True)
            for path in (root / side / name).iterdir():
                shutil.move(path, root / name / f"{side}{path.name}")
        shutil.rmtree(root / side)
    (root / "labels.csv").write_text("")
    archive = pack_zip(tmp_path / "photos", tmp_path / "photos.zip")
    loaded = load(archive, size=64)
    assert (loaded.name, loaded.classes) == ("photos", ("cat", "dog"))
    assert (len(loaded.train_labels), len(loaded.test_labels)) == (16, 4)
    assert loaded.test_labels.tolist() == [0, 0, 1, 1]
    assert loaded.summary()["division"].startswith("one in 5 of each class is tested on")
    assert loaded.summary()["skipped"] == {".csv": 1}
    table = data.describe(archive, size=64)
    assert all(words in table for words in ("1 .csv", "one in 5", "16 train, 4 test", "64, of 8×8"))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_from_elsewhere_can_be_kept(tmp_path, cache):
    root = image_folder(tmp_path / "pets", classes=("owl [barn]", "cow :horse:"))
    os.rename(root / "train" / "owl [barn]", os.fsencode(root / "train") + b"/caf\xe9\n")
    os.rename(root / "test" / "owl [barn]", os.fsencode(root / "test") + b"/caf\xe9\n")
    loaded = load(root)
    assert loaded.classes == (r"caf\xe9\x0a", "cow :horse:")
    json.dumps(loaded.summary(), ensure_ascii=False).encode()
    assert_same(load(root), loaded)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("size", [None, 16])
def test_a_source_whose_own_path_is_no_utf8_is_read_and_kept(tmp_path, cache, archive, size):
    folder = image_folder(tmp_path / "pets")
    there = pack_zip(folder, tmp_path / "pets.zip") if archive else folder
    known = load(there, size=size)
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    odd.mkdir()
    moved = odd / os.fsdecode(b"b\xeates" + os.fsencode(there.suffix))
    os.rename(there, moved)
    loaded = load(moved, size=size)
    assert loaded.checksum == known.checksum
    assert loaded.name == loaded.title == r"b\xeates"
    assert loaded.source == rf"b\xeates{there.suffix}"
    json.dumps(loaded.summary(), ensure_ascii=False).encode()
    assert_same(load(moved, size=size), loaded)
    assert len(files_in(cache)) == 2


def test_a_folder_is_walked_once(tmp_path, monkeypatch):
    root = image_folder(tmp_path / "pets")
    looks = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looks.append(path) or scandir(path))
    load(root, cache=tmp_path / "cache")
    assert len([path for path in looks if str(path).startswith(str(root))]) == 7


def test_the_checksum_of_a_folder_stays_what_it_was(tmp_path):
    """Records hold it. It changes when the order, the names or a pixel of what is loaded do."""
    checksum = load(image_folder(tmp_path / "pets")).checksum
    assert checksum == "sha256:638ff606838444bcbed7734d8793a105ef343df5eaef9d81c4d76010b93eae39"


# The cache of decoded images


def test_cache_is_reused_and_follows_the_source(tmp_path, cache, monkeypatch):
    root = image_folder(tmp_path / "pets")
    first = load(root)
    (kept,) = cache.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(data, "read_images", lambda *_: pytest.fail("decoded again"))
        assert_same(load(root), first)
    picture(seed=99).save(root / "train" / "cat" / "0003.png")
    assert len(load(root).train_labels) == len(first.train_labels) + 1
    assert files_in(cache) == [kept.name]


def test_cache_follows_what_can_be_decoded(tmp_path, monkeypatch):
    root = image_folder(tmp_path / "pets")
    (root / "train" / "cat" / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    heic = {".heic (to read them: pip install pillow-heif)": 1}
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    assert load(root).skipped == heic
    monkeypatch.setattr(pictures, "find_spec", lambda name: True)
    with pytest.raises(DataError, match=r"phone\.heic"):
        load(root)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "text"])
def test_damaged_cache_is_made_again(tmp_path, cache, capsys, damage):
    root = image_folder(tmp_path / "pets")
    first = load(root)
    (kept,) = cache.iterdir()
    good = kept.read_bytes()
    damaged = {
        "flip": good[:-5] + bytes([good[-5] ^ 1]) + good[-4:],
        "cut": good[:-50],
        "empty": b"",
        "text": good.replace(b"pets", b"\xff\xff\xff\xff"),
    }
    kept.write_bytes(damaged[damage])
    assert_same(load(root), first)
    assert f"{kept.name} in the cache is damaged" in capsys.readouterr().err
    assert_same(load(root), first)
    assert capsys.readouterr().err == ""
    assert files_in(cache) == [kept.name]


def test_cache_that_cannot_be_written_is_no_failure(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    loaded = load(image_folder(tmp_path / "pets"), cache=tmp_path / "file" / "cache")
    assert len(loaded.train_labels) == 6
    assert "are not kept" in capsys.readouterr().err


def test_interrupted_cache_leaves_nothing(tmp_path, cache, monkeypatch):
    def interrupted(tensors, path, metadata):
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(image_folder(tmp_path / "pets"))
    assert files_in(cache) == []


def test_default_cache_is_the_systems(monkeypatch):
    import pooch

    monkeypatch.delenv("VITLIT_CACHE")
    assert cifar10.cache_folder(None) == Path(pooch.os_cache("vitlit"))


# Digits


def test_digits():
    digits = load("digits")
    assert (digits.name, digits.title) == ("digits", "digits (not CIFAR-10)")
    assert digits.train_images.shape[1:] == (1, 8, 8)
    assert len(digits.train_labels) + len(digits.test_labels) == 1797
    assert (digits.train_images.min(), digits.train_images.max()) == (0, 255)
    assert (digits.patch_size, digits.flip) == (2, False)
    for digit in range(10):
        train, test = (digits.train_labels == digit).sum(), (digits.test_labels == digit).sum()
        assert test == (train + test) // 5
    assert len(set(digits.test_files)) == len(digits.test_labels)
    assert_same(digits, load("digits"))


# What there is, and the JPEG copy


def test_available_and_describe(official, tmp_path, monkeypatch):
    content, md5 = official
    assert not data.available(md5=md5)
    table = data.describe(md5=md5)
    assert "would be downloaded" in table
    assert all(text in table for text in (*cifar10.MIRRORS, md5, "VITLIT_DATA"))
    assert data.available("digits")
    assert "1,442 train, 355 test" in data.describe("digits")
    with serve(content) as server:
        load(mirrors=[server.url("whole")], md5=md5)
    assert data.available(md5=md5)
    assert all(text in data.describe(md5=md5) for text in ("100 train, 20 test", md5, "airplane"))
    (tmp_path / "cache" / cifar10.ARCHIVE).unlink()
    assert data.available(md5=md5)
    assert load(md5=md5).name == "cifar10"
    root = image_folder(tmp_path / "pets")
    monkeypatch.setenv("VITLIT_DATA", str(root))
    assert data.available()
    assert all(text in data.describe() for text in (str(root), "cat, dog", "sha256:", "3×8×8"))


def test_reencode_round_trip(official, tmp_path, monkeypatch):
    content, md5 = official
    (tmp_path / cifar10.ARCHIVE).write_bytes(content)
    loaded = load(tmp_path / cifar10.ARCHIVE, md5=md5)
    target = data.reencode(75, tmp_path / "deep" / "copy", loaded)
    assert files_in(target.parent) == ["copy"]
    assert files_in(target / "train" / "cat") == [f"{i:04}.jpg" for i in range(10)]
    cats = loaded.test_images[loaded.test_labels == 3]
    for i, image in enumerate(cats):
        stream = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(stream, "jpeg", quality=75)
        assert (target / "test" / "cat" / f"{i:04}.jpg").read_bytes() == stream.getvalue()
    monkeypatch.setattr(cifar10, "COUNTS", (100, 20))
    copy = load(target)
    assert (copy.name, copy.classes) == ("cifar10-jpeg", loaded.classes)
    assert torch.equal(copy.test_labels, loaded.test_labels.sort().values)


def test_reencode_refuses(official, tmp_path, monkeypatch):
    content, md5 = official
    (tmp_path / cifar10.ARCHIVE).write_bytes(content)
    loaded = load(tmp_path / cifar10.ARCHIVE, md5=md5)
    for quality in (0, 96):
        with pytest.raises(DataError, match=f"{quality} is not between 1 and 95"):
            data.reencode(quality, tmp_path / "copy", loaded)
    with pytest.raises(DataError, match="not an empty folder"):
        data.reencode(75, tmp_path, loaded)
    with pytest.raises(DataError, match=r"digits .*is not the official CIFAR-10"):
        data.reencode(75, tmp_path / "copy", "digits")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    before = files_in(tmp_path)
    with pytest.raises(DataError, match="No space left"):
        data.reencode(75, tmp_path / "copy", loaded)
    assert files_in(tmp_path) == before


def test_jpeg_copy_that_this_machine_has(monkeypatch):
    if "cifar10-jpeg" not in VITLIT_DATA:
        pytest.skip("VITLIT_DATA names no JPEG copy")
    monkeypatch.delenv("VITLIT_CACHE")  # decoding takes half a minute: share it with other tests
    copy = load(VITLIT_DATA, cache=VITLIT_CACHE or None)
    assert (copy.name, copy.title) == ("cifar10-jpeg", "CIFAR-10, JPEG copy")
    assert copy.classes == CIFAR10
    assert copy.train_labels.bincount().tolist() == [5000] * 10
    assert copy.test_labels.bincount().tolist() == [1000] * 10
    assert copy.test_files[3000:3002] == ("test/cat/0000.jpg", "test/cat/0001.jpg")
    assert (copy.patch_size, copy.flip, copy.source) == (4, True, Path(VITLIT_DATA).name)
    record = Path(__file__).parents[1] / "runs/cpu-seed0/data.json"
    book = json.loads(record.read_text())
    assert copy.checksum == book["checksum"]
    assert copy.summary() | book == copy.summary()
    assert (copy.size, copy.skipped, copy.remarks) == (None, {}, copy.remarks[:2])
