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
# # 3 · Positions
#
# **How does the model know where a patch was?**
#
# It doesn't. The encoder takes a set of tokens and has no notion of first or last, above or below. Whatever it shall know about places must be written into the tokens before they enter.
#
# After this chapter you can
#
# - put a class token before the patches, and say what it is for,
# - show that without positions an encoder cannot tell a cat from a shuffled cat,
# - read the similarity picture of a position table, learned or made of sines and cosines,
# - carry a table over to images of another size, and name the three ways to do it.

# %% tags=["figure"]
from vitlit import figures

figures.pipeline("positions")

# %% [markdown] tags=["caption"]
# <!-- alt: The model drawn as five boxes in a row. The third box, positions, is lit. The arrow into it says B N D, the arrow out of it B T D. -->
# **Figure 3.1.** Where we are. $N$ patch tokens of width $D$ enter; $T = N + 1$ tokens leave. This chapter adds one token, and one vector to each.

# %% [markdown]
# ## Somebody must collect the answer {#class-token}
#
# The encoder returns as many tokens as it got. Each patch comes back knowing something about the others. But we want one answer for the whole image, so which token do we read?
#
# The paper adds one: the **class token** $x_\text{class}$. It stands before the patches and stands for none of them. It has no pixels to look after, so it is free to collect.
#
# Its vector is a parameter. It is learned, and it is the same for every image. What differs from image to image is what it gathers on the way.

# %%
import torch

torch.manual_seed(0)
torch.set_num_threads(1)  # sums this small only make threads wait for each other
B, N, D = 2, 64, 32
tokens = torch.randn(B, N, D)  # from the patch embedding
x_class = torch.randn(D)

first = x_class.expand(B, 1, D)
with_class = torch.cat([first, tokens], dim=1)
with_class.shape

# %% [markdown]
# Could one not simply average all the patches? One could. [Chapter 5](05_head.ipynb) puts both side by side.

# %% [markdown]
# ## A shuffled cat {#shuffled}
#
# Cut Chelsea into an $8 \times 8$ grid of patches. Deal them out again in a random `order`: place $n$ gets the patch from place `order[n]`. Not a pixel is lost, and you would not let it pass for a cat.

# %%
from vitlit.patches import patchify, unpatchify

P = 12
cat = torch.from_numpy(figures.chelsea(96)).double() / 255
order = torch.randperm(64)
patches = patchify(cat[None], P)
shuffled = unpatchify(patches[:, order], P, (96, 96))[0]
figures.images([cat, shuffled], ["x", "Πx"])

# %% [markdown] tags=["caption"]
# <!-- alt: Left, the face of a tabby cat. Right, the same 64 square pieces of it in random order: eyes, fur and whiskers are scattered. -->
# **Figure 3.2.** The image $x$, and its patches in another order, $\Pi x$.

# %% [markdown]
# Now a model. We take the whole Vision Transformer of this book and treat its encoder as a black box; [chapter 4](04_encoder.ipynb) opens it. All parameters are random: what follows is a matter of how the model is built, not of what it learned. We draw them twice as large as usual, so that the encoder has a strong effect, and compute in float64, so that rounding stays small.
#
# A second model has the same parameters, but its positions are zeros.

# %%
from dataclasses import replace

from vitlit import VisionTransformer, ViTConfig
from vitlit.receipts import randomize_

config = ViTConfig(image_size=(96, 96), patch_size=P)
placed = randomize_(VisionTransformer(config))
for parameter in placed.parameters():
    parameter.data *= 2

placeless = VisionTransformer(replace(config, positions="none")).double().eval()
zeros = {"positions.table": placeless.positions.table}
placeless.load_state_dict(placed.state_dict() | zeros)
placeless.positions.table.count_nonzero().item()

# %% [markdown]
# Both images go through both models. `watch` runs a model and keeps what it computes on the way. We ask for the tokens that leave the encoder, and for the logits: ten numbers, one for each class, from which the class is read.
#
# For the model without positions we make a prediction about the shuffled cat: the same patch tokens in the new `order`, the same class token, the same logits. The table has the largest deviation from it and, for scale, the largest number in the tokens $z$ and in the logits $y$.


