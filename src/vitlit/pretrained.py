"""Weights of other libraries in our model: downloaded by their own means, or from a file."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from vitlit.checkpoint import CheckpointError
from vitlit.layouts import check_layout, config_of, from_layout, layout_of, renewed
from vitlit.vit import VisionTransformer


def read(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors, .npz, .pt or .pth file, or of a Hugging Face folder.

    No code is run. Raises FileNotFoundError, or CheckpointError if it is damaged, of another kind,
    or a pickle that holds more than tensors.
    """
    path = Path(path)
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.exists():
        raise FileNotFoundError(f"no weights {file}")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        if file.suffix in (".pt", ".pth"):
            state = torch.load(file, map_location="cpu", weights_only=True)
            wrapped = [state[key] for key in ("model", "state_dict") if key in state]
            state = wrapped[0] if wrapped else state  # training programs store more beside it
            return {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}
    except Exception as error:  # each reader has its own
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{file} cannot be read without running code from it, or is damaged ({reason}); "
            "save its tensors alone, best as safetensors"
        ) from error
    raise CheckpointError(f"{file} is no .safetensors, .npz, .pt or .pth file")


def model_of(
    theirs: Mapping[str, Tensor],
    layout: str | None = None,
    resized_to: tuple[int, int] | None = None,
    origin: str = "the weights",
    **known: Any,
) -> VisionTransformer:
    """A model of ours with another layout's weights, in evaluation mode.

    `layout` is found by the names if not given, the configuration by the shapes; `known` are
    fields of ViTConfig that they do not tell, such as heads. `resized_to` is another image size,
    (H, W), than the weights' own: the positions are interpolated as timm does it, bicubic and
    antialiased.
    Raises CheckpointError, naming the tensors, if they do not fit.
    """
    theirs = renewed(theirs)
    layout = layout or layout_of(theirs)
    check_layout(layout)
    config = config_of(theirs, layout, **known)
    state = from_layout(theirs, layout, config, origin)
    with torch.device("meta"):
        model = VisionTransformer(config)
    model.to_empty(device="cpu").to(next(iter(state.values())).dtype)
    model.load_state_dict(state)
    if resized_to is not None and resized_to != config.image_size:
        model = model.resized(resized_to, antialias=True)
    return model.eval()


HALF = {"mean": 0.5, "std": 0.5}  # pixels from −1 to 1, as in the paper's code


@dataclass(frozen=True)
class Pretrained:
    """A model of ours with another library's weights, and what that library says of them."""

    model: VisionTransformer
    classes: tuple[str, ...]
    mean: Float[Tensor, " C"]  # grey levels, 0–255
    std: Float[Tensor, " C"]


def load(source: str, resized_to: tuple[int, int] | None = None, **known: Any) -> Pretrained:
    """Another library's weights, downloaded by that library's own means.

    `source` is "torchvision:vit_b_16", "timm:NAME" or "huggingface:ORGANIZATION/NAME"; a name that
    the library has already stored is not downloaded again. Or it is a file or folder that `read`
    takes; then classes are numbers, unless a Hugging Face folder names them, and images are
    normalized to −1 to 1, as the paper's are. `resized_to` and `known` as in `model_of`. Weights
    become float32. A library's way to crop a picture is not part of it: `data.open_rgb` takes the
    largest square, where torchvision and most of timm's models were tested on its middle.
    Raises CheckpointError if the weights are no plain ViT's or cannot be had.
    """
    library, colon, name = source.partition(":")
    if colon and library in LIBRARIES:
        try:
            theirs, about, known_ = LIBRARIES[library](name)
        except ImportError as error:
            missing = error.name or library
            raise CheckpointError(f"{source} needs {missing}: pip install {missing}") from error
        except OSError as error:
            reason = str(error).strip().partition("\n")[0]
            raise CheckpointError(
                f"{source} cannot be downloaded ({reason}); check the name and the network, or "
                "give a file"
            ) from error
        return _pretrained(theirs, about, source, resized_to, {**known_, **known})
    if Path(source).is_dir():
        theirs, about, known_ = _huggingface_folder(Path(source))
        return _pretrained(theirs, about, source, resized_to, {**known_, **known})
    return _pretrained(read(source), {}, source, resized_to, known)


