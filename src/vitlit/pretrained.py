"""Weights of other libraries in our model: downloaded by their own means, or from a file."""

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from vitlit.checkpoint import CheckpointError, Classifier, load_state
from vitlit.layouts import check_layout, config_of, from_layout, layout_of
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
            state = state.get("model", state)  # where DeiT's and others' files keep it
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
    layout = layout or layout_of(theirs)
    check_layout(layout)
    config = config_of(theirs, layout, **known)
    state = from_layout(theirs, layout, config, origin)
    with torch.device("meta"):
        model = VisionTransformer(config)
    model.to_empty(device="cpu").to(next(iter(state.values())).dtype)
    load_state(model, state, origin)
    if resized_to is not None and resized_to != config.image_size:
        model = model.resized(resized_to, antialias=True)
    return model.eval()


HALF = {"mean": 0.5, "std": 0.5}  # pixels from −1 to 1, as in the paper's code


def load(source: str, resized_to: tuple[int, int] | None = None, **known: Any) -> Classifier:
    """A classifier with another library's weights, downloaded by that library's own means.

    `source` is "torchvision:vit_b_16", "timm:NAME" or "huggingface:ORGANIZATION/NAME"; a name that
    the library has already stored is not downloaded again. Or it is a file or folder that `read`
    takes; then classes are numbers, unless a Hugging Face folder names them, and images are
    normalized to −1 to 1, as the paper's are. `resized_to` and `known` as in `model_of`.
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
        return _classifier(theirs, about, source, resized_to, {**known_, **known})
    if Path(source).is_dir():
        theirs, about, known_ = _huggingface_folder(Path(source))
        return _classifier(theirs, about, source, resized_to, {**known_, **known})
    return _classifier(read(source), {}, source, resized_to, known)


def is_source(text: str) -> bool:
    """Whether a text names a library's weights, such as "timm:vit_base_patch16_224"."""
    return text.partition(":")[0] in LIBRARIES and ":" in text


Found = tuple[dict[str, Tensor], dict[str, Any], dict[str, Any]]


def _classifier(
    theirs: dict[str, Tensor],
    about: dict[str, Any],
    source: str,
    resized_to: tuple[int, int] | None,
    known: dict[str, Any],
) -> Classifier:
    model = model_of(theirs, None, resized_to, source, **known)
    classes = about.get("classes") or [str(k) for k in range(model.config.classes)]
    grey = {}
    for key in ("mean", "std"):
        values = torch.tensor(about.get(key, HALF[key])) * 255
        grey[key] = values.expand(model.config.channels).clone()
    return Classifier(model, tuple(classes), grey["mean"], grey["std"], source)


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
    if type(model).__name__ != "VisionTransformer":
        raise CheckpointError(f"timm:{name} is a {type(model).__name__}, no plain ViT")
    about = {key: model.pretrained_cfg[key] for key in ("mean", "std")}
    about["classes"] = model.pretrained_cfg.get("label_names")
    known = {"heads": model.blocks[0].attn.num_heads, "eps": model.blocks[0].norm1.eps}
    known["image_size"] = tuple(model.patch_embed.img_size)
    return model.state_dict(), about, known


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
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        size, heads, eps = (
            config[key] for key in ("image_size", "num_attention_heads", "layer_norm_eps")
        )
        gelu = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}
        known = {"heads": heads, "eps": eps, "gelu": gelu[config["hidden_act"]]}
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{folder} holds no ViT of Hugging Face's: its config.json lacks or breaks {error}"
        ) from error
    known["image_size"] = tuple(size) if isinstance(size, list) else (size, size)
    labels = config.get("id2label") or {}
    about: dict[str, Any] = {"classes": [labels[k] for k in sorted(labels, key=int)]}
    processor = folder / "preprocessor_config.json"
    if processor.exists():
        said = json.loads(processor.read_text(encoding="utf-8"))
        about |= {k: said[f"image_{k}"] for k in ("mean", "std") if f"image_{k}" in said}
    return read(folder), about, known


LIBRARIES: dict[str, Callable[[str], Found]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "huggingface": _huggingface,
}
