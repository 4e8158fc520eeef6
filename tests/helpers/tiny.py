"""A small dataset, a small model and a short recipe, for tests of training."""

from typing import Any

import torch

from vitlit.data import Dataset
from vitlit.presets import Recipe

CLASSES = ("ant", "bee", "cat")
MODEL = {"width": 16, "depth": 2, "heads": 2, "mlp_width": 24}


def dataset(train: int = 24, test: int = 11, channels: int = 3, seed: int = 0) -> Dataset:
    """Noisy pictures of 8×8 pixels that grow brighter with the class, in a mixed order."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(train + test) % len(CLASSES)
    noise = torch.randint(0, 60, (train + test, channels, 8, 8), generator=generator)
    images = (noise + 60 * labels[:, None, None, None]).to(torch.uint8)
    return Dataset(
        name="tiny",
        title="tiny",
        classes=CLASSES,
        train_images=images[:train],
        train_labels=labels[:train],
        test_images=images[train:],
        test_labels=labels[train:],
        test_files=tuple(f"test/{i:02}.png" for i in range(test)),
        checksum=f"sha256:{seed}",
        source="tiny",
        patch_size=4,
        flip=True,
    )


def recipe(**changes: Any) -> Recipe:
    """Three epochs of three batches."""
    model = {**MODEL, **changes.pop("model", {})}
    return Recipe(**{"epochs": 3, "batch_size": 8, **changes, "model": model})
