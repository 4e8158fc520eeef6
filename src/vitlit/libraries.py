"""Weights as other libraries keep them: by name, downloaded by their own means, or in a folder.

Each function returns the tensors; what the library says of them: classes, mean and std of pixels
from 0 to 1; and the fields of ViTConfig that shapes do not tell.
"""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch import Tensor

from vitlit import weights
from vitlit.checkpoint import CheckpointError

Found = tuple[dict[str, Tensor], dict[str, Any], dict[str, Any]]
EXACT_GELU = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh", "gelu_tanh": "tanh"}


def from_torchvision(name: str) -> Found:
    """Weights of torchvision.models, with the classes and statistics that it keeps of them."""
    from torchvision.models import get_model, get_model_weights, list_models

    there = [known for known in list_models() if known.startswith("vit_")]
    if name not in there:
        raise CheckpointError(f"torchvision has no ViT {name!r}; it has {', '.join(there)}")
    chosen = get_model_weights(name).DEFAULT
    with torch.device("meta"):
        model = get_model(name)
    known = {"heads": model.encoder.layers[0].num_heads, "eps": 1e-6, "gelu": "none"}
    known["image_size"] = tuple(chosen.meta["min_size"])
    about = {key: getattr(chosen.transforms(), key) for key in ("mean", "std")}
    about["classes"] = chosen.meta["categories"]
    return dict(chosen.get_state_dict(progress=True, check_hash=True)), about, known


def from_timm(name: str) -> Found:
    """Weights that timm.create_model loads, with what its configuration says of them."""
    timm = import_module("timm")
    try:
        with no_waiting():
            model = timm.create_model(name, pretrained=True)
    except RuntimeError as error:  # an unknown name, or no weights for it
        raise CheckpointError(f"timm:{name} cannot be had: {error}") from error
    block = getattr(model, "blocks", [None])[0]
    kind = type(model).__name__ if type(block).__name__ == "Block" else type(block).__name__
    if kind != "VisionTransformer":
        raise CheckpointError(f"timm:{name} is made of {kind}, no plain ViT; choose another model")
    gelu = {"GELU": "none", "GELUTanh": "tanh"}.get(type(block.mlp.act).__name__)
    pooling = {("token", True): "class", ("avg", False): "mean"}.get(
        (model.global_pool, model.has_class_token)
    )
    if gelu is None or pooling is None:
        act = type(block.mlp.act).__name__
        raise CheckpointError(
            f"timm:{name} activates with {act} and pools {model.global_pool!r}, which no model of "
            "ours does; choose another model"
        )
    known = {"heads": block.attn.num_heads, "eps": block.norm1.eps, "gelu": gelu}
    known |= {"pooling": pooling, "image_size": tuple(model.patch_embed.img_size)}
    about = {key: model.pretrained_cfg[key] for key in ("mean", "std")}
    about["classes"] = timms_classes(model.pretrained_cfg, model.num_classes)
    return model.state_dict(), about, known


def timms_classes(about: dict[str, Any], count: int) -> list[str] | None:
    """The classes that timm's configuration names, or ImageNet's where only their number tells."""
    data = import_module("timm.data")
    words = about.get("label_descriptions") or {}
    names = about.get("label_names")
    if names is None and (subset := data.infer_imagenet_subset({"num_classes": count})):
        imagenet = data.ImageNetInfo(subset)
        names, words = imagenet.label_names(), imagenet.label_descriptions(as_dict=True)
    if names is None or len(names) != count:
        return None
    return [words.get(name, name) for name in names]


def from_huggingface(name: str) -> Found:
    """Weights of the Hugging Face hub: the files of a ViTForImageClassification."""
    hub = import_module("huggingface_hub")
    wanted = ["config.json", "preprocessor_config.json", *weights.OF_A_FOLDER[:2]]
    wanted += ["model-*.safetensors"]
    try:
        with no_waiting():
            folder = hub.snapshot_download(name, allow_patterns=wanted)
    except hub.errors.HFValidationError as error:
        raise CheckpointError(f"huggingface:{name} is no name of a model: {error}") from error
    return from_folder(Path(folder))


LIBRARIES: dict[str, Callable[[str], Found]] = {
    "torchvision": from_torchvision,
    "timm": from_timm,
    "huggingface": from_huggingface,
}


@contextmanager
def no_waiting() -> Iterator[None]:
    """Meanwhile let Hugging Face's hub take what is stored here, where it cannot be reached.

    Else it tries six times, and waits for most of a minute.
    """
    constants: Any = import_module("huggingface_hub.constants")
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not reachable(constants.ENDPOINT)
    try:
        yield
    except OSError as error:
        if constants.HF_HUB_OFFLINE:
            why = "HF_HUB_OFFLINE is set" if before else f"{constants.ENDPOINT} cannot be reached"
            raise OSError(f"{why}, and it is not stored here") from error
        raise
    finally:
        constants.HF_HUB_OFFLINE = before


