"""vitlit.files: whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.disk import FULL_DISKS

from vitlit import files


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_file_is_written_and_everyone_may_read_it(tmp_path):
    files.write(tmp_path / "new" / "one", b"content")
    assert (tmp_path / "new" / "one").read_bytes() == b"content"
    assert names(tmp_path) == ["new", "new/one"]
    if os.name == "posix":
        assert (tmp_path / "new" / "one").stat().st_mode & 0o777 == 0o644


def test_a_folder_appears_with_all_that_is_in_it(tmp_path):
    (tmp_path / "empty").mkdir()
    with files.whole(tmp_path / "empty") as new:
        (new / "deep").mkdir(parents=True)
        (new / "deep" / "file").touch()
        assert names(tmp_path / "empty") == []
    assert names(tmp_path) == ["empty", "empty/deep", "empty/deep/file"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_what_was_there(tmp_path, error):
    files.write(tmp_path / "one", b"old")

    def interrupted():
        with files.whole(tmp_path / "one") as new:
            new.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert names(tmp_path) == ["one"]
    assert (tmp_path / "one").read_bytes() == b"old"


@pytest.mark.parametrize("disk_full", FULL_DISKS)
def test_a_full_disk_leaves_the_old_file_and_nothing_beside(tmp_path, monkeypatch, disk_full):
    files.write(tmp_path / "one", b"old")
    message = r"one cannot be written \((No space|File too large).*; make room, or choose another"
    with disk_full(monkeypatch), pytest.raises(OSError, match=message):
        files.write(tmp_path / "one", bytes(10_000))
    assert names(tmp_path) == ["one"]
    assert (tmp_path / "one").read_bytes() == b"old"


def test_an_error_about_another_file_stays_what_it_is(tmp_path):
    (tmp_path / "target").mkdir()

    def body():
        with files.whole(tmp_path / "new" / "one"):
            Path("/nowhere/at/all").read_bytes()

    with pytest.raises(FileNotFoundError, match="/nowhere/at/all"):
        body()
    with (
        pytest.raises(OSError, match="target cannot be written"),
        files.whole(tmp_path / "target"),
    ):
        pass  # nothing was made: what was there stays
    assert names(tmp_path) == ["new", "target"]


def test_a_folder_that_holds_something_is_not_replaced(tmp_path):
    files.write(tmp_path / "full" / "file", b"old")
    with (
        pytest.raises(OSError, match=r"full cannot be written \(Directory not empty\)"),
        files.whole(tmp_path / "full") as new,
    ):
        new.mkdir()
    assert names(tmp_path) == ["full", "full/file"]


KILLED = """
import os, sys
from vitlit import files
with files.whole(sys.argv[1]) as new:
    new.write_bytes(b"half")
    os._exit(9)
"""


def test_what_a_killed_writer_left_is_swept_away_and_nothing_else(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "one")], check=False)
    (tmp_path / ".hidden").mkdir()
    [left] = set(os.listdir(tmp_path)) - {".hidden"}
    files.sweep(tmp_path, older_than=60.0)
    assert (tmp_path / left).exists()
    files.sweep(tmp_path)
    assert os.listdir(tmp_path) == [".hidden"]
    files.sweep(tmp_path / "nowhere")