# %%
def deviations(model):
    with torch.no_grad():
        seen = model.watch((torch.stack([cat, shuffled]) - cat.mean()) / cat.std())
    (z, z_shuffled), (y, y_shuffled) = seen["encoded"], seen["logits"]
    return {
        "patches": (z_shuffled[1:] - z[1:][order]).abs().max(),
        "class": (z_shuffled[0] - z[0]).abs().max(),
        "logits": (y_shuffled - y).abs().max(),
        "max |z|": z.abs().max(),
        "max |y|": y.abs().max(),
    }


rows = {"none": deviations(placeless), "learned": deviations(placed)}
print("".join(f"{name:>10}" for name in ["", *rows["none"]]))
for kind, row in rows.items():
    print(f"{kind:>10}" + "".join(f"{value.item():>10.1e}" for value in row.values()))

# %% [markdown]
# Without positions the deviation is rounding. Write $\Pi$ for the reordering, $f$ for the encoder, and now $z$ for the tokens that enter it. Then
#
# $$f(\Pi z) = \Pi f(z)$$
#
# A function with this property is **permutation equivariant**: shuffle what goes in, and what comes out is shuffled alike. The class token stays in its place, and so its output is **invariant**: it doesn't change at all. Neither does anything computed from it. This model cannot tell the cat from the confetti, and no training will teach it.
#
# With positions the prediction fails, and by no small amount: the logits move by a good part of their own size, fourteen orders of magnitude above rounding.

# %% [markdown]
# ## A row for every token {#table}
#
# The remedy is an addition. Give every place a vector of its own, its **position embedding**, and add it to the token that stands there:
#
# $$z_0 = [\,x_\text{class};\; x_1 E;\; \dots;\; x_N E\,] + E_\text{pos}, \qquad E_\text{pos} \in \mathbb{R}^{T \times D}$$
#
# The embedding $E$ made the patches $x_1 \dots x_N$ into tokens in [chapter 2](02_embeddings.ipynb). There they were columns, $E x + b$. Here they are rows, as in the paper, which leaves the bias out: its $E$ is ours transposed. $E_\text{pos}$ is a table with one row for each token, and all images share it.

# %%
T = N + 1
table = 0.02 * torch.randn(T, D)
z0 = with_class + table
z0.shape

# %% [markdown]
# The class token has a row too, row 0. That is a luxury: only the sum $x_\text{class} + E_{\text{pos},0}$ ever enters the encoder, so one of the two would do. The paper has both, and so do we.

# %% [markdown]
# A mistake that is easily made: a table with a *single* row. The shape is wrong, yet broadcasting accepts it, and every token gets the same position. It runs, it trains, and it is worth as much as no positions at all. [labml's annotated ViT](../docs/bibliography.md#labml) had it until the summer of 2022: `[x.shape[0]]`, one row of its table, stood there for `[:x.shape[0]]`, until a reader [noticed](https://github.com/labmlai/annotated_deep_learning_paper_implementations/issues/133).

# %%
from copy import deepcopy

one_row = deepcopy(placeless)
one_row.positions.table.data[:] = torch.randn(1, config.width)
print(f"{'one row':>10}" + "".join(f"{v.item():>10.1e}" for v in deviations(one_row).values()))

# %% [markdown]
# ## Which places look alike? {#similarity}
#
# A table of $65 \times 32$ numbers is no pleasure to read. But we can ask it how alike two places are. The measure is the cosine of the angle between their rows,
#
# $$s_{mn} = \frac{e_m \cdot e_n}{\lVert e_m \rVert\, \lVert e_n \rVert}$$
#
# where $e_n$ is row $n$ of $E_\text{pos}$. It is 1 for the same direction, 0 for a right angle.
#
# Leave the class token's row out. For one place that makes 64 numbers, one for every place: an $8 \times 8$ map. There are 64 such maps. We lay each where its place is.

# %%
from torch.nn import functional as F


def similarity(table, grid=(8, 8)):
    patches = table[-grid[0] * grid[1] :]  # not the class token
    unit = F.normalize(patches, dim=1)
    return (unit @ unit.T).reshape(*grid, *grid)


figures.position_maps([similarity(table)])

# %% [markdown] tags=["caption"]
# <!-- alt: Eight by eight small square maps. Each is pale noise with a single dark orange cell, which moves from map to map with the map's own place. -->
# **Figure 3.3.** Position similarity of a fresh table. The map in row $r$ and column $c$ compares that place with all places. Each place is like itself, and the rest is chance.

