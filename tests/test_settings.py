"""Every field of a recipe and of a model does what it says.

A test a field, named after it: it sets the field alone, and computes beside the module what must
come of it. `make mutants` lets the module ignore one field after the other, and runs its test.
"""

import math
import re
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from helpers.tiny import MODEL, dataset, recipe
from safetensors import safe_open
from torch.nn import functional as F
from tqdm import tqdm

from vitlit import batches as batching
from vitlit import train as training
from vitlit.batches import batches_of, split
from vitlit.classifier import load
from vitlit.config import ViTConfig
from vitlit.encoder import Encoder
from vitlit.heads import LinearHead
from vitlit.presets import Recipe
from vitlit.train import Learner, classifier_for, optimizers_for
from vitlit.vit import VisionTransformer

# Every epoch is one step with all 24 images as they are.
BARE = {
    "epochs": 3, "batch_size": 24, "crop": 0.0, "flip": False, "label_smoothing": 0.0,
    "clip": 0.0, "weight_decay": 0.0, "warmup": 0.0,
}  # fmt: skip


@pytest.mark.parametrize("kind", [Recipe, ViTConfig])
def test_every_field_has_its_test(kind):
    prefix = {"Recipe": "test_recipe_", "ViTConfig": "test_model_"}[kind.__name__]
    for field in fields(kind):
        assert any(name.startswith(f"{prefix}{field.name}_") for name in globals()), field.name


def trained(folder, **changes):
    """What a bare run with some changes ends with, and its record."""
    run = training.train(recipe(**BARE | changes), dataset(), folder, progress=False)
    return load(folder / "model.safetensors").model.state_dict(), run


def reference(rates, decay=0.0, smoothing=0.0, clip=math.inf, average=0.0, seed=0):
    """The same in plain steps: AdamW by hand, at the given learning rates."""
    data = dataset()
    pixels = data.train_images.double()
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3), correction=0)
    inputs = ((pixels - mean[:, None, None]) / std[:, None, None]).float()
    targets = F.one_hot(data.train_labels, 3) * (1 - smoothing) + smoothing / 3
    torch.manual_seed(seed)
    model = VisionTransformer(ViTConfig(image_size=(8, 8), classes=3, **MODEL))
    momenta = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    squares = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    kept = None
    for step, rate in enumerate(rates, 1):
        loss = -(targets * model(inputs).log_softmax(dim=1)).sum(dim=1).mean()
        names, parameters = zip(*model.named_parameters(), strict=True)
        gradients = torch.autograd.grad(loss, parameters)
        norm = torch.cat([g.flatten() for g in gradients]).norm().item()
        with torch.no_grad():
            for name, p, g in zip(names, parameters, gradients, strict=True):
                g = g * min(1.0, clip / norm)
                momenta[name] = 0.9 * momenta[name] + 0.1 * g
                squares[name] = 0.999 * squares[name] + 0.001 * g**2
                if p.dim() == 2 and name != "positions.table":
                    p *= 1 - rate * decay
                root = (squares[name] / (1 - 0.999**step)).sqrt() + 1e-8
                p -= rate * momenta[name] / (1 - 0.9**step) / root
        now = {name: t.clone() for name, t in model.state_dict().items()}
        kept = kept or now
        kept = {name: average * kept[name] + (1 - average) * t for name, t in now.items()}
    return kept


def differ(a, b):
    """How far the numbers of two states are from each other, on average."""
    return sum((a[name] - b[name]).abs().sum().item() for name in a) / sum(
        tensor.numel() for tensor in a.values()
    )


def assert_trained_as(folder, other, rates=(2e-3, 2e-3, 1e-3), changes=None, **how):
    """A run with changes ends like `reference` does, and not like `other`, without them."""
    ours, theirs = trained(folder, **changes or {})[0], reference(rates, **how)
    assert 20 * differ(ours, theirs) < differ(ours, reference(**other))


# Recipe: what the run is called


def test_recipe_preset_stands_in_the_summary(tmp_path):
    assert trained(tmp_path, preset="mine", epochs=1)[1].summary["preset"] == "mine"


def test_recipe_variant_stands_in_the_summary(tmp_path):
    assert trained(tmp_path, variant="wider", epochs=1)[1].summary["variant"] == "wider"


# Recipe: what the run begins with


