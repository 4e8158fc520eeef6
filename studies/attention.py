"""What attention tells of a trained ViT, and what it does not: `make attention`.

Each patch of a picture is erased by itself: painted in the mean color of the training pictures,
which is zero after normalization. What that changes in the logits is the patch's effect. Maps of
the same picture are asked how well they predict it:

- `rollout`: attention rollout (Abnar and Zuidema 2020, section 3), the class token's row,
- `last`: the class token's attention in the last block, the mean of its heads,
- `blind`: the rollout of a copy whose attention returns the same vector whatever it sees,
- `distance`: how far a patch's pixels lie from the picture's mean patch; it asks no model,
- `fixed`: the mean rollout of all other pictures, which knows places only,
- `random`: numbers that know nothing.

Then the patches that a map calls most important are erased together. Beside it stand the norms of
the patch tokens (Darcet et al. 2024), calibration (Guo et al. 2017), and accuracy on pictures that
are erased in part, shuffled or blurred.

The result is no run. It lies beside the run that it is about, as attention/NAME.json with the
checksum of the weights, and attention/NAME.npz with what was measured of each picture.
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as transforms
from tqdm import tqdm

from vitlit import data as datasets
from vitlit import files, processes, records, studies
from vitlit.classifier import Classifier, load
from vitlit.evaluate import evaluate
from vitlit.patches import grid_of, patchify, unpatchify
from vitlit.vit import VisionTransformer

PICTURES = 1_000
SEED = 0
BATCH = 512  # images in a forward pass
MAPS = ("rollout", "last", "blind", "distance", "fixed", "random")
# How an erased patch's effect is measured: what the predicted class loses, of its logit or of its
# log-probability, and how far all logits move.
EFFECTS = ("logit", "log-probability", "all logits")
PAIRS = (("rollout", "fixed"), ("last", "fixed"), ("blind", "fixed"))
ORDERS = ("erasure", *MAPS)  # in which patches are erased together
TOGETHER = (4, 8, 16, 32)
CHANGES: tuple[tuple[str, float], ...] = (
    *(("erased", share) for share in (0.0, 0.1, 0.25, 0.5, 0.75)),
    ("shuffled in blocks", 2),
    ("shuffled", 0),
    *(("blurred", sigma) for sigma in (0.5, 1.0, 2.0)),
)
LEVEL = 0.95  # of the intervals
# Chosen before anything was measured. A token is high if its norm is above three times the median
# of its block; these are a group of their own if they are one token in a thousand or more, and more
# than there are between twice and three times the median.
HIGH, LOWER, SHARE = 3.0, 2.0, 0.001
TOP = 0.02  # of the tokens, by norm: where do they lie?
BINS = 15
TEMPERATURES = torch.logspace(-0.7, 0.7, 281)  # a step is 1 percent


def erase(
    inputs: Float[Tensor, "B C H W"], gone: Bool[Tensor, "B N"], patch_size: int
) -> Float[Tensor, "B C H W"]:
    """Normalized images with some patches in the mean color of the training images."""
    rows, columns = grid_of((inputs.shape[2], inputs.shape[3]), patch_size)
    kept = ~gone.reshape(-1, 1, rows, columns)
    return inputs * kept.repeat_interleave(patch_size, 2).repeat_interleave(patch_size, 3)


def shuffle(
    inputs: Float[Tensor, "B C H W"], patch_size: int, side: int, generator: torch.Generator
) -> Float[Tensor, "B C H W"]:
    """Images whose patches stand in a random order within blocks of side × side patches.

    A side of 0 is the whole image. Each image has an order of its own.
    """
    size = (inputs.shape[2], inputs.shape[3])
    rows, columns = grid_of(size, patch_size)
    side = side or max(rows, columns)
    row, column = torch.arange(rows)[:, None] // side, torch.arange(columns) // side
    block = (row * columns + column).flatten().double()
    home = block.argsort(stable=True)
    drawn = (block + torch.rand(len(inputs), len(block), generator=generator)).argsort(dim=1)
    patches = patchify(inputs, patch_size)
    mixed = torch.empty_like(patches)
    mixed[:, home] = patches.gather(1, drawn[:, :, None].expand_as(patches))
    return unpatchify(mixed, patch_size, size)


def blur(inputs: Float[Tensor, "B C H W"], sigma: float) -> Float[Tensor, "B C H W"]:
    """Images blurred by a Gaussian of `sigma` pixels, cut at three of them; borders reflected."""
    side = 2 * int(np.ceil(3 * sigma)) + 1
    return transforms.gaussian_blur(inputs, [side, side], [sigma, sigma])


def rollout(attentions: Sequence[Float[Tensor, "B h T T"]]) -> Float[Tensor, "B N"]:
    """The class token's row of the rollout through all blocks, without the class token itself.

    Abnar and Zuidema 2020, section 3: heads are averaged, and half of each token is the residual.
    """
    identity = torch.eye(attentions[0].shape[-1])
    row = identity[:1].expand(len(attentions[0]), 1, -1)
    for attention in reversed(attentions):
        row = row @ (attention.mean(dim=1) + identity) / 2
    return row[:, 0, 1:]


def blinded(model: VisionTransformer) -> VisionTransformer:
    """A copy in which every attention layer returns the same vector, whatever it sees."""
    copy = deepcopy(model)
    for block in copy.encoder.blocks:
        nn.init.zeros_(block.attention.out.weight)  # type: ignore[union-attr, arg-type]
    return copy


def attentions(seen: Mapping[str, Tensor]) -> list[Tensor]:
    """The attention weights of all blocks, in order, of what `VisionTransformer.watch` kept."""
    return [tensor for name, tensor in seen.items() if name.startswith("attention_")]


def standing_out(inputs: Float[Tensor, "B C H W"], patch_size: int) -> Float[Tensor, "B N"]:
    """The distance of each patch from the mean of all patches of its image."""
    patches = patchify(inputs, patch_size)
    return (patches - patches.mean(dim=1, keepdim=True)).norm(dim=2)


def contrast_of(inputs: Float[Tensor, "B C H W"], patch_size: int) -> Float[Tensor, "B N"]:
    """The deviation of each patch's pixels within a channel: 0 where it has but one color."""
    patches = patchify(inputs, patch_size).unflatten(2, (inputs.shape[1], -1))
    return patches.var(dim=3, correction=0).mean(dim=2).sqrt()


