"""What a run starts from that does not begin anew: trained weights, ours or anybody's."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from vitlit.classifier import Classifier, listed, load
from vitlit.config import ViTConfig
from vitlit.data import Dataset
from vitlit.finetune import adapted, changed
from vitlit.presets import Recipe
from vitlit.weights import checksum


def started(recipe: Recipe, data: Dataset, check: Callable[[ViTConfig], None]) -> Classifier:
    """The classifier that a recipe starts from, changed as it says, and made ready for the data.

    Without an image size in the recipe, the model keeps its own, or takes that of larger images if
    its patches fit them. `check` raises an error if the changed model cannot be trained. `start` of
    the result is for the record: whose weights they were, their checksum, and what was
    assumed of them. Raises ValueError if the model was made for another number of channels, unless
    the images are gray, or keeps a head for other classes.
    """
    start = load(recipe.start, needs_head=False)
    channels, wanted = data.train_images.shape[1], start.model.config.channels
    if channels != wanted and (channels, wanted) != (1, 3):
        raise ValueError(
            f"{recipe.start} takes images of {wanted} channels, {data.title} has {channels}; start "
            "from weights that were trained on such images"
        )
    changes = dict(recipe.model)
    if start.classes != data.classes:
        if "head" not in changes:
            knows = f"knows the classes {listed(start.classes)}" if start.classes else "has no head"
            raise ValueError(
                f"{recipe.start} {knows}; {data.title} has {listed(data.classes)}; give it a new "
                "head with --set model.head=linear"
            )
        changes["classes"] = len(data.classes)
    H, W = data.train_images.shape[2:]
    P, own = start.model.config.patch_size, start.model.config.image_size
    if own[0] <= H and own[1] <= W and H % P == W % P == 0:
        changes.setdefault("image_size", (H, W))
    check(changed(start.model.config, **changes))
    model = adapted(start.model, recipe.start_positions, **changes)
    about: dict[str, Any] = {
        "trained_on": start.trained_on,
        "weights": checksum(start.model.state_dict()),
        "assumed": start.assumed,
    }
    new = replace(start, model=model, classes=data.classes, trained_on=data.title)
    return replace(new, start=about, assumed={})