def new(**changes):
    """The classifier that a run with these changes begins with."""
    return classifier_for(recipe(**changes), dataset(), dataset().train_images)


def saved(folder):
    """A trained classifier's file, and the model in it."""
    classifier = new(model={"head": "mlp"}, seed=3)
    torch.nn.init.normal_(classifier.model.head.output.weight)
    classifier.save(folder / "start.safetensors")
    return str(folder / "start.safetensors"), classifier.model


def test_recipe_model_says_what_is_built():
    assert new(model={"width": 20}).model.embedding.projection.out_features == 20


def test_recipe_start_is_what_the_run_begins_with(tmp_path):
    file, model = saved(tmp_path)
    settings = replace(recipe(), start=file, model={"head": "linear"})
    begun = classifier_for(settings, dataset(), dataset().train_images).model.state_dict()
    kept = {name: t for name, t in model.state_dict().items() if not name.startswith("head.")}
    assert all(torch.equal(begun[name], tensor) for name, tensor in kept.items())


def test_recipe_start_positions_say_how_positions_follow(tmp_path):
    file, model = saved(tmp_path)
    changes = {"image_size": (16, 16)}
    settings = replace(recipe(), start=file, model=changes, start_positions="nearest")
    begun = classifier_for(settings, dataset(), dataset().train_images).model
    grid = model.positions.table[1:].unflatten(0, (2, 2))
    expected = grid.repeat_interleave(2, dim=0).repeat_interleave(2, dim=1).flatten(0, 1)
    torch.testing.assert_close(begun.positions.table[1:], expected)


def test_recipe_initialization_mimetic_begins_with_half_the_sines():
    table = new(initialization="mimetic").model.positions.table[1:].detach().numpy()
    frequencies = 10000 ** -(np.arange(4) / 4)
    rows, columns = (np.outer(n, frequencies) for n in ([0, 0, 1, 1], [0, 1, 0, 1]))
    sines = np.concatenate([np.sin(rows), np.cos(rows), np.sin(columns), np.cos(columns)], axis=1)
    np.testing.assert_allclose(table, sines / 2, atol=1e-6)


def test_recipe_norm_post_comes_after_the_sum():
    block = new(norm="post", variant="x").model.encoder.blocks[0]
    tokens = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
    between = F.layer_norm(tokens + block.attention(tokens), (16,), eps=1e-6)
    expected = F.layer_norm(between + block.mlp(between), (16,), eps=1e-6)
    torch.testing.assert_close(block(tokens), expected)


def test_recipe_patches_shuffled_arrive_in_one_other_order():
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    plain, shuffled = (
        new(model={"patch_size": 2}, **changes).model.watch(images)["embedded"]
        for changes in ({}, {"patches": "shuffled", "variant": "x"})
    )
    found = (shuffled[:, :, None] == plain[:, None]).all(-1).int().argmax(-1)
    assert found[0].tolist() == found[1].tolist() != list(range(16))
    assert sorted(found[0].tolist()) == list(range(16))


def test_recipe_stem_convolutions_embed_the_patches():
    embedding = new(stem="convolutions", variant="x").model.embedding
    assert [type(layer).__name__ for layer in embedding.layers] == [
        *2 * ("Conv2d", "BatchNorm2d", "ReLU"),
        "Conv2d",
    ]


def test_recipe_seed_decides_weights_order_and_dropout(tmp_path):
    torch.manual_seed(5)
    expected = VisionTransformer(ViTConfig(image_size=(8, 8), classes=3, **MODEL)).state_dict()
    begun = new(seed=5).model.state_dict()
    assert all(torch.equal(begun[name], expected[name]) for name in expected)
    firsts = [next(epoch_of(seed=seed, crop=0.0, flip=False))[0] for seed in (0, 5)]
    assert not torch.equal(*firsts)
    states = []
    for seed in (0, 5):  # from the same weights, with all images in every step
        file, _ = saved(tmp_path)
        settings = replace(
            recipe(**BARE),
            start=file,
            model={"dropout": 0.5, "head": "linear"},
            seed=seed,
            epochs=2,
        )
        training.train(settings, dataset(), tmp_path / str(seed), progress=False)
        states.append(load(tmp_path / str(seed)).model.state_dict())
    assert differ(*states) > 1e-4


# Recipe: the steps


