"""Our weights in folders that other libraries load, or in a graph that needs none of them."""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from vitlit import files
from vitlit.classifier import Classifier
from vitlit.config import ViTConfig
from vitlit.layouts import to_layout
from vitlit.onnx import graph
from vitlit.weights import check_finite, packed


def export(
    classifier: Classifier,
    layout: str,
    folder: str | Path,
    weights: str | None = None,
    stored: str = "fp32",
) -> str:
    """Write a folder that another library loads, and return the lines of Python that do it.

    `layout` is "torchvision", "timm" or "huggingface". The folder gets model.safetensors,
    config.json and what else the library asks for; classes and statistics, for which torchvision
    has no place, go to classifier.json. Or it is "onnx", and `folder` a file with the graph of
    `vitlit.onnx`, whose weights are `stored` as "fp32" or "fp16". Either appears only when it is
    complete. `weights` is where the classifier is from, for the command of a remedy. Raises
    ValueError on a layout that is read only, on a model that the layout cannot hold, on weights
    that are no finite numbers, or if a package is missing; FileExistsError if the folder or file is
    there; OSError if it cannot be written.
    """
    folder = Path(folder)
    if layout == "onnx":
        return _export_graph(classifier, folder, weights or "the model", stored)
    if layout not in EXPORTS:
        raise ValueError(f"no export to {layout!r}; choose one of {', '.join([*EXPORTS, 'onnx'])}")
    if stored != "fp32":
        raise ValueError(f"{layout} gets the weights as fp32; {stored} is for a graph, onnx")
    config = classifier.model.config
    if reasons := _reasons(config, layout):
        raise ValueError(
            f"{layout} has no model with {' and '.join(reasons)}; "
            f"{_remedy(config, layout, weights or 'WEIGHTS')}"
        )
    if folder.exists():
        raise FileExistsError(f"{folder} is there already; give another folder, or remove it")
    check_finite(classifier.model.state_dict(), weights or "the model")
    state = to_layout(classifier.model.state_dict(), layout, config)
    tensors = {name: t.detach().cpu().contiguous() for name, t in state.items()}
    describe, lines, _ = EXPORTS[layout]
    contents = {"model.safetensors": packed(tensors, {"format": "pt"})}
    for name, content in describe(classifier).items():
        contents[name] = (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
    with files.whole(folder) as new:
        new.mkdir()
        for name, bytes_ in contents.items():
            (new / name).write_bytes(bytes_)
    return _filled(lines, folder)


def predicting(classifier: Classifier, layout: str, folder: str | Path, picture: str | Path) -> str:
    """More lines of Python, to follow those of `export`: what the model says of a picture.

    They read classes and statistics from the folder, and crop and resize as `data.open_rgb` does.
    """
    c = classifier.model.config
    H, W = c.image_size
    mode = "RGB" if c.channels == 3 else "L"
    place = _quoted(Path(picture).as_posix())
    if layout == "onnx":
        return ASKING_A_GRAPH.replace("PICTURE", place).replace("MODE", mode)
    logits = "model.eval()(pixels[None])" + (".logits" if layout == "huggingface" else "")
    return f"""
import torch
from PIL import Image, ImageOps
from torchvision.transforms.functional import to_tensor
{_filled(EXPORTS[layout][2], Path(folder))}
picture = ImageOps.exif_transpose(Image.open({place})).convert("{mode}")
picture = ImageOps.fit(picture, ({W}, {H}), Image.Resampling.BICUBIC)
mean, std = (torch.tensor(values)[:, None, None] for values in (mean, std))
pixels = (to_tensor(picture) - mean) / std
with torch.no_grad():
    chances = {logits}[0].softmax(dim=0)
print(classes[chances.argmax().item()], f"{{chances.max():.1%}}")"""


def _export_graph(classifier: Classifier, file: Path, origin: str, stored: str) -> str:
    if file.suffix.lower() != ".onnx":
        raise ValueError(f"{file} is to be a graph, in one file; call it {file.name}.onnx")
    if file.exists():
        raise FileExistsError(f"{file} is there already; give another file, or remove it")
    files.write(file, graph(classifier, stored, origin))
    return _filled(LOADING_A_GRAPH, file)


def _filled(lines: str, folder: Path) -> str:
    """Lines of Python with a folder's paths in them: FOLDER, or FOLDER/ and a file in it."""
    return re.sub(
        r'"(.*?)FOLDER(.*?)"', lambda m: _quoted(f"{m[1]}{folder.as_posix()}{m[2]}"), lines
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _reasons(config: ViTConfig, layout: str) -> list[str]:
    """What a library's model cannot be and this one is, in words."""
    c = config
    mean = (c.pooling == "mean", "mean pooling")
    mlp = (c.head == "mlp", "an MLP head")
    relu = (c.head == "mlp" and c.activation != "tanh", f"{c.activation} in its MLP head")
    tanh = (c.gelu != "none", "the tanh approximation of GELU")
    eps = (c.eps != 1e-6, f"eps {c.eps:g} (its own is 1e-06)")
    oblong = (c.image_size[0] != c.image_size[1], f"images of {c.image_size}, which are no square")
    gray = (c.channels != 3, f"{c.channels} channels")
    ratio = (int(c.width * (c.mlp_width / c.width)) != c.mlp_width, f"an MLP of {c.mlp_width}")
    limits = {
        "torchvision": [mean, relu, tanh, eps, oblong, gray],
        "timm": [mlp, eps, ratio],
        "huggingface": [mean, mlp],
    }
    return [words for applies, words in limits[layout] if applies]


def _remedy(config: ViTConfig, layout: str, weights: str) -> str:
    """What to do with a model that a library cannot hold: take another library, or another head."""
    able = [other for other in EXPORTS if not _reasons(config, other)]
    ways = [f"export it to {' or '.join(able)}"] if able else []
    if config.head == "mlp" and not _reasons(replace(config, head="linear"), layout):
        # `own` keeps the size, but takes many times the steps on the images of CIFAR-10.
        preset = "finetune-32" if config.image_size == (32, 32) else "own"
        command = f"vitlit train --preset {preset} --set {shlex.quote(f'start={weights}')}"
        ways.append(f"give it a linear head: {command}")
        ways.append("train anew with --set model.head=linear")
    return ", or ".join(ways) or "train a model without"


def _for_torchvision(classifier: Classifier) -> dict[str, Any]:
    c = classifier.model.config
    config = {
        "image_size": c.image_size[0], "patch_size": c.patch_size, "num_layers": c.depth,
        "num_heads": c.heads, "hidden_dim": c.width, "mlp_dim": c.mlp_width,
        "num_classes": c.classes,
        "representation_size": (c.head_width or c.width) if c.head == "mlp" else None,
    }  # fmt: skip
    about = {"classes": classifier.classes, **_statistics(classifier)}
    return {"config.json": config, "classifier.json": about}


def _for_timm(classifier: Classifier) -> dict[str, Any]:
    c = classifier.model.config
    sizes = {
        "img_size": c.image_size, "patch_size": c.patch_size, "in_chans": c.channels,
        "embed_dim": c.width, "depth": c.depth, "num_heads": c.heads,
        "mlp_ratio": c.mlp_width / c.width,
    }  # fmt: skip
    if c.pooling == "mean":
        sizes |= {"global_pool": "avg", "class_token": False, "fc_norm": False}
    if c.gelu == "tanh":
        sizes["act_layer"] = "gelu_tanh"
    about = {
        "num_classes": c.classes, "input_size": (c.channels, *c.image_size),
        "interpolation": "bicubic", "crop_pct": 1.0, **_statistics(classifier),
        "label_names": classifier.classes, "first_conv": "patch_embed.proj", "classifier": "head",
    }  # fmt: skip
    config = {
        "architecture": "vit_tiny_patch16_224", "num_classes": c.classes, "model_args": sizes,
        "pretrained_cfg": about,
    }  # fmt: skip
    return {"config.json": config}


def _for_huggingface(classifier: Classifier) -> dict[str, Any]:
    c = classifier.model.config
    H, W = c.image_size
    config = {
        "architectures": ["ViTForImageClassification"], "model_type": "vit",
        "image_size": H if H == W else [H, W], "patch_size": c.patch_size,
        "num_channels": c.channels, "hidden_size": c.width, "num_hidden_layers": c.depth,
        "num_attention_heads": c.heads, "intermediate_size": c.mlp_width,
        "hidden_act": "gelu" if c.gelu == "none" else "gelu_pytorch_tanh", "qkv_bias": True,
        "layer_norm_eps": c.eps, "hidden_dropout_prob": c.dropout,
        "attention_probs_dropout_prob": 0.0,
        "id2label": {str(k): name for k, name in enumerate(classifier.classes)},
        "label2id": {name: k for k, name in enumerate(classifier.classes)},
    }  # fmt: skip
    statistics = {f"image_{key}": values for key, values in _statistics(classifier).items()}
    processor = {
        "image_processor_type": "ViTImageProcessor", "do_resize": True, "resample": 3,
        "size": {"height": H, "width": W}, "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, **statistics,
    }  # fmt: skip
    return {"config.json": config, "preprocessor_config.json": processor}


def _statistics(classifier: Classifier) -> dict[str, list[float]]:
    """Mean and deviation of pixels from 0 to 1, as the libraries count them."""
    return {key: (getattr(classifier, key) / 255).tolist() for key in ("mean", "std")}


EXPORTS: dict[str, tuple[Callable[[Classifier], dict[str, Any]], str, str]] = {
    "torchvision": (
        _for_torchvision,
        """\
import json
from safetensors.torch import load_file
from torchvision.models import VisionTransformer
model = VisionTransformer(**json.load(open("FOLDER/config.json")))
model.load_state_dict(load_file("FOLDER/model.safetensors"))""",
        """\
about = json.load(open("FOLDER/classifier.json"))
mean, std, classes = about["mean"], about["std"], about["classes"]""",
    ),
    "timm": (
        _for_timm,
        """\
import timm
model = timm.create_model("local-dir:FOLDER", pretrained=True)""",
        """\
about = model.pretrained_cfg
mean, std, classes = about["mean"], about["std"], about["label_names"]""",
    ),
    "huggingface": (
        _for_huggingface,
        """\
from transformers import ViTForImageClassification
model = ViTForImageClassification.from_pretrained("FOLDER")""",
        """\
from transformers import ViTImageProcessor
about = ViTImageProcessor.from_pretrained("FOLDER")
mean, std, classes = about.image_mean, about.image_std, model.config.id2label""",
    ),
}
LOADING_A_GRAPH = """\
import json
import numpy as np
from onnxruntime import InferenceSession
session = InferenceSession("FOLDER")
about = json.loads(session.get_modelmeta().custom_metadata_map["vitlit"])"""
ASKING_A_GRAPH = """
from PIL import Image, ImageOps
C, H, W, L, h = (about["sizes"][letter] for letter in "CHWLh")
picture = ImageOps.exif_transpose(Image.open(PICTURE)).convert("MODE")
picture = ImageOps.fit(picture, (W, H), Image.Resampling.BICUBIC)
pixels = np.asarray(picture).reshape(1, H, W, C).transpose(0, 3, 1, 2)
gains = {"positions_gain": np.ones((), "float32"), "head_gains": np.ones((L, h), "float32")}
(logits,) = session.run(["logits"], {"pixels": pixels, **gains})
chances = np.exp(logits[0] - logits[0].max())
chances /= chances.sum()
print(about["classes"][chances.argmax()], f"{chances.max():.1%}")"""
