"""Training: read it from top to bottom; `train` is the story, and what it calls follows."""

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from vitlit import files, locks, processes, records
from vitlit.ablations import convolutional_stem_, post_norm_, shuffle_patches_
from vitlit.batches import Batch, Split, batch_of, batches_of, split, steps_of
from vitlit.checkpoint import Checkpoint, Row, Stateful
from vitlit.classifier import Classifier, statistics
from vitlit.config import ViTConfig
from vitlit.data import Dataset
from vitlit.evaluate import Evaluation, ImageClassifier, Images, evaluate, worst_mistakes
from vitlit.memory import refuse_too_large
from vitlit.mimetic import mimetic_
from vitlit.muon import Muon
from vitlit.patches import grid_of
from vitlit.presets import Recipe
from vitlit.pretrained import assumptions
from vitlit.start import started
from vitlit.structured import structured_
from vitlit.terminal import plain
from vitlit.vit import VisionTransformer

WHITENED = 5_000  # images whose patches a structured start whitens
CHECKED = 10  # steps after which the losses are looked at: a GPU has to be waited for


class DivergedError(ValueError):
    """A run whose loss is no finite number any more."""


def train(
    recipe: Recipe,
    data: Dataset,
    out: str | Path,
    *,
    device: str = "cpu",
    command: str = "",
    progress: bool = True,
    reuse: bool = False,
) -> records.Run:
    """Train, and write the run's record to the folder `out`.

    The state is saved after each epoch. Called again with the same recipe and folder, training
    goes on after the last whole epoch and, on the CPU, ends with the same weights. With `reuse`, a
    finished run of this recipe on this data is returned as it is. Started by torchrun, several
    processes train one model together. Raises FileExistsError if the folder holds a finished run,
    HeldError if another process is writing to it, ValueError if it holds a run with another recipe
    or other data, if the batch cannot be shared evenly, or if the model does not fit the memory;
    DivergedError if the loss is no finite number any more.
    """
    out = Path(out)
    if reuse and records.is_finished(out):
        finished = records.read(out)
        wanted = json.loads(json.dumps(asdict(recipe) | {"checksum": data.checksum}))
        if finished.says(wanted):
            return finished
    with ExitStack() as stack:
        device = stack.enter_context(processes.joined(device))
        sets = split(recipe, data)
        batch, per_epoch = batch_of(recipe, len(sets.images)), steps_of(recipe, len(sets.images))
        classifier = classifier_for(recipe, data, sets.images, device).to(device)
        stack.enter_context(processes.by_first(locks.held(out)))
        sets = Split(*(tensor.to(device) for tensor in sets))
        optimizers = optimizers_for(classifier.model, recipe)
        learner = Learner(classifier, optimizers, recipe, recipe.epochs * per_epoch)
        tested = replace(classifier, model=cast(VisionTransformer, learner.tested))
        identity = asdict(recipe) | {"data": data.checksum}
        if classifier.start:
            identity["start_weights"] = classifier.start["weights"]
        run = Checkpoint(out, identity, learner.parts())
        run.positions.append(positions_of(tested))
        run.resume()
        files.sweep(out)

        labels = F.one_hot(sets.labels, len(data.classes)).float() if recipe.mix else sets.labels
        done, first = len(run.rows), processes.rank() == 0
        how = {"unit": " images", "mininterval": 0.5, "disable": not (progress and first)}
        work, before = recipe.epochs * per_epoch * batch, done * per_epoch * batch
        if first and progress and (said := classifier.start.get("assumed")):
            print(plain(assumptions(recipe.start, said)), file=sys.stderr)
        with tqdm(total=work, initial=before, **how) as bar:
            for epoch in range(done, recipe.epochs):
                start = time.perf_counter()
                # Dropout is the same after a resume, and another in each process.
                torch.manual_seed(1000 * recipe.seed + epoch + 10**6 * processes.rank())
                batches = batches_of(sets.images, labels, recipe, data.flip, epoch)
                with explained(run, recipe):
                    with fewer_patches(classifier.model, recipe.kept[epoch]):
                        loss = train_epoch(learner, batches, bar)
                    seconds = time.perf_counter() - start
                    result = evaluate(tested, sets.tests, sets.test_labels)
                    if not math.isfinite(result.loss):
                        raise DivergedError(f"the loss of the test images is {result.loss}")
                run.rows.append(row_of(run.rows, loss, result, learner.rate, seconds))
                # Of a long run the positions of 50 epochs are kept.
                if (recipe.epochs - epoch - 1) % math.ceil(recipe.epochs / 50) == 0:
                    run.positions.append(positions_of(tested))
                if first:
                    run.save()
                bar.set_postfix_str(f"epoch {epoch + 1}: {result.accuracy:.1%}")

        # What is stored, on the CPU: as `vitlit evaluate` will do it anywhere.
        final, tests = tested.to("cpu"), sets.tests.cpu()
        dtype = torch.float16 if recipe.stored == "fp16" else torch.float32
        final.round_(dtype)
        result = evaluate(final, tests, sets.test_labels)
        if not math.isfinite(result.loss):
            raise DivergedError(
                f"weights are too large for stored={recipe.stored}; give --set stored=fp32 and "
                "another --name"
            )
        if first:
            if recipe.loadable:
                final.save(out / records.WEIGHTS, dtype)
            parameters = sum(p.numel() for p in final.model.parameters() if p.requires_grad)
            records.write(
                out,
                config={
                    "command": command, **asdict(recipe), "vit": asdict(final.model.config),
                    **({"started": final.start} if final.start else {}),
                },
                environment=records.environment() | processes.machine(device),
                data=data.summary(),
                summary=summary_of(
                    recipe, data, result, device=torch.device(device).type,
                    epochs=recipe.epochs,
                    parameters=parameters, train_seconds=run.rows[-1]["seconds"],
                ),
                rows=run.rows,
                positions=np.stack([table.numpy() for table in run.positions]),
                mistakes=worst_mistakes(tests, result),
                predictions=result.answers,
            )  # fmt: skip
            run.remove()
        processes.wait()
    return records.read(out)