def test_recipe_epochs_is_how_often_all_images_are_seen(tmp_path):
    run = trained(tmp_path, epochs=5, batch_size=8)[1]
    assert run.metrics["epoch"] == [1, 2, 3, 4, 5]
    assert run.metrics["learning_rate"][-1] == pytest.approx(0, abs=1e-9)


def test_recipe_batch_size_is_how_many_images_a_step_has():
    assert [len(images) for images, _ in epoch_of(batch_size=5)] == [5, 5, 5, 5]


def step_of(optimizer, **changes):
    """How far one step moves a matrix of a block."""
    settings = recipe(optimizer=optimizer, weight_decay=0.0, warmup=0.0, **changes)
    model = new().model
    learner = Learner(new(), optimizers_for(model, settings), settings, 1)
    matrix = model.encoder.blocks[0].attention.out.weight
    before = matrix.detach().clone()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    for each in learner.optimizers:
        each.step()
    return before - matrix.detach()


def test_recipe_optimizer_muon_turns_the_gradient_of_a_matrix():
    moved = torch.linalg.svdvals(step_of("muon")) / 0.02
    assert 0.5 < moved.min() < moved.max() < 1.5
    assert step_of("adamw").abs().sub(2e-3).abs().max() < 1e-5


def test_recipe_learning_rate_is_that_of_adamw(tmp_path):
    assert step_of("adamw", learning_rate=3e-3).abs().sub(3e-3).abs().max() < 1e-5
    rates = (4e-3, 4e-3, 2e-3)
    other = {"rates": (2e-3, 2e-3, 1e-3)}
    assert_trained_as(tmp_path, other, rates, {"learning_rate": 4e-3})


def test_recipe_muon_learning_rate_is_that_of_muon():
    torch.testing.assert_close(step_of("muon", muon_learning_rate=0.06), 3 * step_of("muon"))


def test_recipe_weight_decay_shrinks_matrices_and_nothing_else(tmp_path):
    other = {"rates": (2e-3, 2e-3, 1e-3)}
    assert_trained_as(tmp_path, other, changes={"weight_decay": 5.0}, decay=5.0)
    model, settings = new().model, recipe(optimizer="muon", weight_decay=0.5)
    muon = optimizers_for(model, settings)[1]
    matrix = model.encoder.blocks[0].attention.out.weight
    before, matrix.grad = matrix.detach().clone(), torch.zeros_like(matrix)
    muon.step()
    torch.testing.assert_close(matrix.detach(), before * (1 - 0.02 * 0.5))


def test_recipe_warmup_is_the_part_of_the_steps_in_which_the_rate_rises(tmp_path):
    other = {"rates": [2e-3 * part for part in (1, 1, 0.75, 0.25)]}
    rates = [2e-3 * part for part in (0.5, 1, 1, 0.5)]
    assert_trained_as(tmp_path, other, rates, {"epochs": 4, "warmup": 0.5})


def test_recipe_label_smoothing_softens_the_targets(tmp_path):
    other = {"rates": (2e-3, 2e-3, 1e-3)}
    assert_trained_as(tmp_path, other, changes={"label_smoothing": 0.4}, smoothing=0.4)
    settings = recipe(**BARE | {"label_smoothing": 0.4, "mix": 1.0, "epochs": 1})
    soft = F.one_hot(dataset().train_labels, 3).float()
    learner = Learner(new(), optimizers_for(new().model, settings), settings, 1)
    torch.nn.init.normal_(learner.classifier.model.head.weight)
    (images, targets), *_ = batches_of(dataset().train_images, soft, settings, False, 0)
    with torch.no_grad():
        chances = learner.classifier.model(learner.classifier.inputs(images)).log_softmax(1)
    with tqdm(disable=True) as bar:
        loss = training.train_epoch(learner, [(images, targets)], bar)
    smoothed = 0.6 * targets + 0.4 / 3
    assert loss == pytest.approx(-(smoothed * chances).sum(1).mean().item(), rel=1e-5)


def test_recipe_clip_bounds_the_gradient_before_the_step(tmp_path):
    # AdamW divides by the gradient's size: only a change of it from step to step is seen.
    other = {"rates": (2e-3, 2e-3, 1e-3)}
    assert_trained_as(tmp_path, other, changes={"clip": 0.02}, clip=0.02)


