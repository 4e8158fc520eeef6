# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: jupytext,-kernelspec,-jupytext.text_representation.format_version,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 6 · CIFAR-10
#
# **How well does it see, and can you trust the number?**
#
# The model is complete. Now it meets 50,000 small pictures and learns to name what is on them. You will train one here, for about a minute. Beside it stand longer runs from their records, with everything you need to repeat them.
#
# After this chapter you can
#
# - check a training program before you spend time on it,
# - say what every part of the recipe is for, and what it is worth,
# - read an accuracy with its uncertainty, and look at what the model gets wrong.

# %% tags=["figure"]
from vitlit import figures

figures.pipeline("all")

# %% [markdown] tags=["caption"]
# <!-- alt: The model as five boxes in a row, from patches to head, this time all of them lit. -->
# **Figure 6.1.** Where we are. This chapter trains the whole model at once.

# %% [markdown]
# ## The data {#data}
#
# CIFAR-10 ([Krizhevsky 2009](../docs/bibliography.md#krizhevsky2009)) holds 60,000 color pictures of $32 \times 32$ pixels in ten classes, 5,000 a class for training and 1,000 for testing.
#
# `data.load` finds them where the environment variable `VITLIT_DATA` points: an image folder or an archive of one. Without it, the official archive is downloaded once (163 MiB) and checked. Nothing stands in for the real pictures unless you ask for it by name, and the first line of the output says what was loaded. The book's own runs used a copy in JPEG files.

# %%
import torch

from vitlit import data

pictures = data.load()
print(pictures.title)
print("training", tuple(pictures.train_images.shape))
print("test    ", tuple(pictures.test_images.shape))
pictures.classes

# %% [markdown]
# Two pictures of every class. At this size a frog and a cat are a matter of a few pixels. Remember that before you judge the model.

# %% tags=["figure"]
ten = range(len(pictures.classes))[:10]
of_class = [torch.where(pictures.train_labels == k)[0] for k in ten]
chosen = [int(numbers[n % len(numbers)]) for n in (3, 11) for numbers in of_class]
figures.images(
    pictures.train_images[chosen],
    [pictures.classes[k] for k in pictures.train_labels[chosen].tolist()],
    columns=len(ten),
)

# %% [markdown] tags=["caption"]
# <!-- alt: Two rows of ten blurry little training pictures, one column a class, with the class names below. -->
# **Figure 6.2.** Two training pictures of each class.

# %% [markdown]
# ## Three checks before training {#checks}
#
# A wrong training program often trains too, only worse. Three checks cost seconds and catch most mistakes. They need a model and a recipe. A **recipe** is one object that holds everything that decides a run. A **preset** is a recipe with a name. Here is what matters most in it. The sections below explain it; `vars(recipe)` shows all fields.

# %%
import os

from vitlit.evaluate import evaluate
from vitlit.presets import preset
from vitlit.train import classifier_for

name = os.environ.get("VITLIT_PRESET", "quick")
recipe = preset(name)
told = ("epochs", "batch_size", "optimizer", "learning_rate", "muon_learning_rate", "keep")
for field in told:
    print(f"{field:<20}{getattr(recipe, field)!s:>10}")
for field, value in recipe.model.items():
    print(f"model.{field:<14}{value!s:>10}")

# %% [markdown]
# **The first loss is near $\ln K$.** A model that knows nothing gives each of $K$ classes the probability $1/K$. Its loss is $-\ln \frac1K = \ln K$, that is 2.303 for ten classes. Ours hits it exactly, since its head starts from zeros. A first loss far above says that the outputs are too large: the model is sure before it knows anything.

# %%
import math

some, their_labels = pictures.test_images[:500], pictures.test_labels[:500]
classifier = classifier_for(recipe, pictures, pictures.train_images)
first = evaluate(classifier, some, their_labels)
print(f"first loss {first.loss:.4f}    ln K {math.log(len(pictures.classes)):.4f}")
assert abs(first.loss - math.log(len(pictures.classes))) < 0.1

# %% [markdown]
# **One batch can be learned by heart.** Take 32 pictures and step on them again and again. The loss must go to nothing. If it doesn't, no gradient reaches the weights, or no step changes them.

# %%
from torch.nn import functional as F

model = classifier.model.train()
batch = classifier.inputs(pictures.train_images[:32])
labels = torch.arange(len(batch)) % len(pictures.classes)
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
losses = []
for _ in range(80):
    loss = F.cross_entropy(model(batch), labels)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
assert losses[-1] < 0.1
figures.lines({"loss": (range(80), losses)}, "step", "loss")

# %% [markdown] tags=["caption"]
# <!-- alt: A falling curve: the loss on one batch of 32 pictures drops from 2.3 to nearly zero within 80 steps. -->
# **Figure 6.3.** Labels drawn without regard to the pictures are learned all the same. This is memory, not sight. But it shows that the gradients arrive.

