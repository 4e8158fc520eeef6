"""Training and evaluation: a loop to be read from top to bottom."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from vitlit import augment, processes, records
from vitlit.ablations import post_norm_, shuffle_patches_
from vitlit.augment import crop_and_flip, distort, draw, erase, mix, statistics
from vitlit.checkpoint import Classifier, load, load_training, save_training
from vitlit.config import ViTConfig
from vitlit.data import Dataset
from vitlit.finetune import adapted
from vitlit.mimetic import mimetic_
from vitlit.muon import Muon
from vitlit.presets import Recipe
from vitlit.vit import VisionTransformer

Images = UInt8[Tensor, "n C H W"]
Labels = Int64[Tensor, " n"]
Targets = Int64[Tensor, " n"] | Float[Tensor, "n K"]  # classes, or a chance for each
Batch = tuple[UInt8[Tensor, "B C H W"], Int64[Tensor, " B"] | Float[Tensor, "B K"]]


def split(
    recipe: Recipe, data: Dataset
) -> tuple[Images, Labels, UInt8[Tensor, "m C H W"], Int64[Tensor, " m"]]:
    """Images and labels to train on, and to test on.

    With `holdout` the test images stay untouched: that many training images, drawn at random, take
    their place. A recipe is tuned like this. Raises ValueError if nothing is left to train on.
    """
    images, labels = data.train_images, data.train_labels
    if not recipe.holdout:
        return images, labels, data.test_images, data.test_labels
    if not 0 < recipe.holdout < len(images):
        raise ValueError(f"holdout {recipe.holdout} must be less than the {len(images)} images")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    kept, rest = order[: recipe.holdout], order[recipe.holdout :]
    return images[rest], labels[rest], images[kept], labels[kept]


def classifier_for(recipe: Recipe, data: Dataset, images: Images) -> Classifier:
    """A new model of the recipe's; image size, channels, classes and statistics of the data.

    Where the recipe names a start, that model instead, made ready for the data. Raises ValueError
    if it was made for another number of channels, or keeps a head for other classes.
    """
    _, C, H, W = images.shape
    sizes = {"image_size": (H, W), "channels": C, "classes": len(data.classes)}
    torch.manual_seed(recipe.seed)
    if recipe.start:
        return _started(recipe, data, C)
    config = ViTConfig(**{"patch_size": data.patch_size, **sizes, **recipe.model})
    model = VisionTransformer(config)
    if recipe.initialization == "mimetic":
        mimetic_(model)
    if recipe.norm == "post":
        post_norm_(model)
    if recipe.patches == "shuffled":
        shuffle_patches_(model)
    return Classifier(model, data.classes, *statistics(images), data.title)


def _started(recipe: Recipe, data: Dataset, channels: int) -> Classifier:
    """The classifier that a recipe starts from, changed as it says."""
    start = load(records.weights_of(recipe.start))
    if start.model.config.channels != channels:
        raise ValueError(
            f"{recipe.start} takes images of {start.model.config.channels} channels, {data.title} "
            f"has {channels}; start from weights that were trained on such images"
        )
    changes = dict(recipe.model)
    if start.classes != data.classes:
        if "head" not in changes:
            raise ValueError(
                f"{recipe.start} knows the classes {', '.join(start.classes)}; {data.title} has "
                f"{', '.join(data.classes)}; give it a new head with --set model.head=linear"
            )
        changes["classes"] = len(data.classes)
    model = adapted(start.model, recipe.start_positions, **changes)
    return replace(start, model=model, classes=data.classes, trained_on=data.title)


def optimizers_for(model: nn.Module, recipe: Recipe) -> list[Optimizer]:
    """AdamW, with weight decay on matrices only; Muon for the blocks' matrices where asked for.

    Loshchilov and Hutter 2019; Jordan et al. 2024. The position table counts as no matrix: its
    rows are looked up, nothing is multiplied by it.
    """
    blocks: list[Tensor] = []
    matrices: list[Tensor] = []
    vectors: list[Tensor] = []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.dim() == 2 and name != "positions.table"
        if is_matrix and "blocks" in name and recipe.optimizer == "muon":
            blocks.append(parameter)
        elif parameter.requires_grad:
            (matrices if is_matrix else vectors).append(parameter)
    decay = recipe.weight_decay
    groups = [
        {"params": matrices, "weight_decay": decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    chosen: list[Optimizer] = [torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)]
    if blocks:
        chosen.append(Muon(blocks, recipe.muon_learning_rate, weight_decay=decay))
    return chosen


def rate_at(step: int, steps: int, warmup: float) -> float:
    """The fraction of the learning rate at a step: a straight line up, then half a cosine down."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def batches_of(
    images: Images, targets: Targets, recipe: Recipe, flip: bool, epoch: int
) -> Iterator[Batch]:
    """One epoch of augmented batches, in an order that seed and epoch decide.

    Of several processes each gets its part of every batch. What is left over for a last, short
    batch sits the epoch out, so that every step weighs the same; another epoch leaves out others.
    """
    count, device = len(images), images.device
    generator = torch.Generator().manual_seed(1000 * recipe.seed + epoch)
    padding = round(recipe.crop * images.shape[-1])
    shifts, flips = (t.to(device) for t in draw(count, padding, flip and recipe.flip, generator))
    order = torch.randperm(count, generator=generator).to(device)
    settings = (recipe.operations, recipe.magnitude)
    strengths = augment.draw_strengths(count, *settings, generator).to(device)
    erased = augment.draw_erased(count, recipe.erase, generator).to(device)
    mixes = augment.draw_mixes(count, recipe.mix, generator).to(device)
    mixing = recipe.mix > 0 and epoch < recipe.epochs - recipe.plain_epochs

    for step in range(steps_an_epoch(recipe, count)):
        index = processes.part_of(order[step * recipe.batch_size :][: recipe.batch_size])
        batch = crop_and_flip(images[index], shifts[index], flips[index], padding)
        if recipe.operations:
            batch = distort(batch, strengths[index])
        if recipe.erase:
            batch = erase(batch, erased[index])
        yield mix(batch, targets[index], mixes[index]) if mixing else (batch, targets[index])


