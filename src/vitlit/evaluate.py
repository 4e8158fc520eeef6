"""What a model says of many images, and how often it is right."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from vitlit import processes

Images = UInt8[Tensor, "n C H W"]
Labels = Int64[Tensor, " n"]


@runtime_checkable
class ImageClassifier(Protocol):
    """What evaluation and training ask of a classifier; `classifier.Classifier` is one."""

    @property
    def model(self) -> nn.Module:
        """What training changes: inputs in, logits out."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the K classes, in the order of the logits."""

    def inputs(self, images: UInt8[Tensor, "B C h w"]) -> Float[Tensor, "B C H W"]:
        """What the model takes, of images as the data stores them."""

    def logits(self, images: UInt8[Tensor, "B C h w"]) -> Float[Tensor, "B K"]:
        """Logits, in evaluation mode and without gradients."""


@dataclass(frozen=True)
class Evaluation:
    """What a model says of every image, in the images' order, and what is true."""

    loss: float
    labels: Int64[Tensor, " n"]
    predictions: Int64[Tensor, " n"]
    probabilities: Float[Tensor, "n K"]

    @property
    def right(self) -> Bool[Tensor, " n"]:
        """Which images were named correctly."""
        return self.predictions == self.labels

    @property
    def accuracy(self) -> float:
        """How many were, as a fraction."""
        return self.right.double().mean().item()

    @property
    def per_class(self) -> list[float]:
        """The same for the images of each class alone."""
        K = self.probabilities.shape[1]
        return [self.right[self.labels == k].double().mean().item() for k in range(K)]

    @property
    def confusion(self) -> Int64[Tensor, "K K"]:
        """Counts of images: true class by row, predicted class by column."""
        K = self.probabilities.shape[1]
        return (self.labels * K + self.predictions).bincount(minlength=K * K).reshape(K, K)

    @property
    def answers(self) -> dict[str, np.ndarray]:
        """Predicted and true classes, as a record keeps them."""
        classes = {"predicted": self.predictions, "true": self.labels}
        return {name: column.numpy().astype(np.uint16) for name, column in classes.items()}


def evaluate(
    classifier: ImageClassifier, images: Images, labels: Labels, batch_size: int = 500
) -> Evaluation:
    """Run all images, the last short batch too, through the model in evaluation mode.

    Of several processes each takes a part of the images; all get the whole result.
    """
    logits = torch.zeros(len(images), len(classifier.classes), device=images.device)
    batches = zip(processes.part_of(images).split(batch_size),
                  processes.part_of(logits).split(batch_size), strict=True)  # fmt: skip
    for batch, place in batches:
        place.copy_(classifier.logits(batch))
    logits, labels = processes.sum_over(logits).cpu(), labels.cpu()
    loss = F.cross_entropy(logits, labels).item()
    return Evaluation(loss, labels, logits.argmax(dim=1), logits.softmax(dim=1))


def worst_mistakes(images: Images, result: Evaluation, count: int = 16) -> dict[str, np.ndarray]:
    """The wrong answers that were given with the highest probability."""
    sure = result.probabilities.amax(dim=1) * ~result.right
    worst = sure.topk(min(count, int((sure > 0).sum()))).indices
    columns = {"images": images, "true": result.labels, "predicted": result.predictions}
    columns["probability"] = sure
    return {name: column[worst].numpy() for name, column in columns.items()}
