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
# # 8 · Inside
#
# **What has the trained model learned, and which pictures of it can be trusted?**
#
# A trained model is a few hundred thousand numbers. Nobody reads them one by one. But each part has a job, so for each part there is a question that it can answer with a picture. This chapter asks them all of one model. Some of the prettiest pictures say less than they seem to, and we will catch one at it.
#
# After this chapter you can
#
# - look at filters, positions and attention of any ViT, and say what you see,
# - measure how far each head looks,
# - compute attention rollout, and show where it misleads,
# - ask every layer what it knows already.

# %% tags=["figure"]
from vitlit import figures

figures.pipeline("encoder")

# %% [markdown] tags=["caption"]
# <!-- alt: The row of five boxes once more. The encoder is lit; arrows pass through it from left to right. -->
# **Figure 8.1.** Most of this chapter happens in the encoder. We begin left of it.

# %% [markdown]
# ## The model {#model}
#
# We take the best run whose weights are kept in the book, and every tenth test picture. `watch` (chapter 5) returns everything that the model computes on the way.

# %%
import torch
from torch.nn import functional as F

from vitlit import data, records, studies
from vitlit.classifier import load

pictures = data.load()
run = studies.best(records.find())
trained = load(run.path)
trained.check(pictures)
model, config = trained.model, trained.model.config
L, h, P, grid = config.depth, config.heads, config.patch_size, model.positions.grid

images, labels = pictures.test_images[::10], pictures.test_labels[::10]
print(run.name, f"D {config.width}  L {L}  h {h}  P {P}  grid {grid}")


# %%
@torch.no_grad()
def watch(images, model=model):
    batches = [model.watch(trained.inputs(b)) for b in images.split(200)]
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


seen = watch(images)
right = (seen["logits"].argmax(dim=1) == labels).float().mean()
print(f"{right:.1%}")
{name: tuple(tensor.shape) for name, tensor in list(seen.items())[:6]}

# %% [markdown]
# ## Filters {#filters}
#
# The patch embedding holds $D$ filters of $P \times P$ pixels in three colors. A filter is a small picture, so it can be drawn: each on its own scale, gray for zero. Here are the 24 strongest, those of the largest norm.

# %%
filters = model.embedding.projection.weight.detach().unflatten(1, (3, P, P))
strongest = filters[filters.flatten(1).norm(dim=1).argsort(descending=True)][:24]


def drawn(filters):
    scale = filters.flatten(1).abs().amax(dim=1)[:, None, None, None]
    return 0.5 + 0.5 * filters / scale


figures.images(list(drawn(strongest)), columns=12)

# %% [markdown] tags=["caption"]
# <!-- alt: Two rows of twelve tiny color pictures of four by four pixels: mostly an edge or a corner between two colors, such as green above red or light beside dark purple. -->
# **Figure 8.2.** The 24 strongest filters. Most have an edge or a corner in them, with opposite colors on its two sides.

# %% [markdown]
# Many of them look alike. How many different ones are there? A **principal component** is a direction in which the filters vary most, then the most of what is left, and so on. There are as many components as a patch has numbers, $3P^2 = 48$. Below: how much of all variation the first few hold together.

# %%
flat = filters.flatten(1)
_, values, components = torch.linalg.svd(flat - flat.mean(dim=0), full_matrices=False)
share = (values**2 / (values**2).sum()).cumsum(dim=0)
for count in (1, 2, 4, 8, 12, 16, 24, 48):
    print(f"{count:>3}{share[count - 1]:8.1%}")

# %% tags=["figure"]
shown = components[:24].unflatten(1, (3, P, P))
figures.images(list(drawn(shown)), columns=12)

# %% [markdown] tags=["caption"]
# <!-- alt: Two rows of twelve small color tiles. The first are plain: stripes, one color, one color passing into another. The last are motley, every pixel another color. -->
# **Figure 8.3.** The first 24 principal components of the filters. The strongest are simple: stripes, a plain color, a slow change of color in one direction. The last ones, the weakest, are fine and motley.

# %% [markdown]
# ## Positions {#positions}
#
# Chapter 3 asked which places are alike. Now we ask it of the trained table: for every place, the cosine similarity with all others. The mean row is subtracted first, since all places share it.

# %%
import numpy as np

stored = np.load(run.path / "positions.npz")["positions"].astype(np.float32)
history = [torch.from_numpy(table[1:]) for table in stored]


