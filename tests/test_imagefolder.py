"""From a source of images to arrays: what is read, what is refused and by which name."""

import io
import os
import sys
import tarfile

import numpy as np
import pytest
from helpers.archives import image_folder, pack, pack_zip, picture, png, write_tar, write_zip
from PIL import Image, ImageOps

from vitlit import imagefolder
from vitlit.archives import DataError
from vitlit.cifar10 import MD5
from vitlit.imagefolder import read_images
from vitlit.sizes import SizeError

PLACES = [f"{side}/{name}/0.png" for side in ("train", "test") for name in ("cat", "dog")]


def all_forms(root):
    """A folder, a tar and a zip of the same files."""
    return (
        root,
        pack(root, root.parent / "packed.tar.gz", "top"),
        pack_zip(root, root.parent / "packed.zip", "top"),
    )


def test_images_of_any_size_and_form_become_alike(tmp_path):
    root = image_folder(tmp_path / "photos")
    for name, size, mode in (
        ("train/cat/a.jpg", (300, 200), "RGB"),
        ("train/cat/b.JPEG", (20, 300), "L"),
        ("test/dog/c.png", (31, 57), "RGBA"),
        ("test/dog/d.gif", (90, 90), "P"),
    ):
        picture(size, mode).save(root / name)
    for source in all_forms(root):
        arrays, fields = read_images(source, MD5, (12, 16))
        assert [array.shape for array in arrays] == [(8, 3, 12, 16), (8,), (6, 3, 12, 16), (6,)]
        assert fields["size"] == (12, 16)
        at = fields["test_files"].index("test/dog/c.png")
        with Image.open(root / "test/dog/c.png") as opened:
            white = Image.new("RGBA", opened.size, "white")
            flat = Image.alpha_composite(white, opened).convert("RGB")
        want = np.asarray(ImageOps.fit(flat, (16, 12), Image.Resampling.BICUBIC))
        assert np.array_equal(arrays[2][at].transpose(1, 2, 0), want)
        with pytest.raises(SizeError, match=r"images of 5 sizes, from 8×8 to 200×300 .*--size 8"):
            read_images(source, MD5)