def steps_an_epoch(recipe: Recipe, count: int) -> int:
    """Full batches in `count` images; one, if they do not fill a batch."""
    return max(1, count // recipe.batch_size)


@dataclass(frozen=True)
class Evaluation:
    """What a model says of every image, in the images' order."""

    loss: float
    accuracy: float  # a fraction
    predictions: Int64[Tensor, " n"]
    probabilities: Float[Tensor, "n K"]


def evaluate(
    classifier: Classifier, images: Images, labels: Labels, batch_size: int = 500
) -> Evaluation:
    """Run all images, the last short batch too, through the model in evaluation mode.

    Of several processes each takes a part of the images; all get the whole result.
    """
    logits = torch.zeros(len(images), len(classifier.classes), device=images.device)
    batches = zip(processes.part_of(images).split(batch_size),
                  processes.part_of(logits).split(batch_size), strict=True)  # fmt: skip
    for batch, place in batches:
        place.copy_(classifier.logits(batch))
    logits, labels = processes.sum_over(logits).cpu(), labels.cpu()
    predictions = logits.argmax(dim=1)
    accuracy = (predictions == labels).double().mean().item()
    loss = F.cross_entropy(logits, labels).item()
    return Evaluation(loss, accuracy, predictions, logits.softmax(dim=1))


@contextmanager
def fewer_patches(model: VisionTransformer, keep: float) -> Iterator[None]:
    """Meanwhile let only a random part of each image's patches into the encoder.

    PatchDropout (Liu et al. 2022): each patch keeps its position, so the encoder needs no change,
    and an epoch costs about that part of the time.
    """

    def choose(
        positions: nn.Module, inputs: tuple[Tensor, ...], tokens: Float[Tensor, "B T D"]
    ) -> Float[Tensor, "B S D"]:
        B, T, _ = tokens.shape
        order = torch.rand(B, T, device=tokens.device)
        order[:, : model.positions.extra] = -1  # the class token always comes along, and first
        count = model.positions.extra + round(keep * (T - model.positions.extra))
        chosen = order.argsort(dim=1)[:, :count]
        return tokens[torch.arange(B, device=tokens.device)[:, None], chosen]

    hook = model.positions.register_forward_hook(choose) if keep < 1 else None
    try:
        yield
    finally:
        if hook is not None:
            hook.remove()


def train_epoch(
    classifier: Classifier,
    forward: Callable[[Tensor], Tensor],
    batches: Iterable[Batch],
    optimizers: list[Optimizer],
    schedules: list[LambdaLR],
    average: AveragedModel | None,
    recipe: Recipe,
    bar: tqdm,
) -> float:
    """One pass over the batches, a step of all optimizers each. Returns the mean loss.

    `forward` is the model, or what torch made of it for speed or for several processes.
    """
    model = classifier.model.train()
    losses = []
    for images, targets in batches:
        inputs = classifier.inputs(images)
        bf16 = recipe.precision == "bf16"
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
            logits = forward(inputs)
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=recipe.label_smoothing)
        loss.backward()
        if recipe.clip:
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        if average is not None:
            average.update_parameters(model)
        losses.append(loss.detach())
        bar.update(len(images) * processes.count())
    return processes.sum_over(torch.stack(losses).mean()).item() / processes.count()


