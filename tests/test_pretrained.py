"""vitlit.pretrained: weights of other libraries, from files and by the libraries' own means."""

import json
import pickle
import re
import shutil

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from test_layouts import SMALL, huggingfaces, npz_of, published, random_model, stored, torchvisions
from torchvision.models import ViT_B_16_Weights, vit_b_16

from vitlit import libraries
from vitlit.checkpoint import CheckpointError
from vitlit.classifier import Classifier, load
from vitlit.config import ViTConfig
from vitlit.export import export
from vitlit.layouts import to_layout
from vitlit.libraries import timms_classes
from vitlit.pretrained import is_foreign, model_of, read, split
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


@pytest.mark.parametrize("key", ["model", "state_dict"])
def test_a_state_dict_inside_a_checkpoint_is_found(tmp_path, state, key):
    torch.save({key: state, "epoch": 3}, tmp_path / "deit.pth")
    assert same(model_of(read(tmp_path / "deit.pth"), heads=3), state)


def test_torchvisions_own_file_is_read_by_the_names_in_it(tmp_path):
    state = torchvisions().state_dict()
    torch.save(published(state), tmp_path / "vit.pth")
    assert same(load(str(tmp_path / "vit.pth"), heads=3).model, state, "torchvision")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_precision_make_a_model_that_takes_pictures(tmp_path, state, dtype):
    save_file({n: t.to(dtype).contiguous() for n, t in state.items()}, tmp_path / "w.safetensors")
    classifier = load(str(tmp_path / "w.safetensors"), heads=3)
    logits = classifier.logits(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    assert logits.dtype == torch.float32
    reference = model_of(state, heads=3)(classifier.inputs(torch.zeros(1, 3, 8, 8).byte()))
    torch.testing.assert_close(logits, reference.detach(), rtol=0.1, atol=0.1)


def test_the_papers_npz_is_read(tmp_path):
    np.savez(tmp_path / "paper.npz", **npz_of(SMALL))
    classifier = load(str(tmp_path / "paper.npz"))
    assert classifier.model.config == ViTConfig(**{**vars(SMALL), "gelu": "tanh"})


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


def test_what_a_hugging_face_configuration_leaves_out_is_its_librarys_default(tmp_path):
    theirs = huggingfaces(ViTConfig(**{**vars(SMALL), "width": 24, "heads": 12, "eps": 1e-12}))
    stored(theirs, tmp_path)
    file = tmp_path / "config.json"
    said = json.loads(file.read_text())
    for key in ("num_attention_heads", "layer_norm_eps", "hidden_act"):
        del said[key]
    file.write_text(json.dumps(said))
    reread = type(theirs).from_pretrained(tmp_path).config
    config = load(str(tmp_path)).model.config
    assert (config.heads, config.eps) == (reread.num_attention_heads, reread.layer_norm_eps)
    assert (config.gelu, reread.hidden_act) == ("none", "gelu")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "dinov2"}, "its model_type is 'dinov2', not 'vit'"),
        ({"hidden_act": "quick_gelu"}, "its hidden_act is 'quick_gelu'; ours are gelu, "),
    ],
)
def test_another_model_of_hugging_faces_is_refused(tmp_path, change, words):
    stored(huggingfaces(), tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(CheckpointError, match=words):
        load(str(tmp_path))


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
    with pytest.raises(CheckpointError, match=r"is damaged|no whole safetensors"):
        read(path)


def test_other_files_and_missing_ones_are_refused(tmp_path):
    (tmp_path / "weights.h5").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"weights\.h5 is empty; give a file of weights"):
        read(tmp_path / "weights.h5")
    with pytest.raises(FileNotFoundError, match=r"no weights .*nothing\.npz"):
        read(tmp_path / "nothing.npz")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="and no ViT of Hugging Face's"):
        load(str(tmp_path / "folder"))


@pytest.mark.parametrize(
    ("table", "said"), [(5, {}), (7, {"heads": 12})], ids=["heads", "image_size"]
)
def test_what_shapes_do_not_tell_can_be_said_as_the_message_does(tmp_path, state, table, said):
    state["pos_embed"] = torch.zeros(1, table, 12)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(CheckpointError) as caught:
        load(str(tmp_path / "w.pth"), **said)
    name, words = split(re.findall(r"as in (\S+), or", str(caught.value))[0])
    assert name == "vit.pth"
    assert words in ({"heads": 12}, {"image_size": (224, 160)})
    if table == 7:  # of another size than the example's
        words = {"image_size": (8, 12)}
    config = load(str(tmp_path / "w.pth"), **said, **words).model.config
    assert config.heads == 12


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
    torch.save(published(model.state_dict()), folder / "hub" / "checkpoints" / name)
    return folder