def classifier_for(
    recipe: Recipe, data: Dataset, images: Images, device: str = "cpu"
) -> Classifier:
    """A new model of the recipe's; image size, channels, classes and statistics of the data.

    Where the recipe names a start, that model instead, made ready for the data. Raises ValueError
    if it was made for another number of channels, or keeps a head for other classes; before it is
    built, if it cannot be trained in the memory of the device.
    """
    count, C, H, W = images.shape
    sizes = {"image_size": (H, W), "channels": C, "classes": len(data.classes)}
    torch.manual_seed(recipe.seed)
    if recipe.start:
        return started(recipe, data, lambda config: refuse_unfit(config, recipe, count, device))
    config = ViTConfig(**{"patch_size": data.patch_size, **sizes, **recipe.model})
    refuse_unfit(config, recipe, count, device)
    model = VisionTransformer(config)
    classifier = Classifier(model, data.classes, *statistics(images), data.title)
    if recipe.initialization == "mimetic":
        mimetic_(model)
    if recipe.initialization == "structured":
        structured_(model, classifier.inputs(images[:WHITENED]))
    if recipe.norm == "post":
        post_norm_(model)
    if recipe.stem == "convolutions":
        convolutional_stem_(model)
    if recipe.patches == "shuffled":
        shuffle_patches_(model)
    return classifier