def reachable(address: str, seconds: float = 4.0) -> bool:
    """Whether a server, or the proxy that stands before it, takes a connection."""
    to = urlsplit(address)
    via = urlsplit(getproxies().get(to.scheme) or address)
    port = via.port or (443 if via.scheme == "https" else 80)
    try:
        socket.create_connection((via.hostname or "", port), timeout=seconds).close()
    except OSError:
        return False
    return True


def from_folder(folder: Path) -> Found:
    """A folder of Hugging Face's, timm's or of `vitlit export`, or one that has weights alone."""
    file = folder / "config.json"
    if not file.exists():
        return weights.read(folder), {}, {}
    config = _json(file)
    if "architecture" in config:
        return _timms_folder(folder, config)
    if "hidden_dim" in config:
        return _torchvisions_folder(folder, config)
    return _huggingfaces_folder(folder, config)


def _json(file: Path) -> dict[str, Any]:
    """What a file says. Raises CheckpointError if that is no JSON object."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read ({error}); get or write it again") from error
    if not isinstance(said, dict):
        raise CheckpointError(f"{file} holds no fields; get or write it again")
    return said


def _timms_folder(folder: Path, config: dict[str, Any]) -> Found:
    """What `vitlit export --to timm` writes; another of timm's folders is loaded by timm."""
    sizes, about = config.get("model_args") or {}, config.get("pretrained_cfg") or {}
    if not {"num_heads", "img_size", "embed_dim"} <= set(sizes):
        return from_timm(f"local-dir:{folder.as_posix()}")
    activation = sizes.get("act_layer", "gelu")
    if activation not in EXACT_GELU:
        raise CheckpointError(
            f"{folder} activates with {activation!r}, which no model of ours does"
        )
    known = {"heads": sizes["num_heads"], "image_size": _pair(sizes["img_size"]), "eps": 1e-6}
    known["gelu"] = EXACT_GELU[activation]
    said = {key: about[key] for key in ("mean", "std") if key in about}
    return weights.read(folder), said | {"classes": about.get("label_names")}, known


def _torchvisions_folder(folder: Path, config: dict[str, Any]) -> Found:
    """What `vitlit export --to torchvision` writes."""
    about = folder / "classifier.json"
    known = {"heads": config["num_heads"], "image_size": _pair(config["image_size"])}
    known |= {"eps": 1e-6, "gelu": "none", "activation": "tanh"}
    return weights.read(folder), _json(about) if about.exists() else {}, known


# What a config.json need not say, since it is transformers.ViTConfig's default.
HUGGINGFACE: dict[str, Any] = {
    "image_size": 224, "num_attention_heads": 12, "layer_norm_eps": 1e-12, "hidden_act": "gelu",
}  # fmt: skip


def _huggingfaces_folder(folder: Path, config: dict[str, Any]) -> Found:
    """What `ViTForImageClassification.save_pretrained` wrote to a folder."""
    if (kind := config.get("model_type")) != "vit":
        raise CheckpointError(_no_vit(folder, f"its model_type is {kind!r}, not 'vit'"))
    config = HUGGINGFACE | config
    if (activation := config["hidden_act"]) not in EXACT_GELU:
        ours = ", ".join(EXACT_GELU)
        raise CheckpointError(_no_vit(folder, f"its hidden_act is {activation!r}; ours are {ours}"))
    known = {"heads": config["num_attention_heads"], "eps": config["layer_norm_eps"]}
    known |= {"gelu": EXACT_GELU[activation], "image_size": _pair(config["image_size"])}
    labels = config.get("id2label") or {}
    about: dict[str, Any] = {"classes": [labels[k] for k in sorted(labels, key=int)]}
    processor = folder / "preprocessor_config.json"
    if processor.exists():
        about |= _statistics(_json(processor))
    return weights.read(folder), about, known


def _no_vit(folder: Path, why: str) -> str:
    return (
        f"{folder} holds no run, and no ViT of Hugging Face's that ours can be ({why}); give "
        "a run's folder, or one that ViTForImageClassification.save_pretrained wrote"
    )


def _statistics(said: dict[str, Any]) -> dict[str, Any]:
    """Mean and deviation of pixels from 0 to 1, as a preprocessor_config.json means them."""
    scale = said.get("rescale_factor", 1 / 255) * 255 if said.get("do_rescale", True) else 255
    if not said.get("do_normalize", True):
        return {"mean": 0.0, "std": 1 / scale}
    values = {key: torch.tensor(said[f"image_{key}"]) for key in ("mean", "std")
              if f"image_{key}" in said}  # fmt: skip
    return {key: (value.double() / scale).tolist() for key, value in values.items()}


def _pair(size: Any) -> tuple[int, int]:
    return tuple(size) if isinstance(size, list | tuple) else (size, size)
