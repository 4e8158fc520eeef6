"""vitlit.libraries: folders of other libraries, and a hub that does not answer."""

import json
import socket
import time

import huggingface_hub.constants as hub
import pytest
import torch
from safetensors.torch import save_file
from test_layouts import SMALL, huggingfaces, random_model, stored

from vitlit.checkpoint import CheckpointError
from vitlit.classifier import Classifier, load
from vitlit.config import ViTConfig
from vitlit.export import EXPORTS, export
from vitlit.layouts import to_layout
from vitlit.libraries import no_waiting, reachable

CLASSES = tuple("abcde")


@pytest.mark.parametrize("layout", EXPORTS)
@pytest.mark.parametrize(
    "changes",
    [
        {}, {"head": "mlp", "head_width": 20}, {"image_size": (8, 12)},
        {"pooling": "mean", "gelu": "tanh"},
    ],
    ids=["plain", "mlp head", "oblong", "mean"],
)  # fmt: skip
def test_what_we_exported_comes_back_with_nothing_assumed(tmp_path, layout, changes):
    model = random_model(ViTConfig(**{**vars(SMALL), **changes})).float()
    statistics = torch.tensor([9.0, 10.0, 11.0]), torch.tensor([7.0, 6.0, 5.0])
    ours = Classifier(model, CLASSES, *statistics, "tiny")
    try:
        export(ours, layout, tmp_path / "out")
    except ValueError as error:
        pytest.skip(str(error))
    back = load(tmp_path / "out")
    assert back.model.config == model.config
    state = back.model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert back.classes == CLASSES
    torch.testing.assert_close((back.mean, back.std), statistics)
    assert back.assumed == {}


def test_a_folder_of_weights_alone_is_read_and_what_is_assumed_is_noted(tmp_path):
    state = to_layout(random_model().float().state_dict(), "timm", SMALL)
    save_file({n: t.contiguous() for n, t in state.items()}, tmp_path / "model.safetensors")
    classifier = load(tmp_path, heads=3)
    assert classifier.assumed.keys() == {"image_size", "eps", "gelu", "mean", "std", "classes"}


def preprocessed(folder, **said):
    stored(huggingfaces(), folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return load(folder)


def test_a_preprocessor_that_does_not_normalize_or_scales_otherwise_is_followed(tmp_path):
    half = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    pixels = torch.tensor([[0.0, 51.0, 255.0]]).expand(3, 3)
    for said, expected in (
        ({"do_normalize": False, **half}, pixels / 255),
        ({"do_normalize": False, "do_rescale": False}, pixels),
        ({"do_rescale": False, **half}, (pixels - 0.5) / 0.25),
        ({"rescale_factor": 1 / 127.5, **half}, (pixels / 127.5 - 0.5) / 0.25),
        (half, (pixels / 255 - 0.5) / 0.25),
    ):
        found = preprocessed(tmp_path, **said)
        mean, std = found.mean[:, None], found.std[:, None]
        torch.testing.assert_close((pixels - mean) / std, expected, rtol=1e-4, atol=1e-4)
        assert "mean" not in found.assumed


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"image_mean": [0.5, 0.5], "image_std": [1.0] * 3}, "mean is .*; the model needs 3"),
        ({"image_mean": [0.5] * 3, "image_std": [1.0, 0.0, 1.0]}, "std is .*; it must be above 0"),
    ],
)
def test_statistics_that_make_no_pixels_are_refused(tmp_path, said, words):
    with pytest.raises(CheckpointError, match=words):
        preprocessed(tmp_path, **said)


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_configuration_that_is_none_is_named(tmp_path, text):
    stored(huggingfaces(), tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config.json (cannot be read|holds no fields)"):
        load(tmp_path)


# Without a network


def test_a_server_is_reachable_or_its_proxy_is(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        open_ = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert reachable(open_)
        monkeypatch.setenv("http_proxy", open_)
        assert reachable("http://nowhere.invalid")
    assert not reachable(open_)


@pytest.mark.parametrize("answers", [True, False])
def test_a_hub_that_does_not_answer_is_not_waited_for(monkeypatch, answers):
    monkeypatch.setattr("vitlit.libraries.reachable", lambda address: answers)
    before = hub.HF_HUB_OFFLINE
    with no_waiting():
        assert hub.HF_HUB_OFFLINE is (before or not answers)
    assert hub.HF_HUB_OFFLINE is before


@pytest.mark.parametrize("source", ["timm:vit_tiny_patch16_224", "huggingface:google/vit"])
def test_without_a_network_one_line_comes_soon(tmp_path, monkeypatch, source):
    monkeypatch.setattr("vitlit.libraries.reachable", lambda address: False)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    start = time.perf_counter()
    with pytest.raises(CheckpointError, match=r"\(https://\S+ cannot be reached, and it is"):
        load(source)
    assert time.perf_counter() - start < 10
