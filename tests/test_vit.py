"""vitlit.vit: the whole model."""

import dataclasses
from functools import partial

import pytest
import timm
import timm.models.vision_transformer as timms
import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torchvision.ops import StochasticDepth

from vitlit.config import ViTConfig
from vitlit.layouts import to_layout
from vitlit.patches import patchify, unpatchify
from vitlit.positions import interpolate_positions
from vitlit.receipts import compare_models, random_images, randomize_
from vitlit.vit import VisionTransformer

SMALL = ViTConfig(image_size=(8, 12), classes=5, width=16, depth=2, heads=4, mlp_width=24)


def small(**changes):
    """A small model for images that are not square, without chance."""
    return VisionTransformer(dataclasses.replace(SMALL, **changes)).eval()


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def shuffle_patches(images, order):
    size = tuple(images.shape[2:])
    return unpatchify(patchify(images, 4)[:, order], 4, size)


def test_every_choice_reaches_its_part():
    model = small(dropout=0.3, stochastic_depth=0.2, eps=1e-3, gelu="tanh", activation="relu",
                  head="mlp", head_width=20)  # fmt: skip
    parts = list(model.modules())
    assert {part.p for part in parts if isinstance(part, nn.Dropout)} == {0.3}
    assert [part.p for part in parts if isinstance(part, StochasticDepth)] == [0.0, 0.2]
    assert {part.eps for part in parts if isinstance(part, nn.LayerNorm)} == {1e-3}
    assert {part.approximate for part in parts if isinstance(part, nn.GELU)} == {"tanh"}
    assert isinstance(model.head.activation, nn.ReLU)
    assert model.head.hidden.out_features == 20


@pytest.mark.parametrize("head", [{"head": "linear"}, {"head": "mlp", "head_width": 20}])
def test_the_model_is_torchvisions(head):
    theirs = torchvision.models.VisionTransformer(
        12, 4, 2, 4, 16, 24, num_classes=5, representation_size=head.get("head_width")
    )
    ours = small(image_size=(12, 12), **head)
    rename = partial(to_layout, layout="torchvision", config=ours.config)
    compare_models(ours, theirs, rename, random_images(2, 3, 12, 12))


@pytest.mark.parametrize("image_size", [(12, 12), (8, 12), (16, 8)])
def test_the_model_is_timms(image_size):
    theirs = timms.VisionTransformer(
        image_size, 4, 3, 5, embed_dim=16, depth=2, num_heads=4, mlp_ratio=1.5
    )
    ours = small(image_size=image_size)
    rename = partial(to_layout, layout="timm", config=ours.config)
    compare_models(ours, theirs, rename, random_images(2, 3, *image_size))


def test_the_model_that_pools_the_mean_is_timms():
    theirs = timms.VisionTransformer(
        (8, 12),
        4,
        3,
        5,
        global_pool="avg",
        embed_dim=16,
        depth=2,
        num_heads=4,
        mlp_ratio=1.5,
        class_token=False,
        fc_norm=False,
        act_layer=lambda: nn.GELU(approximate="tanh"),
    )
    ours = small(pooling="mean", gelu="tanh")
    rename = partial(to_layout, layout="timm", config=ours.config)
    compare_models(ours, theirs, rename, random_images(2, 3, 8, 12))


@pytest.mark.parametrize(
    ("name", "builder", "parameters"),
    [("B/16", "vit_b_16", 86_567_656), ("L/16", "vit_l_16", 304_326_632),
     ("H/14", "vit_h_14", 632_045_800)],
)  # fmt: skip
def test_the_papers_sizes_have_torchvisions_number_of_parameters(name, builder, parameters):
    with torch.device("meta"):
        ours = VisionTransformer(ViTConfig.named(name, image_size=(224, 224), classes=1000))
        theirs = getattr(torchvision.models, builder)()
    assert count(ours) == count(theirs) == parameters


@pytest.mark.parametrize(("size", "name"), [("Ti", "tiny"), ("S", "small")])
def test_the_smaller_sizes_have_timms_number_of_parameters(size, name):
    with torch.device("meta"):
        ours = VisionTransformer(ViTConfig.named(f"{size}/16", image_size=(224, 224), classes=1000))
        theirs = timm.create_model(f"vit_{name}_patch16_224")
    assert count(ours) == count(theirs)


def test_a_fresh_model_gives_every_class_the_same_probability():
    logits = small()(torch.randn(4, 3, 8, 12))
    loss = F.cross_entropy(logits, torch.arange(4))
    assert loss.item() == pytest.approx(torch.log(torch.tensor(5.0)).item())


@pytest.mark.parametrize("changes", [{}, {"head": "mlp"}, {"pooling": "mean"}])
def test_training_moves_every_parameter(changes):
    torch.manual_seed(0)
    model = small(**changes).train()
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    images, labels = torch.randn(8, 3, 8, 12), torch.arange(8) % 5
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    for name, parameter in model.named_parameters():
        assert not torch.equal(parameter, before[name]), name


def test_without_positions_a_shuffled_image_is_the_same_image():
    model = randomize_(small(positions="none"))
    nn.init.zeros_(model.positions.table)
    images = random_images(2, 3, 8, 12)
    shuffled = shuffle_patches(images, [4, 0, 5, 2, 1, 3])
    torch.testing.assert_close(model(shuffled), model(images))