# %% [markdown]
# **Evaluation repeats itself.** The same pictures twice, in batches of another size: the same predictions. If not, dropout is still on, or the batch leaks into the result.

# %%
once = evaluate(classifier, some, their_labels, batch_size=500)
again = evaluate(classifier, some, their_labels, batch_size=7)
assert torch.equal(once.predictions, again.predictions)
(once.probabilities - again.probabilities).abs().max().item()

# %% [markdown]
# ## Augmentation {#augmentation}
#
# A ViT has no idea that a cat moved by two pixels is the same cat. It has to be told. So it seldom sees a picture twice in the same way: each time it is moved by a few pixels, and mirrored half the time.
#
# The functions below are the module's own, revealed as before.

# %%
from vitlit.augment import (
    crop_and_flip,
    distort,
    draw,
    draw_erased,
    draw_mixes,
    draw_strengths,
    erase,
    mix,
)
from vitlit.mimetic import biased_identity, mimetic_
from vitlit.muon import orthogonalize
from vitlit.reveal import reveal
from vitlit.structured import look_around_, rotation, structured_
from vitlit.train import fewer_patches, optimizers_for, rate_at, train_epoch

# %% [markdown]
# An **epoch** is one pass over all training pictures. Its random numbers are drawn at once, a row a picture. So what happens to a picture does not depend on the batch it lands in.

# %% tags=["reveal"]
reveal(draw)

# %% [markdown]
# The pictures stay bytes in one tensor, and a whole batch is moved at once. The trick is to compute, for every pixel of the result, which pixel of the padded picture it comes from. Mirroring only turns the column numbers around. Then one indexing fetches them all.

# %% tags=["reveal"]
reveal(crop_and_flip)

# %% [markdown]
# One picture goes through it eight times, each time with other random numbers.

# %%
one = pictures.train_images[chosen[3]][None].expand(8, -1, -1, -1)
pad = one.shape[-1] // 8
shifts, flips = draw(8, pad, True, torch.Generator().manual_seed(1))
figures.images(crop_and_flip(one, shifts, flips, pad), columns=8)

# %% [markdown] tags=["caption"]
# <!-- alt: The same training picture eight times, each moved a little in another direction, some mirrored. -->
# **Figure 6.4.** One picture, eight ways. Where the crop reaches over the edge, the picture is continued like in a mirror.

# %% [markdown]
# Moving and mirroring is enough for a run of minutes. But the longer a run, the more often it sees every picture, and the more it can learn by heart: `cpu-long` sees each 24 times, and the presets for a GPU are meant to see it hundreds of times. (They have not been run yet.) These change more. `distort` turns and shears the pictures of a batch, changes their brightness, leaves them fewer shades, and does more, each picture in its own way. What a picture does not get has strength zero, and strength zero changes nothing. So all operations can run on all pictures at once.

# %% tags=["reveal"]
reveal(distort)

# %% [markdown]
# The strongest change is to *mix* two pictures. MixUp fades one into the other, CutMix pastes a piece of it. What makes this fair is that the target is mixed too: a picture that shows a third of a ship is to be called a ship by a third.

# %% tags=["reveal"]
reveal(mix)

# %% [markdown]
# Eight pictures are distorted, then some get a box of plain color, and some are mixed. The numbers below say how much of its own class a picture keeps.

# %%
eight = pictures.train_images[(chosen * 3)[2:10]]
random = torch.Generator().manual_seed(12)
changed = distort(eight, draw_strengths(8, 2, 0.5, random))
changed = erase(changed, draw_erased(8, 0.25, random))
changed, kept = mix(changed, torch.eye(8), draw_mixes(8, 0.6, random))
figures.images(
    [*eight, *changed],
    ["1.00"] * 8 + [f"{share:.2f}" for share in kept.diagonal()],
    columns=8,
)

# %% [markdown] tags=["caption"]
# <!-- alt: Two rows of eight pictures. Above they are as they came; below some have other colors, a box of plain color, a faint second picture or a pasted piece. -->
# **Figure 6.5.** Above, eight pictures; below, what the presets for a GPU make of them.

# %% [markdown]
# ## The recipe {#recipe}
#
# Five ingredients make up the recipe of the longer runs. First, the **learning rate**. The first steps are small (**warm-up**). [Liu et al. (2019)](../docs/bibliography.md#liu2019) give a reason for it with optimizers like AdamW: they divide by a running mean of squared gradients, and at first this mean rests on few of them, so it varies much. Another reason, large gradients near the output, is post-norm's. With pre-norm [Xiong et al. (2020)](../docs/bibliography.md#xiong2020) train without warm-up. Then the rate falls along half a cosine, so that the end is a settling down.

# %% tags=["reveal"]
reveal(rate_at)

# %% [markdown]
# Drawn over a run of 1,000 steps:

# %%
steps = range(0, 1000)
curve = [recipe.learning_rate * rate_at(step, 1000, recipe.warmup) for step in steps]
figures.lines({"AdamW": (steps, curve)}, "step", "learning rate")

