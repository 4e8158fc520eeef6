"""Folders and archives, well-formed, odd and hostile: what is named in them, what is opened."""

import io
import os
import stat
import struct
import sys
import tarfile
import zipfile
import zlib

import pytest
from helpers.archives import image_folder, pack, pack_zip, write_zip

from vitlit import archives
from vitlit.archives import DataError, opened, printable, walk


def listed(source):
    """Names and contents; None for what cannot be opened."""
    with opened(source) as entries:
        return {entry.name: entry.open().read() if entry.open else None for entry in entries}


def files(names):
    return {name: content for name, content in names.items() if content is not None}


@pytest.fixture
def photos(tmp_path):
    return image_folder(tmp_path / "photos")


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".zip"])
def test_a_folder_and_its_archive_hold_the_same(photos, tmp_path, suffix):
    archive = tmp_path / f"x{suffix}"
    pack_zip(photos, archive) if suffix == ".zip" else pack(photos, archive)
    assert listed(archive) == listed(photos)
    assert len(files(listed(photos))) == 10
    assert listed(photos)["train/cat/0000.png"] == (photos / "train/cat/0000.png").read_bytes()
    assert listed(photos)["train/cat/"] is None


def test_an_archive_is_known_by_its_content_not_its_name(photos, tmp_path):
    archive = tmp_path / "photos.tar.gz"
    pack_zip(photos, archive)
    assert len(files(listed(archive))) == 10


# Folders


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes and devices")
def test_only_regular_files_are_opened(photos):
    os.mkfifo(photos / "pipe.png")
    (photos / "zeros.png").symlink_to("/dev/zero")
    (photos / "nothing.png").symlink_to("nowhere")
    (photos / "circle.png").symlink_to("circle.png")
    (photos / "linked.png").symlink_to("train/cat/0000.png")
    entries = {entry.name: entry for entry in walk(photos)}
    odd = {name: entry.odd for name, entry in entries.items() if entry.odd}
    assert set(odd) == {"pipe.png", "zeros.png", "nothing.png", "circle.png"}
    assert odd["pipe.png"] == odd["zeros.png"] == "is a device or a pipe, no regular file"
    assert odd["nothing.png"] == "leads nowhere (No such file or directory)"
    assert not any(entries[name].open for name in odd)
    assert entries["linked.png"].open().read() == (photos / "train/cat/0000.png").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes and devices")