def effects(
    model: nn.Module, inputs: Float[Tensor, "B C H W"], patch_size: int
) -> Float[Tensor, "E B N"]:
    """What erasing each patch alone does, in the order of EFFECTS; positive if something is lost.

    The class is the one that is predicted of the whole image.
    """
    rows, columns = grid_of((inputs.shape[2], inputs.shape[3]), patch_size)
    N = rows * columns
    copies = inputs.repeat_interleave(N, dim=0)
    alone = torch.eye(N, dtype=torch.bool).repeat(len(inputs), 1)
    whole = model(inputs)
    erased = answers(model, erase(copies, alone, patch_size)).unflatten(0, (-1, N))
    said = whole.argmax(dim=1)
    drops = (
        before[torch.arange(len(said)), said][:, None]
        - after.gather(2, said[:, None, None].expand(-1, N, 1))[..., 0]
        for before, after in ((whole, erased), (whole.log_softmax(1), erased.log_softmax(2)))
    )
    return torch.stack([*drops, (erased - whole[:, None]).norm(dim=2)])


def answers(model: nn.Module, inputs: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
    """Logits, a batch after the other."""
    return torch.cat([model(part) for part in inputs.split(BATCH)])


def ranks(values: Float[Tensor, "n N"]) -> Float[Tensor, "n N"]:
    """The rank of each value in its row, from 0; equal values share the mean of their ranks."""
    a, b = values[:, :, None], values[:, None, :]
    return (a > b).sum(dim=2) + ((a == b).sum(dim=2) - 1) / 2


def highest(values: Float[Tensor, "n N"], count: int) -> Bool[Tensor, "n N"]:
    """Whether each value is among the `count` highest of its row."""
    chosen = values.topk(count, dim=1).indices
    return torch.zeros_like(values, dtype=torch.bool).scatter(1, chosen, True)


def agreement(a: Float[Tensor, "n N"], b: Float[Tensor, "n N"]) -> Float[Tensor, " n"]:
    """Spearman's rank correlation of each row; 0 where a row's values are all equal."""
    x, y = (ranks(values).double() for values in (a, b))
    x, y = (r - r.mean(dim=1, keepdim=True) for r in (x, y))
    length = x.norm(dim=1) * y.norm(dim=1)
    return torch.where(length > 0, (x * y).sum(dim=1) / length.clamp_min(1e-12), 0.0)


def others_mean(maps: Float[Tensor, "n N"]) -> Float[Tensor, "n N"]:
    """For each row the mean of all other rows."""
    return (maps.sum(dim=0) - maps) / (len(maps) - 1)


def looks(
    classifier: Classifier, inputs: Float[Tensor, "n C H W"], generator: torch.Generator
) -> tuple[dict[str, Float[Tensor, "n N"]], Float[Tensor, "E n N"], Float[Tensor, "L n N"]]:
    """The maps of all images, the effects of their patches, and the norms of their patch tokens."""
    model, P = classifier.model, classifier.model.config.patch_size
    blind = blinded(model)
    found: dict[str, list[Tensor]] = {name: [] for name in ("rollout", "last", "blind")}
    lost, norms = [], []
    rows, columns = grid_of(model.config.image_size, P)
    for part in tqdm(inputs.split(max(1, BATCH // (rows * columns))), "erasing", disable=None):
        seen = model.watch(part)
        found["rollout"].append(rollout(attentions(seen)))
        found["last"].append(attentions(seen)[-1].mean(dim=1)[:, 0, 1:])
        found["blind"].append(rollout(attentions(blind.watch(part))))
        tokens = [tensor for name, tensor in seen.items() if name.startswith("block_")]
        norms.append(torch.stack([t[:, 1:].norm(dim=2) for t in tokens]))
        lost.append(effects(model, part, P))
    maps = {name: torch.cat(parts) for name, parts in found.items()}
    maps["distance"] = standing_out(inputs, P)
    maps["fixed"] = others_mean(maps["rollout"])
    maps["random"] = torch.rand(maps["fixed"].shape, generator=generator)
    return maps, torch.cat(lost, dim=1), torch.cat(norms, dim=1)


def changed(
    inputs: Float[Tensor, "n C H W"], change: str, amount: float, patch_size: int
) -> Float[Tensor, "n C H W"]:
    """Images after one of CHANGES. What is drawn at random is the same every time."""
    generator = torch.Generator().manual_seed(SEED)
    if change == "blurred":
        return blur(inputs, amount)
    if change != "erased":
        return shuffle(inputs, patch_size, int(amount), generator)
    rows, columns = grid_of((inputs.shape[2], inputs.shape[3]), patch_size)
    order = torch.rand(len(inputs), rows * columns, generator=generator)
    # The same order for every share, so that a larger one contains the smaller.
    return erase(inputs, highest(order, round(amount * rows * columns)), patch_size)


def of_norms(norms: Float[Tensor, "L n N"], contrast: Float[Tensor, "n N"]) -> dict[str, Any]:
    """What is kept of the patch tokens' norms: an array each, a row a block.

    Their histogram in units of the block's median, from 0 to 4 and above; how they agree with the
    patches' contrast, image by image; and where the highest lie: the mean rank of their contrast,
    from 0 to 1, and the share of them at the border of the image.
    """
    _, n, N = norms.shape
    medians = norms.flatten(1).median(dim=1).values
    relative = norms / medians[:, None, None]
    counts = torch.stack([(r.flatten() * 10).long().clamp(max=40).bincount(minlength=41)
                          for r in relative])  # fmt: skip
    count = max(1, round(TOP * n * N))
    top = relative.flatten(1).topk(count, dim=1).indices
    rank = (ranks(contrast) / max(1, N - 1)).flatten()
    return {
        "median": medians,
        "largest": relative.flatten(1).amax(dim=1),
        "high": (relative > HIGH).double().mean(dim=(1, 2)),
        "lower": ((relative > LOWER) & (relative <= HIGH)).double().mean(dim=(1, 2)),
        "counts": counts,
        "contrast": torch.stack([agreement(block, contrast) for block in norms]).float(),
        "highest_contrast": rank[top].double().mean(dim=1),
        "highest_places": torch.stack([(at % N).bincount(minlength=N) for at in top]),
    }


def temperature(logits: Float[Tensor, "n K"], labels: Int64[Tensor, " n"]) -> float:
    """What logits are best divided by (Guo et al. 2017, section 4.2): the least cross-entropy."""
    losses = [nn.functional.cross_entropy(logits / T, labels) for T in TEMPERATURES]
    return TEMPERATURES[torch.stack(losses).argmin()].item()


def crossed(
    logits: Float[Tensor, "n K"], labels: Int64[Tensor, " n"]
) -> tuple[Float[Tensor, " n"], list[float]]:
    """Confidences after each random half got the temperature of the other, and both of these."""
    order = torch.randperm(len(logits), generator=torch.Generator().manual_seed(SEED))
    halves = order.tensor_split(2)
    best = [temperature(logits[half], labels[half]) for half in reversed(halves)]
    confidence = torch.empty(len(logits))
    for half, T in zip(halves, best, strict=True):
        confidence[half] = (logits[half] / T).softmax(dim=1).amax(dim=1)
    return confidence, best


@torch.no_grad()
def measure(classifier: Classifier, data: datasets.Dataset, count: int) -> dict[str, np.ndarray]:
    """Everything that is asked of the model, as arrays: `summarize` says what they mean.

    Raises ValueError if there are fewer than two test images or not `count` of them, or if the
    model has no class token to follow.
    """
    there, config = len(data.test_images), classifier.model.config
    if not 2 <= count <= there:
        raise ValueError(f"--pictures is {count:,}; it must be from 2 to {there:,}, all that are")
    if config.pooling != "class":
        raise ValueError(
            f"pooling is {config.pooling!r}, and the maps follow the class token; give weights of "
            "a run whose pooling is 'class'"
        )
    classifier.check(data)
    generator = torch.Generator().manual_seed(SEED)
    index = torch.randperm(there, generator=generator)[:count].sort().values
    labels, P = data.test_labels[index], config.patch_size
    model, inputs = classifier.model.eval(), classifier.inputs(data.test_images[index])
    maps, lost, norms = looks(classifier, inputs, generator)

    orders = [lost[0], *maps.values()]
    N = lost.shape[2]
    together = [k for k in TOGETHER if k <= N]
    deleted = torch.stack([
        torch.stack([answers(model, erase(inputs, highest(order, k), P)).argmax(1) == labels
                     for k in together])
        for order in tqdm(orders, "erasing together", disable=None)
    ])  # fmt: skip
    robust = [answers(model, changed(inputs, change, amount, P)).argmax(1) == labels
              for change, amount in tqdm(CHANGES, "changing", disable=None)]  # fmt: skip
    whole = evaluate(classifier, data.test_images, data.test_labels)
    logits = whole.probabilities.clamp_min(1e-30).log()  # up to a constant, which does not matter
    tempered, temperatures = crossed(logits, whole.labels)
    contrast = contrast_of(inputs, P)
    found: dict[str, Tensor] = {
        "index": index,
        "agreement": torch.stack([
            torch.stack([agreement(map_, effect) for map_ in maps.values()]) for effect in lost
        ]).float(),
        "together": torch.tensor(together),
        "deleted": deleted,
        "robust": torch.stack(robust),
        "confidence": whole.probabilities.amax(dim=1),
        "tempered": tempered,
        "temperatures": torch.tensor(temperatures, dtype=torch.float64),
        "right": whole.right,
        **{f"norm_{name}": value for name, value in of_norms(norms, contrast).items()},
    }  # fmt: skip
    grid = np.array(grid_of(config.image_size, P))
    return {**{name: tensor.numpy() for name, tensor in found.items()}, "grid": grid}


def summarize(found: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The result: numbers, and how sure they are, of the arrays of `measure`.

    Intervals hold with probability LEVEL all at once (Bonferroni: each of m comparisons has
    1 − (1 − LEVEL) / m); errors are standard errors over the images.
    """
    each = dict(zip(EFFECTS, found["agreement"].astype(float), strict=True))
    comparisons = len(EFFECTS) * len(PAIRS)
    deleted = dict(zip(ORDERS, found["deleted"].astype(float), strict=True))
    against = [name for name in ORDERS if name != "random"]
    robust = found["robust"].astype(float)
    return {
        "patches": int(found["grid"].prod()),
        "pictures": len(found["index"]),
        "level": LEVEL,
        "correction": "Bonferroni",
        "comparisons": comparisons,
        "agreement": {
            effect: {name: mean_of(row) for name, row in zip(MAPS, rows, strict=True)}
            for effect, rows in each.items()
        },
        "differences": {
            effect: {
                f"{a} − {b}": interval(rows[MAPS.index(a)] - rows[MAPS.index(b)], comparisons)
                for a, b in PAIRS
            }
            for effect, rows in each.items()
        },
        "together": found["together"].tolist(),
        "deletion": {name: [mean_of(row) for row in rows] for name, rows in deleted.items()},
        "deletion_against_random": {
            name: interval((deleted[name] - deleted["random"]).mean(axis=0), len(against))
            for name in against
        },
        "norms": [
            {
                "median": found["norm_median"][i],
                "largest": found["norm_largest"][i],
                "high": found["norm_high"][i],
                "lower": found["norm_lower"][i],
                "separate": found["norm_high"][i] >= SHARE
                and found["norm_high"][i] > found["norm_lower"][i],
                "contrast": mean_of(found["norm_contrast"][i]),
                "highest_contrast": found["norm_highest_contrast"][i],
                "highest_at_border": at_border(found["norm_highest_places"][i], found["grid"]),
            }
            for i in range(len(found["norm_median"]))
        ],
        "criterion": {"high": HIGH, "lower": LOWER, "share": SHARE, "top": TOP},
        "at_border": at_border(np.ones(found["grid"].prod()), found["grid"]),
        "calibration": {
            **calibration(found["confidence"], found["right"]),
            "temperatures": found["temperatures"].tolist(),
            "tempered": calibration(found["tempered"], found["right"]),
        },
        "robustness": [
            {
                "change": change,
                "amount": amount,
                "accuracy": mean_of(row),
                "difference": interval(row - robust[0], len(CHANGES) - 1),
            }
            for (change, amount), row in zip(CHANGES, robust, strict=True)
        ],
    }


def mean_of(values: np.ndarray) -> dict[str, float]:
    """The mean, and its standard error."""
    return {"mean": values.mean(), "error": values.std(ddof=1) / len(values) ** 0.5}


def interval(values: np.ndarray, comparisons: int) -> dict[str, float]:
    """The mean of paired differences, with its interval among so many comparisons."""
    about = mean_of(values)
    reach = NormalDist().inv_cdf(1 - (1 - LEVEL) / (2 * comparisons)) * about["error"]
    return {"mean": about["mean"], "low": about["mean"] - reach, "high": about["mean"] + reach}


def at_border(counts: np.ndarray, grid: np.ndarray) -> float:
    """The share of what is counted by patch that lies in the outermost patches."""
    places = counts.reshape(*grid)
    return 1 - places[1:-1, 1:-1].sum() / places.sum()


def calibration(confidence: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """Expected calibration error in equal bins of confidence (Guo et al. 2017, section 2).

    With the table of all bins that hold an image, and the error that a model would show whose
    confidences are all true: the mean of 200 draws, since bins of few images never fit exactly.
    """
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    sums = np.bincount(place, confidence, minlength=BINS)

    def error(outcomes: np.ndarray) -> float:
        return np.abs(np.bincount(place, outcomes, minlength=BINS) - sums).sum() / len(place)

    random = np.random.default_rng(SEED)
    chance = [error(random.random(len(place)) < confidence) for _ in range(200)]
    rights = np.bincount(place, right, minlength=BINS)
    return {
        "images": len(place),
        "accuracy": right.mean(),
        "confidence": confidence.mean(dtype=float),
        "error": error(right),
        "chance": np.mean(chance),
        "bins": [
            {
                "low": i / BINS,
                "high": (i + 1) / BINS,
                "images": counts[i],
                "confidence": sums[i] / counts[i],
                "accuracy": rights[i] / counts[i],
            }
            for i in np.flatnonzero(counts)
        ],
    }


def plain(value: Any) -> Any:
    """What JSON takes: numpy's numbers as Python's."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value.item() if isinstance(value, np.generic) else value


def write(
    run: records.Run, out: Path, data: datasets.Dataset, found: dict[str, np.ndarray], **said: Any
) -> None:
    """Write a result into the folder `out`. The JSON comes last: with it the result is whole."""
    content = BytesIO()
    np.savez_compressed(content, **found)  # type: ignore[arg-type]
    files.write(out / f"{run.name}.npz", content.getvalue())
    result = {
        "run": run.name,
        "weights": run.checksum,
        **said,
        "seed": SEED,
        "environment": records.environment() | processes.machine("cpu"),
        "data": data.summary(),
        "result": plain(summarize(found)),
    }
    text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
    files.write(out / f"{run.name}.json", f"{text}\n".encode())


def chosen(name: str | None) -> records.Run:
    """The run of that name, or the book's best. Raises ValueError if there is none with weights."""
    if name is None:
        best = studies.best(records.find())
        if best is None:
            raise ValueError("the book has no run of its own here; give --run NAME")
        return best
    weights = records.weights_of(name)
    if weights is None:
        raise ValueError(records.nothing_at(name))
    return records.read(weights.parent)


def lines(result: Mapping[str, Any]) -> list[str]:
    """The result in a few lines for the terminal."""
    agreement = result["agreement"]
    table = [f"{'':<22}" + "".join(f"{effect:>18}" for effect in EFFECTS)]
    for name in MAPS:
        cells = (agreement[effect][name] for effect in EFFECTS)
        table.append(
            f"{name:<22}" + "".join(f"{c['mean']:>10.3f} ±{c['error']:.3f}" for c in cells)
        )
    for name in result["differences"][EFFECTS[0]]:
        cells = (result["differences"][effect][name] for effect in EFFECTS)
        shown = (f"[{c['low']:+.3f}, {c['high']:+.3f}]" for c in cells)
        table.append(f"{name:<22}" + "".join(f"{words:>18}" for words in shown))
    known = result["calibration"]
    table.append(f"calibration error {known['error']:.2%} (chance {known['chance']:.2%})")
    return table


def run(words: list[str]) -> Path:
    """Measure as the command line says; returns the JSON file. One that is there is kept."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--run", help="whose weights: a run's name or folder (default: the best)")
    parser.add_argument("--pictures", type=int, default=PICTURES, help=f"(default {PICTURES})")
    parser.add_argument("--data", help="as in `vitlit train` (default: VITLIT_DATA, or CIFAR-10)")
    parser.add_argument("--out", type=Path, help="folder (default: attention/ under my-runs/)")
    given = parser.parse_args(words)
    about = chosen(given.run)
    out = given.out or records.mine() / "attention"
    file = out / f"{about.name}.json"
    data = datasets.load(given.data)
    wanted = {"weights": about.checksum, "pictures": given.pictures, "data": data.checksum}
    if is_there(file, wanted):
        print(f"{file} is there already")
        return file
    start = time.perf_counter()
    found = measure(load(str(about.path)), data, given.pictures)
    seconds = time.perf_counter() - start
    command = shlex.join(["python", "-m", "studies.attention", *words])
    write(about, out, data, found, command=command, seconds=seconds)
    print("\n".join([*lines(summarize(found)), f"{file} ({seconds:.0f} s)"]))
    return file


def is_there(file: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether a file holds the result of these weights, on these data and as many pictures."""
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
        return wanted == {
            "weights": result["weights"],
            "pictures": result["result"]["pictures"],
            "data": result["data"]["checksum"],
        }
    except (OSError, ValueError, LookupError, TypeError):
        return False


def main() -> None:
    """Run the command; bad input ends with one line that says what was wrong."""
    try:
        run(sys.argv[1:])
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nstopped; nothing was written")


if __name__ == "__main__":
    main()