# %% [markdown] tags=["caption"]
# <!-- alt: A curve that rises in a straight line over the first tenth of the steps and then falls to zero like half a cosine wave. -->
# **Figure 6.6.** The learning rate over a run of 1,000 steps.

# %% [markdown]
# Second, **two optimizers**. AdamW moves every weight on its own scale. It takes the vectors, the embedding and the head. Weight decay pulls matrices towards zero; biases and norm gains are left alone, as is usual: they are few, and a gain pulled to zero would silence its layer. Each step shrinks a matrix by the learning rate times the decay, so a short run feels little of it. The preset `ablation` takes 390 steps, at half the full rate on average: in all, the pull of 0.05 is 3 % of a matrix with AdamW's rate of 0.003, and 9 % with Muon's of 0.01.
#
# **Muon** takes the matrices inside the blocks. It treats a matrix as what it is: a map from one space to another.

# %% tags=["reveal"]
reveal(optimizers_for)

# %% [markdown]
# The three maps of queries, keys and values are stored as one matrix. To Muon they are three.
#
# A gradient matrix is lopsided: in a few directions it is strong, in most of them weak. Muon keeps the directions and makes most of them about equally strong. It could compute the singular values and replace them. That is slow. Instead it takes a polynomial of the matrix, five times over:
#
# $$G \leftarrow a\,G + b\,(G G^\top) G + c\,(G G^\top)^2 G .$$
#
# The directions pass through it as they are, and every singular value $s$ becomes $a s + b s^3 + c s^5$. So three numbers must be found that bring every $s$ between 0 and 1 near 1, and fast. Jordan's are 3.4445, −4.7750 and 2.0315.

# %% tags=["reveal"]
reveal(orthogonalize)

# %%
from vitlit.muon import COEFFICIENTS

a, b, c = COEFFICIENTS
values = torch.linspace(0, 1, 201)
series, after = {}, values
for rounds in range(1, 6):
    after = a * after + b * after**3 + c * after**5
    if rounds in (1, 5):
        series[str(rounds)] = (values, after)
figures.lines(series, "s", "s'")

# %% [markdown] tags=["caption"]
# <!-- alt: Two curves over singular values from 0 to 1. After one round the curve rises to above 1 and comes down to 0.7. After five rounds it jumps up at once and then wavers between 0.7 and 1.2. -->
# **Figure 6.7.** What becomes of a singular value after one round and after five. Almost all end near 1; they need not hit it.

# %% [markdown]
# Here is a real gradient, that of the first block's MLP, before and after.

# %%
loss = F.cross_entropy(model(batch), labels.flip(0))
loss.backward()
gradient = model.encoder.blocks[0].mlp.grow.weight.grad
values = {
    "gradient": torch.linalg.svdvals(gradient / gradient.norm()),
    "Muon": torch.linalg.svdvals(orthogonalize(gradient[None])[0]),
}
ranks = range(1, len(gradient[0]) + 1)
figures.lines({n: (ranks, v) for n, v in values.items()}, "rank", "singular value", logy=True)

# %% [markdown] tags=["caption"]
# <!-- alt: Two curves of singular values by rank on a logarithmic axis. The gradient's falls by orders of magnitude; the orthogonalized one stays between 1.2 and 0.7 up to rank 50, and falls to less than 0.1 over the last fourteen. -->
# **Figure 6.8.** Singular values of one gradient, as it is and after orthogonalization. Of 64, 50 end between 0.7 and 1.2. The weakest are raised too, but by no more than a factor of about 485 (that is $3.4445^5$, the polynomial's slope at 0 in five rounds), so they stay below.

# %% [markdown]
# What is that good for? A model small enough to see it: one matrix that must learn another one. Its inputs are lopsided, as pictures are (chapter 2): of 16 directions the first is 32 times as strong as the last. The gradient is lopsided by the square of that. Both ways get 60 steps, a rate that falls to 0, and of several rates the one that ends with the lowest loss.

# %%
torch.manual_seed(0)
strength = torch.logspace(0, -1.5, 16)
goal = torch.randn(16, 16)


def learned(step, rate, steps=60):
    matrix = torch.zeros_like(goal)
    for t in range(steps):
        matrix = matrix - rate * (1 - t / steps) * step((matrix - goal) * strength**2)
    return matrix - goal


ways = {"gradient": lambda g: g, "Muon": lambda g: orthogonalize(g[None])[0]}
series = {}
for kind, step in ways.items():
    ends = [learned(step, rate) for rate in (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 4.0)]
    error = min(ends, key=lambda end: (end * strength).square().sum().item())
    series[kind] = (range(1, 17), error.norm(dim=0) / goal.norm(dim=0))
figures.lines(series, "direction", "error", markers=True)