def similarity(table):
    unit = F.normalize(table - table.mean(dim=0), dim=1)
    return (unit @ unit.T).reshape(*grid, *grid)


when = [0, 1, len(history) - 1]
figures.position_maps([similarity(history[n]) for n in when], [str(n) for n in when])

# %% [markdown] tags=["caption"]
# <!-- alt: Three grids of eight by eight maps, labeled 0, 1 and 24. In the first two each map has an orange spot around its own place. In the last, maps of places at the left or right border are orange along both of these borders, those at the top or bottom along their own border only. -->
# **Figure 8.4.** Position similarity before training, after one epoch and at the end. In the end, places at the left border and places at the right border are like each other.

# %% [markdown]
# Training began from sines and cosines, as chapter 6 told, so the grid was there from the start. What did training do with it? Two numbers for every stored epoch: how closely similarity follows nearness (the correlation of similarity with minus the distance), and how long the rows are.

# %%
places = torch.cartesian_prod(*map(torch.arange, grid)).float()
distance = torch.cdist(places, places)


def nearness(table):
    pairs = torch.stack([similarity(table).reshape(distance.shape).flatten(), -distance.flatten()])
    return torch.corrcoef(pairs)[0, 1].item()


epochs = torch.linspace(0, run.summary["epochs"], len(history))
lengths = [table.norm(dim=1).mean().item() for table in history]
for n in (0, 1, len(history) // 2, len(history) - 1):
    print(f"epoch {epochs[n]:4.0f}   r {nearness(history[n]):.3f}   length {lengths[n]:5.2f}")

# %% tags=["figure"]
series = {"r": (epochs, [nearness(table) for table in history])}
series["length / first"] = (epochs, [length / lengths[0] for length in lengths])
figures.lines(series, "epoch", "")

# %% [markdown] tags=["caption"]
# <!-- alt: Two curves over the epochs. One rises above 1, the other falls, both between the second and the tenth epoch; then they are level. -->
# **Figure 8.5.** Nearness $r$, and the mean length of the rows as a multiple of that at the start. The rows grow, and nearness loses: training does not sharpen the grid, it uses it for something else.

# %% [markdown]
# ## How far does a head look? {#distance}
#
# A convolution looks at its neighbors. An attention head may look anywhere. So measure it: the **mean attention distance** of a head is the distance between a patch and what it looks at, weighted by the attention, averaged over patches and pictures.
#
# $$\text{distance} = \frac{1}{N} \sum_{q} \sum_{k} A_{qk}\, \lVert p_q - p_k \rVert$$
#
# where $p$ are the patches' centers in pixels. The class token has no place in the picture, so it is left out, and the rest of each row is rescaled to sum to 1.


# %%
def attention_distance(weights):
    among = weights[:, :, 1:, 1:]
    among = among / among.sum(dim=-1, keepdim=True)
    return (among * P * distance).sum(dim=-1).mean(dim=(0, 2))


far = torch.stack([attention_distance(seen[f"attention_{i}"]) for i in range(1, L + 1)])
uniform = (P * distance).mean()
neighbors = P * torch.tensor([0.0] + 4 * [1.0] + 4 * [2**0.5]).mean()
print("        " + "".join(f"{'head ' + str(k + 1):>8}" for k in range(h)))
for i, row in enumerate(far, 1):
    print(f"layer {i} " + "".join(f"{value:8.1f}" for value in row))
print(f"uniform {uniform:8.1f}")
print(f"3 × 3   {neighbors:8.1f}")

# %% tags=["figure"]
layers = torch.arange(1, L + 1)
series = {f"head {k + 1}": (layers, far[:, k]) for k in range(h)}
series |= {"uniform": (layers, uniform.expand(L)), "3 × 3": (layers, neighbors.expand(L))}
figures.lines(series, "layer", "distance / px", joined=False)

# %% [markdown] tags=["caption"]
# <!-- alt: Dots over the layers, one color a head. The heads lie in the upper half, near a level row of dots named uniform; the lowest are in layers 2 and 3. A row of dots far below is named 3 × 3. -->
# **Figure 8.6.** Mean attention distance of every head. "Uniform" is a head that looks everywhere alike, "3 × 3" one that looks at its patch and the eight around it.

# %% [markdown]
# No head of this model is local in the way of a convolution. The first layer looks almost everywhere alike: it takes stock of the whole picture. Layers 2 and 3 are the nearest. In layers 2 to 4 the heads differ most from one another. The last layer looks far again.
#
# Large models have heads that are truly local in their first layers (the paper's figure 7, right). [Raghu et al. (2021)](../docs/bibliography.md#raghu2021) find such heads after pre-training on JFT-300M, and miss them where the same models have seen ImageNet alone: to look near must be learned, and takes much data. The grid of $8 \times 8$ would leave room for it. A head that looks at $3 \times 3$ patches has 4.3 pixels here.
#
# ## What does it look at? {#maps}
#
# The class token must collect the answer, so its row of the attention weights says where it collects. Chelsea first, scaled to 32 pixels: one map a layer, averaged over the heads, then the heads of the last layer.

# %%
cat = torch.from_numpy(figures.chelsea(32))[None]
chelsea = watch(cat)


def looks(seen, layer):
    return seen[f"attention_{layer}"][:, :, 0, 1:].unflatten(2, grid)


def stretched(maps):
    low, high = maps.amin(dim=(-2, -1), keepdim=True), maps.amax(dim=(-2, -1), keepdim=True)
    return (maps - low) / (high - low)


maps = [looks(chelsea, i)[0].mean(dim=0) for i in range(1, L + 1)]
figures.overlay(cat[0], maps, ["image", *(f"layer {i}" for i in range(1, L + 1))])

# %% [markdown] tags=["caption"]
# <!-- alt: A coarse picture of the cat, then six gray copies of it under yellow squares. The first is yellow nearly everywhere. The others are so in a few regions only: an eye, the bridge of the nose, the cheeks, the corners of the picture. -->
# **Figure 8.7.** Where the class token looks, layer by layer. Yellow is much.

# %%
maps = list(looks(chelsea, L)[0])
figures.overlay(cat[0], maps, ["image", *(f"head {k + 1}" for k in range(h))])

# %% [markdown] tags=["caption"]
# <!-- alt: The coarse cat and four gray copies of it, each yellow in other places, where one head of the last layer looks. -->
# **Figure 8.8.** The heads of the last layer, one by one.

# %% [markdown]
# ## Rollout {#rollout}
#
# By the last layer, a token no longer stands for its own patch alone: it has been mixed with others in every layer before. **Attention rollout** ([Abnar and Zuidema 2020](../docs/bibliography.md#abnar2020)) follows the mixing. In each layer a token keeps one half of itself, through the residual, and takes one half from where its attention points, averaged over heads:
#
# $$R = \hat A_L \cdots \hat A_2 \hat A_1, \qquad \hat A_\ell = \tfrac12 \big( \bar A_\ell + I \big)$$
#
# Row 0 of $R$ is then said to tell how much of each patch has arrived in the class token.


# %%
def rollout(seen):
    mixed = None
    for i in range(1, L + 1):
        attention = seen[f"attention_{i}"].mean(dim=1)
        step = (attention + torch.eye(attention.shape[-1])) / 2
        mixed = step if mixed is None else step @ mixed
    return mixed


flow = rollout(seen)
print("row sums", flow.sum(dim=-1).min().item(), flow.sum(dim=-1).max().item())

# %% [markdown]
# Four test pictures, with the attention of the last layer and the rollout. Each map is stretched from its smallest value (gray) to its largest (yellow).

# %% tags=["figure"]
some = [int(torch.where(labels == k)[0][2]) for k in (1, 4, 7, 8)]
strip = torch.cat(list(images[some]), dim=2)
last = torch.cat(list(stretched(looks(seen, L)[some].mean(dim=1))), dim=1)
through = torch.cat(list(stretched(flow[some, 0, 1:].unflatten(1, grid))), dim=1)
figures.overlay(strip, [last, through], ["image", f"layer {L}", "rollout"], columns=1)

# %% [markdown] tags=["caption"]
# <!-- alt: Three rows of four test pictures, a car, a deer, a horse and a ship: the pictures themselves, the same in gray with the last layer's attention as a few yellow spots, and the same with rollout, whose yellow is broader. -->
# **Figure 8.9.** Four test pictures, what the last layer looks at, and the rollout through all layers.

# %% [markdown]
# ## A blind model {#blind}
#
# Rollout looks convincing. Here is a model that is blind: a copy of ours in which every attention layer returns the same vector whatever it sees. One matrix a block, the one behind the heads, is set to zero. Queries, keys and softmax are untouched.

# %%
from copy import deepcopy

blind = deepcopy(model)
for block in blind.encoder.blocks:
    block.attention.out.weight.data.zero_()
dark = watch(images, blind)
print(f"logits, deviation over pictures   {seen['logits'].std(dim=0).mean():.3f}", end="")
print(f"   blind {dark['logits'].std(dim=0).mean():.3f}")

# %% [markdown]
# It gives all pictures the same logits. Nothing of any patch arrives in its class token. And this is its rollout:

# %% tags=["figure"]
blinded = torch.cat(list(stretched(rollout(dark)[some, 0, 1:].unflatten(1, grid))), dim=1)
figures.overlay(strip, [through, blinded], ["image", "rollout", "blind"], columns=1)

# %% [markdown] tags=["caption"]
# <!-- alt: The four test pictures, their rollout as before, and a third row that looks much like the second: the rollout of the blind copy. -->
# **Figure 8.10.** Rollout of the model, and of its blind copy. The last row explains nothing, since there is nothing to explain. It looks just as convincing.

# %% [markdown]
# Rollout multiplies attention weights. It never asks what is carried along: the values, the matrix behind the heads, the MLP. It does not even know which class was answered. So it shows where information *could* have come from.
#
# What a patch is worth can be measured. Paint it gray, which is zero after normalization, and see what that does to the logits: how much the true class loses, and how far all logits move. It takes a forward pass for every patch. We do it for every sixteenth of our pictures, and ask how well each map predicts it. The measure is the **rank correlation**: 1 if map and effect put the patches in the same order, 0 if the orders have nothing in common. It is averaged over the pictures and comes with the standard error of that average.
#
# A map could score without having seen anything: perhaps the middle matters more than the border in every picture. So there is one more candidate. **Fixed** is the mean rollout of all the *other* pictures. It knows places, and nothing of the picture that it is asked about.

# %%
few, own = images[::16], labels[::16]


@torch.no_grad()
def erased(picture, label):
    inputs = trained.inputs(picture[None])
    copies = inputs.repeat(grid[0] * grid[1], 1, 1, 1)
    for n in range(len(copies)):
        r, c = divmod(n, grid[1])
        copies[n, :, r * P : (r + 1) * P, c * P : (c + 1) * P] = 0
    change = model(copies) - model(inputs)
    return -change[:, label], change.norm(dim=1)


effects = [erased(*pair) for pair in zip(few, own, strict=True)]
lost, moved = (torch.stack(effect) for effect in zip(*effects, strict=True))


def agreement(maps, effect):
    ranks = [values.argsort(dim=1).argsort(dim=1).double() for values in (maps, effect)]
    a, b = (rank - rank.mean(dim=1, keepdim=True) for rank in ranks)
    each = (a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1))
    return f"{each.mean():6.2f} ± {each.std() / len(each) ** 0.5:.2f}"


