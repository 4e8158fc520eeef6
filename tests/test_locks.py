"""vitlit.locks: one process at a time, and none after a killed one."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from filelock import FileLock
from helpers.tiny import dataset, recipe

from vitlit import locks, records
from vitlit.train import train

HOLDS = """
import sys, time
from vitlit.locks import held
with held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds tmp_path/"run", until the test ends."""
    command = [sys.executable, "-c", HOLDS, tmp_path / "run"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.1)


def test_a_second_is_refused(tmp_path, holder, impatient):
    message = r"run is being written by another process; wait until it is done, or give another"
    with pytest.raises(locks.HeldError, match=message), locks.held(tmp_path / "run"):
        pass
    with locks.held(tmp_path / "another"):
        pass


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_a_lock_left_by_a_killed_process_stops_nobody(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with locks.held(tmp_path / "run"):
        pass


def test_who_ends_soon_is_waited_for(tmp_path, holder):
    threading.Timer(0.5, holder.kill).start()
    with locks.held(tmp_path / "run"):
        assert holder.wait() != 0


def test_what_was_held_can_be_held_again_also_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), locks.held(tmp_path / "run"):
        raise RuntimeError
    with locks.held(tmp_path / "run"):
        assert [path.name for path in tmp_path.iterdir()] == [".locks"]


def test_a_link_to_a_folder_is_the_folder(tmp_path, holder):
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with pytest.raises(locks.HeldError), locks.held(tmp_path / "link"):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    message = r"run cannot be written \(.+\); choose another place"
    with pytest.raises(OSError, match=message), locks.held(tmp_path / "file" / "run"):
        pass


def test_where_there_are_no_locks_it_is_said_with_the_name_escaped(tmp_path, monkeypatch, capsys):
    def refuse(lock):
        raise NotImplementedError

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with locks.held(tmp_path / "a\x1b[31m" / "run"):
        pass
    err = capsys.readouterr().err
    assert err.endswith("a\\x1b[31m knows no locks; start no second run there\n")
    assert "\x1b" not in err


def test_a_run_that_another_process_writes_is_left_alone(tmp_path, holder, impatient):
    with pytest.raises(locks.HeldError, match="is being written by another process"):
        train(recipe(), dataset(), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
    holder.kill()
    holder.wait()
    assert train(recipe(), dataset(), tmp_path / "run", progress=False).summary["epochs"] == 3
    assert records.is_finished(tmp_path / "run")