# %% [markdown] tags=["caption"]
# <!-- alt: Two curves over sixteen directions, from the strongest input to the weakest. The gradient's error is next to nothing in the first directions and nearly 1 in the last; Muon's is small in all. -->
# **Figure 6.9.** How much of the goal is still missing in each direction, the strongest input first. Steps along the gradient learn what is strong, and leave the rest for later. Steps that are equal in all directions learn nearly all of it.

# %% [markdown]
# What Muon orthogonalizes is not the last gradient alone but **momentum**, which gave it the first half of its name: a running mean of the gradients, with a little more of the newest (Nesterov's variant).

# %% [markdown]
# Third, a better **start**. The paper's code begins with random matrices. The recipe takes from two better ones.
#
# The first copies what training ends with. In trained ViTs two products of matrices are not random at all: what a head compares, $W_q^\top W_k$, resembles the identity, and what the heads return together, $W_{out} W_v$, minus the identity. (The matrices are those that PyTorch stores, chapter 4's transposed.) [Trockman and Kolter (2023)](../docs/bibliography.md#trockman2023) begin there. In language models they report other signs.
#
# One can say what such a head does. With the identity between them, the score of two tokens is the dot product of the tokens themselves. So a token looks at those that are like it, in content and in place. And since it takes minus their mean, what is left of it is how it differs from its like. A random head looks nowhere in particular and brings back noise.

# %% tags=["reveal"]
reveal(mimetic_)

# %% [markdown]
# Each product begins as a random matrix plus a multiple of the identity, split into two factors by its singular values. A head's queries and keys have $d$ numbers each, so a product of theirs has at most $d$ singular values that are not 0. The $d$ largest are kept. The positions begin as the sines and cosines of chapter 3, and are learned from there.

# %% tags=["reveal"]
reveal(biased_identity)

# %% [markdown]
# The bias is easy to see. The product of the two factors stands out along its diagonal.

# %%
torch.manual_seed(0)
left, right = biased_identity(32, 0.7, 0.7)
figures.heatmaps([left, right, left @ right], signed=True)

# %% [markdown] tags=["caption"]
# <!-- alt: Three square matrices as colors. The first two are noise; the third, their product, is noise with a strong diagonal. -->
# **Figure 6.10.** The two factors, and their product: noise plus a multiple of the identity.

# %% [markdown]
# The second copies what a convolution is. A convolution of 3×3 looks at a place and its eight neighbors. Attention can begin like that: each head looks at one neighbor of every patch ([Zheng et al. 2025](../docs/bibliography.md#zheng2025)).
#
# It takes three steps. Positions begin as sines and cosines, but in dimensions of their own, which everything else leaves alone at first. In such numbers a step to a neighbor is a rotation. And queries and keys read these numbers only, the keys rotated by one step.

# %% tags=["reveal"]
reveal(look_around_)

# %% [markdown]
# Of each frequency a place has a cosine and a sine, and a step turns the pair by an angle.

# %% tags=["reveal"]
reveal(rotation)

# %% [markdown]
# The rest of this start is short. The products of values and output begin as in the first one. And the patch embedding makes the strongest components of a patch (chapter 2) equally strong, which is called *whitening*.

# %% tags=["reveal"]
reveal(structured_)

# %% [markdown]
# Nothing is trained yet, and the heads look around. One patch asks; a map is a head, the mean over 64 pictures:

# %%
starting = classifier_for(preset("cpu"), pictures, pictures.train_images)
rows, columns = starting.model.positions.grid
middle = rows // 2 * columns + columns // 2
watched = starting.watch(pictures.train_images[:64])
maps = [
    head.view(rows, columns)
    for i in range(1, 4)
    for head in watched[f"attention_{i}"].mean(dim=0)[:, 1 + middle, 1:]
]
figures.attention(maps, columns=9)

# %% [markdown] tags=["caption"]
# <!-- alt: Nine small maps of eight by eight squares. Each has one bright square, in the middle or next to it, in another direction each, and a faint cross through it. The later the block, the less bright. -->
# **Figure 6.11.** Where the heads of the first three blocks look before training, as seen from one patch in the middle: at it, or at one of its eight neighbors.

# %% [markdown]
# Fourth, **a part of the patches**. Most of a picture can be guessed from the rest of it. So in the earlier epochs only a random part of its patches enters the encoder, a quarter or a half, and others each time. The patches keep their positions, and nothing else has to know. The time that is saved pays for more epochs. In the last epochs half of them enter, so that the model comes closer to the test, where it gets all. This is PatchDropout ([Liu et al. 2022](../docs/bibliography.md#liu2022)). Half of the patches take more than half of the time, as the records' tables tell: what the optimizers do stays the same.

# %% tags=["reveal"]
reveal(fewer_patches)

# %% [markdown]
# What one picture shows, four times, when half of it is left out:

# %%
from vitlit.patches import patchify, unpatchify

size, P = one.shape[-2:], pictures.patch_size
cut = patchify(one[:4].float(), P)
seen = torch.rand(4, cut.shape[1], generator=random).argsort(dim=1) < cut.shape[1] // 2
halves = unpatchify(torch.where(seen[..., None], cut, 128.0), P, size)
figures.images([one[0], *halves.byte()], columns=5)

