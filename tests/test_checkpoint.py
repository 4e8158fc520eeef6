"""vitlit.checkpoint: what a run needs to go on comes back, or is refused."""

import pytest
import torch
from helpers.disk import FULL_DISKS
from helpers.trap import Trap

from vitlit.checkpoint import Checkpoint, CheckpointError, read


def checkpoint(folder, seed=0, **identity):
    """A run whose one part is a layer of random weights."""
    torch.manual_seed(seed)
    return Checkpoint(folder, {"seed": 0, **identity}, {"model": torch.nn.Linear(40, 40)})


def test_the_state_of_a_run_comes_back(tmp_path):
    before, after = checkpoint(tmp_path), checkpoint(tmp_path, seed=1)
    before.rows.append({"epoch": 1, "loss": 0.5})
    before.positions.append(torch.ones(2))
    before.save()
    after.resume()
    assert after.rows == before.rows
    assert torch.equal(after.positions[0], before.positions[0])
    assert torch.equal(after.parts["model"].weight, before.parts["model"].weight)
    after.remove()
    assert list(tmp_path.iterdir()) == []


def test_without_a_state_a_run_begins_at_its_beginning(tmp_path):
    run = checkpoint(tmp_path / "new")
    run.resume()
    assert run.rows == run.positions == []


def test_another_run_is_refused(tmp_path):
    checkpoint(tmp_path).save()
    with pytest.raises(ValueError, match="an unfinished run with another epochs; repeat its comm"):
        checkpoint(tmp_path, epochs=3).resume()


@pytest.mark.parametrize("keep", [0, 10, -20])
def test_a_damaged_state_is_refused(tmp_path, keep):
    run = checkpoint(tmp_path)
    run.save()
    run.file.write_bytes(run.file.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"training.pt is damaged .*; delete it to start"):
        run.resume()


def test_a_state_that_would_run_code_is_refused(tmp_path):
    file, sprung = tmp_path / "training.pt", tmp_path / "sprung"
    torch.save({"rows": Trap(sprung)}, file)
    with pytest.raises(CheckpointError, match="is damaged"):
        read(file)
    assert not sprung.exists()


@pytest.mark.parametrize("disk_full", FULL_DISKS)
def test_a_full_disk_leaves_the_state_before(tmp_path, monkeypatch, disk_full):
    run = checkpoint(tmp_path)
    run.save()
    before = run.file.read_bytes()
    with (
        disk_full(monkeypatch),
        pytest.raises(OSError, match=r"training.pt cannot be written \((No spa|File too la)"),
    ):
        checkpoint(tmp_path, seed=1).save()
    assert list(tmp_path.iterdir()) == [run.file]
    assert run.file.read_bytes() == before