def train(
    recipe: Recipe,
    data: Dataset,
    out: str | Path,
    *,
    device: str = "cpu",
    command: str = "",
    progress: bool = True,
) -> records.Run:
    """Train, and write the run's record to the folder `out`.

    The state is saved after each epoch. Called again with the same recipe and folder, training
    goes on after the last whole epoch and, on the CPU, ends with the same weights. Started by
    torchrun, several processes train one model together. Raises FileExistsError if the folder
    holds a finished run, ValueError if it holds one with another recipe or other data, or if the
    batch cannot be shared evenly.
    """
    out = Path(out)
    with processes.joined(device) as device:
        images, labels, tests, test_labels = (t.to(device) for t in split(recipe, data))
        batch = batch_of(recipe, len(images))
        classifier = classifier_for(recipe, data, images.cpu()).to(device)
        model = classifier.model
        optimizers = optimizers_for(model, recipe)
        per_epoch = steps_an_epoch(recipe, len(images))
        steps = recipe.epochs * per_epoch
        schedules = [LambdaLR(o, lambda s: rate_at(s, steps, recipe.warmup)) for o in optimizers]
        average = averaged(model, recipe)
        state = State(model, optimizers, schedules, average, recipe, data)
        state.resume(out)

        forward = forward_of(model, recipe)
        tested = replace(classifier, model=state.model)
        targets = F.one_hot(labels, len(data.classes)).float() if recipe.mix else labels
        done = len(state.rows)
        shown = progress and processes.rank() == 0
        how = {"unit": " images", "mininterval": 0.5, "disable": not shown}
        with tqdm(total=steps * batch, initial=done * per_epoch * batch, **how) as bar:
            for epoch in range(done, recipe.epochs):
                start = time.perf_counter()
                # Dropout is the same after a resume, and another in each process.
                torch.manual_seed(1000 * recipe.seed + epoch + 10**6 * processes.rank())
                batches = batches_of(images, targets, recipe, data.flip, epoch)
                keep = recipe.keep if epoch < recipe.keep_epochs else 1.0
                with fewer_patches(model, keep):
                    loss = train_epoch(
                        classifier, forward, batches, optimizers, schedules, average, recipe, bar
                    )
                seconds = time.perf_counter() - start
                result = evaluate(tested, tests, test_labels)
                state.add(epoch, loss, result, seconds)
                state.save(out)
                bar.set_postfix_str(f"epoch {epoch + 1}: {result.accuracy:.1%}")

        # What is stored, on the CPU: as `vitlit evaluate` will do it anywhere.
        final = tested.to("cpu")
        dtype = torch.float16 if recipe.stored == "fp16" else torch.float32
        final.round_(dtype)
        result = evaluate(final, tests.cpu(), test_labels.cpu())
        if processes.rank() == 0:
            if recipe.loadable:
                final.save(out / "model.safetensors", dtype)
            state.write_record(out, data, tests.cpu(), test_labels.cpu(), result, device, command)
        processes.wait()
    return records.read(out)


def batch_of(recipe: Recipe, count: int) -> int:
    """The images of a step. Raises ValueError if the processes cannot share them evenly."""
    batch, shares = min(recipe.batch_size, count), processes.count()
    if batch % (2 * shares if recipe.mix else shares):
        pairs = " in pairs that are mixed" if recipe.mix else ""
        raise ValueError(
            f"batch_size {batch} cannot be shared by {shares} processes{pairs}; choose a multiple"
        )
    return batch


def forward_of(model: VisionTransformer, recipe: Recipe) -> Callable[[Tensor], Tensor]:
    """The model's forward pass: shared with the other processes, compiled, where wanted."""
    shared = DistributedDataParallel(model) if processes.count() > 1 else model
    return torch.compile(shared) if recipe.compile else shared


def averaged(model: nn.Module, recipe: Recipe) -> AveragedModel | None:
    """The moving average of the weights, where the recipe wants one (Polyak and Juditsky 1992)."""
    if not recipe.average:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.average))


def summary_of(
    recipe: Recipe, data: Dataset, labels: Labels, result: Evaluation, **about: Any
) -> dict[str, Any]:
    """A record's summary; `about` is what only the run knows: device, epochs, time and size."""
    right = result.predictions == labels
    per_class = {
        name: right[labels == k].double().mean().item() for k, name in enumerate(data.classes)
    }
    K = len(data.classes)
    confusion = (labels * K + result.predictions).bincount(minlength=K * K).reshape(K, K)
    return {
        "preset": recipe.preset,
        "variant": recipe.variant,
        "seed": recipe.seed,
        "data": data.name,
        "data_title": data.title,
        "tested_on": f"{recipe.holdout} training images" if recipe.holdout else "test images",
        "tested": len(labels),
        **about,
        "test_accuracy": result.accuracy,
        "test_loss": result.loss,
        "per_class": per_class,
        "confusion": confusion.tolist(),
    }


