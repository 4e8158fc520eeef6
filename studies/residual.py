"""Residual networks for small images, which the studies set beside the ViT."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import SGD
from torchvision.models.resnet import BasicBlock

from vitlit.classifier import normalize
from vitlit.structured import whiten_

MOMENTUM = 0.9
STEM = 3  # pixels: the side of the first convolution's kernel


def resnet(blocks: int, width: int, channels: int, classes: int, stride: int = 1) -> nn.Sequential:
    """The network of He et al. 2016, section 4.2: three stages of n = `blocks` blocks.

    The first stage is `width` channels wide (16 in the paper), each other twice the one before, at
    half its resolution. Shortcuts that change the shape are projections (option B of section 3.3;
    the paper's networks for CIFAR-10 pad with zeros). With `stride` 2 the first convolution halves
    the resolution too, as in the paper's networks for ImageNet. Takes B×channels×H×W and returns
    B×classes. Weights begin as in He et al. 2015.
    """
    stem = nn.Conv2d(channels, width, STEM, stride, padding=1, bias=False)
    layers: list[nn.Module] = []
    before = width
    for stage in range(3):
        wide = width << stage
        for block in range(blocks):
            step, shortcut = 1, None
            if not block:
                step = 2 if stage else 1
                # Drawn for the first stage too, which needs none: so recorded runs can be repeated.
                projection = nn.Conv2d(before, wide, 1, step, bias=False), nn.BatchNorm2d(wide)
                shortcut = nn.Sequential(*projection) if stage else None
            layers.append(BasicBlock(before, wide, step, shortcut))
            before = wide
    parts = {
        "stem": nn.Sequential(stem, nn.BatchNorm2d(width), nn.ReLU()),
        "blocks": nn.Sequential(*layers),
        "head": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes)),
    }
    model = nn.Sequential(OrderedDict(parts))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


def name_of(blocks: int) -> str:
    """What a network is called after its layers with weights, those of projections not counted."""
    return f"ResNet-{6 * blocks + 2}"


@dataclass(frozen=True)
class ResNetClassifier:
    """A ResNet with what training and evaluation ask of a classifier."""

    model: nn.Module
    classes: tuple[str, ...]
    mean: Tensor
    std: Tensor
    layout: torch.memory_format = torch.contiguous_format  # of the inputs; the result is the same

    def inputs(self, images: UInt8[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Images as the data stores them, normalized."""
        return normalize(images, self.mean, self.std).contiguous(memory_format=self.layout)

    @torch.no_grad()
    def logits(self, images: UInt8[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        """Logits in evaluation mode."""
        return self.model.eval()(self.inputs(images))


def sgd(model: nn.Module, rate: float, decay: float) -> SGD:
    """What such networks are trained with: Nesterov's momentum, weight decay on everything."""
    return SGD(model.parameters(), rate, MOMENTUM, weight_decay=decay, nesterov=True)


def whiten_stem_(model: nn.Sequential, images: Float[Tensor, "n C H W"]) -> None:
    """Let the first convolution begin with what makes patches of the images uncorrelated.

    `images` are normalized training images, a few thousand. After Page 2019 and Jordan 2024 (arXiv
    2404.00498, section 3.1), whose layers of this kind are not trained on.
    """
    weight = model.get_parameter("stem.0.weight")
    channels = weight.shape[1]
    height, width = (side - side % STEM for side in images.shape[2:])
    flat = torch.empty(len(weight), channels * STEM**2)
    whiten_(flat, images[..., :height, :width], STEM)
    with torch.no_grad():
        weight.copy_(flat.view(len(weight), channels, STEM, STEM))


class Folded(nn.Module):
    """A kernel that is kept as a matrix, a row an output channel."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, matrix: Float[Tensor, "O X"]) -> Float[Tensor, "O I k k"]:
        """The kernel, of its matrix."""
        return matrix.view(self.shape)

    def right_inverse(self, kernel: Float[Tensor, "O I k k"]) -> Float[Tensor, "O X"]:
        """The matrix, of its kernel."""
        return kernel.flatten(1)


def fold_(model: nn.Module) -> None:
    """Keep the kernels of all convolutions as matrices, as Muon takes them (Jordan et al. 2024)."""
    for module in list(model.modules()):
        if isinstance(module, nn.Conv2d):
            shape = module.weight.shape
            parametrize.register_parametrization(module, "weight", Folded(shape))
