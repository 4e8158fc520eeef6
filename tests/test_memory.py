"""vitlit.memory: what a model takes, from its configuration alone."""

import pytest
import torch
from helpers.tiny import MODEL, dataset, recipe
from torch.nn import functional as F

from vitlit import memory
from vitlit.config import ViTConfig
from vitlit.memory import bytes_to_train, parameters_of, refuse_too_large
from vitlit.presets import PRESETS, preset
from vitlit.train import classifier_for, optimizers_for, train
from vitlit.vit import VisionTransformer

KINDS = [
    {}, {"pooling": "mean"}, {"head": "mlp"}, {"head": "mlp", "head_width": 50},
    {"positions": "sincos"}, {"image_size": (8, 24), "channels": 1, "patch_size": 8}, {"depth": 1},
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_counted_without_building_the_model(kind):
    config = ViTConfig(**kind)
    model = VisionTransformer(config)
    assert parameters_of(config) == sum(t.numel() for t in model.state_dict().values())


def test_the_papers_largest_has_torchvisions_number():
    config = ViTConfig.named("H/14", image_size=(224, 224), classes=1000)
    assert parameters_of(config) == 632_045_800


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_step_takes_at_least_what_is_estimated_and_not_much_more(optimizer):
    settings = recipe(optimizer=optimizer, model={"width": 64, "depth": 4, "mlp_width": 128})
    classifier = classifier_for(settings, dataset(), dataset().train_images)
    model, kept = classifier.model.train(), {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    inputs = classifier.inputs(dataset().train_images)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = F.cross_entropy(model(inputs), dataset().train_labels)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    between = sum(t.nbytes for place, t in kept.items() if place not in weights)
    loss.backward()
    held = sum(p.nbytes + p.grad.nbytes for p in model.parameters())
    for each in optimizers_for(model, settings):
        each.step()
        held += sum(t.nbytes for state in each.state.values() for t in state.values())
    estimated = bytes_to_train(model.config, settings, 24)
    assert 0.5 * (between + held) < estimated < between + held


def test_more_of_everything_takes_more():
    config, settings = ViTConfig(), recipe()
    least = bytes_to_train(config, settings, 8)
    assert bytes_to_train(config, settings, 16) > least
    assert bytes_to_train(config, recipe(average=0.9), 8) == least + 4 * parameters_of(config)
    assert bytes_to_train(config, recipe(optimizer="muon"), 8) < least
    assert bytes_to_train(config, recipe(keep=0.5), 8) < least
    assert bytes_to_train(config, recipe(keep=(0.5, 1.0)), 8) == least
    assert bytes_to_train(config, recipe(precision="bf16"), 8) < least


def test_what_does_not_fit_is_refused_before_it_is_built(tmp_path, monkeypatch):
    monkeypatch.setattr(VisionTransformer, "__init__", None)  # nothing is built
    monkeypatch.setattr(memory, "free", lambda device: 3 * 2**30)
    settings = recipe(model={"width": 16_384, "depth": 12})
    message = (
        r"a model of 12,897,091,875 parameters takes at least 192\.3 GiB to train with "
        r"batches of 8 images, and 3\.0 GiB are free on cpu; lower model\.width"
    )
    with pytest.raises(ValueError, match=message):
        train(settings, dataset(), tmp_path / "run", progress=False)
    assert not list(tmp_path.iterdir())


def test_where_it_cannot_be_known_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "MEMINFO", "/nowhere")
    assert memory.free("cpu") is None
    refuse_too_large(ViTConfig(width=65_536, heads=1), recipe(), 8, "cpu")


KIB = 1024
VERSIONS = [
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
]


@pytest.fixture(params=VERSIONS, ids=["version 2", "version 1"])
def container(request, monkeypatch, tmp_path):
    """Writes what a machine with 8000 KiB available says of a container."""
    meminfo, (below, limit, usage, cached) = tmp_path / "meminfo", request.param
    meminfo.write_text("MemTotal:  9000 kB\nMemAvailable:  8000 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", str(meminfo))
    groups = [(str(tmp_path / group[0]), *group[1:]) for group in VERSIONS]
    assert [group[1:] for group in memory.GROUPS] == [group[1:] for group in groups]
    monkeypatch.setattr(memory, "GROUPS", groups)
    folder = tmp_path / below
    folder.mkdir(exist_ok=True)

    def write(allowed, used=None, files=None):
        (folder / limit).write_text(f"{allowed}\n")
        for name, text in ((usage, used), ("memory.stat", files)):
            (folder / name).unlink(missing_ok=True)
            if text is not None:
                shown = f"active_file 7\n{cached} {text}\nanon 5\n" if "stat" in name else text
                (folder / name).write_text(f"{shown}\n")

    return write


@pytest.mark.parametrize(
    ("allowed", "used", "files", "free"),
    [
        ("max", None, None, 8000),  # no limit
        (2**63 - 4096, 100 * KIB, 0, 8000),  # none either, of version 1
        (4000 * KIB, None, None, 4000),
        (4000 * KIB, 3000 * KIB, None, 1000),
        (4000 * KIB, 3000 * KIB, 500 * KIB, 1500),
        (4000 * KIB, 3000 * KIB, 3500 * KIB, 4000),  # counted at different moments
        (4000 * KIB, 4100 * KIB, 0, 0),  # a limit that was lowered
        (9999 * KIB, 1000 * KIB, 0, 8000),
    ],
)
def test_what_a_containers_limit_leaves_counts(container, allowed, used, files, free):
    container(allowed, used, files)
    assert memory.free("cpu") == free * KIB


def test_a_gpu_says_itself_what_is_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5, 9))
    assert memory.free("cuda:1") == 5


@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_fit_a_machine_of_four_gigabytes(name):
    settings = preset(name)
    config = ViTConfig(**{"head": "mlp", **settings.model})
    assert bytes_to_train(config, settings, settings.batch_size) < 4 * 2**30


def test_tiny_models_are_built_as_before():
    refuse_too_large(ViTConfig(**MODEL), recipe(), 8, "cpu")
