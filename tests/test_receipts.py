"""vitlit.receipts: a receipt holds where two implementations agree, and fails where they don't."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer as TorchvisionViT

from vitlit.config import ViTConfig
from vitlit.layouts import to_layout
from vitlit.receipts import compare, compare_models, random_images, randomize_
from vitlit.vit import VisionTransformer

CONFIG = ViTConfig(image_size=(8, 8), classes=5, width=12, depth=2, heads=3, mlp_width=20)


def small_pair(eps=1e-6):
    """Our model and torchvision's, of the same sizes; ours with the given eps."""
    return VisionTransformer(replace(CONFIG, eps=eps)), TorchvisionViT(
        8, 4, 2, 3, 12, 20, num_classes=5
    )


def rename(state):
    return to_layout(state, "torchvision", CONFIG)


def named_pairs(ours, theirs):
    return dict(
        zip(
            dict(ours.named_parameters()),
            zip(ours.parameters(), theirs.parameters(), strict=True),
            strict=True,
        )
    )


def test_a_receipt_holds_for_equal_models_and_shows_what_was_compared():
    receipt = compare_models(*small_pair(), rename, random_images(2, 3, 8, 8))
    assert [row.name for row in receipt] == ["outputs", "∂ inputs", "∂ parameters"]
    assert all(row.holds and row.reference > 0.1 for row in receipt)
    lines = repr(receipt).splitlines()
    assert len(lines) == 4
    assert "max |reference|" in lines[0]


def test_a_receipt_draws_every_parameter_at_random():
    model, reference = small_pair()
    before = copy.deepcopy(dict(model.named_parameters()))
    compare_models(model, reference, rename, random_images(2, 3, 8, 8))
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.float64
        assert (parameter != before[name]).all(), name


def test_randomness_repeats_and_dropout_is_off():
    one, other = (randomize_(nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))) for _ in range(2))
    assert torch.equal(one[0].weight, other[0].weight)
    assert not one[1].training


@pytest.mark.parametrize("name", dict(small_pair()[0].named_parameters()))
def test_a_receipt_fails_when_any_parameter_differs_by_a_millionth(name):
    ours = randomize_(small_pair()[0])
    theirs = copy.deepcopy(ours)
    parameters = named_pairs(ours, theirs)
    with torch.no_grad():
        parameters[name][1].view(-1)[0] += 1e-6
    with pytest.raises(AssertionError, match="allowed is 1e-10 of the reference"):
        compare(ours, theirs, random_images(2, 3, 8, 8), parameters)


@pytest.mark.parametrize("eps", [1e-5, 1e-12])
def test_a_receipt_fails_when_the_norms_have_another_eps(eps):
    with pytest.raises(AssertionError, match="outputs: max"):
        compare_models(*small_pair(eps), rename, random_images(2, 3, 8, 8))


def test_a_receipt_fails_when_all_logits_are_zero():
    model = small_pair()[0].double().eval()
    with pytest.raises(AssertionError, match=r"max \|reference\| 0; .* must exceed 0\.1"):
        compare(model, copy.deepcopy(model), random_images(2, 3, 8, 8))


def test_a_receipt_fails_when_only_the_gradients_differ():
    with pytest.raises(AssertionError, match="∂ inputs"):
        compare(lambda x: x * x.detach(), lambda x: x * x, random_images(2, 3))


def test_a_receipt_fails_when_a_number_is_missing():
    with pytest.raises(AssertionError, match="outputs: max"):
        compare(lambda x: x * math.nan, lambda x: x, random_images(2, 3))


def test_a_receipt_fails_when_a_parameter_has_no_counterpart():
    with pytest.raises(RuntimeError, match=r"Missing key.*bias"):
        compare_models(
            nn.Linear(3, 4, bias=False), nn.Linear(3, 4), lambda s: s, random_images(2, 3)
        )