def test_recipe_average_is_of_the_weights_after_each_step(tmp_path):
    other = {"rates": (2e-3, 2e-3, 1e-3)}
    assert_trained_as(tmp_path, other, changes={"average": 0.7}, average=0.7)


# Recipe: the images


def epoch_of(images=None, epoch=0, **changes):
    """An epoch's batches."""
    data = dataset()
    labels = F.one_hot(data.train_labels, 3).float()
    images = data.train_images if images is None else images
    labels = labels[torch.arange(len(images)) % 24]
    return batches_of(images, labels, recipe(**changes), True, epoch)


def joined(**changes):
    """All images and targets of an epoch without crops and mirroring."""
    changes = {"crop": 0.0, "flip": False, "batch_size": 24, **changes}
    return [torch.cat(parts) for parts in zip(*epoch_of(**changes), strict=True)]


def ruled(count, H, W):
    """Images whose first channel is the row, the second the column, the third nothing."""
    rows = torch.arange(H)[:, None].expand(H, W)
    columns = torch.arange(W).expand(H, W)
    image = torch.stack([rows, columns, torch.zeros(H, W, dtype=torch.long)]).to(torch.uint8)
    return image.expand(count, -1, -1, -1)


def test_recipe_crop_moves_by_a_share_of_each_side():
    H, W = 8, 24
    (images, _), *_ = epoch_of(ruled(400, H, W), crop=0.25, flip=False, batch_size=400)
    # In the middle nothing is mirrored: there the pixel says how far the image moved.
    rows, columns = (images[:, k, H // 2, W // 2].int() for k in (0, 1))
    assert set((rows - H // 2).tolist()) == set(range(-2, 3))
    assert set((columns - W // 2).tolist()) == set(range(-6, 7))


def test_recipe_flip_mirrors_half_the_images():
    (images, _), *_ = epoch_of(ruled(400, 8, 8), crop=0.0, flip=True, batch_size=400)
    mirrored = images[:, 1, 0, 0] == 7
    assert 0.4 < mirrored.float().mean() < 0.6
    assert torch.equal(images[mirrored][0], ruled(1, 8, 8)[0].flip(2))
    (images, _), *_ = epoch_of(ruled(400, 8, 8), crop=0.0, flip=False, batch_size=400)
    assert torch.equal(images, ruled(400, 8, 8))


def test_recipe_alternate_mirrors_each_image_in_one_of_two_epochs():
    numbered = ruled(200, 8, 8).clone()
    numbered[:, 2] = torch.arange(200)[:, None, None]
    mirrored = []
    for epoch in range(3):
        settings = {"crop": 0.0, "flip": True, "alternate": True, "batch_size": 200}
        (images, _), *_ = epoch_of(numbered, epoch=epoch, **settings)
        mirrored.append((images[:, 1, 0, 0] == 7)[images[:, 2, 0, 0].argsort()])
    assert 0.4 < mirrored[0].float().mean() < 0.6
    assert torch.equal(mirrored[1], ~mirrored[0])
    assert torch.equal(mirrored[2], mirrored[0])


def strengths_of(monkeypatch, **changes):
    """What `distort` is given in an epoch."""
    seen = []
    monkeypatch.setattr(batching, "distort", lambda images, s: seen.append(s) or images)
    joined(**changes)
    return torch.cat(seen)


def test_recipe_operations_is_how_many_distortions_an_image_gets(monkeypatch):
    assert (strengths_of(monkeypatch, operations=3) != 0).sum(dim=1).tolist() == [3] * 24
    monkeypatch.undo()
    assert (joined(operations=3, magnitude=1.0)[0] != joined()[0]).any()


def test_recipe_magnitude_is_how_strong_they_may_be(monkeypatch):
    strengths = strengths_of(monkeypatch, operations=11, magnitude=0.2).abs()
    assert 0.18 < strengths.max() <= 0.2


def test_recipe_erase_is_the_chance_that_a_box_is_gone():
    images = dataset().train_images.repeat(20, 1, 1, 1)
    (plain, _), *_ = epoch_of(images, crop=0.0, flip=False, batch_size=480)
    (erased, _), *_ = epoch_of(images, crop=0.0, flip=False, batch_size=480, erase=0.5)
    assert 0.4 < (plain != erased).flatten(1).any(dim=1).float().mean() < 0.55


def test_recipe_mix_is_the_chance_that_two_images_are_mixed():
    images = dataset().train_images.repeat(20, 1, 1, 1)
    (_, targets), *_ = epoch_of(images, crop=0.0, flip=False, batch_size=480, mix=0.5)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(480))
    # A third of the neighbors are of the same class by chance; see the labels of `dataset`.
    assert 0.2 < (targets.amax(dim=1) < 1).float().mean() < 0.5


def test_recipe_plain_epochs_are_the_last_and_mix_nothing():
    mixed = [
        (joined(mix=1.0, plain_epochs=2, epochs=4, epoch=epoch)[1].amax(dim=1) < 1).any().item()
        for epoch in range(4)
    ]
    assert mixed == [True, True, False, False]


def tokens_of(folder, monkeypatch, **changes):
    """How many tokens enter the encoder in each step of a run with 16 patches."""
    seen = []
    forward = Encoder.forward

    def note(self, tokens):
        seen.extend([tokens.shape[1]] if self.training else [])
        return forward(self, tokens)

    monkeypatch.setattr(Encoder, "forward", note)
    trained(folder, model={"patch_size": 2}, **changes)
    return seen


def test_recipe_keep_is_the_part_of_the_patches_that_enters(tmp_path, monkeypatch):
    assert tokens_of(tmp_path, monkeypatch, keep=0.25) == [5, 5, 5]


def test_recipe_keep_of_several_parts_is_shared_out_among_the_epochs(tmp_path, monkeypatch):
    assert tokens_of(tmp_path, monkeypatch, keep=(0.25, 0.5, 1.0)) == [5, 9, 17]


# Recipe: numbers, and what is tested


def test_recipe_precision_bf16_computes_in_bfloat16(tmp_path, monkeypatch):
    seen = []
    forward = LinearHead.forward

    def note(self, tokens):
        logits = forward(self, tokens)
        seen.extend([logits.dtype] if self.training else [])
        return logits

    monkeypatch.setattr(LinearHead, "forward", note)
    trained(tmp_path, precision="bf16")
    assert seen == [torch.bfloat16] * 3


def test_recipe_compile_compiles_the_model(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model: ("compiled", model))
    for compiled in (True, False):
        settings, classifier = recipe(compile=compiled), new()
        learner = Learner(classifier, optimizers_for(classifier.model, settings), settings, 1)
        expected = ("compiled", classifier.model) if compiled else classifier.model
        assert learner.forward == expected


@pytest.mark.parametrize(("stored", "dtype"), [("fp32", "F32"), ("fp16", "F16")])
def test_recipe_stored_is_the_type_in_the_file(tmp_path, stored, dtype):
    trained(tmp_path, stored=stored, epochs=1)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {dtype}  # noqa: SIM118


def test_recipe_holdout_images_are_tested_on_and_not_trained_on(tmp_path):
    images, _, tests, _ = split(recipe(holdout=6), dataset())
    assert (len(images), len(tests)) == (18, 6)
    run = trained(tmp_path, holdout=6, batch_size=18, epochs=1)[1]
    assert sum(map(sum, run.summary["confusion"])) == 6


# The model


def model_of(**changes):
    """A model for images of 8×12 pixels, in evaluation mode, with random weights everywhere."""
    config = ViTConfig(**{"image_size": (8, 12), "classes": 5, **MODEL, **changes})
    torch.manual_seed(0)
    model = VisionTransformer(config).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def images_of(channels=3, H=8, W=12):
    return torch.rand(2, channels, H, W, generator=torch.Generator().manual_seed(0))


def test_model_image_size_decides_the_grid_and_what_pictures_are_resized_to():
    model = model_of(image_size=(16, 20))
    assert model.positions.grid == (4, 5)
    assert model(images_of(3, 16, 20)).shape == (2, 5)
    classifier = replace(new(), model=model)
    assert classifier.inputs(dataset().test_images).shape[2:] == (16, 20)


def test_model_patch_size_is_the_side_of_a_patch():
    assert model_of(patch_size=2).watch(images_of())["patches"].shape == (2, 24, 12)


def test_model_channels_are_those_of_the_images():
    assert model_of(channels=2)(images_of(2)).shape == (2, 5)


def test_model_classes_are_what_it_tells_apart():
    assert model_of(classes=7)(images_of()).shape == (2, 7)


def test_model_width_is_that_of_every_token():
    assert model_of(width=20).watch(images_of())["encoded"].shape == (2, 7, 20)


def test_model_depth_is_how_many_blocks_there_are():
    assert sum(name.startswith("block_") for name in model_of(depth=5).watch(images_of())) == 5


def test_model_heads_look_apart():
    assert model_of(heads=8).watch(images_of())["attention_1"].shape == (2, 8, 7, 7)


def test_model_mlp_width_is_that_of_the_layer_between():
    assert model_of(mlp_width=40).encoder.blocks[1].mlp.grow.weight.shape == (40, 16)


def test_model_pooling_mean_reads_all_tokens():
    model = model_of(pooling="mean")
    seen = model.watch(images_of())
    assert seen["encoded"].shape == (2, 6, 16)
    torch.testing.assert_close(seen["logits"], model.head(seen["encoded"].mean(dim=1)))


def test_model_positions_sincos_are_fixed_and_none_are_zero():
    fixed, none = (model_of(positions=kind).positions.table for kind in ("sincos", "none"))
    assert not fixed.requires_grad
    assert fixed[1].tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 4 + [1.0] * 4
    assert fixed[2, 8].item() == pytest.approx(math.sin(1))  # one column to the right
    assert not none.any()


def test_model_head_mlp_has_a_layer_between():
    model = model_of(head="mlp")
    seen = model.watch(images_of())
    hidden = torch.tanh(F.linear(seen["class_token"], *model.head.hidden.parameters()))
    torch.testing.assert_close(seen["logits"], F.linear(hidden, *model.head.output.parameters()))


def test_model_head_width_is_that_of_its_layer():
    assert model_of(head="mlp", head_width=21).head.hidden.weight.shape == (21, 16)


def test_model_activation_relu_is_that_of_the_head():
    model = model_of(head="mlp", activation="relu")
    seen = model.watch(images_of())
    hidden = F.linear(seen["class_token"], *model.head.hidden.parameters()).clamp(min=0)
    torch.testing.assert_close(seen["logits"], F.linear(hidden, *model.head.output.parameters()))


def test_model_gelu_tanh_is_the_approximation():
    mlp = model_of(gelu="tanh").encoder.blocks[0].mlp
    tokens = 3 * torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(0))
    x = mlp.grow(tokens)
    gelu = 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    torch.testing.assert_close(mlp(tokens), mlp.shrink(gelu))


def test_model_dropout_zeroes_that_part_of_the_tokens():
    model = model_of(dropout=0.4, width=512, heads=2).train()
    seen = []
    model.encoder.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(images_of())
    assert (seen[0] == 0).float().mean().item() == pytest.approx(0.4, abs=0.03)
    dropped = [m for m in model.modules() if isinstance(m, torch.nn.Dropout)]
    assert [m.p for m in dropped] == [0.4] * len(dropped)


def test_model_stochastic_depth_is_the_chance_to_skip_a_branch_of_the_last_block():
    model = model_of(stochastic_depth=0.5).train()
    tokens = torch.randn(1000, 2, 16, generator=torch.Generator().manual_seed(0))
    first, last = (block(tokens) for block in model.encoder.blocks)
    skipped = (last == tokens).flatten(1).all(dim=1).float().mean().item()
    assert skipped == pytest.approx(0.25, abs=0.05)  # both branches of it
    assert not (first == tokens).flatten(1).all(dim=1).any()


def test_model_eps_is_added_to_the_variance():
    norm = model_of(eps=0.04).encoder.blocks[0].norm1
    torch.nn.init.ones_(norm.weight)
    torch.nn.init.zeros_(norm.bias)
    tokens = torch.tensor([[-0.1, 0.1] * 8]).unsqueeze(0)  # of variance 0.01
    torch.testing.assert_close(norm(tokens), tokens / math.sqrt(0.01 + 0.04))


def test_every_name_of_a_test_is_that_of_a_field():
    names = {f"recipe_{f.name}" for f in fields(Recipe)}
    names |= {f"model_{f.name}" for f in fields(ViTConfig)}
    for name in globals():
        if re.match(r"test_(recipe|model)_", name):
            assert any(name.startswith(f"test_{field}_") for field in names), name