candidates = {
    f"layer {L}": looks(seen, L)[::16].mean(dim=1).flatten(1),
    "rollout": flow[::16, 0, 1:],
    "blind": rollout(dark)[::16, 0, 1:],
    "fixed": ((flow.sum(dim=0) - flow) / (len(flow) - 1))[::16, 0, 1:],
    "chance": torch.rand(lost.shape, generator=torch.Generator().manual_seed(0)),
}
print(f"{'':<10}{'true class':>13}{'all':>15}")
for name, maps in candidates.items():
    print(f"{name:<10}{agreement(maps, lost)}  {agreement(maps, moved)}")

# %% [markdown]
# Sixty pictures leave much to chance. A record has the same for 1,000, drawn at random from all test pictures (`make attention`). There the left side asks for the class that the model *predicts*.

# %% tags=["figure"]
asked = studies.attention(run)["result"]


def interval(about):
    mean, reach = about["mean"], 1.96 * about["error"]
    return mean, mean - reach, mean + reach


figures.intervals(
    {
        f"ρ, {effect}": {
            name: interval(about) for name, about in asked["agreement"][effect].items()
        }
        for effect in ("logit", "all logits")
    }
)

# %% [markdown] tags=["caption"]
# <!-- alt: Two panels with a row for each of six maps: a dot at the mean and a bar around it. On the left all dots lie close to zero, those of rollout and fixed farthest from it. On the right rollout is highest, fixed and blind follow, distance and last are lower, and random lies at zero. -->
# **Figure 8.11.** Rank correlation of six maps with what erasing a patch does: to the logit of the predicted class, and to all logits. Bars hold the mean with a probability of 95 % each. “Last” is the last layer, “distance” how far a patch lies from the mean patch of its picture, and “random” knows nothing.

