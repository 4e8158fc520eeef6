"""vitlit.vit: the whole model."""

import copy
import dataclasses
import pickle
from functools import partial

import jaxtyping
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
    with pytest.raises(ValueError, match=r"of 8×8 pixels, the model takes 8×12; .*resized"):
        small()(torch.zeros(2, 3, 8, 8))


def test_images_with_height_and_width_swapped_are_refused():
    with pytest.raises(ValueError, match=r"of 12×8 pixels, the model takes 8×12"):
        small()(torch.zeros(2, 3, 12, 8))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_pixels_that_were_not_normalized_are_refused(unchecked, dtype):
    with pytest.raises(ValueError, match=f"images of {dtype} are no normalized pixels; subtract"):
        small()(torch.zeros(2, 3, 8, 12, dtype=dtype))


@pytest.mark.parametrize(
    ("images", "weights"), [(torch.float64, torch.float32), (torch.float32, torch.float16)]
)
def test_images_of_another_precision_than_the_weights_are_refused(images, weights):
    with pytest.raises(ValueError, match=rf"{images}, but .* are {weights}; use images\.to"):
        small().to(weights)(torch.zeros(2, 3, 8, 12, dtype=images))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (
            (3, 8, 12),
            r"shape \(3, 8, 12\) have 3 axes, .*; give one image a batch axis",
        ),
        ((8, 12), r"have 2 axes, not the four of \(B, C, H, W\)"),
        ((1, 2, 3, 8, 12), r"have 5 axes, not the four"),
        ((2, 8, 12, 3), r"the images have 8 channels, the model expects 3; bring the last axis"),
        ((2, 4, 8, 12), r"the images have 4 channels, the model expects 3; convert the images"),
    ],
)
def test_images_with_other_axes_are_refused_by_what_is_wrong(unchecked, shape, words):
    with pytest.raises(ValueError, match=words):
        small()(torch.zeros(shape))


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="heads 3 does not divide width 16"):
        small(heads=3)


# What PyTorch does with models: other precisions, compilers, copies


@pytest.fixture
def unchecked(monkeypatch):
    """Shapes are not checked meanwhile: compilers cannot look into the checks."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def all_kinds():
    """Models that take every way through the code."""
    yield randomize_(small()).float()
    yield randomize_(small(pooling="mean", head="mlp", positions="sincos")).float()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_precision_does_what_float32_does(dtype):
    tolerance = {torch.float16: 0.02, torch.bfloat16: 0.15, torch.float64: 1e-5}[dtype]
    images = torch.rand(2, 3, 8, 12)
    for model in all_kinds():
        other = copy.deepcopy(model).to(dtype)
        expected, found = model.watch(images), other.watch(images.to(dtype))
        for name, tensor in expected.items():
            scale = max(1, tensor.abs().max().item())
            assert found[name].dtype == dtype, name
            assert (found[name] - tensor).abs().max() <= tolerance * scale, name
        for logits in (expected["logits"], found["logits"]):
            logits.square().mean().backward()
        for (name, mine), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
            if mine.requires_grad:
                scale = max(1, mine.grad.abs().max().item())
                assert (mine.grad - theirs.grad).abs().max() <= 2 * tolerance * scale, name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("how", [{}, {"antialias": True}, {"mode": "bilinear"}])
def test_a_model_of_any_precision_is_resized_in_it(dtype, how):
    for model in all_kinds():
        resized = copy.deepcopy(model).to(dtype).resized((16, 8), **how)
        assert {tensor.dtype for tensor in resized.state_dict().values()} == {dtype}
        expected = model.resized((16, 8), **how).positions.table
        torch.testing.assert_close(resized.positions.table.float(), expected, rtol=0.01, atol=0.01)
        assert resized(torch.rand(1, 3, 16, 8, dtype=dtype)).shape == (1, 5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_under_autocast_it_computes_and_learns_in_half_precision(dtype):
    images = torch.rand(2, 3, 8, 12)
    for model in all_kinds():
        expected = model(images)
        with torch.autocast("cpu", dtype):
            logits, watched = model(images), model.watch(images)
        assert logits.dtype == watched["logits"].dtype == dtype
        torch.testing.assert_close(logits.float(), expected, rtol=0.1, atol=0.2)
        logits.float().square().mean().backward()
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def with_any_batch(program, model, watched=False):
    """Whether a program that was made of a model computes with any number of images as it does."""
    for count in (1, 2, 5):
        images = torch.rand(count, 3, 8, 12)
        expected = model.watch(images) if watched else {"logits": model(images)}
        found = program(images)
        found = found if isinstance(found, dict) else {"logits": found}
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, msg=name)


class Watched(nn.Module):
    """What `watch` returns, as a module's forward."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model.watch(images)


@pytest.mark.parametrize("watched", [False, True])
def test_an_exported_model_takes_any_number_of_images(unchecked, watched):
    anything = ({0: torch.export.Dim("B", min=1)},)
    for model in all_kinds():
        program = torch.export.export(
            Watched(model) if watched else model,
            (torch.rand(3, 3, 8, 12),), dynamic_shapes=anything, strict=False,
        )  # fmt: skip
        with_any_batch(program.module(), model, watched)
        core = program.run_decompositions()  # as torch.onnx does it
        with_any_batch(core.module(), model, watched)


@pytest.mark.filterwarnings("ignore")
def test_a_model_traced_with_one_image_takes_any_number(unchecked):
    for model in all_kinds():
        with_any_batch(torch.jit.trace(model, torch.rand(1, 3, 8, 12)), model)


@pytest.mark.parametrize("dynamic", [None, True])
def test_a_model_is_compiled_as_one_graph(unchecked, dynamic):
    for model in all_kinds():
        torch._dynamo.reset()
        how = {"backend": "eager", "fullgraph": True, "dynamic": dynamic}
        with_any_batch(torch.compile(model, **how), model)


def test_a_copy_and_a_pickled_model_are_the_same_and_can_be_watched():
    images = torch.rand(2, 3, 8, 12)
    for model in all_kinds():
        model.watch(images)
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.equal(other(images), model(images))
            assert list(other.watch(images)) == list(model.watch(images))
            nn.init.zeros_(other.positions.table)
            assert not torch.equal(other(images), model(images))


def test_functions_of_parameters_and_gradients_an_image(unchecked):
    images = torch.rand(3, 3, 8, 12)
    for model in all_kinds():
        parameters = dict(model.named_parameters())
        call = partial(torch.func.functional_call, model)
        assert torch.equal(call(parameters, (images,)), model(images))
        doubled = {name: torch.stack([p, 2 * p]) for name, p in parameters.items()}
        both = torch.func.vmap(call, (0, None))(doubled, (images,))
        torch.testing.assert_close(both[0], model(images))

        def loss(chosen, image, call=call):
            return call(chosen, (image[None],)).square().sum()

        each = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, images)
        for i, image in enumerate(images):
            model.zero_grad()
            model(image[None]).square().sum().backward()
            for name, parameter in model.named_parameters():
                if parameter.requires_grad:
                    torch.testing.assert_close(each[name][i], parameter.grad, msg=name)


def test_no_image_makes_no_logits_and_strides_do_not_matter():
    images = torch.rand(2, 3, 8, 12)
    for model in all_kinds():
        assert model(images[:0]).shape == (0, 5)
        last = images.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(model(last), model(images))