@pytest.mark.parametrize("positions", ["learned", "sincos"])
def test_with_positions_a_shuffled_image_is_another(positions):
    torch.manual_seed(0)
    model = small(positions=positions)
    nn.init.normal_(model.head.weight)
    images = torch.randn(2, 3, 8, 12)
    shuffled = shuffle_patches(images, [4, 0, 5, 2, 1, 3])
    assert (model(shuffled) - model(images)).abs().max() > 1e-3


def test_the_logits_of_an_image_do_not_depend_on_the_other_images():
    model = randomize_(small())
    images = random_images(9, 3, 8, 12)
    alone = torch.cat([model(image) for image in images.split(1)])
    torch.testing.assert_close(model(images), alone)


@pytest.mark.parametrize("chance", [{"dropout": 0.5}, {"stochastic_depth": 0.5}])
def test_evaluation_repeats_itself_and_training_does_not(chance):
    torch.manual_seed(0)
    model = randomize_(small(**chance))
    images = random_images(8, 3, 8, 12)
    assert torch.equal(model(images), model(images))
    model.train()
    assert not torch.equal(model(images), model(images))


def test_watching_names_every_step_in_order():
    blocks = ["attention_1", "block_1", "attention_2", "block_2"]
    start, end = ["patches", "embedded"], [*blocks, "encoded"]
    images = torch.randn(2, 3, 8, 12)
    by_class = [*start, "with_class", "with_positions", *end, "class_token", "logits"]
    assert list(small().watch(images)) == by_class
    by_mean = [*start, "with_positions", *end, "mean_token", "logits"]
    assert list(small(pooling="mean").watch(images)) == by_mean


@pytest.mark.parametrize("changes", [{}, {"pooling": "mean"}, {"head": "mlp"}, {"dropout": 0.5}])
def test_watching_changes_nothing(changes):
    model = randomize_(small(**changes))
    images = random_images(2, 3, 8, 12)
    assert torch.equal(model.watch(images)["logits"], model(images))


def test_what_is_watched_fits_together():
    model = randomize_(small())
    images = random_images(2, 3, 8, 12)
    seen = model.watch(images)
    assert torch.equal(seen["patches"], patchify(images, 4))
    assert torch.equal(seen["embedded"], model.embedding.projection(seen["patches"]))
    assert torch.equal(seen["with_class"][:, 1:], seen["embedded"])
    assert torch.equal(seen["with_class"][:, 0], model.class_token.token.expand(2, 16))
    assert torch.equal(seen["with_positions"], seen["with_class"] + model.positions.table)
    tokens = seen["with_positions"]
    for i, block in enumerate(model.encoder.blocks, 1):
        weights = seen[f"attention_{i}"]
        assert weights.shape == (2, 4, 7, 7)
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 7, dtype=torch.float64))
        values = block.attention.split(block.norm1(tokens))[2]
        between = tokens + block.attention.merge(weights @ values)
        tokens = between + block.mlp(block.norm2(between))
        torch.testing.assert_close(seen[f"block_{i}"], tokens)
    torch.testing.assert_close(seen["encoded"], model.encoder.norm(tokens))
    assert torch.equal(seen["class_token"], seen["encoded"][:, 0])
    assert torch.equal(seen["logits"], model.head(seen["class_token"]))


@pytest.mark.parametrize("channels", [3, 1])
def test_nothing_keeps_watching_afterwards_even_after_an_error(channels):
    model = small()
    if channels == 1:
        with pytest.raises(ValueError, match="1 channels"):
            model.watch(torch.zeros(2, 1, 8, 12))
    else:
        model.watch(torch.zeros(2, 3, 8, 12))
    assert not any(part._forward_hooks for part in model.modules())


@pytest.mark.parametrize("how", [{}, {"mode": "bilinear", "align_corners": True}])
def test_a_resized_model_keeps_its_weights_and_interpolates_its_positions(how):
    model = randomize_(small(head="mlp")).train()
    resized = model.resized((16, 20), **how)
    assert resized.config == dataclasses.replace(model.config, image_size=(16, 20))
    assert resized.training
    table = interpolate_positions(model.positions.table, (2, 3), (4, 5), **how)
    expected = {**model.state_dict(), "positions.table": table}
    assert all(torch.equal(value, expected[name]) for name, value in resized.state_dict().items())
    assert resized(random_images(2, 3, 16, 20)).shape == (2, 5)


def test_a_model_resized_to_its_own_size_gives_the_same_logits():
    model = randomize_(small())
    images = random_images(2, 3, 8, 12)
    torch.testing.assert_close(model.resized((8, 12)).eval()(images), model(images))


def test_training_a_resized_model_leaves_the_first_alone():
    model = small()
    resized = model.resized((8, 12))
    for parameter in resized.parameters():
        nn.init.ones_(parameter)
    assert not model.head.weight.any()
    assert model.positions.table.std() < 0.03


@pytest.mark.parametrize("positions", ["sincos", "none"])
def test_a_resized_model_keeps_fixed_positions_fixed(positions):
    resized = small(positions=positions).resized((16, 20))
    assert not resized.positions.table.requires_grad
    assert torch.equal(
        resized.positions.table, small(positions=positions, image_size=(16, 20)).positions.table
    )


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"5 tokens, but 7 positions .*resized"):
        small()(torch.zeros(2, 3, 8, 8))


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="heads 3 does not divide width 16"):
        small(heads=3)
