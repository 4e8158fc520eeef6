"""How fast five implementations compute one architecture, and how near to the limit: `make bench`.

All stand in one process with random weights and get the same random images, and are measured in
rounds (`rounds.py`). A training step is forward, cross entropy, backward and fused AdamW; an
inference step is forward in evaluation mode without gradients. bf16 is torch.autocast. Every
implementation runs as its library ships it; nothing is compiled.

The limit is measured as well: the architecture's matrix products alone (`products.py`), in the same
precision and batch. A fused attention never stores its weights, which two plain products do, so an
implementation may come out above this limit there.
"""

import argparse
import shlex
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import rounds
from benchmarks.products import Architecture, flops_of, limit_step
from benchmarks.rounds import SEED, Step, interleaved, ratios, spread
from vitlit import VisionTransformer, ViTConfig, processes, records

LIMIT = "limit"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
DEFAULTS = {  # chosen for about four minutes on two cores, and fewer on a large GPU
    "cpu": {"rounds": 5, "seconds": 1.0, "batch_size": 16},
    "cuda": {"rounds": 10, "seconds": 0.5, "batch_size": 256},
}


SMALL = Architecture(width=512, depth=6, heads=8, mlp_width=2048, patch_size=4, image_size=32,
                     classes=10)  # fmt: skip
B16 = Architecture(width=768, depth=12, heads=12, mlp_width=3072, patch_size=16, image_size=224,
                   classes=1000)  # fmt: skip
TINY = Architecture(width=32, depth=2, heads=2, mlp_width=64, patch_size=8, image_size=32,
                    classes=10)  # fmt: skip
FULL = {"512/4": SMALL, "B/16": B16}
QUICK = {"32/8": TINY, "32/16": Architecture(**asdict(TINY) | {"patch_size": 16})}


def vitlit(a: Architecture) -> nn.Module:
    """Ours."""
    return VisionTransformer(
        ViTConfig(
            image_size=(a.image_size, a.image_size), patch_size=a.patch_size, classes=a.classes,
            width=a.width, depth=a.depth, heads=a.heads, mlp_width=a.mlp_width,
        )
    )  # fmt: skip


def torchvision(a: Architecture) -> nn.Module:
    """torchvision.models.VisionTransformer."""
    from torchvision.models import VisionTransformer

    return VisionTransformer(
        image_size=a.image_size, patch_size=a.patch_size, num_classes=a.classes,
        hidden_dim=a.width, num_layers=a.depth, num_heads=a.heads, mlp_dim=a.mlp_width,
    )  # fmt: skip


def timm(a: Architecture) -> nn.Module:
    """timm.models.VisionTransformer."""
    from timm.models import VisionTransformer

    return VisionTransformer(
        img_size=a.image_size, patch_size=a.patch_size, num_classes=a.classes,
        embed_dim=a.width, depth=a.depth, num_heads=a.heads, mlp_ratio=a.mlp_width / a.width,
    )  # fmt: skip


def vit_pytorch(a: Architecture) -> nn.Module:
    """vit_pytorch.ViT."""
    from vit_pytorch import ViT

    return ViT(
        image_size=a.image_size, patch_size=a.patch_size, num_classes=a.classes, dim=a.width,
        depth=a.depth, heads=a.heads, mlp_dim=a.mlp_width, dim_head=a.width // a.heads,
    )  # fmt: skip


class Logits(nn.Module):
    """A model of Hugging Face's that returns its logits alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the classes."""
        return self.model(pixel_values=images).logits


def transformers(a: Architecture) -> nn.Module:
    """Hugging Face's ViTForImageClassification, with the attention that it chooses by itself."""
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(  # type: ignore[call-arg]  # it takes what its parent takes, too
        image_size=a.image_size, patch_size=a.patch_size, num_labels=a.classes,
        hidden_size=a.width, num_hidden_layers=a.depth, num_attention_heads=a.heads,
        intermediate_size=a.mlp_width,
    )  # fmt: skip
    return Logits(ViTForImageClassification(config))