# %% [markdown]
# What does a map say *beyond* the fixed one? That is asked picture by picture, as two models were compared in chapter 6: the difference of the two correlations, and its mean. The intervals are wide enough to hold all at once.

# %%
for effect, rows in asked["differences"].items():
    print(effect)
    for name, row in rows.items():
        print(f"  {name:<18}{row['mean']:+7.3f}   [{row['low']:+.3f}, {row['high']:+.3f}]")

# %% [markdown]
# Which patches speak for the predicted class, all maps tell poorly, and none tells it better than the fixed one, which has not seen the picture. How far *all* logits move is another matter. There rollout says more than places alone, so something of the picture is in it. But most of its score the fixed map has too. The last layer by itself says less than the fixed map.
#
# And the blind copy? It scores, and it does not score more than the fixed map. What it knows are places. Its rollout looked convincing because in all pictures the same places tend to matter.
#
# So use attention to ask where a model *looks*. To ask what *matters*, change the picture and see. The results page has two more questions of this kind: whether some [tokens grow large](../docs/results.md#norms), as in big models, and whether the model is [as sure as it is right](../docs/results.md#calibration).
#
# ## What every layer knows {#layers}
#
# The class token passes through all blocks, and the last norm and the head only meet the final one. What if they met it earlier? Take the class token after block $\ell$, apply norm and head, and count right answers. No weight is changed. Beside it stands the share of its attention that the class token gives itself in that layer.