# %% [markdown] tags=["caption"]
# <!-- alt: A training picture, and four copies of it in which a different half of the small squares is gray. -->
# **Figure 6.12.** A picture, and four of the halves that an epoch might show of it.

# %% [markdown]
# Fifth, small things. Mirroring by chance may show a picture the same way in several epochs running. So chance decides once which half is mirrored in the first epoch, and then they *alternate* ([Jordan 2024](../docs/bibliography.md#jordan2024a)). *Label smoothing* asks for a little less than certainty: a tenth of the probability is spread evenly over all classes. *Clipping* shortens a gradient that is longer than 1. In long runs an *average* of the weights follows them: after each step it moves towards them by a small part of the way, so the older a step, the less it counts, exponentially. In the end the average counts instead of the last weights, which still tremble. (Where there is one, the loss in figure 6.13 is that of the weights in training, and the accuracy that of their average.) All of it fits into one loop. It looks at the losses every ten steps: a run whose loss is no number any more is stopped, and says what to lower.

# %% tags=["reveal", "wide"]
reveal(train_epoch)

# %% [markdown]
# ## A minute of training {#training}
#
# Everything is in place. `train` runs the epochs, tests after each, and writes a record. After each epoch it saves all that it needs to go on: a run that is cut off is finished by the same command, with the same weights in the end. The preset `quick` is meant for this page: one epoch of a very small model. With `make cifar10` the same cell trains the preset `cpu`, and a bar in the terminal shows how far it is.

# %%
import tempfile
from pathlib import Path

from vitlit.train import train

out = Path(os.environ.get("VITLIT_OUT") or Path(tempfile.mkdtemp()) / name)
command = f"vitlit train --preset {name} --seed {recipe.seed}"
if pictures.size:
    command += f" --size {pictures.size[0]}x{pictures.size[1]}"
live = train(recipe, pictures, out, command=command, reuse=True)

print(live.summary["data_title"])
for key in ("preset", "epochs", "parameters", "tested", "test_accuracy"):
    print(f"{key:<14}{live.summary[key]:>12}")

# %% [markdown]
# Chance would be one in ten. A minute is enough to leave it far behind, and not enough to be good.

# %% [markdown]
# ## The full runs {#full-run}
#
# Longer runs were made once. Their records say command and commit, and anyone can repeat them. (`cpu-long` starts mimetic, under an MLP head.) Their numbers are read from `runs/`, never typed. They are those of the **last** epoch. To pick the best epoch by its test accuracy would be to train on the test set, a little.

# %%
from vitlit import records, studies

found = studies.final(records.find())
runs = [run for run in found if not run.is_study and run.summary["preset"] != "quick"]
for run in sorted(runs, key=lambda run: run.name):
    summary = run.summary
    minutes = summary["train_seconds"] / 60
    row = f"{run.config['command']:<46}{run.environment['cores']:>2} cores{minutes:6.1f} min"
    print(f"{row}{100 * summary['test_accuracy']:7.2f} %")

# %% [markdown]
# Which data, how many pictures, which processor: that is in the record too. Of the runs whose weights are kept, this is the best.

# %%
full = live if name not in ("quick", "smoke") else studies.best(run for run in runs if run.weights)
for key in ("data_title", "tested_on", "tested", "device", "epochs", "parameters"):
    print(f"{key:<14}{full.summary[key]:>24}")
for key in ("train_seconds", "test_accuracy"):
    print(f"{key:<14}{full.summary[key]:>24.4f}")
print(f"{'processor':<14}{full.environment['processor']:>24}")

# %% tags=["figure"]
figures.curves([full])

# %% [markdown] tags=["caption"]
# <!-- alt: Two panels over the epochs of the run. Left, the training loss falls, with a step down after about three quarters; right, the test accuracy rises and flattens. -->
# **Figure 6.13.** The run, epoch by epoch. The step is where all patches come back. The record holds the same numbers as a table, `metrics.csv`.

# %% [markdown]
# How sure is such a number? Each of $n$ test pictures is right with probability $p$. Then the measured fraction scatters by about
#
# $$\sigma = \sqrt{\frac{p\,(1-p)}{n}}.$$
#
# It is what chance makes of the choice of test pictures.

# %%
p, n = full.summary["test_accuracy"], full.summary["tested"]
sigma = math.sqrt(p * (1 - p) / n)
print(f"{100 * p:.2f} % ± {100 * sigma:.2f} %")

