"""A trained model with what it needs to read a picture, and where such models come from."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import functional as F

from vitlit import files, pretrained, records, weights
from vitlit.checkpoint import CheckpointError
from vitlit.config import ViTConfig
from vitlit.data import Dataset
from vitlit.vit import VisionTransformer


@dataclass(frozen=True)
class Classifier:
    """A trained model with what it needs to read a picture: classes, mean and deviation."""

    model: VisionTransformer
    classes: tuple[str, ...]
    mean: Float[Tensor, " C"]  # grey levels, 0–255
    std: Float[Tensor, " C"]
    trained_on: str  # the data's title, for whoever shows a prediction
    assumed: dict[str, Any] = field(default_factory=dict)  # of foreign weights: `pretrained.load`
    start: dict[str, Any] = field(default_factory=dict)  # what it was fine-tuned from

    def to(self, device: str) -> "Classifier":
        """The same on another device. The model is moved, not copied."""
        mean, std = self.mean.to(device), self.std.to(device)
        return replace(self, model=self.model.to(device), mean=mean, std=std)

    def check(self, data: Dataset) -> None:
        """Raises ValueError if the data has other classes than the model knows."""
        if data.classes != self.classes:
            raise ValueError(
                f"the model knows the classes {listed(self.classes)}; {data.title} has "
                f"{listed(data.classes)}; evaluate it on the data that it was trained for"
            )

    def inputs(self, images: UInt8[Tensor, "B c h w"]) -> Float[Tensor, "B C H W"]:
        """What the model takes: images as the data stores them, normalized, and scaled to its size.

        A fine-tuned model may be made for larger images than the data has; they are enlarged. Of
        images with other proportions than the model's the middle counts, as in `data.open_rgb`.
        Gray images are given to a model of three channels as three equal ones. The result has the
        type of the model's weights.
        """
        config, dtype = self.model.config, next(self.model.parameters()).dtype
        images = images.to(self.mean.device)
        if images.shape[1] == 1 and config.channels == 3:
            images = images.expand(-1, 3, -1, -1)
        batch = normalize(images, self.mean, self.std)
        if batch.shape[2:] != config.image_size:
            middle = middle_of(batch, config.image_size)
            batch = F.interpolate(middle, config.image_size, mode="bicubic", antialias=True)
        return batch.to(dtype)

    @torch.no_grad()
    def logits(self, images: UInt8[Tensor, "B C h w"]) -> Float[Tensor, "B K"]:
        """Logits, in evaluation mode, of images as the data stores them."""
        self.model.eval()
        return self.model(self.inputs(images))

    @torch.no_grad()
    def watch(self, images: UInt8[Tensor, "B C h w"]) -> dict[str, Tensor]:
        """What `VisionTransformer.watch` keeps of them, in evaluation mode; `logits` come last."""
        self.model.eval()
        return self.model.watch(self.inputs(images))

    @torch.no_grad()
    def round_(self, dtype: torch.dtype) -> None:
        """Round the weights to what numbers of that type can say, in place."""
        for tensor in self.model.state_dict().values():
            tensor.copy_(tensor.to(dtype))

    def save(self, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Write weights and configuration as one safetensors file, the weights as `dtype`.

        Equal classifiers make equal bytes. Raises CheckpointError if a weight is no finite number,
        or too large for `dtype`.
        """
        about = {
            "config": json.dumps(asdict(self.model.config)),
            "classes": json.dumps(self.classes),
            "mean": json.dumps(self.mean.tolist()),
            "std": json.dumps(self.std.tolist()),
            "trained_on": self.trained_on,
        }
        state = {
            name: tensor.detach().cpu().to(dtype).contiguous()
            for name, tensor in self.model.state_dict().items()
        }
        weights.check_finite(state, f"{path}, as {str(dtype).removeprefix('torch.')}")
        files.write(path, weights.packed(state, {"format": "pt", **about}))


