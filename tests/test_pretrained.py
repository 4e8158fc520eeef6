"""vitlit.pretrained: weights of other libraries, from files and by the libraries' own means."""

import json
import pickle

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from test_layouts import SMALL, huggingfaces, npz_of, random_model, stored
from torchvision.models import ViT_B_16_Weights, vit_b_16

from vitlit import pretrained
from vitlit.checkpoint import CheckpointError
from vitlit.config import ViTConfig
from vitlit.layouts import to_layout
from vitlit.pretrained import is_source, load, model_of, read
from vitlit.receipts import Row


@pytest.fixture
def state():
    """The weights of a small model in timm's layout."""
    return to_layout(random_model().float().state_dict(), "timm", SMALL)


def same(model, state, layout="timm"):
    found = to_layout(model.state_dict(), layout, model.config)
    return found.keys() == state.keys() and all(torch.equal(found[n], state[n]) for n in state)


# Files


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.pth"])
def test_a_file_of_tensors_is_read(tmp_path, state, name):
    if name.endswith("safetensors"):
        save_file({n: t.contiguous() for n, t in state.items()}, tmp_path / name)
    else:
        torch.save(state, tmp_path / name)
    classifier = load(str(tmp_path / name), heads=3)
    assert same(classifier.model, state)
    assert not classifier.model.training
    assert classifier.classes == ("0", "1", "2", "3", "4")
    assert classifier.mean.tolist() == classifier.std.tolist() == [127.5] * 3


def test_a_state_dict_inside_a_checkpoint_is_found(tmp_path, state):
    torch.save({"model": state, "epoch": 3}, tmp_path / "deit.pth")
    assert same(model_of(read(tmp_path / "deit.pth"), heads=3), state)


def test_the_papers_npz_is_read(tmp_path):
    np.savez(tmp_path / "paper.npz", **npz_of(SMALL))
    classifier = load(str(tmp_path / "paper.npz"))
    assert classifier.model.config == SMALL


def test_a_hugging_face_folder_tells_heads_eps_classes_and_statistics(tmp_path):
    theirs = huggingfaces(ViTConfig(**{**vars(SMALL), "eps": 1e-9}))
    theirs.config.id2label = dict(enumerate("abcde"))
    written = stored(theirs, tmp_path)
    said = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    classifier = load(str(tmp_path))
    assert classifier.model.config == ViTConfig(**{**vars(SMALL), "eps": 1e-9})
    assert classifier.classes == tuple("abcde")
    torch.testing.assert_close(classifier.mean, 255 * torch.tensor(said["image_mean"]))
    torch.testing.assert_close(classifier.std, 255 * torch.tensor(said["image_std"]))
    assert same(classifier.model, written, "huggingface")


class Bomb:
    """An object that runs code when it is unpickled."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('code ran')",))


@pytest.mark.parametrize("name", ["bomb.pth", "bomb.pt", "bomb.npz"])
def test_a_pickle_that_runs_code_is_refused(tmp_path, name):
    path = tmp_path / name
    if name.endswith("npz"):
        np.savez(path, cls=np.array([Bomb()], dtype=object))
    else:
        path.write_bytes(pickle.dumps({"cls_token": Bomb()}))
    with pytest.raises(CheckpointError, match=rf"{name} cannot be read without running code"):
        load(str(path))


@pytest.mark.parametrize("name", ["cut.safetensors", "cut.npz", "cut.pth"])
def test_a_damaged_file_is_refused(tmp_path, state, name):
    path = tmp_path / name
    if name.endswith("safetensors"):
        save_file({n: t.contiguous() for n, t in state.items()}, path)
    elif name.endswith("npz"):
        np.savez(path, **npz_of(SMALL))
    else:
        torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match=r"is damaged"):
        read(path)


def test_other_files_and_missing_ones_are_refused(tmp_path):
    (tmp_path / "weights.h5").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"weights\.h5 is no \.safetensors, \.npz"):
        read(tmp_path / "weights.h5")
    with pytest.raises(FileNotFoundError, match=r"no weights .*nothing\.npz"):
        read(tmp_path / "nothing.npz")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="holds no ViT of Hugging Face's"):
        load(str(tmp_path / "folder"))


# Another resolution


@pytest.mark.parametrize("size", [(224, 224), (160, 256)])
def test_weights_for_384_pixels_load_into_a_smaller_model_as_timm_does_it(monkeypatch, size):
    how = {"embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 7}
    large = timm.create_model("vit_tiny_patch16_384", **how).double()
    for parameter in large.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    ours = model_of(large.state_dict(), resized_to=size, heads=3)
    assert ours.config.image_size == size

    # timm resamples in float32; here it may keep float64.
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    theirs = timm.create_model("vit_tiny_patch16_384", img_size=size, **how).double().eval()
    state = timm.models.vision_transformer.checkpoint_filter_fn(large.state_dict(), theirs)
    theirs.load_state_dict(state)
    images = torch.randn(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        mine, reference = ours(images), theirs(images)
    row = Row("logits", (mine - reference).abs().max().item(), reference.abs().max().item())
    assert row.holds, row


# The libraries' own downloads, from what they have stored


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A folder that torchvision takes for its downloads, with a B/16 of random weights."""
    folder = tmp_path_factory.mktemp("hub")
    torch.manual_seed(0)
    model = vit_b_16()
    torch.nn.init.normal_(model.heads.head.weight, std=0.02)
    (folder / "hub" / "checkpoints").mkdir(parents=True)
    name = ViT_B_16_Weights.DEFAULT.url.rpartition("/")[2]
    torch.save(model.state_dict(), folder / "hub" / "checkpoints" / name)
    return folder, model.eval()