class Implementation(NamedTuple):
    """Who computes the architecture: the package, and where it cannot do exactly the same."""

    package: str
    build: Callable[[Architecture], nn.Module]
    extra: Callable[[Architecture], int] = lambda a: 0  # parameters beyond the architecture's
    note: str = ""


IMPLEMENTATIONS = {
    "vitlit": Implementation("vitlit", vitlit),
    "torchvision": Implementation("torchvision", torchvision),
    "timm": Implementation("timm", timm),
    "vit-pytorch": Implementation(
        "vit-pytorch",
        vit_pytorch,
        lambda a: 2 * a.pixels + 2 * a.width - 3 * a.width * a.depth,
        "has a LayerNorm before and after the patch embedding, for which it trains one matrix "
        "product more, and no bias in the qkv layer",
    ),
    "transformers": Implementation("transformers", transformers),
}


def installed() -> dict[str, str]:
    """The implementations that are there, with their versions."""
    versions = {}
    for name, implementation in IMPLEMENTATIONS.items():
        try:
            versions[name] = metadata.version(implementation.package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def built(name: str, architecture: Architecture) -> nn.Module:
    """An implementation's model. Raises ValueError if it is not the architecture."""
    torch.manual_seed(SEED)
    implementation = IMPLEMENTATIONS[name]
    model = implementation.build(architecture)
    count = sum(p.numel() for p in model.parameters())
    expected = architecture.parameters + implementation.extra(architecture)
    if count != expected:
        raise ValueError(
            f"{name} has {count:,} parameters instead of {expected:,}, so it computes another "
            f"architecture; install the version in requirements/bench.txt, or mend build and extra"
        )
    return model


def training_step(model: nn.Module, images: Tensor, labels: Tensor, precision: str) -> Step:
    """Forward, backward and the optimizer's step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    model.train()

    def step() -> None:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = model(images)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def inference_step(model: nn.Module, images: Tensor, precision: str) -> Step:
    """Forward alone."""
    model.eval()

    def step() -> None:
        autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16")
        with torch.no_grad(), autocast:
            model(images)

    return step


def measured(
    models: dict[str, nn.Module], architecture: Architecture, mode: str, precision: str,
    settings: dict[str, Any], batch: int, device: torch.device,
) -> dict[str, Any]:  # fmt: skip
    """Everything about one mode in one precision."""
    training = mode == "training"
    size = architecture.image_size
    torch.manual_seed(SEED)
    images = torch.randn(batch, 3, size, size, device=device)
    labels = torch.randint(architecture.classes, (batch,), device=device)
    products = architecture.products(batch)
    like = {"dtype": DTYPES[precision], "device": device}
    steps = {LIMIT: limit_step(products, training, like)}
    for name, model in models.items():
        if training:
            steps[name] = training_step(model, images, labels, precision)
        else:
            steps[name] = inference_step(model, images, precision)
    times = interleaved(steps, settings["rounds"], settings["seconds"], device)
    speeds = {name: [batch / seconds for seconds in blocks] for name, blocks in times.items()}

    limit = speeds.pop(LIMIT)
    flops = flops_of(products, training) // batch
    results = {}
    for name, speed in speeds.items():
        shares = ratios(speed, limit)
        results[name] = {
            "images_per_second": speed,
            "median": statistics.median(speed),
            "share_of_limit": statistics.median(shares),
        }
        if name != "vitlit":
            to_this = ratios(speeds["vitlit"], speed)
            results[name]["ratio_vitlit_to_this"] = {"rounds": to_this, **spread(to_this)}
    return {
        "mode": mode,
        "precision": precision,
        "batch_size": batch,
        "limit": {
            "images_per_second": limit,
            "median": statistics.median(limit),
            "flops_per_image": flops,
        },
        "implementations": results,
    }


def cases(
    names: list[str], settings: dict[str, Any], device: torch.device
) -> Iterator[dict[str, Any]]:
    """All measurements. The second architecture is measured in inference only, in small batches."""
    sizes = QUICK if settings["quick"] else FULL
    first = next(iter(sizes))
    for title, architecture in sizes.items():
        models = {name: built(name, architecture).to(device) for name in names}
        batch = settings["batch_size"] if title == first else max(1, settings["batch_size"] // 4)
        for mode in ("training", "inference") if title == first else ("inference",):
            for precision in DTYPES:
                how = (mode, precision, settings, batch, device)
                yield {"architecture": title, **measured(models, architecture, *how)}


def table_of(case: dict[str, Any]) -> Table:
    """One measurement for the terminal."""
    title = f"{case['architecture']}, {case['mode']}, {case['precision']}"
    table = Table(title=f"{title}, batches of {case['batch_size']}")
    for column in ("", "images/s", "of limit", "vitlit/this", "min–max", "±"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    table.add_row(LIMIT, f"{case['limit']['median']:.1f}")
    for name, result in case["implementations"].items():
        row = [name, f"{result['median']:.1f}", f"{result['share_of_limit']:.1%}"]
        if ratio := result.get("ratio_vitlit_to_this"):
            row += [f"{ratio['median']:.3f}", f"{ratio['min']:.3f}–{ratio['max']:.3f}"]
            row += [f"{ratio['deviation']:.3f}"]
        table.add_row(*row)
    return table


def settings_of(arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """What was chosen, the rest filled in by device. Raises ValueError on what cannot be."""
    if device.type not in DEFAULTS:
        there = " and ".join(DEFAULTS)
        raise ValueError(f"{device.type} is not measured, only {there}; use --device cpu")
    defaults = DEFAULTS[device.type]
    if arguments.quick:
        defaults = {"rounds": 3, "seconds": 0.02, "batch_size": 8}
    return rounds.settings_of(vars(arguments), defaults) | {
        "device": device.type,
        "quick": arguments.quick,
        "seed": SEED,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }


def run(words: list[str]) -> dict[str, Any]:
    """Measure what the command line asks for; print it, write it, return it."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--device", default="auto", help="cpu or cuda; auto takes a GPU if there")
    parser.add_argument("--rounds", type=int, help="blocks for each implementation")
    parser.add_argument("--seconds", type=float, help="length of a block; one step at least")
    parser.add_argument("--batch-size", type=int, help="images a step; a quarter of it for B/16")
    parser.add_argument("--quick", action="store_true", help="a tiny architecture, for a try")
    parser.add_argument("--out", type=Path, help="the JSON file; results/DEVICE.json if not quick")
    arguments = parser.parse_args(words)
    device = torch.device(processes.device_of(arguments.device))
    settings = settings_of(arguments, device)
    out = arguments.out
    if out is None and not arguments.quick:
        out = Path(__file__).parent / "results" / f"{device.type}.json"

    console, versions, start = Console(), installed(), time.perf_counter()
    left_out = [name for name in IMPLEMENTATIONS if name not in versions]
    if left_out:
        console.print(f"not installed, so left out: {', '.join(left_out)}")
    measurements = []
    for case in cases(list(versions), settings, device):
        measurements.append(case)
        console.print(table_of(case))
    sizes = QUICK if arguments.quick else FULL
    result = {
        "command": shlex.join(["python", "-m", "benchmarks.throughput", *words]),
        "settings": settings,
        "environment": records.environment() | processes.machine(device.type),
        "seconds": time.perf_counter() - start,
        "left_out": left_out,
        "architectures": {
            title: {**asdict(a), "parameters": a.parameters} for title, a in sizes.items()
        },
        "implementations": {
            name: {
                "version": version,
                "parameters": {
                    title: a.parameters + IMPLEMENTATIONS[name].extra(a)
                    for title, a in sizes.items()
                },
                "note": IMPLEMENTATIONS[name].note,
            }
            for name, version in versions.items()
        },
        "measurements": measurements,
    }
    rounds.save(result, out, console)
    return result


if __name__ == "__main__":
    rounds.main(run)