# %% [markdown]
# Which of two models is better? Had each been tested on pictures of its own, chance would move both, and the difference by $\sqrt{\sigma_1^2 + \sigma_2^2}$. But both saw the same pictures. Most of them both name correctly, or neither does. These say nothing about which is better. What counts are the pictures on which only one is right: $n_1$ that only the first names, $n_2$ that only the second does. The second is better by $(n_2 - n_1)/n$, and the standard error of that is at most $\sqrt{n_1 + n_2}\,/\,n$.
#
# If both were equally good, each of these $n_1 + n_2$ pictures would fall to either side as a coin does. How often do that many coins fall at least that unevenly? That is **McNemar's test** ([1947](../docs/bibliography.md#mcnemar1947)), and $p$ below is its answer. It needs every single answer of both models, and the records keep them.

# %%
by_name = {run.name: run for run in runs}
print(f"{'':<30}{'✓✗':>7}{'✗✓':>7}{'Δ / %':>8}{'±':>6}{'p':>10}")
for names in (("cpu-seed0", "cpu-seed1"), ("cpu-seed0", "cpu-long-seed0")):
    pair = studies.paired(*map(by_name.get, names))
    row = f"{', '.join(names):<30}{pair.lost:>7}{pair.gained:>7}"
    print(f"{row}{pair.difference:+8.2f}{pair.error:6.2f}{pair.p:10.2g}")

# %% [markdown]
# This tells two trained models apart, not two recipes. The first pair *is* one recipe, with two seeds: whatever the test says of them, it says of these two models. The preset `cpu` was run with several seeds. Here are mean, deviation and number of runs. Whoever compares recipes takes the seeds as his sample.

# %%
import statistics

seeds = [100 * run.summary["test_accuracy"] for run in runs if run.summary["preset"] == "cpu"]
spread = statistics.stdev(seeds) if len(seeds) > 1 else 0.0
print(f"{statistics.mean(seeds):.2f} % ± {spread:.2f} %   {len(seeds)}")

# %% [markdown]
# ## What each ingredient is worth {#ingredients}
#
# Which trick mattered? Change one thing, keep everything else, and train again. The presets for this are small models and one epoch, so that they can be run often: each change with three seeds, each run compared with the unchanged one of the same seed. `vitlit ablate` makes such a table. The records shown here are older than the recipe above: they begin mimetic, with an MLP head, and half of the patches enter in training, all of them in the test.
#
# Many changes are compared here. Of many that do nothing, some look like something by luck. So a difference counts only if it is larger than the limit behind the ±. The limit is chosen such that of twenty tables in which no change does anything, nineteen call none of them an effect ([how](../docs/results.md#ingredients)). An asterisk marks what counts.

# %%
effects = studies.effects(studies.ablations(found), studies.costs())
for base in dict.fromkeys(effect.preset for effect in effects):
    same = [effect for effect in effects if effect.preset == base]
    print(f"{base:<24}{100 * studies.mean_accuracy(same[0].base):6.2f} %")
    for effect in same:
        mark = "*" if effect.measurable else ""
        cost = "" if effect.cost is None else f"{effect.cost:6.2f} ×"
        print(f"{effect.variant:<24}{effect.mean:+6.2f} ± {effect.limit:.2f} {mark:<2}{cost}")

# %% tags=["figure"]
figures.ablations(effects)

# %% [markdown] tags=["caption"]
# <!-- alt: A chart with a row for every change, from the most harmful to the most useful: a marker at the mean difference in accuracy, a bar around it and a dot for each seed. Some markers are hollow, and their bars reach zero. -->
# **Figure 6.14.** The accuracy that a change costs or brings, in percentage points. A dot is a seed, the marker their mean. The bar is the limit to both sides; where it reaches zero, the marker is hollow.

# %% [markdown]
# Three parts carry the run: the optimizer, small patches, and positions. A good start is worth nearly as much as positions. Shuffling the patches of all pictures in one and the same way costs less than taking the positions away: an order that is always the same can be learned. But the sines and cosines that the positions begin with describe a grid, and that is lost.
#
# Some changes show no effect that can be told from chance, and for some there is a reason. Weight decay has little time to act (see the recipe). Augmentation guards against learning by heart, and in one epoch no picture is seen twice. So a table like this holds for its budget, not for all. That is the reason to make your own.

# %% [markdown]
# ## What it gets wrong {#mistakes}
#
# We load the weights of the best run and ask for every test picture. First a receipt: the weights in the file must give the accuracy in the record, to the picture.

# %%
from vitlit.classifier import load

trained = load(full.path)
if trained.trained_on == pictures.title:
    result = evaluate(trained, pictures.test_images, pictures.test_labels)
    assert round(result.accuracy * n) == round(p * n)
    print(round(result.accuracy * n), "/", n)

# %% [markdown]
# The confusion matrix counts, for each true class, what the model said. The record keeps it. Where the model errs, animals are mostly taken for other animals, vehicles for other vehicles. Most often confused are cat and dog.

# %%
figures.confusion(full.summary["confusion"], trained.classes)

# %% [markdown] tags=["caption"]
# <!-- alt: A ten by ten table of counts, bright on the diagonal. Off the diagonal the largest numbers stand between cat and dog. -->
# **Figure 6.15.** True class by row, predicted class by column, in test pictures.