def worst_mistakes(
    images: Images, labels: Labels, result: Evaluation, count: int = 16
) -> dict[str, np.ndarray]:
    """The wrong answers that were given with the highest probability."""
    sure = result.probabilities.amax(dim=1) * (result.predictions != labels)
    worst = sure.topk(min(count, int((sure > 0).sum()))).indices
    columns = {"images": images, "true": labels, "predicted": result.predictions}
    columns["probability"] = sure
    return {name: column[worst].numpy() for name, column in columns.items()}


class State:
    """A run so far: what training changes, and what the record will hold."""

    def __init__(
        self,
        model: VisionTransformer,
        optimizers: list[Optimizer],
        schedules: list[LambdaLR],
        average: AveragedModel | None,
        recipe: Recipe,
        data: Dataset,
    ) -> None:
        # What is tested and kept.
        self.model = cast(VisionTransformer, average.module) if average else model
        self.recipe = recipe
        self.identity = asdict(recipe) | {"data": data.checksum}
        self.parts: dict[str, Any] = {"model": model}
        for i, (optimizer, schedule) in enumerate(zip(optimizers, schedules, strict=True)):
            self.parts |= {f"optimizer_{i}": optimizer, f"schedule_{i}": schedule}
        if average is not None:
            self.parts["average"] = average
        self.rows: list[dict[str, float]] = []
        self.positions = [self._positions()]

    def _positions(self) -> Float[Tensor, "T D"]:
        return self.model.positions.table.detach().cpu().clone()

    def resume(self, out: Path) -> None:
        """Go on with the unfinished run in a folder, if there is one."""
        if (out / "summary.json").exists():
            raise FileExistsError(f"{out} holds a finished run; give another --name, or move it")
        if not (out / "training.pt").exists():
            return
        saved = load_training(out / "training.pt")
        mine, theirs = self.identity, saved["identity"]
        if mine != theirs:
            changed = [name for name in mine if mine[name] != theirs.get(name)]
            raise ValueError(
                f"{out} holds an unfinished run with another {', '.join(changed)}; "
                "repeat its command to finish it, or give another --name"
            )
        for name, part in self.parts.items():
            part.load_state_dict(saved[name])
        self.rows, self.positions = saved["rows"], saved["positions"]

    def add(self, epoch: int, loss: float, result: Evaluation, seconds: float) -> None:
        """Note what an epoch brought; its positions too, or those of 50 epochs in a longer run."""
        rate = self.parts["schedule_0"].get_last_lr()[0]
        before = self.rows[-1]["seconds"] if self.rows else 0.0
        row = {
            "epoch": epoch + 1,
            "train_loss": loss,
            "test_loss": result.loss,
            "test_accuracy": result.accuracy,
            "learning_rate": rate,
            "seconds": before + seconds,
        }
        self.rows.append(row)
        if (self.recipe.epochs - epoch - 1) % math.ceil(self.recipe.epochs / 50) == 0:
            self.positions.append(self._positions())

    def save(self, out: Path) -> None:
        """Write everything needed to go on, whole or not at all."""
        if processes.rank() != 0:
            return
        state = {name: part.state_dict() for name, part in self.parts.items()}
        notes = {"rows": self.rows, "positions": self.positions, "identity": self.identity}
        save_training(out / "training.pt", state | notes)

    def write_record(
        self,
        out: Path,
        data: Dataset,
        images: Images,
        labels: Labels,
        result: Evaluation,
        device: str,
        command: str,
    ) -> None:
        """Write the record of the finished run, its summary last, and drop the saved state."""
        recipe, model = self.recipe, self.model
        about = {
            "device": device,
            "epochs": recipe.epochs,
            "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "train_seconds": self.rows[-1]["seconds"],
        }
        machine = {
            "processes": processes.count(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if device.startswith("cuda") else None,
        }
        records.write(
            out,
            config={"command": command, **asdict(recipe), "vit": asdict(model.config)},
            environment=records.environment() | machine,
            data=data.summary(),
            summary=summary_of(recipe, data, labels, result, **about),
            rows=self.rows,
            positions=np.stack([table.numpy() for table in self.positions]),
            mistakes=worst_mistakes(images, labels, result),
        )
        (out / "training.pt").unlink(missing_ok=True)