@pytest.mark.slow
def test_torchvisions_own_weights_come_with_classes_and_statistics(hub, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(hub))
    theirs = vit_b_16(weights=ViT_B_16_Weights.DEFAULT).eval()
    classifier = load("torchvision:vit_b_16")
    transforms = ViT_B_16_Weights.DEFAULT.transforms(crop_size=224, resize_size=224)
    assert classifier.classes[281] == "tabby"
    torch.testing.assert_close(classifier.mean / 255, torch.tensor(transforms.mean))
    torch.testing.assert_close(classifier.std / 255, torch.tensor(transforms.std))
    images = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)
    with torch.no_grad():
        logits = theirs(transforms(images))
    torch.testing.assert_close(classifier.logits(images), logits, rtol=1e-4, atol=1e-4)
    assert logits.std() > 0.1


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
    assert classifier.classes == ("0", "1", "2", "3")


def test_what_we_exported_to_timm_comes_back_through_timm(tmp_path):
    changes = {"pooling": "mean", "gelu": "tanh"}
    model = random_model(ViTConfig(**{**vars(SMALL), **changes})).float()
    ours = Classifier(model, tuple("abcde"), torch.tensor([9.0] * 3), torch.tensor([7.0] * 3), "")
    export(ours, "timm", tmp_path / "out")
    back = load(f"timm:local-dir:{tmp_path / 'out'}")
    assert back.model.config == model.config
    assert same(back.model, to_layout(model.state_dict(), "timm", model.config))
    assert back.classes == tuple("abcde")
    torch.testing.assert_close(back.mean, ours.mean)


def test_timms_models_of_imagenet_have_its_classes():
    names = timms_classes({}, 1000)
    assert len(names) == 1000
    assert names[281].startswith("tabby")
    about = {"label_names": ["n1", "n2"], "label_descriptions": {"n1": "one"}}
    assert timms_classes(about, 2) == ["one", "n2"]
    assert timms_classes({}, 7) is None


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"act_layer": "quick_gelu"}, "activates with QuickGELU and pools 'token'"),
        ({"global_pool": "avg", "fc_norm": False}, "pools 'avg', which no model of ours does"),
        ({"init_values": 0.1}, r"unknown: blocks\.0\.ls1\.gamma"),
        ({"block_fn": timm.models.vision_transformer.ParallelThingsBlock}, "ParallelThingsBlock"),
    ],
)
def test_a_model_of_timms_that_computes_otherwise_is_refused(monkeypatch, how, words):
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: create(name, depth=1, **how))
    with pytest.raises(CheckpointError, match=words):
        load("timm:vit_tiny_patch16_224")


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
        (
            "google/vit",
            ["config.json", "preprocessor_config.json", "model.safetensors",
             "model.safetensors.index.json", "model-*.safetensors"],
        )
    ]  # fmt: skip


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

    monkeypatch.setattr(libraries, "import_module", missing)
    with pytest.raises(CheckpointError, match="timm:x needs timm: pip install timm"):
        load("timm:x")


def test_models_that_are_no_vit_are_refused():
    with pytest.raises(CheckpointError, match="torchvision has no ViT 'resnet18'; it has vit_b_16"):
        load("torchvision:resnet18")
    with pytest.raises(CheckpointError, match="timm:vit_of_nobody cannot be had"):
        load("timm:vit_of_nobody")


def test_what_is_foreign_is_told_from_a_checkpoint_of_ours(tmp_path, state):
    ours = tmp_path / "ours.safetensors"
    Classifier(random_model(), tuple("abcde"), torch.zeros(3), torch.ones(3), "tiny").save(ours)
    theirs = tmp_path / "theirs.safetensors"
    save_file({n: t.contiguous() for n, t in state.items()}, theirs)
    (tmp_path / "cut.safetensors").write_bytes(theirs.read_bytes()[:9])
    (tmp_path / "other").mkdir()
    (tmp_path / "mine").mkdir()
    shutil.copy(ours, tmp_path / "mine" / "model.safetensors")
    shutil.copy(ours, tmp_path / "no-suffix")
    files = ("theirs.safetensors", "cut.safetensors", "other")
    for text in ("torchvision:vit_b_16", *(str(tmp_path / name) for name in files)):
        assert is_foreign(text), text
    files = ("ours.safetensors", "no-suffix", "mine", "nothing.pth")
    for text in ("keras:x", *(str(tmp_path / name) for name in files)):
        assert not is_foreign(text), text