# %% [markdown]
# The most telling mistakes are the confident ones. Under each picture stands what the model said, and what it is.

# %% tags=["figure"]
from IPython.display import display

if trained.trained_on == pictures.title and not result.right.all():
    wrong = ~result.right
    sure = result.probabilities.max(dim=1).values * wrong
    worst = sure.topk(min(8, int(wrong.sum()))).indices
    said = [trained.classes[k] for k in result.predictions[worst]]
    is_ = [trained.classes[k] for k in pictures.test_labels[worst]]
    shown = figures.images(
        pictures.test_images[worst],
        [f"{a}\n({b})" for a, b in zip(said, is_, strict=True)],
    )
    display(shown)

# %% [markdown] tags=["caption"]
# <!-- alt: Eight test pictures in a row, each with the wrong class that the model was sure of and, in brackets, the true one. -->
# **Figure 6.16.** The most confident mistakes of the run: said, and in brackets what it is.

# %% [markdown]
# And Chelsea? She is no CIFAR-10 picture: another camera, another crop, another size. Scaled to 32 pixels she is still a cat to us. Her three likeliest classes:

# %%
c = trained.model.config
cat = torch.from_numpy(figures.chelsea(c.image_size[0]))[None, : c.channels]
chances = trained.logits(cat)[0].softmax(dim=0)
for k in chances.topk(min(3, c.classes)).indices:
    print(f"{trained.classes[k]:<12}{chances[k]:>8.1%}")

# %% [markdown]
# ## Why small data is hard for a ViT {#small-data}
#
# A convolution is built with two facts inside: neighbors belong together, and a thing stays what it is when it moves. They are called its **inductive bias**. A ViT has little of either: inside a patch pixels are neighbors, and all patches share one map. Beyond that, the patches are a list to it. That the list came from a grid, it must find out from the pictures.
#
# The better start of the recipe hands it a part of that, in two ways: positions that begin as sines and cosines, and heads that begin by looking at one neighbor each. Augmentation repeats the second fact until it is believed. The rest must come from the pictures.
#
# The record holds the position embeddings before training and after every epoch. Here is, for nine places of the grid, how similar their position is to all others: above at the start, below at the end. The mean position is subtracted first, since all share it.

# %%
import numpy as np

tables = np.load(full.path / "positions.npz")["positions"].astype(np.float32)
rows, columns = trained.model.positions.grid
places = [r * columns + c for r in (1, rows // 2, rows - 2) for c in (1, columns // 2, columns - 2)]


def similarity(table):
    patches = table[1:] - table[1:].mean(axis=0)
    patches /= np.linalg.norm(patches, axis=1, keepdims=True)
    return [(patches @ patches[n]).reshape(rows, columns) for n in places]


maps = similarity(tables[0]) + similarity(tables[-1])
figures.heatmaps(maps, columns=9, signed=True)

# %% [markdown] tags=["caption"]
# <!-- alt: Two rows of nine small maps, one map a place. In the upper row each map has a smooth orange spot around its own place. In the lower row the spots are still there, with rougher edges, and many are stretched sideways. -->
# **Figure 6.17.** Similarity of nine positions with all others, before and after training. The grid was given; training kept it and bent it.

# %% [markdown]
# With more data a ViT needs less help. The paper starts from random positions, pre-trains on up to 303 million pictures, and finds the same kind of map in the end (its figure 7).

# %% [markdown]
# ## Your own pictures {#own}
#
# Nothing in this chapter is tied to CIFAR-10. A folder or an archive is enough, with one folder a class, and the whole chapter runs on it:
#
# ```sh
# VITLIT_DATA=photos.zip VITLIT_SIZE=64 make cifar10 PRESET=own
# ```
#
# Or, without the chapter, `vitlit train --data photos.zip --size 64`. Pictures come in all sizes and shapes, and a batch must be one tensor. So each is turned upright, cropped to its middle square and resized. A fifth of each class is kept for the test. A hash of the file's name decides which, so it is the same fifth every time.
#
# With a few hundred pictures, training from scratch has no chance: the section above says why. The preset `own` starts from the book's longest run on CIFAR-10 and exchanges the head. [Chapter 7](07_finetune.ipynb) explains both.
#
# Here is what a model sees of a photograph. What lies outside the middle square is gone, and details go with the size.

# %% tags=["figure"]
sides = (256, 64, 32)
seen = [data.open_rgb(figures.CHELSEA, side) for side in sides]
figures.images(seen, [f"{side} px" for side in sides])

# %% [markdown] tags=["caption"]
# <!-- alt: The tabby cat's face as a square picture three times: sharp at 256 pixels, coarse at 64, a few blocks of color at 32. -->
# **Figure 6.18.** The photograph, cropped and resized to three sizes.

# %% [markdown]
# ## Receipt {#receipt}
#
# Two things of this chapter must agree with an independent computation. First the smoothed loss, written out by hand, with PyTorch's own.

# %%
from vitlit.receipts import compare, random_images

targets = torch.tensor([3, 1, 4, 1, 5])


def smoothed(logits, smoothing=0.1):
    K = logits.shape[1]
    wanted = F.one_hot(targets, K).double() * (1 - smoothing) + smoothing / K
    return -(wanted * logits.log_softmax(dim=1)).sum(dim=1).mean()


compare(
    smoothed,
    lambda logits: F.cross_entropy(logits, targets, label_smoothing=0.1),
    random_images(5, 10),
)

# %% [markdown]
# Then the augmented batch, with the same crops cut one picture at a time.

# %%
padded = F.pad(one[:1].float(), [pad] * 4, mode="reflect").byte()
for moved, (row, column), flip in zip(
    crop_and_flip(one, shifts, flips, pad), shifts, flips, strict=True
):
    size = one.shape[-1]
    crop = padded[0, :, row : row + size, column : column + size]
    assert torch.equal(moved, crop.flip(-1) if flip else crop)

# %% [markdown]
# ## Exercises {#exercises}
#
# **1.** Two models were tested on the same pictures. `first` and `second` say for each picture whether the model was right. Write `chance`: if both are equally good, how probable is it that their disagreements are shared out at least so unevenly, to either side? (Every disagreement is a coin. `math.comb(n, k)` counts the ways to choose $k$ of $n$.)


# %% tags=["exercise"]
def chance(first, second): ...


def check_chance(chance):
    first = torch.tensor([1, 1, 1, 1, 1, 0, 1, 1, 0, 1]).bool()
    second = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 0, 1]).bool()
    found = chance(first, second)
    assert found is not None
    assert abs(found - 2 * (1 + 6) / 2**6) < 1e-9
    assert chance(first, first) == 1


