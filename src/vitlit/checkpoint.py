"""Weights on disk: safetensors with the model's configuration, and a training run's state."""

import json
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from vitlit.augment import normalize
from vitlit.config import ViTConfig
from vitlit.data import Dataset
from vitlit.records import write_whole
from vitlit.vit import VisionTransformer


class CheckpointError(ValueError):
    """A file that is no checkpoint of ours, or of another model."""


@dataclass(frozen=True)
class Classifier:
    """A trained model with what it needs to read a picture: classes, mean and deviation."""

    model: VisionTransformer
    classes: tuple[str, ...]
    mean: Float[Tensor, " C"]  # grey levels, 0–255
    std: Float[Tensor, " C"]
    trained_on: str  # the data's title, for whoever shows a prediction

    def to(self, device: str) -> "Classifier":
        """The same on another device. The model is moved, not copied."""
        mean, std = self.mean.to(device), self.std.to(device)
        return replace(self, model=self.model.to(device), mean=mean, std=std)

    def check(self, data: Dataset) -> None:
        """Raises ValueError if the data has other classes than the model knows."""
        if data.classes != self.classes:
            raise ValueError(
                f"the model knows the classes {', '.join(self.classes)}; {data.title} has "
                f"{', '.join(data.classes)}; evaluate it on the data that it was trained for"
            )

    def inputs(self, images: UInt8[Tensor, "B C h w"]) -> Float[Tensor, "B C H W"]:
        """What the model takes: images as the data stores them, normalized, and scaled to its size.

        A fine-tuned model may be made for larger images than the data has; they are enlarged.
        """
        batch = normalize(images.to(self.mean.device), self.mean, self.std)
        size = self.model.config.image_size
        if batch.shape[2:] == size:
            return batch
        return F.interpolate(batch, size, mode="bicubic", antialias=True)

    @torch.no_grad()
    def logits(self, images: UInt8[Tensor, "B C h w"]) -> Float[Tensor, "B K"]:
        """Logits, in evaluation mode, of images as the data stores them."""
        self.model.eval()
        return self.model(self.inputs(images))

    @torch.no_grad()
    def round_(self, dtype: torch.dtype) -> None:
        """Round the weights to what numbers of that type can say, in place."""
        for tensor in self.model.state_dict().values():
            tensor.copy_(tensor.to(dtype))

    def save(self, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Write weights and configuration as one safetensors file, the weights as `dtype`."""
        about = {
            "config": json.dumps(asdict(self.model.config)),
            "classes": json.dumps(self.classes),
            "mean": json.dumps(self.mean.tolist()),
            "std": json.dumps(self.std.tolist()),
            "trained_on": self.trained_on,
        }
        weights = self.model.state_dict()
        state = {name: t.detach().cpu().to(dtype).contiguous() for name, t in weights.items()}
        content = save(state, metadata={"format": "pt", **about})
        write_whole(Path(path), lambda file: file.write(content))


def load(path: str | Path) -> Classifier:
    """Read what `Classifier.save` wrote.

    Raises FileNotFoundError, or CheckpointError if the file is cut off, a pickle, another
    program's, or if its weights do not fit its configuration.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint {path}; `vitlit train` writes model.safetensors")
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is no whole safetensors file ({error}); pickled checkpoints (.pt, .pth) are "
            "not read, because a pickle can run code: save the weights as safetensors"
        ) from error
    try:
        fields = json.loads(about["config"])
        config = ViTConfig(**{**fields, "image_size": tuple(fields["image_size"])})
        classes = tuple(json.loads(about["classes"]))
        mean, std = (torch.tensor(json.loads(about[name])) for name in ("mean", "std"))
        trained_on = about["trained_on"]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} was not saved by vitlit: its configuration is missing or damaged ({error})"
        ) from error
    model = VisionTransformer(config)
    load_state(model, state, str(path))
    return Classifier(model.eval(), classes, mean, std, trained_on)


def load_state(model: VisionTransformer, state: dict[str, Tensor], origin: str) -> None:
    """Copy weights into a model. Raises CheckpointError, naming the tensors that do not fit."""
    wanted = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    given = {name: tuple(t.shape) for name, t in state.items()}
    if wanted != given:
        names = sorted(n for n in wanted | given if wanted.get(n) != given.get(n))
        shown = [f"{n}: the file has {given.get(n)}, the model {wanted.get(n)}" for n in names[:3]]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise CheckpointError(
            f"{origin} holds weights of another model ({'; '.join(shown)}{more}); "
            "build the model with the configuration that it was saved with"
        )
    model.load_state_dict(state)


def save_training(path: Path, state: dict[str, Any]) -> None:
    """Write all that a run needs to go on after an epoch."""
    content = BytesIO()  # torch reports a full disk as something else
    torch.save(state, content)
    write_whole(path, lambda file: file.write(content.getbuffer()))


def load_training(path: Path) -> dict[str, Any]:
    """Read what `save_training` wrote; tensors and plain values only, no code is run."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f"{path} is damaged ({error}); delete it to start the run from its beginning"
        ) from error