# %% [markdown]
# A table begins as this noise. That suffices to tell places apart: the "learned" model above had nothing better. What noise does not say is which places are *near* each other. This must be learned, or built in.

# %% [markdown]
# ## Built in: sines and cosines {#sincos}
#
# How would you write a number $r$, say a row, as a vector? A clock does it with hands. A hand that turns by the angle $\omega$ at every step points, after $r$ of them, to $(\sin r\omega, \cos r\omega)$. A fast hand tells neighbors apart, but soon comes around again. A slow hand barely moves between neighbors, but doesn't repeat. So take several hands, from fast to slow:
#
# $$\omega_i = 10000^{-i / (D/4)}, \qquad i = 0, \dots, D/4 - 1$$
#
# A place has a row $r$ and a column $c$. Each gets $D/4$ hands, a hand has two numbers, and that makes $D$:
#
# $$e(r, c) = [\,\sin r\omega,\; \cos r\omega,\; \sin c\omega,\; \cos c\omega\,]$$
#
# where $\omega$ stands for all the $\omega_i$. Nothing is learned.


# %%
def sincos(grid, D):
    omega = 10000 ** -(torch.arange(D // 4) / (D // 4))
    r, c = torch.meshgrid(*map(torch.arange, grid), indexing="ij")
    r, c = r.reshape(-1, 1) * omega, c.reshape(-1, 1) * omega
    return torch.cat([r.sin(), r.cos(), c.sin(), c.cos()], dim=1)


fixed = sincos((8, 8), D)
functions = ["sin r", "cos r", "sin c", "cos c"]
names = [f"{f} ω{i}" for f in functions for i in "₀₁₂₃₄₅₆₇"]
figures.heatmaps(fixed.T.reshape(D, 8, 8), names, signed=True)

# %% [markdown] tags=["caption"]
# <!-- alt: Four rows of eight small maps. The upper two rows have horizontal stripes, the lower two vertical stripes. In each row the stripes get wider from left to right, until the map is of one color. -->
# **Figure 3.4.** The 32 channels of a sine–cosine table, each drawn over the $8 \times 8$ grid, orange for positive and blue for negative. The upper half knows the row, the lower half the column. The first hand is fast; from the fourth on they hardly move on so small a grid.

# %% [markdown]
# What does that say about nearness? Take one hand, at rows $r$ and $r'$:
#
# $$\sin r\omega \,\sin r'\omega + \cos r\omega \,\cos r'\omega = \cos\big((r - r')\,\omega\big)$$
#
# The dot product forgets where the two rows are and keeps how far they are apart. So all the maps below are windows on one picture: a cross, since the same row makes alike, and so does the same column.

# %%
figures.position_maps([similarity(fixed)])

# %% [markdown] tags=["caption"]
# <!-- alt: Eight by eight small maps. All are orange. Each shows a darker cross with its center at the map's own place, and is palest away from the cross. -->
# **Figure 3.5.** Position similarity of the sine–cosine table. The slow hands agree everywhere, so no two places are very unlike.

# %% [markdown]
# ## Learned: nobody mentions a grid {#learned}
#
# The paper builds nothing in. Its table starts as noise, in which place 8 (counting patches only) has no more to do with place 0, right above it, than with place 37. If the grid matters, training has to find it.
#
# Does it? We need a job for which places matter. Here is one: **hide half of the patches, and guess them from the rest.** Fur continues. Whoever knows which patch is next to which guesses well.
#
# Our images are windows of $16 \times 16$ pixels from Chelsea's portrait. With $P = 2$ they have $8 \times 8$ patches.

# %%
photo = torch.from_numpy(figures.chelsea(120)) / 255
mean, std = photo.mean(), photo.std()
windows = ((photo - mean) / std).unfold(1, 16, 1).unfold(2, 16, 1)
windows = windows.permute(1, 2, 0, 3, 4).flatten(0, 1)
windows.shape

# %% [markdown]
# The model is the Vision Transformer again, with one encoder block and another head: one linear map from each patch's token to the $3P^2 = 12$ pixel values of that patch.
#
# A hidden patch enters as a vector of zeros. All that the model has of it is its position.

# %%
from torch import nn

sizes = {"image_size": (16, 16), "patch_size": 2, "width": 32, "mlp_width": 64}
small = ViTConfig(**sizes, depth=1, heads=2)


def painter(positions):
    model = VisionTransformer(replace(small, positions=positions))
    model.head = nn.Linear(32, 12)
    return model


def paint(model, images, hidden):
    tokens = model.embedding(images) * ~hidden[..., None]
    tokens = model.positions(model.class_token(tokens))
    return model.head(model.encoder(tokens)[:, 1:])


# %% [markdown]
# Training: draw 32 windows, hide each patch with probability ½, and move all parameters so that the squared error on the hidden patches shrinks. The table's learning rate is ten times that of the rest. That saves us waiting; [chapter 6](06_cifar10.ipynb) trains without such a crutch.
#
# We train three times: with a learned table, with the fixed one, and with none.


# %%
def train(positions, steps=300):
    torch.manual_seed(0)
    model, losses = painter(positions), []
    slow = [p for name, p in model.named_parameters() if name != "positions.table"]
    rates = [{"params": slow, "lr": 3e-3}, {"params": [model.positions.table], "lr": 3e-2}]
    optimizer = torch.optim.Adam(rates)
    for _ in range(steps):
        images = windows[torch.randint(len(windows), (32,))]
        hidden = torch.rand(32, 64) < 0.5
        error = paint(model, images, hidden) - patchify(images, 2)
        loss = error[hidden].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, losses


trained = {kind: train(kind) for kind in ("none", "sincos", "learned")}

# %% [markdown]
# To judge the errors we want a yardstick: a painter who knows nothing of places and fills every hole of an image with one color, the average of all that can be seen.

# %%
images = windows[torch.randint(len(windows), (1000,))]
seen = (torch.rand(1000, 64) < 0.5)[:, :, None, None]
pixels = patchify(images, 2).unflatten(2, (3, 4))
average = (pixels * seen).sum((1, 3), keepdim=True) / seen.sum((1, 3), keepdim=True) / 4
flat = ((pixels - average) * ~seen).square().sum() / (~seen).sum() / 12
print(f"{flat.item():.2f}")

# %% [markdown]
# At first, all three models learn to paint like this. Without positions that is the end of it: all hidden patches enter as the same zeros, so they leave as the same token.
#
# With positions, a model can ask the neighbors. The fixed table has told it from the start who they are. With the learned one it has to find out, and then the error falls here too.

# %% tags=["figure"]
series = {"average": ([0, 300], [flat, flat])}
for kind, (_, losses) in trained.items():
    smooth = torch.tensor(losses).unfold(0, 20, 4).mean(dim=1)
    series[kind] = (20 + 4 * torch.arange(len(smooth)), smooth)
figures.lines(series, x="step", y="squared error / σ²")

# %% [markdown] tags=["caption"]
# <!-- alt: Three falling curves of error over 300 steps, and a level line named average. The curve named none falls to just above the line and stays about there. The curve sincos leaves it first and ends lowest. The curve learned follows none for a third of the way, then turns downward too. -->
# **Figure 3.6.** Error on the hidden patches (mean of 20 steps). The error is in units of the portrait's variance $\sigma^2$, so 1 is what a flat gray guess costs.

# %% [markdown]
# Three windows that were drawn at random show what the numbers mean.

# %% tags=["figure"]
torch.manual_seed(1)
images = windows[torch.randint(len(windows), (3,))]
hidden = torch.rand(3, 64) < 0.5
truth = patchify(images, 2)
holes = hidden[..., None]
with torch.no_grad():
    guesses = [paint(trained[k][0], images, hidden) for k in ("none", "learned")]
shown = [truth * ~holes, *[truth.where(~holes, guess) for guess in guesses], truth]
pictures = [unpatchify(s, 2, (16, 16))[i] * std + mean for i in range(3) for s in shown]
figures.images(pictures, ["hidden", "none", "learned", "x"] * 3, columns=4)

# %% [markdown] tags=["caption"]
# <!-- alt: Three rows of four small pictures of fur. First half of the patches are gray, then all filled with one color, then filled so that the fur continues, last the true picture. -->
# **Figure 3.7.** What the model gets, what it paints without positions and with learned ones, and the truth. Without positions, one color fills all holes of an image; with them, light and dark go where they belong.

# %% [markdown]
# And the table? Nobody told it about rows, columns or neighbors. Here it is before and after, with the fixed one for comparison.

# %% tags=["wide"]
torch.manual_seed(0)
before = painter("learned").positions.table.detach()
learned = trained["learned"][0].positions.table.detach()
panels = {"0": before, "300": learned, "sincos": fixed}
figures.position_maps([similarity(t) for t in panels.values()], list(panels))

# %% [markdown] tags=["caption"]
# <!-- alt: Three grids of eight by eight maps. In the left grid each map is pale noise with one orange cell. In the middle grid each map has a round orange spot around its own place that fades with distance. In the right grid each map is orange with a darker cross. -->
# **Figure 3.8.** Position similarity of the learned table at step 0 and at step 300, and of the sine–cosine table. The grid has been found: places are alike when they are near.

# %% [markdown]
# One photograph and 300 steps are no ImageNet. [Chapter 6](06_cifar10.ipynb) trains a classifier on real data, and the record of its run keeps the table of every epoch.

# %% [markdown]
# ## Another grid {#interpolation}
#
# A table has one row for each place of *its* grid. Ours fits $8 \times 8$ patches. An image of $24 \times 24$ pixels has $12 \times 12$, and for most of these there is no row. Everything else in the model would take them: embedding, encoder and head don't count tokens.

# %% [markdown]
# Look at the table from the side. Without the class token's row, it is an image: 8 by 8 pixels, $D$ channels. And images can be resized. The class token has no place in the image, so its row is kept as it is.


# %%
def resize(table, old, new, **how):
    first, rest = table[:1], table[1:]
    image = rest.T.reshape(1, -1, *old)
    image = F.interpolate(image, size=new, **how)
    return torch.cat([first, image.flatten(2)[0].T])


grown = resize(learned, (8, 8), (12, 12), mode="bicubic")
print(tuple(learned.shape), tuple(grown.shape), torch.equal(learned[0], grown[0]))

# %% [markdown]
# "Resized" leaves two things open. One is the **filter**: how to compute a value between the old ones. *Bilinear* joins neighbors by straight lines. *Bicubic* takes four in a row and bends.
#
# The other is the **alignment**: where on the old grid does new place $j$ lie, when $n$ places become $m$?
#
# $$\underbrace{j\,\frac{n - 1}{m - 1}}_{\text{corners aligned}} \qquad\qquad \underbrace{\left(j + \tfrac12\right)\frac{n}{m} - \tfrac12}_{\text{image edges aligned}}$$

# %% [markdown]
# The first puts the first new place on the first old one, and the last on the last. The second asks where the middle of the patch truly is in the image. When a grid grows, the middle of its first patch then lies *outside* that of the first old one. What the filter finds beyond the border is one more thing to decide. One can repeat the border's value there, or leave out what does not exist.

# %%
n, m = 8, 12
j = torch.arange(m)
corners, edges = j * (n - 1) / (m - 1), (j + 0.5) * n / m - 0.5
for places in (corners, edges):
    print(" ".join(f"{place:5.2f}" for place in places))

# %% [markdown]
# Three well-known codes have decided in three ways: the paper's own, which calls SciPy's `zoom`; torchvision; and timm. (`antialias` averages over more places when a grid shrinks, so that no old place is skipped.) The fourth is what our module does unless told otherwise.

# %%
conventions = {
    "scipy": {"mode": "bilinear", "align_corners": True},
    "torchvision": {"mode": "bicubic", "align_corners": True},
    "timm": {"mode": "bicubic", "antialias": True},
    "vitlit": {"mode": "bicubic"},
}
tables = {name: resize(learned, (8, 8), (12, 12), **how) for name, how in conventions.items()}

# %% tags=["figure"]
channel = learned[1:].var(dim=0).argmax()
maps = [learned[1:, channel].reshape(8, 8)]
maps += [t[1:, channel].reshape(12, 12) for t in tables.values()]
figures.heatmaps(maps, ["8 × 8", *tables], signed=True)

# %% [markdown] tags=["caption"]
# <!-- alt: One coarse map of 8 by 8 cells in orange and blue, then four finer maps of 12 by 12 cells that show the same blots, hard to tell from each other. -->
# **Figure 3.9.** The channel of the learned table that varies most, and the same channel on $12 \times 12$ places in the four conventions.

# %% [markdown]
# They look alike. How alike are they? We take the difference of two conventions, entry by entry, in units of the table's standard deviation, and print its root mean square and its maximum. We do so for the learned table and for one of plain noise.


# %%
def difference(table, names):
    a, b = (resize(table, (8, 8), (12, 12), **conventions[name])[1:] for name in names.split())
    return ((a - b) / table[1:].std()).reshape(12, 12, -1)


pairs = ["scipy torchvision", "scipy timm", "torchvision timm", "timm vitlit"]
noise = torch.randn(65, 32)
print(f"{'':<22}{'learned':>8}{'max':>7}{'noise':>8}{'max':>7}")
for names in pairs:
    row = ""
    for d in (difference(learned, names), difference(noise, names)):
        row += f"{d.square().mean().sqrt().item():>8.2f}{d.abs().max().item():>7.2f}"
    print(f"{names:<22}{row}")

# %% tags=["figure"]
maps = [difference(learned, names).square().mean(dim=-1).sqrt() for names in pairs]
figures.heatmaps(maps, pairs, bar=True)

# %% [markdown] tags=["caption"]
# <!-- alt: Four maps of 12 by 12 cells. The first is moderately bright all over and dark in its four corners. The second is brighter. The third has a dark middle and a bright frame just inside the border. The fourth is dark everywhere. -->
# **Figure 3.10.** Where the conventions differ on the learned table (root mean square over the channels, in standard deviations). scipy and torchvision share the alignment, so their corners agree. torchvision and timm differ in it: they agree best in the middle, and differ most just inside the border.

# %% [markdown]
# Noise suffers more than a learned table: a smooth image can be resized in many ways with nearly one result. In noise, the worst entry is off by about a whole standard deviation; in the learned table, by somewhat more than half. A typical entry is off by a tenth there.
#
# That is small, but it isn't rounding. Who loads somebody's weights and looks at larger images should resize as that somebody did.
#
# The last row of the table of differences is a surprise: nothing shrinks, so antialiasing has nothing to do. But in PyTorch the antialiased path is other code, and it differs in two ways. Its cubic has another constant $a$. And beyond the border it repeats nothing: it leaves out the places that do not exist, and divides by the sum of the weights that are left.
#
# Here are both paths by hand, as matrices $R$ with a row for each new place ($a$ is $-0.75$ in ours and $-0.5$ in timm's). Printed is how far they are from PyTorch's. “Between” is made up: the constant of timm's path with the border of ours. So the last two lines part the difference in two, first the constant's share, then the border's, as root mean squares in the same unit as above.


# %%
def cubic(x, a):
    x = x.abs()
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


around = torch.arange(-2, n + 2)  # the old places, and two beyond each border
distances = (torch.arange(m).double()[:, None] + 0.5) * n / m - 0.5 - around
repeated, between = (
    torch.zeros(m, n).double().index_add(1, around.clamp(0, n - 1), cubic(distances, a))
    for a in (-0.75, -0.5)
)
existing = cubic(distances, -0.5)[:, 2:-2]
left_out = existing / existing.sum(dim=1, keepdim=True)

exact = learned.double()
image = exact[1:].T.reshape(-1, n, n)
paths = {"vitlit": repeated, "between": between, "timm": left_out}
by_hand = {name: (R @ image @ R.T).flatten(1).T for name, R in paths.items()}
for name in ("vitlit", "timm"):
    theirs = resize(exact, (n, n), (m, m), **conventions[name])[1:]
    print(f"{name:<16}max |Δ| {(by_hand[name] - theirs).abs().max().item():.1e}")
for a, b in (("vitlit", "between"), ("between", "timm")):
    change = (by_hand[a] - by_hand[b]).square().mean().sqrt() / exact[1:].std()
    print(f"{a + ' ' + b:<16}{change.item():.3f}")

# %% [markdown]
# A sine–cosine table needs none of this. Ask the formula for the new grid.

# %% [markdown]
# ## The module's version {#module}
#
# All of it lives in one file, `vitlit.positions`: two small classes and two functions.

# %%
from vitlit.positions import (
    ClassToken,
    PositionEmbedding,
    interpolate_positions,
    sincos_positions,
)
from vitlit.reveal import reveal

# %% [markdown]
# The class token is a module with one parameter.

# %% tags=["reveal"]
reveal(ClassToken)

# %% [markdown]
# It starts as all zeros, as in the paper's code. At first, the row of positions added to it is all that it says.

# %% tags=["reveal"]
reveal(ClassToken.__init__)

# %% [markdown]
# `expand` repeats the vector for each image without copying it. So all images share one parameter, and its gradient is the sum over the batch.

# %% tags=["reveal"]
reveal(ClassToken.forward)

# %% [markdown]
# `sincos_positions` is our formula again. Places come row by row, as `patchify` numbers the patches. All is computed in float64 and rounded once, at the end.

# %% tags=["reveal"]
reveal(sincos_positions)

# %% [markdown]
# For `interpolate_positions`, whatever stands before the patches is **extra**, and its rows are kept. With a class token that is one row; a model that averages its patches has none. Mode, alignment and antialiasing are arguments, since each source has its own.

# %% tags=["reveal"]
reveal(interpolate_positions)

# %% [markdown]
# One module holds all three kinds of positions that you have seen. "none" is a table of zeros, so every model has one, of the same shape.

# %% tags=["reveal"]
reveal(PositionEmbedding)

# %% [markdown]
# A learned table begins as a normal of standard deviation 0.02. The others are parameters that want no gradient: they are saved with the model, and no optimizer touches them.

# %% tags=["reveal"]
reveal(PositionEmbedding.__init__)

# %% [markdown]
# The forward pass is one addition. The check before it matters: without it, a table of one row would broadcast in silence.

# %% tags=["reveal"]
reveal(PositionEmbedding.forward)

# %% [markdown]
# For another grid, a learned table is interpolated. The other kinds are simply made anew.

# %% tags=["reveal"]
reveal(PositionEmbedding.resized)

# %% [markdown]
# Module and plain functions agree. The sines differ by rounding, because ours computed the frequencies in float32.

# %%
with torch.no_grad():
    class_token = ClassToken(D)
    class_token.token.copy_(x_class)
    assert torch.equal(class_token(tokens), with_class)
    position = PositionEmbedding((8, 8), D)
    position.table.copy_(table)
    assert torch.equal(position(with_class), z0)
for how in conventions.values():
    larger = position.resized((12, 12), **how).table
    torch.testing.assert_close(larger.data, resize(table, (8, 8), (12, 12), **how))
    assert torch.equal(larger[0], position.table[0])
torch.testing.assert_close(sincos_positions((8, 8), D), fixed, rtol=0, atol=1e-6)

# %% [markdown]
# ## Receipt {#receipt}
#
# Three other implementations carry a random table of $1 + 8 \times 8$ rows to $12 \times 12$ places. Each gets the same table as we, in float64. The table's gradient must agree too.
#
# torchvision's function takes a whole checkpoint, of which it wants one entry. Give it an image of 12 pixels and patches of 1.

# %%
from torchvision.models.vision_transformer import interpolate_embeddings

from vitlit.receipts import compare, random_images


def torchvision_resize(table):
    key = "encoder.pos_embedding"
    return interpolate_embeddings(12, 1, {key: table[None]})[key][0]


random_table = random_images(65, 32)
compare(
    lambda t: interpolate_positions(t, (8, 8), (12, 12), align_corners=True),
    torchvision_resize,
    random_table,
)

# %% [markdown]
# timm's function converts the table to float32 before it works. For the receipt, we let `float` mean `double` while it runs.

# %%
from unittest import mock

from timm.layers import resample_abs_pos_embed


def timm_resize(table):
    with mock.patch.object(torch.Tensor, "float", torch.Tensor.double):
        return resample_abs_pos_embed(table[None], new_size=[12, 12], old_size=[8, 8])[0]


compare(
    lambda t: interpolate_positions(t, (8, 8), (12, 12), antialias=True),
    timm_resize,
    random_table,
)

# %% [markdown]
# The paper's code calls `scipy.ndimage.zoom`, which knows nothing of gradients. But resizing is linear: each new row is a weighted sum of old rows. So we zoom the 64 images that have a single 1, and get all the weights as a matrix $R$ of $144 \times 64$. The class token's row passes by.

# %%
import numpy as np
from scipy.ndimage import zoom

ones = np.eye(64).reshape(64, 8, 8)
R = torch.from_numpy(zoom(ones, (1, 12 / 8, 12 / 8), order=1).reshape(64, 144).T)
compare(
    lambda t: interpolate_positions(t, (8, 8), (12, 12), mode="bilinear", align_corners=True),
    lambda t: torch.cat([t[:1], R @ t[1:]]),
    random_table,
)

# %% [markdown]
# Last, the sine–cosine table. NumPy makes the clock hands as complex numbers, $e^{\mathrm{i} r \omega} = \cos r\omega + \mathrm{i} \sin r\omega$, on a grid that is no square, one place at a time.

# %%
from vitlit.receipts import Row

omega = np.logspace(0, -4, 8, endpoint=False)  # 10000^(-i/8)
hands = [[np.exp(1j * place * omega) for place in (r, c)] for r in range(6) for c in range(10)]
reference = np.array([np.concatenate([a.imag, a.real, b.imag, b.real]) for a, b in hands])

torch.set_default_dtype(torch.float64)
difference = np.abs(sincos_positions((6, 10), 32).numpy() - reference).max()
torch.set_default_dtype(torch.float32)
receipt = Row("sincos", difference, np.abs(reference).max())
assert receipt.holds
print(f"max |Δ| {receipt.difference:.1e}   max |reference| {receipt.reference:.3g}")

# %% [markdown]
# ## Exercises {#exercises}
#
# **1.** A model without positions got a shuffled image: place $n$ held patch `order[n]`. You have its outputs for the patches, of shape $B \times N \times D$. Write `unshuffle`: what would the original image have given?


# %% tags=["exercise"]
def unshuffle(outputs, order): ...


def check_unshuffle(unshuffle):
    seen = placeless.watch(torch.stack([cat, shuffled]))["encoded"][:, 1:]
    found = unshuffle(seen[1:], order)
    assert found is not None
    assert torch.allclose(found, seen[:1], atol=1e-10)


# %% jupyter={"source_hidden": true} tags=["solution"]
def unshuffle(outputs, order):
    return outputs[:, order.argsort()]


check_unshuffle(unshuffle)

# %% [markdown]
# **2.** The similarity of two sine–cosine positions depends only on how many rows and columns lie between them. Write `alike`: the cosine similarity in a table of width `D` of two places that are `rows` rows and `columns` columns apart. Do it without making a table.


# %% tags=["exercise"]
def alike(rows, columns, D): ...


def check_alike(alike):
    maps = similarity(sincos_positions((8, 8), 32))
    for (r, c), (rows, columns) in [((0, 0), (0, 0)), ((2, 3), (1, 4)), ((5, 1), (-5, 6))]:
        found = alike(rows, columns, 32)
        assert found is not None
        assert abs(float(found) - maps[r, c, r + rows, c + columns].item()) < 1e-5


# %% jupyter={"source_hidden": true} tags=["solution"]
def alike(rows, columns, D):
    omega = 10000 ** -(torch.arange(D // 4) / (D // 4))
    return ((rows * omega).cos() + (columns * omega).cos()).mean() / 2


check_alike(alike)

# %% [markdown]
# ## In the paper {#paper}
#
# [Dosovitskiy et al. (2020)](../docs/bibliography.md#dosovitskiy2020), section 3.1 and equation 1, have the class token and the position embeddings, which they learn. Section 3.2 interpolates them for images of higher resolution, and remarks that, apart from cutting patches, this is the only place where the two dimensions of an image are built in by hand. Figure 7 (center) is the similarity picture of a large model; section 4.5 discusses it. Appendix D.4 compares no positions, the plain table, a table split into rows and columns (learned as well), and relative positions: leaving them out costs a few points, and the choice among the others hardly matters.
#
# Sines and cosines come from section 3.5 of [Vaswani et al. (2017)](../docs/bibliography.md#vaswani2017), for words in a row. In two dimensions, and fixed, [Beyer et al. (2022)](../docs/bibliography.md#beyer2022) use them in their plain ViT.
#
# Next, [chapter 4](04_encoder.ipynb) opens the black box.