def refuse_unfit(config: ViTConfig, recipe: Recipe, count: int, device: str) -> None:
    """Raises ValueError if a model is too large for the device, or `keep` leaves it no patch."""
    refuse_too_large(config, recipe, batch_of(recipe, count) // processes.count(), device)
    rows, columns = grid_of(config.image_size, config.patch_size)
    if not round(min(recipe.kept) * rows * columns):
        raise ValueError(
            f"keep is {min(recipe.kept)}, which leaves none of {rows}×{columns} patches; set it to "
            f"at least {1 / (rows * columns):.2g}"
        )


def optimizers_for(model: nn.Module, recipe: Recipe) -> list[Optimizer]:
    """AdamW, with weight decay on matrices only; Muon for the blocks' matrices where asked for.

    Loshchilov and Hutter 2017; Jordan et al. 2024. The position table counts as no matrix: its
    rows are looked up, nothing is multiplied by it. Queries, keys and values are three matrices to
    Muon, as its authors advise.
    """
    blocks: dict[int, list[Tensor]] = {1: [], 3: []}  # by the matrices that each holds
    matrices: list[Tensor] = []
    vectors: list[Tensor] = []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.dim() == 2 and name != "positions.table"
        if is_matrix and "blocks" in name and recipe.optimizer == "muon":
            blocks[3 if name.endswith("qkv.weight") else 1].append(parameter)
        elif parameter.requires_grad:
            (matrices if is_matrix else vectors).append(parameter)
    decay = recipe.weight_decay
    groups = [
        {"params": matrices, "weight_decay": decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    chosen: list[Optimizer] = [torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)]
    if blocks[1]:
        apart = [{"params": params, "parts": parts} for parts, params in blocks.items()]
        chosen.append(Muon(apart, recipe.muon_learning_rate, weight_decay=decay))
    return chosen


class Learner:
    """A classifier, and all that changes with it from step to step.

    A `schedule` of step, steps and warm-up takes the place of `rate_at`.
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        optimizers: list[Optimizer],
        recipe: Recipe,
        steps: int,
        schedule: Callable[[int, int, float], float] | None = None,
    ) -> None:
        model = classifier.model
        self.classifier, self.optimizers, self.recipe = classifier, optimizers, recipe
        part_of_rate = schedule or rate_at
        self.schedules = [
            LambdaLR(optimizer, lambda step: part_of_rate(step, steps, recipe.warmup))
            for optimizer in optimizers
        ]
        # An exponential moving average of the weights: what is tested, and kept.
        how = {"multi_avg_fn": get_ema_multi_avg_fn(recipe.average)}
        self.average = AveragedModel(model, **how) if recipe.average else None
        # Shared with the other processes, and compiled, where wanted.
        shared = DistributedDataParallel(model) if processes.count() > 1 else model
        self.forward = torch.compile(shared) if recipe.compile else shared

    @property
    def tested(self) -> nn.Module:
        """The model whose weights count: the average where there is one."""
        return self.classifier.model if self.average is None else self.average.module

    @property
    def rate(self) -> float:
        """The learning rate of the first optimizer, for the next step."""
        return float(self.schedules[0].get_last_lr()[0])

    def parts(self) -> dict[str, Stateful]:
        """Everything with a state, by name."""
        parts: dict[str, Stateful] = {"model": self.classifier.model}
        for i, (optimizer, schedule) in enumerate(
            zip(self.optimizers, self.schedules, strict=True)
        ):
            parts |= {f"optimizer_{i}": optimizer, f"schedule_{i}": schedule}
        return parts | ({"average": self.average} if self.average else {})


def rate_at(step: int, steps: int, warmup: float) -> float:
    """The fraction of the learning rate at a step: a straight line up, then half a cosine down."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


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


def train_epoch(learner: Learner, batches: Iterable[Batch], bar: tqdm) -> float:
    """One pass over the batches, a step of all optimizers each. Returns the mean loss."""
    model, recipe = learner.classifier.model.train(), learner.recipe
    losses: list[Tensor] = []
    for images, targets in batches:
        inputs = learner.classifier.inputs(images)
        bf16 = recipe.precision == "bf16"
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
            logits = learner.forward(inputs)
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=recipe.label_smoothing)
        loss.backward()
        if recipe.clip:
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        for optimizer, schedule in zip(learner.optimizers, learner.schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        if learner.average is not None:
            learner.average.update_parameters(model)
        losses.append(loss.detach())
        bar.update(len(images) * processes.count())
        if len(losses) % CHECKED == 0:
            mean_of(losses[-CHECKED:], len(losses) - CHECKED)
    return mean_of(losses)


def mean_of(losses: list[Tensor], before: int = 0) -> float:
    """The mean loss of some steps of an epoch, over all processes, of which `before` go before.

    Raises DivergedError at the first that is no finite number.
    """
    steps = processes.sum_over(torch.stack(losses)) / processes.count()
    for wrong in (~steps.isfinite()).nonzero().flatten().tolist():
        raise DivergedError(f"the loss is {steps[wrong].item()} in step {before + wrong + 1}")
    return steps.mean().item()


@contextmanager
def explained(run: Checkpoint, recipe: Recipe) -> Iterator[None]:
    """Say of what ends a run in an epoch what would help, and of a DivergedError what is kept.

    Raises ValueError where the memory is full or the model cannot be compiled.
    """
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        if "out of memory" in reason or "can't allocate memory" in reason:
            raise ValueError(
                f"batch_size is {recipe.batch_size}, for which there is no memory ({reason}); "
                "lower it, or model.width or model.depth"
            ) from error
        if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise ValueError(
                f"compile is true, but the model cannot be compiled ({reason}); set compile=false"
            ) from error
        raise
    except DivergedError as error:
        rates = ["learning_rate", *(["muon_learning_rate"] if recipe.optimizer == "muon" else [])]
        lower = ", ".join(f"{name} ({getattr(recipe, name)})" for name in [*rates, "weight_decay"])
        epoch = len(run.rows) + 1
        kept = (
            f"the state after epoch {epoch - 1} is kept in {run.file}, but goes the same way if "
            "the command is repeated: give another --name"
        )
        raise DivergedError(
            f"the run diverged in epoch {epoch}: {error}; lower {lower}"
            + ("" if recipe.clip else ", or clip gradients with clip=1")
            + (f"; {kept}" if run.rows else "; nothing was written")
        ) from None


def row_of(rows: list[Row], loss: float, result: Evaluation, rate: float, seconds: float) -> Row:
    """What an epoch brought, as a row of the record's table; seconds are counted from the first."""
    return {
        "epoch": len(rows) + 1,
        "train_loss": loss,
        "test_loss": result.loss,
        "test_accuracy": result.accuracy,
        "learning_rate": rate,
        "seconds": (rows[-1]["seconds"] if rows else 0.0) + seconds,
    }


def positions_of(classifier: Classifier) -> Float[Tensor, "T D"]:
    """The position table as it is now."""
    return classifier.model.positions.table.detach().cpu().clone()


def summary_of(recipe: Recipe, data: Dataset, result: Evaluation, **about: Any) -> dict[str, Any]:
    """A record's summary; `about` is what only the run knows: device, epochs, time and size."""
    return {
        "preset": recipe.preset,
        "variant": recipe.variant,
        "seed": recipe.seed,
        "data": data.name,
        "data_title": data.title,
        "tested_on": f"{recipe.holdout} training images" if recipe.holdout else "test images",
        "tested": len(result.labels),
        **about,
        "test_accuracy": result.accuracy,
        "test_loss": result.loss,
        # None for a class of which no image was kept back.
        "per_class": {
            name: share if math.isfinite(share) else None
            for name, share in zip(data.classes, result.per_class, strict=True)
        },
        "confusion": result.confusion.tolist(),
    }