def test_a_folder_is_turned_upright_before_it_is_cut(tmp_path):
    root = image_folder(tmp_path / "photos")
    image = Image.new("RGB", (40, 20), "black")
    image.paste("white", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(root / "test/cat/0000.png", exif=exif)
    pixels = read_images(root, MD5, (8, 8))[0][2][0]
    assert pixels[:, :3].min() > 250
    assert pixels[:, 5:].max() < 5


def test_large_images_that_are_all_alike_are_not_taken_without_being_asked_for(tmp_path):
    root = image_folder(tmp_path / "photos", size=(300, 20))
    with pytest.raises(SizeError, match=r"photos has images of 20×300 .*up to 256 a side"):
        read_images(root, MD5)
    assert read_images(root, MD5, (16, 16))[0][0].shape == (6, 3, 16, 16)


def test_every_damaged_image_is_named_up_to_a_number(tmp_path):
    root = image_folder(tmp_path / "photos", counts=(9, 9))
    damaged = sorted(root.rglob("000[0-2].png"))
    for path in damaged:
        path.write_bytes(b"<html>404</html>")
    for source in all_forms(root):
        with pytest.raises(DataError, match="12 images cannot be used: ") as caught:
            read_images(source, MD5, (8, 8))
        message = str(caught.value)
        assert message.endswith(", and 2 more; replace or remove it")
        named = [str(path.relative_to(root)) for path in damaged]
        assert (
            sum(f"{name} is no readable image (it is a web page)" in message for name in named)
            == 10
        )
        assert "\n" not in message


def test_damage_beside_what_is_used_does_not_matter(tmp_path):
    root = image_folder(tmp_path / "photos")
    for name in ("val/cat/1.png", "val/dog/2.png", "banner.png", "extra/x.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"damaged")
    for source in all_forms(root):
        skipped = read_images(source, MD5)[1]["skipped"]
        assert skipped == {
            "images in extra/": 1, "images in no class folder": 1, "images in val/": 2,
        }  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes and devices")
def test_what_is_no_regular_file_is_named(tmp_path):
    root = image_folder(tmp_path / "photos")
    os.mkfifo(root / "train/cat/pipe.png")
    (root / "train/cat/zeros.png").symlink_to("/dev/zero")
    (root / "train/dog/gone.png").symlink_to("nowhere.png")
    with pytest.raises(DataError, match="3 images cannot be used") as caught:
        read_images(root, MD5)
    for words in (
        "train/cat/pipe.png is a device or a pipe",
        "train/cat/zeros.png is a device or a pipe",
        "train/dog/gone.png leads nowhere",
    ):
        assert words in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes and devices")
def test_a_link_that_leads_round_is_counted(tmp_path):
    root = image_folder(tmp_path / "photos")
    (root / "train" / "cat" / "again").symlink_to(root)
    arrays, fields = read_images(root, MD5)
    assert len(arrays[0]) == 6
    assert fields["skipped"] == {"no regular file": 1}


def test_links_in_an_archive_stand_for_its_images(tmp_path):
    path = write_tar(tmp_path / "x.tar", {place: png(seed=i) for i, place in enumerate(PLACES)})
    with tarfile.open(path, "a") as tar:
        for name, kind, target in (
            ("train/cat/hard.png", tarfile.LNKTYPE, "train/cat/0.png"),
            ("train/cat/soft.png", tarfile.SYMTYPE, "hard.png"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    images = read_images(path, MD5)[0][0]
    assert len(images) == 4
    assert np.array_equal(images[0], images[1])
    assert np.array_equal(images[0], images[2])

    for target in ("/etc/passwd", "round.png", "../../../x.png", "nothing.png"):
        with tarfile.open(tmp_path / "y.tar", "w") as tar, tarfile.open(path) as old:
            for member in old:
                tar.addfile(member, old.extractfile(member) if member.isreg() else None)
            info = tarfile.TarInfo("train/dog/round.png")
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
        with pytest.raises(DataError, match=r"dog/round.png is a link to no image in the archive"):
            read_images(tmp_path / "y.tar", MD5)


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_files_of_one_name_the_later_counts_as_if_unpacked(tmp_path, kind):
    contents = {place: png() for place in PLACES}
    contents[f"./{PLACES[0]}"] = png(seed=7)
    path = (write_tar if kind == "tar" else write_zip)(tmp_path / f"x.{kind}", contents)
    arrays, fields = read_images(path, MD5)
    assert np.array_equal(arrays[0][0].transpose(1, 2, 0), np.asarray(picture(seed=7)))
    assert fields["skipped"] == {"the earlier of two of the same name": 1}


def test_a_file_that_is_too_large_is_refused_unread(tmp_path):
    root = image_folder(tmp_path / "photos")
    with (root / "train/cat/huge.png").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(DataError, match=r"huge.png is a file of 1,099,511,627,776 bytes, and 268"):
        read_images(root, MD5)


def test_all_together_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(imagefolder, "MOST_DECODED", 8 * 8 * 3 * 5)
    root = image_folder(tmp_path / "photos")
    for source in all_forms(root):
        for size, words in ((None, "or a --size"), ((16, 16), "or a smaller --size than 16")):
            with pytest.raises(DataError, match=f"the first . images take more than .*{words}"):
                read_images(source, MD5, size)


def test_the_folders_are_judged_before_anything_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(imagefolder, "decode", lambda *_, **__: pytest.fail("decoded"))
    root = image_folder(tmp_path / "photos", classes=("cat",))
    for source in (root, pack_zip(root, tmp_path / "photos.zip")):
        with pytest.raises(DataError, match="one class only, 'cat'"):
            read_images(source, MD5)


def test_a_zip_and_a_folder_of_classes_alone_are_divided_alike(tmp_path):
    root = image_folder(tmp_path / "photos", counts=(10, 1))
    bare = tmp_path / "bare"
    (root / "train").rename(bare)
    results = [read_images(source, MD5) for source in all_forms(bare)]
    for arrays, fields in results:
        assert [len(array) for array in arrays] == [16, 16, 4, 4]
        assert fields["test_files"] == results[0][1]["test_files"]
        for a, b in zip(arrays, results[0][0], strict=True):
            assert np.array_equal(a, b)


def test_gray_is_kept_when_resized(tmp_path):
    root = image_folder(tmp_path / "photos", mode="L", size=(30, 20))
    assert read_images(root, MD5, (8, 8))[0][0].shape == (6, 1, 8, 8)
    stream = io.BytesIO()
    picture((9, 9)).save(stream, "png")
    (root / "train/cat/0000.png").write_bytes(stream.getvalue())
    assert read_images(root, MD5, (8, 8))[0][0].shape == (6, 3, 8, 8)