def is_foreign(text: str) -> bool:
    """Whether a text names what `load` takes: a library's weights, or a file that is not ours.

    Ours are the safetensors files with a configuration in them, which `Classifier.save` writes.
    """
    path = Path(text)
    if text.partition(":")[0] in LIBRARIES and ":" in text:
        return True
    if path.suffix != ".safetensors" or not path.is_file():
        return path.is_dir() or path.suffix in (".npz", ".pt", ".pth")
    try:
        with safe_open(path, framework="pt") as file:
            return "config" not in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


Found = tuple[dict[str, Tensor], dict[str, Any], dict[str, Any]]


def _pretrained(
    theirs: dict[str, Tensor],
    about: dict[str, Any],
    source: str,
    resized_to: tuple[int, int] | None,
    known: dict[str, Any],
) -> Pretrained:
    model = model_of(theirs, None, resized_to, source, **known).float()
    classes = about.get("classes") or [str(k) for k in range(model.config.classes)]
    grey = {}
    for key in ("mean", "std"):
        values = torch.tensor(about.get(key, HALF[key])) * 255
        grey[key] = values.expand(model.config.channels).clone()
    return Pretrained(model, tuple(classes), grey["mean"], grey["std"])


def _torchvision(name: str) -> Found:
    """Weights of torchvision.models, with the classes and statistics that it keeps of them."""
    from torchvision.models import get_model_weights, list_models

    there = [known for known in list_models() if known.startswith("vit_")]
    if name not in there:
        raise CheckpointError(f"torchvision has no ViT {name!r}; it has {', '.join(there)}")
    weights = get_model_weights(name).DEFAULT
    about = {key: getattr(weights.transforms(), key) for key in ("mean", "std")}
    about["classes"] = weights.meta["categories"]
    return dict(weights.get_state_dict(progress=True, check_hash=True)), about, {}


def _timm(name: str) -> Found:
    """Weights that timm.create_model loads, with what its configuration says of them."""
    timm = import_module("timm")
    try:
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
    about["classes"] = _timms_classes(model.pretrained_cfg, model.num_classes)
    return model.state_dict(), about, known


def _timms_classes(about: dict[str, Any], count: int) -> list[str] | None:
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


def _huggingface(name: str) -> Found:
    """Weights of the Hugging Face hub: the files of a ViTForImageClassification."""
    hub = import_module("huggingface_hub")
    wanted = ["config.json", "preprocessor_config.json", "model.safetensors"]
    try:
        folder = hub.snapshot_download(name, allow_patterns=wanted)
    except hub.errors.HFValidationError as error:
        raise CheckpointError(f"huggingface:{name} is no name of a model: {error}") from error
    return _huggingface_folder(Path(folder))


def _huggingface_folder(folder: Path) -> Found:
    """What `ViTForImageClassification.save_pretrained` wrote to a folder."""
    processor = folder / "preprocessor_config.json"
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config.get("model_type") != "vit":
            raise ValueError(f"its model_type is {config.get('model_type')!r}, not 'vit'")
        config = HUGGINGFACE | config
        known = {"heads": config["num_attention_heads"], "eps": config["layer_norm_eps"]}
        gelu = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}
        if (activation := config["hidden_act"]) not in gelu:
            raise ValueError(f"its hidden_act is {activation!r}; ours are {', '.join(gelu)}")
        said = json.loads(processor.read_text(encoding="utf-8")) if processor.exists() else {}
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{folder} holds no run, and no ViT of Hugging Face's that ours can be ({error}); give "
            "a run's folder, or one that ViTForImageClassification.save_pretrained wrote"
        ) from error
    size = config["image_size"]
    known |= {"gelu": gelu[activation]}
    known["image_size"] = tuple(size) if isinstance(size, list) else (size, size)
    labels = config.get("id2label") or {}
    about: dict[str, Any] = {"classes": [labels[k] for k in sorted(labels, key=int)]}
    about |= {k: said[f"image_{k}"] for k in ("mean", "std") if f"image_{k}" in said}
    return read(folder), about, known


# What a config.json need not say, since it is transformers.ViTConfig's default.
HUGGINGFACE: dict[str, Any] = {
    "image_size": 224, "num_attention_heads": 12, "layer_norm_eps": 1e-12, "hidden_act": "gelu",
}  # fmt: skip

LIBRARIES: dict[str, Callable[[str], Found]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "huggingface": _huggingface,
}
