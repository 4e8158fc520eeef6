"""Weights of other libraries in our model: downloaded by their own means, or from a file."""

import difflib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vitlit.checkpoint import CheckpointError
from vitlit.layouts import (
    check_layout,
    config_of,
    from_layout,
    guesses,
    has_head,
    listed,
    new_head,
)
from vitlit.libraries import LIBRARIES, Found, from_folder
from vitlit.unwrap import unwrap
from vitlit.vit import VisionTransformer
from vitlit.weights import check_finite, file_of, metadata, read

__all__ = ["Pretrained", "is_foreign", "load", "model_of", "read", "split"]

HALF = {"mean": 0.5, "std": 0.5}  # pixels from −1 to 1, as in the paper's code
# What can be said of weights behind their name, as in vit.pth,heads=12.
SAID = ("heads", "image_size", "eps", "gelu", "activation", "channels", "mean", "std", "classes",
        "entry")  # fmt: skip


@dataclass(frozen=True)
class Pretrained:
    """A model of ours with another library's weights, and what that library says of them."""

    model: VisionTransformer
    classes: tuple[str, ...]  # none if the weights have no head
    mean: Float[Tensor, " C"]  # grey levels, 0–255
    std: Float[Tensor, " C"]
    assumed: dict[str, Any] = field(default_factory=dict)  # what neither weights nor caller say


def model_of(
    theirs: Mapping[str, Tensor],
    layout: str | None = None,
    resized_to: tuple[int, int] | None = None,
    origin: str = "the weights",
    **known: Any,
) -> VisionTransformer:
    """A model of ours with another layout's weights, in evaluation mode.

    `layout` is found by the names if not given, with all prefixes, the configuration by the
    shapes; `known` are fields of ViTConfig that they do not tell, such as heads. `resized_to` is
    another image size, (H, W), than the weights' own: the positions are interpolated as timm does
    it, bicubic and antialiased.
    Raises CheckpointError, naming the tensors, if they do not fit.
    """
    return _built(theirs, layout, resized_to, origin, True, known)[0]


def _built(
    theirs: Mapping[str, Tensor],
    layout: str | None,
    resized_to: tuple[int, int] | None,
    origin: str,
    needs_head: bool,
    known: dict[str, Any],
) -> tuple[VisionTransformer, bool, dict[str, Any]]:
    """The model, whether it had a head, and what was assumed."""
    assumed: dict[str, Any] = {}
    if layout is None:
        known = dict(known)
        entry, channels = known.pop("entry", None), known.pop("channels", None)
        tensors, layout, found, entries = unwrap(theirs, entry, channels, origin)
        if len(entries) > 1 and entry is None:
            assumed["entry"] = found
    else:
        check_layout(layout)
        tensors = listed(theirs)
        check_finite(tensors, origin)
    whole = has_head(tensors, layout)
    if not whole and not needs_head:
        tensors |= new_head(tensors, layout)
    elif not whole:
        raise CheckpointError(
            f"{origin}: weights without a head name no class; give some with one, or fine-tune "
            f"these: vitlit train --preset own --set {shlex.quote(f'start={origin}')}"
        )
    config = config_of(tensors, layout, **known)
    state = from_layout(tensors, layout, config, origin)
    dtype = reduce(torch.promote_types, (t.dtype for t in state.values()))
    if not dtype.is_floating_point or dtype.itemsize < 2:
        raise CheckpointError(
            f"{origin}: weights of {dtype} need a scale that no tensor tells; give some that are "
            "not quantized"
        )
    with torch.device("meta"):
        model = VisionTransformer(config)
    model.to_empty(device="cpu").to(dtype)
    model.load_state_dict(state)
    assumed |= guesses(config, layout, known)
    if resized_to is not None and resized_to != config.image_size:
        model = model.resized(resized_to, antialias=True)
    return model.eval(), whole, assumed


def load(
    source: str,
    resized_to: tuple[int, int] | None = None,
    needs_head: bool = True,
    **known: Any,
) -> Pretrained:
    """Another library's weights, downloaded by that library's own means.

    `source` is "torchvision:vit_b_16", "timm:NAME" or "huggingface:ORGANIZATION/NAME"; a name that
    the library has already stored is not downloaded again. Or it is a file or folder that `read`
    takes. What nobody says is assumed, and noted in `assumed`: of a bare file that its classes
    have no names and that its images are normalized to −1 to 1, as the paper's are. `known` says
    otherwise: fields of ViTConfig, "classes", "mean" and "std" of pixels from 0 to 1, or "entry",
    the place in a checkpoint that holds several models. `resized_to` as in `model_of`. Weights
    become float32. A library's way to crop a picture is not part of it: `data.open_rgb` takes the
    largest square, where torchvision and most of timm's models were tested on its middle.
    Raises CheckpointError if the weights are no plain ViT's or cannot be had, or have no head
    where one is needed.
    """
    theirs, about, said = _found(source)
    about = {key: value for key, value in about.items() if value not in (None, [])}
    about |= {key: known.pop(key) for key in ("classes", *HALF) if key in known}
    model, whole, assumed = _built(theirs, None, resized_to, source, needs_head, {**said, **known})
    grey = {key: _grey(key, about.get(key, HALF[key]), model, source) for key in HALF}
    assumed |= {key: value for key, value in HALF.items() if key not in about}
    count = model.config.classes if whole else 0
    classes = tuple(about.get("classes", map(str, range(count))))
    if whole and len(classes) != count:
        raise CheckpointError(
            f"{source} tells {count} classes apart, but {len(classes)} are named; name them all"
        )
    if whole and "classes" not in about:
        assumed["classes"] = f"0:…:{count - 1}"
    model = model.float()
    return Pretrained(model, classes if whole else (), grey["mean"], grey["std"], assumed)