def test_torchvisions_own_weights_come_with_classes_and_statistics(hub, monkeypatch):
    folder, theirs = hub
    monkeypatch.setenv("TORCH_HOME", str(folder))
    classifier = load("torchvision:vit_b_16")
    transforms = ViT_B_16_Weights.DEFAULT.transforms()
    assert classifier.classes[281] == "tabby"
    torch.testing.assert_close(classifier.mean / 255, torch.tensor(transforms.mean))
    torch.testing.assert_close(classifier.std / 255, torch.tensor(transforms.std))
    images = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)
    inputs = torch.stack([transforms(image) for image in images])
    with torch.no_grad():
        inputs = (images / 255 - classifier.mean.view(3, 1, 1) / 255) / (
            classifier.std.view(3, 1, 1) / 255
        )
        torch.testing.assert_close(classifier.logits(images), theirs(inputs), rtol=1e-4, atol=1e-4)


def test_timms_own_weights_come_with_heads_and_statistics(tmp_path, monkeypatch):
    create = timm.create_model
    model = create("vit_tiny_patch16_224", depth=2, num_classes=4)
    torch.save(model.state_dict(), tmp_path / "tiny.pth")
    overlay = {"file": str(tmp_path / "tiny.pth"), "custom_load": False, "num_classes": 4}
    monkeypatch.setattr(
        timm, "create_model",
        lambda name, pretrained: create(
            name, pretrained=pretrained, depth=2, num_classes=4, pretrained_cfg_overlay=overlay
        ),
    )  # fmt: skip
    classifier = load("timm:vit_tiny_patch16_224")
    assert same(classifier.model, model.state_dict())
    assert classifier.model.config.heads == 3
    assert classifier.mean.tolist() == [127.5] * 3


def test_the_hub_of_hugging_face_gives_a_folder(tmp_path, monkeypatch):
    import huggingface_hub

    asked = []
    written = stored(huggingfaces(), tmp_path)

    def download(name, allow_patterns):
        asked.append((name, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    classifier = load("huggingface:google/vit")
    assert same(classifier.model, written, "huggingface")
    assert asked == [
        ("google/vit", ["config.json", "preprocessor_config.json", "model.safetensors"])
    ]


def test_without_a_network_the_source_and_the_remedy_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def fail(*_, **__):
        raise OSError("no route to host\nmore")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", fail)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(
        CheckpointError, match=r"vit_b_32 cannot be downloaded \(no route to host\)"
    ):
        load("torchvision:vit_b_32")


def test_a_library_that_is_not_installed_is_named(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(pretrained, "import_module", missing)
    with pytest.raises(CheckpointError, match="timm:x needs timm: pip install timm"):
        load("timm:x")


def test_models_that_are_no_vit_are_refused():
    with pytest.raises(CheckpointError, match="torchvision has no ViT 'resnet18'; it has vit_b_16"):
        load("torchvision:resnet18")
    with pytest.raises(CheckpointError, match="timm:vit_of_nobody cannot be had"):
        load("timm:vit_of_nobody")


def test_a_source_is_told_from_a_file():
    assert is_source("torchvision:vit_b_16")
    assert not is_source("runs/cpu/model.safetensors")
    assert not is_source("C:/weights.npz")