# %%
known, alone = [], []
with torch.no_grad():
    for i in range(1, L + 1):
        token = model.encoder.norm(seen[f"block_{i}"][:, 0])
        known.append((model.head(token).argmax(dim=1) == labels).float().mean().item())
        alone.append(seen[f"attention_{i}"][:, :, 0, 0].mean().item())
for i in range(L):
    print(f"layer {i + 1}   {known[i]:6.1%}   to itself {alone[i]:6.1%}")

# %% tags=["figure"]
figures.lines({"": (layers, [100 * share for share in known])}, "layer", "accuracy / %")

# %% [markdown] tags=["caption"]
# <!-- alt: A curve of accuracy over the six layers that rises steadily from below twenty to above eighty. -->
# **Figure 8.12.** Right answers on 1,000 test pictures, when the head reads the class token after each layer.

# %% [markdown]
# There is no one layer in which it is decided. Every layer adds, and each hands on something that the final head can read in part, though it was never trained to.
#
# ## Who is like whom? {#neighbors}
#
# What the head reads is a vector of $D$ numbers for a picture. Pictures whose vectors point the same way are alike to the model. Let us take 5,000 training pictures and find, for a test picture, the nearest ones: once by those vectors, once by the raw pixels.

# %%
shelf, names = pictures.train_images[::10], pictures.train_labels[::10]


@torch.no_grad()
def vectors(images):
    out = []
    for batch in images.split(250):
        tokens = model.embedding(trained.inputs(batch))
        tokens = model.encoder(model.positions(model.class_token(tokens)))
        out.append(F.normalize(tokens[:, 0], dim=1))
    return torch.cat(out)


def pixels(images):
    flat = images.float().flatten(1)
    return F.normalize(flat - flat.mean(dim=1, keepdim=True), dim=1)


near = {
    "class token": vectors(images) @ vectors(shelf).T,
    "pixels": pixels(images) @ pixels(shelf).T,
}
for name, likeness in near.items():
    votes = F.one_hot(names[likeness.topk(10).indices], 10).sum(dim=1)
    print(f"{name:<14}{(votes.argmax(dim=1) == labels).float().mean():6.1%}")

# %% [markdown]
# The table counts how often the ten nearest pictures, by majority, have the right class. No head was asked: the vectors alone have the classes in them. (The model has seen the 5,000 pictures in training, with their labels; not the queries.) Three queries, and their five nearest pictures in both senses:

# %% tags=["figure"]
queries = [int(torch.where(labels == k)[0][1]) for k in (2, 5, 9)]
rows, words = [], []
for q in queries:
    for likeness in near.values():
        found = likeness[q].topk(5).indices
        rows += [images[q], *shelf[found]]
        words += [f"[{pictures.classes[labels[q]]}]", *(pictures.classes[names[n]] for n in found)]
figures.images(rows, words, columns=6)

# %% [markdown] tags=["caption"]
# <!-- alt: Six rows of six small pictures with class names. Each query stands at the left of two rows: in the upper one the five pictures beside it show the same kind of thing, in the lower one they share its colors and outlines, whatever they show. -->
# **Figure 8.13.** Three queries, in brackets, and their nearest training pictures. Upper row of each pair: by the class token. Lower row: by pixels.

