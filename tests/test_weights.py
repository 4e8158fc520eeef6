"""vitlit.weights: what a file is, whatever it is called, and what is refused."""

import argparse
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from helpers.trap import Trap
from safetensors.torch import load_file, safe_open, save, save_file
from torch import nn

from vitlit.checkpoint import CheckpointError
from vitlit.weights import check_finite, checksum, metadata, packed, read

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])}


def save_npz(tensors, path):
    with open(path, "wb") as file:
        np.savez(file, **{name: tensor.numpy() for name, tensor in tensors.items()})


def save_before_1_6(tensors, path):
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


WRITERS = {"safetensors": save_file, "npz": save_npz, "torch": torch.save, "old": save_before_1_6}


def same(found, tensors=TENSORS):
    return found.keys() == tensors.keys() and all(
        torch.equal(found[name], tensor) for name, tensor in tensors.items()
    )


@pytest.mark.parametrize("name", ["w", "w.safetensors", "w.npz", "w.pth.tar", "w.ckpt", "w.jpg"])
@pytest.mark.parametrize("kind", WRITERS)
def test_the_content_tells_what_a_file_is_not_its_name(tmp_path, kind, name):
    WRITERS[kind](TENSORS, tmp_path / name)
    assert same(read(tmp_path / name))


# As others begin: two as a pickle, one as a zip archive, one as a web page.
@pytest.mark.parametrize("length", [128, 896, 19280, 316])
@pytest.mark.parametrize("name", ["w", "w.safetensors", "w.pth"])
def test_a_safetensors_file_is_one_whatever_the_length_of_its_header(tmp_path, length, name):
    content = save(TENSORS)
    start = 8 + int.from_bytes(content[:8], "little")
    header = content[8:start].rstrip()
    header += b" " * (length - len(header))
    written = len(header).to_bytes(8, "little") + header + content[start:]
    assert written.startswith((b"\x80", b"PK", b"<"))
    (tmp_path / name).write_bytes(written)
    assert same(read(tmp_path / name))


def test_a_safetensors_file_that_is_cut_in_its_header_is_named_as_one(tmp_path):
    (tmp_path / "w").write_bytes(save(TENSORS)[:40])
    with pytest.raises(CheckpointError, match="is no whole safetensors file"):
        read(tmp_path / "w")


def test_an_archive_is_closed_before_its_file_is_read(tmp_path, monkeypatch):
    opened = []

    class Kept(zipfile.ZipFile):
        def __init__(self, *args):
            super().__init__(*args)
            opened.append(self)

    torch.save(TENSORS, tmp_path / "w")
    monkeypatch.setattr(zipfile, "ZipFile", Kept)
    assert same(read(tmp_path / "w"))
    assert [archive.fp for archive in opened] == [None]


def test_dictionaries_in_one_another_become_one_and_plain_values_are_left_out(tmp_path):
    stored = {
        "state_dict": TENSORS, "epoch": 3, "args": argparse.Namespace(lr=0.1), "names": ["x"],
        "best": np.float64(0.5), "array": np.arange(3), "optimizer": {"state": {0: TENSORS["b"]}},
    }  # fmt: skip
    torch.save(stored, tmp_path / "all.pth")
    found = read(tmp_path / "all.pth")
    assert list(found) == ["state_dict.a.weight", "state_dict.b", "optimizer.state.0"]


def test_arrays_of_another_byte_order_are_read(tmp_path):
    np.savez(tmp_path / "w.npz", a=np.arange(3, dtype=">f4"))
    assert read(tmp_path / "w.npz")["a"].tolist() == [0, 1, 2]


def index(folder, kind="safetensors", **where):
    suffix = {"safetensors": "model.safetensors", "bin": "pytorch_model.bin"}[kind]
    (folder / f"{suffix}.index.json").write_text(json.dumps({"weight_map": where}))


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_parts_are_put_together_from_the_folder_or_its_index(tmp_path, kind):
    write = save_file if kind == "safetensors" else torch.save
    for part, name in enumerate(TENSORS):
        write({name: TENSORS[name]}, tmp_path / f"part-{part}")
    index(tmp_path, kind, **{"a.weight": "part-0", "b": "part-1"})
    assert same(read(tmp_path))
    assert same(read(next(tmp_path.glob("*.index.json"))))
    (tmp_path / "part-1").unlink()
    with pytest.raises(CheckpointError, match="lists part-1, which is not beside it; get it too"):
        read(tmp_path)


def test_an_index_does_not_lead_out_of_its_folder(tmp_path):
    save_file(TENSORS, tmp_path / "outside.safetensors")
    (tmp_path / "in").mkdir()
    index(tmp_path / "in", **{"a.weight": "../outside.safetensors"})
    with pytest.raises(CheckpointError, match="which is not beside it"):
        read(tmp_path / "in")