def test_a_link_that_leads_round_is_not_followed(photos):
    (photos / "train" / "cat" / "again").symlink_to(photos)
    (photos / "train" / "self").symlink_to(".")
    entries = walk(photos)
    assert [entry.name for entry in entries if entry.odd] == ["train/cat/again/", "train/self/"]
    assert [entry.name for entry in entries if entry.open] == [
        f"{side}/{name}/{i:04}.png"
        for side, count in (("test", 2), ("train", 3))
        for name in ("cat", "dog")
        for i in range(count)
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes and devices")
def test_one_folder_may_stand_under_two_names(photos):
    (photos / "train" / "kitten").symlink_to("cat")
    names = [entry.name for entry in walk(photos)]
    assert names.count("train/cat/0000.png") == names.count("train/kitten/0000.png") == 1


def test_hidden_folders_are_named_and_not_entered(photos):
    for name in (".git", "@eaDir", "__MACOSX"):
        (photos / name).mkdir()
        (photos / name / "1.png").write_bytes(b"")
    names = {entry.name for entry in walk(photos)}
    assert {".git/", "@eaDir/", "__MACOSX/"} <= names
    assert not any(
        name.endswith("1.png") and "/1" in name and "train" not in name for name in names
    )


def test_a_folder_of_too_many_names_is_refused(photos, monkeypatch):
    monkeypatch.setattr(archives, "MOST_FILES", 5)
    for source in (
        photos,
        pack(photos, photos.parent / "x.tar"),
        pack_zip(photos, photos.parent / "x.zip"),
    ):
        with pytest.raises(DataError, match="holds more than 5 names; give a folder"):
            listed(source)


def test_names_can_be_printed_and_stored():
    assert printable("café 猫 👩‍🔬 [b]") == "café 猫 👩‍🔬 [b]"
    assert printable("a\nb\x1b[31m\x85") == r"a\x0ab\x1b[31m\x85"
    assert printable(os.fsdecode(b"caf\xe9")) == r"caf\xe9"
    printable(os.fsdecode(b"\xff\xfe")).encode()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes and devices")
def test_neither_folder_nor_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe is neither a folder nor a regular file; give a fold"):
        listed(tmp_path / "pipe")


# Tar archives


def member(name, content=b"", **about):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in about.items():
        setattr(info, field, value)
    return info, io.BytesIO(content)


def tar_of(path, *members, kind=""):
    with tarfile.open(path, f"w:{kind}") as tar:
        for info, content in members:
            tar.addfile(info, content)
    return path


def test_devices_and_links_of_a_tar_are_not_opened(tmp_path):
    path = tar_of(
        tmp_path / "x.tar",
        member("a/0.png", b"pixels"),
        member("pipe.png", type=tarfile.FIFOTYPE),
        member("zero.png", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
        member("a/soft.png", type=tarfile.SYMTYPE, linkname="../a/0.png"),
        member("hard.png", type=tarfile.LNKTYPE, linkname="a/0.png"),
        member("out.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("round.png", type=tarfile.SYMTYPE, linkname="round.png"),
    )
    with opened(path) as entries:
        found = {entry.name: entry for entry in entries}
    assert {name for name, entry in found.items() if entry.open} == {"a/0.png"}
    assert {name for name, entry in found.items() if entry.odd} == {"pipe.png", "zero.png"}
    assert found["a/soft.png"].target == found["hard.png"].target == "a/0.png"
    assert found["out.png"].target == "/etc/passwd"


def test_a_tar_of_zeros_takes_no_memory(tmp_path, monkeypatch):
    """A file of a gigabyte, packed to a megabyte: its size is known before it is read."""
    path = tmp_path / "bomb.tar.gz"
    info = tarfile.TarInfo("train/cat/1.png")
    info.size = 2**30
    packer = zlib.compressobj(1, wbits=31)
    with path.open("wb") as file:
        file.write(packer.compress(info.tobuf()))
        zeros = bytes(2**20)
        for _ in range(64):
            file.write(packer.compress(zeros))
        file.write(packer.flush())
    with opened(path) as entries:
        entry = next(iter(entries))
        assert entry.size == 2**30 > archives.MOST_BYTES


@pytest.mark.parametrize("kind", [b"x", b"L", b"g"])
def test_a_header_that_asks_for_much_memory_is_refused(tmp_path, kind):
    info = tarfile.TarInfo("pax")
    info.type, info.size = kind, 2**33
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10**5))
    with pytest.raises(DataError, match="bytes in one piece; 268,435,456 are the limit"):
        listed(tmp_path / "x.tar")


def test_an_archive_that_unpacks_to_too_much_is_refused(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_UNPACKED", 1000)
    for source in (pack(photos, tmp_path / "x.tar.xz"), pack_zip(photos, tmp_path / "x.zip")):
        with pytest.raises(DataError, match=r"unpacks to more than .* GiB, which no images"):
            listed(source)


def test_zstandard_is_read_or_says_from_when_on(tmp_path):
    (tmp_path / "x.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(50))
    with pytest.raises(DataError, match=r"x.tar.zst cannot be read .*; give a folder of"):
        listed(tmp_path / "x.tar.zst")


# Zip archives


def test_names_of_a_zip_that_other_systems_wrote(tmp_path):
    path = write_zip(tmp_path / "x.zip", {r"photos\cat\1.png": b"1", "käfer/2.png": b"2"})
    assert set(listed(path)) == {"photos/cat/1.png", "käfer/2.png"}
    # UTF-8 that is not declared, and bytes that are none.
    content = bytearray(path.read_bytes())
    for sign, offset in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        at = content.index(sign, content.index(sign) + 1)
        content[at + offset] &= ~8
    (tmp_path / "y.zip").write_bytes(content)
    assert "käfer/2.png" in listed(tmp_path / "y.zip")
    (tmp_path / "z.zip").write_bytes(content.replace("kä".encode(), b"k\xff\xfe"))
    (name,) = (name for name in listed(tmp_path / "z.zip") if "fer" in name)
    name.encode()


def test_a_zip_with_links_and_pipes(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, kind, content in (
            ("cat/link.png", stat.S_IFLNK, "../dog/1.png"),
            ("pipe.png", stat.S_IFIFO, ""),
            ("dog/1.png", stat.S_IFREG, "pixels"),
        ):
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = (kind | 0o644) << 16
            archive.writestr(info, content)
    with opened(path) as entries:
        found = {entry.name: entry for entry in entries}
    assert found["cat/link.png"].target == "dog/1.png"
    assert found["pipe.png"].odd
    assert files(listed(path)) == {"dog/1.png": b"pixels"}


def test_an_encrypted_zip_says_what_to_do(tmp_path):
    path = write_zip(tmp_path / "x.zip", {"cat/1.png": b"1", "cat/2.png": b"2"})
    content = bytearray(path.read_bytes())
    for sign, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(sign) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"1 of 2 files in x.zip are encrypted; unpack it with its"):
        listed(path)


def test_a_zip_whose_size_is_a_lie_is_bounded_by_what_it_says(tmp_path):
    path = write_zip(tmp_path / "x.zip", {"1.png": bytes(10**6)})
    size = struct.pack("<I", 10**6)
    path.write_bytes(path.read_bytes().replace(size, struct.pack("<I", 10)))
    with pytest.raises(DataError, match=r"x.zip cannot be read \(Bad CRC-32"):
        listed(path)


@pytest.mark.parametrize("method", [9, 20, 98])
def test_a_zip_of_another_method_is_refused(tmp_path, method):
    path = write_zip(tmp_path / "x.zip", {"1.png": b"1"})
    deflated, other = (struct.pack("<H", number) for number in (8, method))
    content = path.read_bytes()
    content = content[:8] + other + content[10:]
    at = content.index(b"PK\x01\x02") + 10
    path.write_bytes(content[:at] + other + content[at + 2 :])
    assert deflated not in content[8:10]
    with pytest.raises(DataError, match=r"x.zip cannot be read .*; give a folder of images"):
        listed(path)


def test_a_zip_that_is_cut_off_is_refused(photos, tmp_path):
    path = pack_zip(photos, tmp_path / "x.zip")
    content = path.read_bytes()
    for end in (10, len(content) // 2, len(content) - 30):
        path.write_bytes(content[:end])
        with pytest.raises(DataError, match=r"x.zip cannot be read .*complete \.zip"):
            listed(path)
