"""Test pictures with what PyTorch answers to them, for the page in which the model runs.

`python -m studies.receipt` writes website/live/receipt.safetensors, from the run whose graph the
site has: the first pictures of each class, their labels, and the logits of the weights as the graph
stores them. The page asks its own model for the same pictures and says how far it is from these; a
build without torch shows the answers in a figure.
"""

import argparse
from copy import deepcopy
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from vitlit import data as datasets
from vitlit import files, weights
from vitlit.classifier import Classifier, load

TARGET = Path(__file__).absolute().parents[1] / "website/live/receipt.safetensors"
RUN = "cpu-long-seed0"
EACH = 20  # pictures of a class
STORED = {"fp32": torch.float32, "fp16": torch.float16}


def first_of_each(labels: Int64[Tensor, " n"], classes: int, each: int) -> Int64[Tensor, " m"]:
    """Where the first images of each class are: the first of all classes, then the second …"""
    places = [(labels == k).nonzero().flatten()[:each] for k in range(classes)]
    return torch.stack(places, dim=1).flatten()


def receipt(classifier: Classifier, data: datasets.Dataset, each: int, stored: str) -> bytes:
    """The content of the file. Raises ValueError if the classifier knows other classes."""
    classifier.check(data)
    about = {
        "weights": weights.checksum(classifier.model.state_dict()),
        "stored": stored,
        "title": data.title,
        "classes": "\n".join(data.classes),
    }
    rounded = deepcopy(classifier)
    rounded.round_(STORED[stored])
    chosen = first_of_each(data.test_labels, len(data.classes), each)
    images = data.test_images[chosen]
    tensors = {
        "images": images,
        "labels": data.test_labels[chosen],
        "logits": rounded.logits(images),
    }
    return weights.packed(tensors, about)


def main() -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--weights", default=RUN, help=f"whose answers (default {RUN})")
    parser.add_argument("--stored", choices=STORED, default="fp16", help="as the graph stores them")
    arguments = parser.parse_args()
    content = receipt(load(arguments.weights), datasets.load(), EACH, arguments.stored)
    files.write(TARGET, content)
    print(f"{TARGET.name}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
