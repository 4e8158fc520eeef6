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
# # 7 · Fine-tuning
#
# **Can a trained model look more closely?**
#
# The model of chapter 6 cuts a picture into 64 patches. Enlarge the picture, keep the patch size, and there are more patches, each with less of the picture in it. Almost all of the model is ready for that. One table is not. This chapter mends it, exchanges the head, and measures whether looking closely is worth its price.
#
# After this chapter you can
#
# - say which weights of a ViT depend on the size of the picture, and which do not,
# - carry a trained model to another resolution, square or not, without training it,
# - exchange a head for a new one and predict the first loss,
# - compare two ways to spend the same training time.

# %% tags=["figure"]
from vitlit import figures

figures.pipeline("positions")

# %% [markdown] tags=["caption"]
# <!-- alt: Five boxes in a row stand for the model. Positions, in the middle, is lit again, as it was in chapter 3. -->
# **Figure 7.1.** The one part that knows how many patches there are. We come back to it with a trained model.

# %% [markdown]
# ## A trained model {#trained}
#
# We take the run `cpu-long-seed0` of [chapter 6](06_cifar10.ipynb): not quite an hour of training, weights included. It was trained at 32 pixels, under the MLP head. In the paper's words it is *pre-trained*.

# %%
import torch
from torch.nn import functional as F

from vitlit import data, records
from vitlit.classifier import load

pictures = data.load()
start = load("cpu-long-seed0")
model = start.model

print(start.trained_on)
print("image ", model.config.image_size)
print("patch ", model.config.patch_size)
print("grid  ", model.positions.grid)
print("tokens", len(model.positions.table))
print("head  ", model.config.head)

# %% [markdown]
# ## More tokens {#tokens}
#
# Enlarging is one line. No detail appears that was not there: 48 pixels hold what 32 did. But a patch of $4 \times 4$ pixels now covers less of the scene.


# %%
def enlarge(images, size):
    return F.interpolate(images, size, mode="bicubic", antialias=True)


cat = torch.from_numpy(figures.chelsea(32))[None] / 255
sizes = [(32, 32), (48, 48), (64, 64)]
larger = [enlarge(cat, size)[0].clamp(0, 1) for size in sizes]
[tuple(image.shape) for image in larger]

# %% tags=["figure"]
from vitlit.patches import patchify, unpatchify


def framed(image, P=4):
    """Each patch with a thin frame, so that the cut can be seen."""
    H, W = image.shape[1:]
    zoomed = image.repeat_interleave(6, 1).repeat_interleave(6, 2)
    patches = patchify(zoomed[None], 6 * P).unflatten(2, (-1, 6 * P, 6 * P)).clone()
    patches[..., :1, :] = patches[..., :, :1] = 1
    return unpatchify(patches.flatten(2), 6 * P, (6 * H, 6 * W))[0]


labels = [f"{H} px,  N = {H * W // 16}" for H, W in sizes]
figures.images([framed(image) for image in larger], labels)

# %% [markdown] tags=["caption"]
# <!-- alt: A coarse picture of the cat three times, cut by thin lines into 8 by 8, 12 by 12 and 16 by 16 squares. The picture is the same; the squares show ever smaller parts of it. -->
# **Figure 7.2.** Chelsea at three sizes, cut into patches of four pixels.

# %% [markdown]
# Which weights care? Build the model for all three sizes and compare the shapes. Only one tensor changes.

# %%
from dataclasses import replace

from vitlit import VisionTransformer

shapes = []
for size in sizes:
    with torch.device("meta"):
        empty = VisionTransformer(replace(model.config, image_size=size))
    shapes.append({name: tuple(t.shape) for name, t in empty.state_dict().items()})
print(len(shapes[0]))
for name, shape in shapes[0].items():
    if shapes[2][name] != shape:
        print(name, shape, shapes[1][name], shapes[2][name])

# %% [markdown]
# The price is paid in tokens. A block multiplies each token with its matrices, and each token with each other, so its work has a term in $T$ and one in $T^2$ (chapter 5). Here is the number of tokens $T$; then tokens, operations (FLOP) and measured time of one forward pass, each as a multiple of the first row.

# %%
import time

from torch.utils.flop_counter import FlopCounterMode