def load(
    source: str | Path,
    resized_to: tuple[int, int] | None = None,
    needs_head: bool = True,
    **known: Any,
) -> Classifier:
    """A trained classifier, ours or another library's, in evaluation mode.

    `source` is the name of a run, its folder, or a file that `Classifier.save` wrote; or what
    `pretrained.load` takes: "torchvision:vit_b_16", "timm:NAME", "huggingface:ORGANIZATION/NAME",
    or a file or folder of theirs. A name means the book's run before one of the reader's own.
    `resized_to` is another image size, (H, W); `known` is what another library's weights do not
    tell, as in `pretrained.load`. It may also stand behind the name: "vit.pth,heads=12". Without
    `needs_head` weights without a head are taken, too, and know no classes.

    Raises FileNotFoundError, or CheckpointError if the weights are damaged, not finite, a pickle
    with code, no plain ViT's, or cannot be had; ValueError if `known` is given for weights of ours.
    """
    name, said = pretrained.split(str(source))
    place, known = str(records.weights_of(name) or name), {**said, **known}
    if pretrained.is_foreign(place):
        found = pretrained.load(place, resized_to, needs_head, **known)
        about = found.classes, found.mean, found.std
        return Classifier(found.model, *about, str(source), found.assumed)
    path = Path(place).expanduser()
    if not path.exists():
        raise FileNotFoundError(records.nothing_at(name))
    ours = _read(weights.file_of(path))
    if known:
        raise ValueError(f"{source} says itself what it is; {', '.join(known)} cannot be given")
    if resized_to in (None, ours.model.config.image_size):
        return ours
    return replace(ours, model=ours.model.resized(resized_to, antialias=True))


def _read(path: Path) -> Classifier:
    """Read what `Classifier.save` wrote."""
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is no whole safetensors file ({error}); get or save it again"
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
    if (len(classes), mean.shape, std.shape) != (config.classes, *[(config.channels,)] * 2):
        raise CheckpointError(
            f"{path} was not saved by vitlit: it names {len(classes)} classes of {config.classes}, "
            f"and {mean.numel()} means and {std.numel()} deviations of {config.channels} channels"
        )
    if not bool((mean.isfinite() & std.isfinite() & (std > 0)).all()):
        raise CheckpointError(
            f"{path}: mean {mean.tolist()} and deviation {std.tolist()} make pixels NaN; train on "
            "images that are not all alike"
        )
    model = VisionTransformer(config)
    _fill(model, state, path)
    weights.check_finite(state, str(path))
    return Classifier(model.eval(), classes, mean, std, trained_on)


def _fill(model: VisionTransformer, state: dict[str, Tensor], path: Path) -> None:
    """Copy weights into a model. Raises CheckpointError, naming the tensors that do not fit."""
    wanted = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    given = {name: tuple(t.shape) for name, t in state.items()}
    if wanted != given:
        names = sorted(n for n in wanted | given if wanted.get(n) != given.get(n))
        shown = [f"{n}: the file has {given.get(n)}, the model {wanted.get(n)}" for n in names[:3]]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise CheckpointError(
            f"{path} holds weights of another model ({'; '.join(shown)}{more}); "
            "build the model with the configuration that it was saved with"
        )
    model.load_state_dict(state)


def listed(names: Sequence[str], most: int = 10) -> str:
    """Names in a row; of many the first, and how many there are."""
    more = f" … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def middle_of(
    images: Float[Tensor, "B C h w"], size: tuple[int, int]
) -> Float[Tensor, "B C rows columns"]:
    """The largest part in the middle of images that has the proportions of a size, (H, W)."""
    (h, w), (H, W) = images.shape[2:], size
    rows, columns = min(h, round(w * H / W)), min(w, round(h * W / H))
    top, left = (h - rows) // 2, (w - columns) // 2
    return images[:, :, top : top + rows, left : left + columns]


def normalize(
    images: UInt8[Tensor, "B C H W"], mean: Float[Tensor, " C"], std: Float[Tensor, " C"]
) -> Float[Tensor, "B C H W"]:
    """Bytes to numbers of mean 0 and deviation 1 a channel; mean and std in grey levels, 0–255."""
    return (images - mean[:, None, None]) / std[:, None, None]


def statistics(images: UInt8[Tensor, "n C H W"]) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"]]:
    """Mean and deviation of each channel over all pixels, in grey levels.

    A deviation is at least 1, so that a channel that is the same everywhere becomes 0 and not
    infinite.
    """
    flat = images.transpose(0, 1).flatten(1)
    counts = torch.stack([channel.bincount(minlength=256) for channel in flat])
    counts = counts.cpu().double()  # Apple's GPUs have no float64
    share = counts / counts.sum(dim=1, keepdim=True)
    levels = torch.arange(256, dtype=torch.float64)
    mean = (share * levels).sum(dim=1)
    variance = (share * (levels - mean[:, None]) ** 2).sum(dim=1)
    std = variance.sqrt().clamp(min=1)
    return mean.float().to(images.device), std.float().to(images.device)