# %% jupyter={"source_hidden": true} tags=["solution"]
def chance(first, second):
    only = int((first & ~second).sum()), int((second & ~first).sum())
    ways = sum(math.comb(sum(only), k) for k in range(min(only) + 1))
    return min(1.0, 2 * ways / 2 ** sum(only))


check_chance(chance)

# %% [markdown]
# Pictures that both models name, or neither, do not enter at all. Two models that agree everywhere but on six pictures are told apart by these six, however good they are.

# %% [markdown]
# **2.** Turn pictures upside down instead of mirroring them. Write `crop_and_turn` with the rows of a picture reversed where `flips` says so.


# %% tags=["exercise"]
def crop_and_turn(images, shifts, flips, padding):
    return crop_and_flip(images, shifts, flips, padding)


def check_crop_and_turn(crop_and_turn):
    upright = crop_and_flip(one, shifts, torch.zeros_like(flips), pad)
    turned = crop_and_turn(one, shifts, flips, pad)
    assert torch.equal(turned[~flips], upright[~flips])
    assert torch.equal(turned[flips], upright[flips].flip(-2))


# %% jupyter={"source_hidden": true} tags=["solution"]
def crop_and_turn(images, shifts, flips, padding):
    cropped = crop_and_flip(images, shifts, torch.zeros_like(flips), padding)
    return torch.where(flips[:, None, None, None], cropped.flip(-2), cropped)


check_crop_and_turn(crop_and_turn)

# %% [markdown]
# One would not want it on CIFAR-10: the pictures it would be tested on stand upright, ships and horses too. An augmentation should make what could as well have been photographed.

# %% [markdown]
# ## In the paper {#paper}
#
# Section 4.1 of [Dosovitskiy et al. (2020)](../docs/bibliography.md#dosovitskiy2020) gives the training set-up and appendix B.1 its numbers. The paper reports CIFAR-10 only after pre-training on large data (table 2). Its section 4.3 shows how much of that data a ViT needs before it overtakes a convolutional network. [Steiner et al. (2021)](../docs/bibliography.md#steiner2021) measure what data, augmentation and regularization are worth to a ViT. AdamW is [Loshchilov and Hutter's](../docs/bibliography.md#loshchilov2017), Muon is [Jordan's](../docs/bibliography.md#jordan2024), label smoothing [Szegedy et al.'s](../docs/bibliography.md#szegedy2015). To average the weights is an idea of [Polyak and Juditsky (1992)](../docs/bibliography.md#polyak1992), whose average counts all steps alike; ours, as the paper's (section 4.1), forgets exponentially. The stronger changes to pictures are a variant of RandAugment ([Cubuk et al. 2020](../docs/bibliography.md#cubuk2020); there all operations have one strength, and they follow each other in the order in which they were drawn), random erasing ([Zhong et al. 2020](../docs/bibliography.md#zhong2020)), MixUp ([Zhang et al. 2018](../docs/bibliography.md#zhang2018)) and CutMix ([Yun et al. 2019](../docs/bibliography.md#yun2019)).
#
# Next, [chapter 7](07_finetune.ipynb) takes a trained model to larger pictures.