rows = []
for size in sizes:
    resized = model.resized(size).eval()
    batch = torch.rand(64, 3, *size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        resized(batch)
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        with torch.no_grad():
            resized(batch)
        times.append(time.perf_counter() - begin)
    rows.append((len(resized.positions.table), counter.get_total_flops(), min(times)))
print(f"{'':<5}{'T':>7}{'× T':>8}{'× FLOP':>8}{'× time':>8}")
for size, (T, flops, seconds) in zip(sizes, rows, strict=True):
    shares = [now / first for now, first in zip((T, flops, seconds), rows[0], strict=True)]
    print(f"{size[0]:>3} px{T:>7}{shares[0]:8.2f}{shares[1]:8.2f}{shares[2]:8.2f}")

# %% [markdown]
# ## Whose place is it? {#positions}
#
# A new grid needs a new table. Chapter 3 has the tool: the old table without its first row is an image of $8 \times 8$ places, and images can be resized. Two candidates, and two to compare them with:
#
# - **interpolated**: bicubic, as in chapter 3,
# - **nearest**: each new place copies the row of the old place that covers it,
# - **fresh**: small random numbers, as in the paper's code before any training,
# - **shuffled**: the interpolated rows, dealt out to the wrong places.


# %%
def new_table(kind, grid):
    torch.manual_seed(0)
    table = model.positions.table.detach()
    if kind == "fresh":
        return 0.02 * torch.randn(1 + grid[0] * grid[1], table.shape[1])
    image = table[1:].T.unflatten(1, model.positions.grid)[None]
    mode = "nearest" if kind == "nearest" else "bicubic"
    rows = F.interpolate(image, grid, mode=mode)[0].flatten(1).T
    if kind == "shuffled":
        rows = rows[torch.randperm(len(rows))]
    return torch.cat([table[:1], rows])


kinds = ("interpolated", "nearest", "fresh", "shuffled")
tables = {kind: new_table(kind, (12, 12)) for kind in kinds}
for kind, table in tables.items():
    print(f"{kind:<14}{tuple(table.shape)}   mean length {table[1:].norm(dim=1).mean():.2f}")

# %% [markdown]
# How does a place compare with all others? The mean position is subtracted first, since all share it. For one place near the left, the map of similarity on the old grid, and on the new one in four ways:


# %%
def similarity(table, grid, place):
    patches = table[1:] - table[1:].mean(dim=0)
    unit = F.normalize(patches, dim=1).unflatten(0, grid)
    return unit @ unit[place]


maps = [similarity(model.positions.table.detach(), (8, 8), (4, 2))]
maps += [similarity(table, (12, 12), (6, 3)) for table in tables.values()]
figures.heatmaps(maps, ["8 × 8", *kinds], signed=True)

# %% [markdown] tags=["caption"]
# <!-- alt: Five maps of similarity. The first, of 8 by 8 cells, has an orange spot around one place and is blue far from it. The second shows the same spot, smooth, on 12 by 12 cells. The third shows it in blocks of cells that are alike. The fourth is pale noise with a single dark orange cell, the last is loud noise. -->
# **Figure 7.3.** The place in row 4 and column 2 of the grid that was trained on, counted from 0, and the same spot on $12 \times 12$ places. Interpolation keeps the map and adds places in between. Nearest gives neighbors the same row. Fresh knows no places, and shuffled knows the wrong ones.

# %% [markdown]
# Now the test, with the pre-trained head and no training at all: every tenth test picture, enlarged, under each of the four tables. At 32 pixels the grid is the old one, so interpolated and nearest are the table itself.


# %%
some, truth = pictures.test_images[::10], pictures.test_labels[::10]


@torch.no_grad()
def right(model, size):
    count = 0
    for images, labels in zip(some.split(250), truth.split(250), strict=True):
        inputs = enlarge(start.inputs(images), size)
        count += (model(inputs).argmax(dim=1) == labels).sum().item()
    return count


def with_table(kind, size):
    larger = model.resized(size).eval()
    larger.positions.table.data = new_table(kind, larger.positions.grid)
    return larger


found = {}
for size in sizes:
    for kind in kinds if size != (32, 32) else ("interpolated", "fresh", "shuffled"):
        name = f"{size[0]} {kind}"
        found[name] = right(with_table(kind, size), size) / len(some)
        print(f"{name:<18}{found[name]:>8.1%}")

# %% tags=["figure"]
shown = {name: 100 * share for name, share in found.items()}
figures.bars(shown, "accuracy / %", lit=[f"{size[0]} interpolated" for size in sizes])

# %% [markdown] tags=["caption"]
# <!-- alt: Eleven horizontal bars in three groups, for 32, 48 and 64 pixels. In every group interpolated and nearest are the longest, and fresh and shuffled are little more than half as long or less; the groups get shorter from top to bottom. -->
# **Figure 7.4.** Accuracy on 1,000 test pictures, without any further training. Within a group only the table of positions differs.

# %% [markdown]
# Four things can be read off.
#
# **Interpolation carries over most of what was learned.** With a fresh table the model loses about half of its right answers at every size. That is what one throws away by not interpolating.
#
# **Wrong places are about as bad as none.** The shuffled table holds the same rows as the interpolated one. A fresh table is nearly no table: its rows are short beside the trained ones. What helps is not the rows but where they stand: the model reads its positions, and believes them.
#
# **Between the old places, any sensible value will do.** Nearest and interpolated differ by less than the choice of 1,000 pictures allows (chapter 6 says how much that is).
#
# **Positions are not all of it.** Even with the best table, enlarging costs answers: many at 48 pixels, more at 64. The patches of an enlarged picture are smoother than any in training, and each is compared with more others than ever. No table mends that. Training does.

# %% [markdown]
# Nothing demands a square. Chelsea's portrait, cut to twice as wide as high, is cut into $8 \times 16$ patches, and the table follows.

# %%
from dataclasses import replace

wide = torch.from_numpy(figures.chelsea(64))[None, :, 12:44]
oblong = replace(start, model=model.resized((32, 64)))
chances = oblong.logits(wide)[0].softmax(dim=0)
print(oblong.model.positions.grid, tuple(oblong.model.positions.table.shape))
for k in chances.topk(3).indices:
    print(f"{start.classes[k]:<12}{chances[k]:>8.1%}")

# %% tags=["figure"]
figures.images([framed(wide[0] / 255)])

# %% [markdown] tags=["caption"]
# <!-- alt: The eyes and the bridge of the nose of a tabby cat in a wide strip, cut into eight rows of sixteen small squares. -->
# **Figure 7.5.** What the oblong model saw.

# %% [markdown]
# ## A new head {#head}
#
# The paper pre-trains under an MLP head. For fine-tuning it takes the whole head off and puts one linear layer in its place, filled with zeros. Chapter 5 says what must happen then: all logits are 0, and the first loss is $\ln K$, though the encoder has lost nothing.
#
# The module does both, new grid and new head, in one function.

# %%
from vitlit.finetune import adapted
from vitlit.reveal import reveal

# %% [markdown]
# `changed` makes the new configuration. What does not fit, it refuses: the weights decide width and depth, and no argument can change that. The rest is done on the state dict, the dictionary of all weights by name. The function drops the old head's entries, replaces the table, and loads the rest into a model that was built for the new grid.

# %% tags=["reveal", "wide"]
reveal(adapted)

# %% [markdown]
# The check: the encoder is the same, and so, to the bit, is the vector that the head reads. Only the answer is gone.

# %%
import math

tuned = adapted(model, image_size=(48, 48), head="linear").eval()
inputs = enlarge(start.inputs(some[:100]), (48, 48))
with torch.no_grad():
    before = with_table("interpolated", (48, 48)).watch(inputs)
    after = tuned.watch(inputs)
assert torch.equal(before["class_token"], after["class_token"])
assert after["logits"].count_nonzero() == 0
loss = F.cross_entropy(after["logits"], truth[:100])
print(f"loss {loss:.4f}    ln K {math.log(len(start.classes)):.4f}")

# %% [markdown]
# How long until the new head has caught up? Thirty steps of 64 pictures each, all weights moving:

# %%
torch.manual_seed(0)
tuned.train()
optimizer = torch.optim.AdamW(tuned.parameters(), lr=1e-3)
losses = []
for _ in range(30):
    chosen = torch.randint(len(pictures.train_images), (64,))
    inputs = enlarge(start.inputs(pictures.train_images[chosen]), (48, 48))
    loss = F.cross_entropy(tuned(inputs), pictures.train_labels[chosen])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
figures.lines({"loss": (range(30), losses)}, "step", "loss")

# %% [markdown] tags=["caption"]
# <!-- alt: A falling curve that starts at 2.3 and has lost about two fifths of that after thirty steps. -->
# **Figure 7.6.** The loss under a head that starts from zeros. The encoder already knows the answer, so thirty steps take the head a good part of the way.

# %% [markdown]
# ## Equal time {#equal-time}
#
# Is looking closely worth it? A fair question needs a fair rival: the same pre-trained model, the same new head, trained on at 32 pixels for about the same time. At 48 pixels an epoch costs more, so there are two of them for six at 32. The learning rates are half of those of the pre-training, for all alike, and were not tuned for any.
#
# These records are older than the model above. They start from another one, an earlier `cpu-seed0`: nine minutes of training, and less accurate.
#
# Two more runs tell causes apart. One is at 48 pixels with fresh positions. One is at 32 pixels for two epochs only: as many *pictures* as at 48, in less time. Here are the records. "FLOP" counts operations, one epoch at 32 pixels being 1; the minutes were measured on one core each, beside another run, and say less. $\sigma$ is that of chapter 6, the chance of drawing just these test pictures.

# %%
names = ("finetune-32", "finetune-32-short", "finetune-48", "finetune-48-fresh")
found = {run.summary["preset"]: run for run in records.find() if run.summary["seed"] == 0}
runs = {name: found[name] for name in names}

work = {size: flops / rows[0][1] for size, (_, flops, _) in zip(sizes, rows, strict=True)}
print(f"{'':<20}{'T':>5}{'epochs':>8}{'FLOP':>7}{'min':>7}{'%':>9}{'σ':>7}")
for name, run in runs.items():
    size, epochs = tuple(run.config["vit"]["image_size"]), run.summary["epochs"]
    p, n = run.summary["test_accuracy"], run.summary["tested"]
    row = f"{name:<20}{size[0] * size[1] // 16 + 1:>5}{epochs:>8}{epochs * work[size]:7.1f}"
    row += f"{run.summary['train_seconds'] / 60:7.1f}{100 * p:9.2f}"
    print(f"{row}{100 * math.sqrt(p * (1 - p) / n):7.2f}")

# %% tags=["figure"]
figures.accuracy_over_time(list(runs.values()))

# %% [markdown] tags=["caption"]
# <!-- alt: Lines of accuracy over minutes of training. The line of finetune-32 joins six epochs and ends highest. Those of finetune-48 and finetune-48-fresh join two each and end at about the same height below it; finetune-32-short ends first, with the lowest final accuracy. -->
# **Figure 7.7.** Test accuracy after each epoch of fine-tuning, over minutes of training on one core.

# %% [markdown]
# The verdict goes against looking closely. In about the time of two epochs at 48 pixels there are six at 32, and six win. It is not the little time that they had on top: after five of them, which is less work, the run at 32 is ahead already.
#
# Is it the tokens' fault? No. Compare what was seen, not what it took: two epochs at 48 pixels beat two at 32. More tokens make more of a picture. But each pass over the pictures then costs more than two and a half times as much, and this model needs passes: less than ten minutes of pre-training have left it far from done, so the same time buys more at 32.
#
# And interpolation? Fresh positions are behind after the first epoch. After the second the two are level, within $\sigma$. An interpolated table saves the time in which positions are learned again. Here that is not much.
#
# The paper fine-tunes at higher resolution after a pre-training that took 230, 680 or 2,500 TPUv3 core-days (table 2 of [Dosovitskiy et al.](../docs/bibliography.md#dosovitskiy2020)). There another pass at the old resolution has little left to give. Whether the verdict turns for a model that is done learning at 32 pixels, these records do not say. The presets start from such a model now, and are there to try: `vitlit train --preset finetune-48`.

# %% [markdown]
# ## What became of the positions {#after}
#
# A record keeps the table of positions before training and after every epoch. Did the interpolated table change, and did the fresh one find the grid? For the same place as before: the start and the end of both runs.

# %%
import numpy as np

after = {}
for name in ("finetune-48", "finetune-48-fresh"):
    stored = np.load(runs[name].path / "positions.npz")["positions"].astype(np.float32)
    first, last = torch.from_numpy(stored[0]), torch.from_numpy(stored[-1])
    after[name] = [similarity(table, (12, 12), (6, 3)) for table in (first, last)]
    turned = F.cosine_similarity(first[1:], last[1:]).mean()
    grown = last[1:].norm(dim=1).mean() / first[1:].norm(dim=1).mean()
    print(f"{name:<18} cos {turned:.3f}   length {grown:.2f} ×")

# %% tags=["figure"]
maps = [map_ for pair in after.values() for map_ in pair]
labels = [f"{kind}, {when}" for kind in ("interpolated", "fresh") for when in ("start", "end")]
figures.heatmaps(maps, labels, signed=True)

# %% [markdown] tags=["caption"]
# <!-- alt: Four maps of similarity on 12 by 12 cells. The first two, of the interpolated table at the start and at the end, show nearly the same orange spot. The third is pale noise with one dark orange cell; in the fourth a broad orange spot has grown around the place. -->
# **Figure 7.8.** Similarity of one place with all others, before and after fine-tuning. The interpolated table was good enough to stay as it was. The fresh one has found the neighborhood again, in two epochs.

# %% [markdown]
# ## Receipt {#receipt}
#
# The whole way to another resolution, twice, against libraries that do the same. A small model with every weight drawn at random goes from 32 to 48 pixels. torchvision interpolates a state dict, bicubic with aligned corners.

# %%
from torchvision.models import VisionTransformer as TorchvisionViT
from torchvision.models.vision_transformer import interpolate_embeddings

from vitlit import ViTConfig
from vitlit.layouts import to_layout
from vitlit.receipts import compare, random_images, randomize_

sizes = {"width": 24, "depth": 2, "heads": 2, "mlp_width": 48}
small = randomize_(VisionTransformer(ViTConfig(image_size=(32, 32), **sizes)))
reference = TorchvisionViT(48, 4, 2, 2, 24, 48, num_classes=10).double().eval()
state = to_layout(small.state_dict(), "torchvision", small.config)
reference.load_state_dict(interpolate_embeddings(48, 4, state))
compare(small.resized((48, 48), align_corners=True), reference, random_images(2, 3, 48, 48))

# %% [markdown]
# timm changes a model in place, bicubic and antialiased, and takes a picture that is no square: 48 by 64. It computes the table in float32, so for the receipt `float` means `double` meanwhile, as in chapter 3.

# %%
from unittest import mock

from timm.models.vision_transformer import VisionTransformer as TimmViT

reference = TimmViT(32, 4, num_classes=10, embed_dim=24, depth=2, num_heads=2, mlp_ratio=2)
reference.double().eval()
reference.load_state_dict(to_layout(small.state_dict(), "timm", small.config))
with mock.patch.object(torch.Tensor, "float", torch.Tensor.double):
    reference.set_input_size(img_size=(48, 64))
compare(small.resized((48, 64), antialias=True), reference, random_images(2, 3, 48, 64))

# %% [markdown]
# ## Exercises {#exercises}
#
# **1.** Write `nearest`: carry a table with a class token's row from the grid `old` to the grid `new` without `F.interpolate`. Where the grid goes from $n$ rows to $m$, the new row $r$ copies the old row $\lfloor r\,n/m \rfloor$, both counted from 0; columns likewise.


# %% tags=["exercise"]
def nearest(table, old, new): ...


def check_nearest(nearest):
    torch.manual_seed(0)
    for old, new in [((2, 2), (4, 4)), ((8, 8), (12, 12)), ((3, 4), (5, 2))]:
        table = torch.randn(1 + old[0] * old[1], 6)
        found = nearest(table, old, new)
        assert found is not None
        image = table[1:].T.unflatten(1, old)[None]
        grown = F.interpolate(image, new, mode="nearest")[0].flatten(1).T
        assert torch.equal(found, torch.cat([table[:1], grown]))


# %% jupyter={"source_hidden": true} tags=["solution"]
def nearest(table, old, new):
    rows = torch.arange(new[0]) * old[0] // new[0]
    columns = torch.arange(new[1]) * old[1] // new[1]
    places = rows[:, None] * old[1] + columns
    return torch.cat([table[:1], table[1:][places.flatten()]])


check_nearest(nearest)

# %% [markdown]
# **2.** Somebody only wants cats and dogs. No training is needed to make a model for fewer classes: a linear head has one row of weights for each. Write `only`: a new head that gives the logits of the classes in `kept`, in that order. Are its probabilities those of the old head?


# %% tags=["exercise"]
def only(head, kept):
    return head


def check_only(only):
    from vitlit.heads import LinearHead

    torch.manual_seed(0)
    head = LinearHead(6, 10)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    token = torch.randn(3, 6)
    small = only(head, [5, 3])
    assert isinstance(small, LinearHead)
    assert small.out_features == 2
    assert torch.allclose(small(token), head(token)[:, [5, 3]])
    assert head.out_features == 10


# %% jupyter={"source_hidden": true} tags=["solution"]
def only(head, kept):
    small = type(head)(head.in_features, len(kept))
    small.weight.data = head.weight.data[kept]
    small.bias.data = head.bias.data[kept]
    return small


check_only(only)

# %% [markdown]
# ## In the paper {#paper}
#
# Section 3.2 of [Dosovitskiy et al. (2020)](../docs/bibliography.md#dosovitskiy2020) is this chapter: the head is replaced by a zero-initialized layer, the resolution goes up, the patch size stays, and the positions are interpolated in two dimensions. Section 4.1 and appendix B.1 say how: fine-tuning at 384 pixels, for the largest results at 512 and more. [Touvron et al. (2019)](../docs/bibliography.md#touvron2019) measure the same step for convolutional networks, and ask why the best resolution to test at is not the one that was trained at.
#
# Next, [chapter 8](08_inside.ipynb) opens a trained model and looks at what it has learned.