def _found(source: str) -> Found:
    """The tensors that a source names, and what is said of them."""
    library, colon, name = source.partition(":")
    if colon and library in LIBRARIES:
        try:
            return LIBRARIES[library](name)
        except ImportError as error:
            missing = error.name or library
            raise CheckpointError(f"{source} needs {missing}: pip install {missing}") from error
        except OSError as error:
            reason = str(error).strip().partition("\n")[0]
            raise CheckpointError(
                f"{source} cannot be downloaded ({reason}); check the name and the network, or "
                "give a file"
            ) from error
    path = Path(source).expanduser()
    return from_folder(path) if path.is_dir() else (read(path), {}, {})


def _grey(key: str, value: Any, model: VisionTransformer, source: str) -> Float[Tensor, " C"]:
    """A mean or deviation of pixels from 0 to 1 in grey levels, a channel each."""
    C = model.config.channels
    values = torch.tensor(value, dtype=torch.float64).flatten() * 255
    if len(values) not in (1, C) or not bool(values.isfinite().all()):
        raise CheckpointError(f"{source}: {key} is {value}; the model needs {C} finite numbers")
    if key == "std" and not bool((values > 0).all()):
        raise CheckpointError(f"{source}: std is {value}; it must be above 0")
    return values.expand(C).float().clone()


def is_foreign(text: str) -> bool:
    """Whether a text names what `load` takes: a library's weights, or a file that is not ours.

    Ours are the safetensors files with a configuration in them, which `Classifier.save` writes.
    """
    if text.partition(":")[0] in LIBRARIES and ":" in text:
        return True
    path = Path(text).expanduser()
    return path.exists() and not is_ours(path)


def is_ours(path: Path) -> bool:
    """Whether a file, or a folder's file, is one that `Classifier.save` wrote."""
    try:
        file = file_of(path)
    except OSError:
        return False
    return file.is_file() and "config" in metadata(file)


def split(source: str) -> tuple[str, dict[str, Any]]:
    """A source, and what is said of it behind its name: vit.pth,heads=12,mean=0.5.

    Lists are written with colons, 0.485:0.456:0.406, and sizes as 224x160, height first. Raises
    ValueError on a name that nothing is said of, or a value of another kind.
    """
    rest, said = source, dict[str, Any]()
    while not Path(rest).exists() and (found := re.fullmatch(r"(.+),\s*(\w+)=([^,]*)", rest)):
        rest, name, text = found.groups()
        if name in said:
            raise ValueError(f"{source} says {name} twice; say it once")
        said = {name: _value(name, text.strip()), **said}
    return rest, said


def _value(name: str, text: str) -> Any:
    if name not in SAID:
        near = difflib.get_close_matches(name, SAID, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"{name}={text}: of weights can be said {', '.join(SAID)}{hint}")
    try:
        if name in ("heads", "channels"):
            if int(text) < 1:
                raise ValueError
            return int(text)
        if name == "image_size":
            H, _, W = text.partition("x")
            return int(H), int(W or H)
        if name in ("mean", "std"):
            return [float(number) for number in text.split(":")]
        if name == "eps":
            return float(text)
    except ValueError as error:
        raise ValueError(
            f"{name}={text} is no such number; write heads=12, image_size=224x160, eps=1e-6 or "
            "mean=0.485:0.456:0.406"
        ) from error
    return tuple(text.split(":")) if name == "classes" else text


def assumptions(source: str, assumed: Mapping[str, Any]) -> str:
    """One line that says what was assumed of weights, and how to say it otherwise."""
    said = [f"{name}={_written(name, value)}" for name, value in assumed.items()]
    return (
        f"assumed of {source}: {' '.join(said)}; where one is wrong, add the right one to the name "
        f"of the weights: {source},{said[0]}"
    )


def _written(name: str, value: Any) -> str:
    """A value as `split` reads it."""
    if name == "image_size":
        return "x".join(map(str, value))
    if isinstance(value, list | tuple):
        return ":".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