def test_a_folder_has_one_file_of_weights_or_the_usual_one(tmp_path):
    torch.save(TENSORS, tmp_path / "epoch_9.ckpt")
    assert same(read(tmp_path))
    torch.save({}, tmp_path / "epoch_8.ckpt")
    with pytest.raises(FileNotFoundError, match=r"holds epoch_8.ckpt, epoch_9.ckpt; give one of"):
        read(tmp_path)
    torch.save(TENSORS, tmp_path / "pytorch_model.bin")
    assert same(read(tmp_path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"hello", "is no safetensors, npz or PyTorch file"),
        (b"<!doctype html><title>404", "is a web page, not the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS, .*git lfs pul"),
        (b"\x89HDF\r\n\x1a\n" + b"0" * 99, "is an HDF5 file, as Keras writes it"),
        (b"\x1f\x8b" + b"0" * 99, "is compressed; unpack it"),
        (b"\x93NUMPY" + b"0" * 99, "is a single array"),
        (b"PK\x03\x04" + b"0" * 99, "is damaged"),
        (b"{}", "is no file of weights, and lists none"),
    ],
)
def test_what_is_no_file_of_weights_is_named(tmp_path, content, words):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"w.pth {words}"):
        read(tmp_path / "w.pth")


def test_another_zip_archive_and_a_pipe_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(CheckpointError, match="no safetensors, npz or PyTorch file"):
        read(tmp_path / "w.pth")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(CheckpointError, match="is no regular file"):
            read(tmp_path / "pipe")


@pytest.mark.parametrize("stored", [{}, [TENSORS], "words", TENSORS["b"], {"epoch": 3}])
def test_a_file_without_named_tensors_is_refused(tmp_path, stored):
    torch.save(stored, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="holds no tensors with names; save a state dict"):
        read(tmp_path / "w.pt")


def test_a_whole_pickled_model_is_refused_by_its_class_with_the_remedy(tmp_path):
    torch.save({"model": nn.Transformer(4, 1, 1, 1, 4)}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError) as caught:
        read(tmp_path / "w.pt")
    message = str(caught.value)
    assert "it holds torch.nn.modules.transformer.Transformer" in message
    assert "torch.save(model.state_dict(), 'weights.pt')" in message
    assert "\n" not in message


@pytest.mark.parametrize("old", [True, False])
def test_no_code_is_run(tmp_path, old):
    file, sprung = tmp_path / "w.bin", tmp_path / "sprung"
    if old:
        file.write_bytes(pickle.dumps({"a": Trap(sprung)}, protocol=2))
    else:
        torch.save({"a": Trap(sprung), "args": argparse.Namespace(x=Trap(sprung))}, file)
    with pytest.raises(CheckpointError, match="cannot be read without running code from it"):
        read(file)
    assert not sprung.exists()


def test_the_state_of_an_unfinished_run_is_no_file_of_weights(tmp_path):
    torch.save({"identity": {}, "rows": [], "positions": [], "model": TENSORS}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="holds an unfinished run; repeat the run's command"):
        read(tmp_path / "x.pt")


# Written


def test_equal_weights_make_equal_bytes_that_safetensors_reads(tmp_path):
    about = {name: name * 3 for name in ("format", "config", "classes", "mean", "std")}
    backwards = dict(reversed(about.items()))
    contents = {packed(TENSORS, about) for _ in range(20)} | {packed(TENSORS, backwards)}
    assert len(contents) == 1
    (tmp_path / "w").write_bytes(contents.pop())
    assert same(load_file(tmp_path / "w"))
    with safe_open(tmp_path / "w", framework="pt") as file:
        assert file.metadata() == about == metadata(tmp_path / "w")


def test_metadata_of_other_files_is_none(tmp_path):
    for content in (b"", b"12345678", b"\x02" + 7 * b"\0" + b"{}", b"\xff" * 20):
        (tmp_path / "w").write_bytes(content)
        assert metadata(tmp_path / "w") == {}
    assert metadata(tmp_path / "nowhere") == {}


def test_a_checksum_is_that_of_names_and_numbers():
    other = dict(reversed(TENSORS.items()))
    assert checksum(TENSORS) == checksum(other)
    for changed in (
        {**TENSORS, "b": torch.tensor([1, 3])}, {**TENSORS, "b": torch.tensor([[1, 2]])},
        {"a.weight": TENSORS["a.weight"], "c": TENSORS["b"]},
    ):  # fmt: skip
        assert checksum(changed) != checksum(TENSORS)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_numbers_that_are_none_are_found_and_named(value, dtype):
    check_finite(TENSORS, "w.pt")
    bad = {**TENSORS, "c.bias": torch.tensor([1, value, 2], dtype=dtype)}
    with pytest.raises(CheckpointError, match=r"w.pt: c.bias holds 1 of 3 numbers that are NaN"):
        check_finite(bad, "w.pt")