# %% [markdown]
# ## Receipt {#receipt}
#
# Two claims need an independent witness. The attention weights that `watch` returns are those of PyTorch's own multi-head attention with the same matrices, in float64, for every head:

# %%
from vitlit.receipts import Row

block = deepcopy(model.encoder.blocks[2]).double()
theirs = torch.nn.MultiheadAttention(config.width, h, batch_first=True).double()
theirs.in_proj_weight.data = block.attention.qkv.weight.data
theirs.in_proj_bias.data = block.attention.qkv.bias.data
tokens = block.norm1(seen["block_2"][:4].double())
with torch.no_grad():
    ours = block.attention.with_weights(tokens)[1]
    _, reference = theirs(tokens, tokens, tokens, average_attn_weights=False)
row = Row("attention", (ours - reference).abs().max().item(), reference.abs().max().item())
assert row.holds
print(f"max |Δ| {row.difference:.1e}   max |reference| {row.reference:.3g}")

# %% [markdown]
# And rollout is a random walk. Start at the class token in the last layer; in each layer stay with probability one half, else jump where attention points. The chance to end at a patch is the rollout. Sum it over all paths through three tokens and three layers, one path at a time:

# %%
import itertools

small = torch.rand(3, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
small = small / small.sum(dim=-1, keepdim=True)
steps = [(layer + torch.eye(3)) / 2 for layer in small]
walked = torch.zeros(3, dtype=torch.float64)
for a, b, end in itertools.product(range(3), repeat=3):
    walked[end] += steps[2][0, a] * steps[1][a, b] * steps[0][b, end]
product = steps[2] @ steps[1] @ steps[0]
row = Row("rollout", (product[0] - walked).abs().max().item(), walked.max().item())
assert row.holds
print(f"max |Δ| {row.difference:.1e}   max |reference| {row.reference:.3g}")

# %% [markdown]
# ## Exercises {#exercises}
#
# **1.** A head that looks everywhere alike has a mean attention distance that depends on the grid alone. Write `everywhere`: that distance, in pixels, for a grid of `rows` × `columns` patches of `P` pixels. Patches look at themselves too.


# %% tags=["exercise"]
def everywhere(rows, columns, P): ...


def check_everywhere(everywhere):
    found = everywhere(*grid, P)
    assert found is not None
    assert abs(float(found) - uniform.item()) < 1e-4
    assert abs(float(everywhere(1, 2, 4)) - 2.0) < 1e-6


# %% jupyter={"source_hidden": true} tags=["solution"]
def everywhere(rows, columns, P):
    places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).double()
    return P * torch.cdist(places, places).mean()


check_everywhere(everywhere)

# %% [markdown]
# **2.** Is a head choosy? The **entropy** of a row of attention weights, $-\sum_k A_k \log_2 A_k$, says in bits between how many tokens it spreads: 0 for one, $\log_2 T$ for all alike. Write `entropy`, over the last axis. Mind $0 \log 0 = 0$.


# %% tags=["exercise"]
def entropy(weights): ...


def check_entropy(entropy):
    rows = torch.tensor([[1.0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0, 0]])
    found = entropy(rows)
    assert found is not None
    torch.testing.assert_close(found, torch.tensor([0.0, 2.0, 1.0]))


# %% jupyter={"source_hidden": true} tags=["solution"]
def entropy(weights):
    return torch.special.entr(weights).sum(dim=-1) / torch.tensor(2.0).log()


check_entropy(entropy)
for i in (1, L):
    print(i, entropy(seen[f"attention_{i}"]).mean(dim=(0, 2)).numpy().round(2))

# %% [markdown]
# ## In the paper {#paper}
#
# Section 4.5 of [Dosovitskiy et al. (2020)](../docs/bibliography.md#dosovitskiy2020) inspects a trained model as we did: principal components of the filters, position similarity and mean attention distance in figure 7, rollout in figure 6. Appendices D.7 and D.8 say how the last two are computed. [Raghu et al. (2021)](../docs/bibliography.md#raghu2021) follow local and global heads through the layers and compare them with convolutions. [Jain and Wallace (2019)](../docs/bibliography.md#jain2019) ask in general whether attention explains anything.
#
# Next, [chapter 9](09_pretrained.ipynb) looks at weights that other people have trained.
