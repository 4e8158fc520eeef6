"""studies.residual: the ResNets that studies set beside the ViT."""

import pytest
import torch
from torch import nn

from studies import residual
from vitlit.classifier import statistics
from vitlit.muon import Muon
from vitlit.presets import Recipe
from vitlit.train import optimizers_for

IMAGES = torch.randint(0, 256, (200, 3, 32, 32), dtype=torch.uint8)


@pytest.mark.parametrize("blocks", [1, 3])
def test_layers_are_counted_as_in_the_paper(blocks):
    model = residual.resnet(blocks, 16, 3, 10)
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    weighted = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    projections = 2
    assert f"ResNet-{len(weighted) - projections}" == residual.name_of(blocks)


def test_resnet_20_has_the_papers_parameters_and_those_of_projections():
    parameters = sum(p.numel() for p in residual.resnet(3, 16, 3, 10).parameters())
    projections = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert round((parameters - projections) / 1e6, 2) == 0.27  # table 6


def test_a_stride_halves_the_resolution_and_width_doubles_channels():
    whole, half = (residual.resnet(1, 8, 3, 10, stride) for stride in (1, 2))
    images = torch.rand(1, 3, 32, 32)
    shapes = [model.get_submodule("stem")(images).shape[1:] for model in (whole, half)]
    assert shapes == [(8, 32, 32), (8, 16, 16)]
    assert half.get_submodule("head.2").weight.shape == (10, 32)


def test_how_images_lie_in_memory_changes_no_logits():
    model = residual.resnet(1, 8, 3, 10)
    how = (model, tuple("abcdefghij"), *statistics(IMAGES))
    plain = residual.ResNetClassifier(*how).logits(IMAGES[:4])
    model.to(memory_format=torch.channels_last)
    last = residual.ResNetClassifier(*how, torch.channels_last)
    assert last.inputs(IMAGES[:4]).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last.logits(IMAGES[:4]), plain, atol=1e-4, rtol=1e-4)


def test_a_whitening_convolution_leaves_no_correlations():
    smooth = nn.functional.avg_pool2d(torch.rand(500, 3, 96, 96), 3) - 0.5
    smooth = (smooth + smooth.roll(1, dims=3)) / smooth.std()
    model = residual.resnet(1, 27, 3, 10)
    residual.whiten_stem_(model, smooth)
    with torch.no_grad():
        out = model.get_submodule("stem.0")(smooth)[:, :, 1:-1, 1:-1]
    correlations = torch.corrcoef(out.transpose(0, 1).flatten(1))
    assert (correlations - torch.eye(27)).abs().max() < 0.1


def test_muon_takes_the_kernels_of_the_blocks_once_they_are_folded():
    model = residual.resnet(1, 8, 3, 10)
    images = torch.rand(2, 3, 16, 16)
    before = model(images)
    residual.fold_(model)
    torch.testing.assert_close(model(images), before)
    adamw, muon = optimizers_for(model, Recipe(optimizer="muon"))
    assert isinstance(muon, Muon)
    taken = [p for group in muon.param_groups for p in group["params"]]
    convolutions = [m for m in model.get_submodule("blocks").modules() if isinstance(m, nn.Conv2d)]
    assert len(taken) == len(convolutions) == 8
    others = [p for group in adamw.param_groups for p in group["params"]]
    assert len(taken) + len(others) == len(list(model.parameters()))
    model(images).sum().backward()
    muon.step()
    assert not torch.allclose(model(images), before)
