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
# # 2 · Embeddings
#
# **How does a patch become a vector the model can work with?**
#
# A patch is a list of pixel values, and how many depends on the patch size. The layers that follow all work with vectors of one width, $D$. One matrix stands between the two. It is the only part of the model that ever touches a pixel.
#
# After this chapter you can
#
# - embed all patches with one matrix product, and read the rows of the matrix as little pictures,
# - say why all patches share the matrix, and what that buys,
# - write the same thing as a strided convolution, and carry weights from one to the other,
# - choose how large random weights should be.

# %% tags=["figure"]
from vitlit import figures

figures.pipeline("embedding")

# %% [markdown] tags=["caption"]
# <!-- alt: The model drawn as five boxes in a row. The second box, embedding, is lit. The arrow into it is labeled B N CP², the arrow out of it B N D. -->
# **Figure 2.1.** Where we are. $N$ patches of $CP^2$ numbers enter, $N$ vectors of $D$ numbers leave. $N$ stays: no patch has met another yet.

# %% [markdown]
# ## A patch meets a matrix {#matrix}
#
# Chelsea again, cut into patches of $P = 8$: there are $N = 144$ of them, and each holds $CP^2 = 3 \cdot 8^2 = 192$ numbers.
#
# Pixels enter a network **standardized**: in each channel we subtract the mean and divide by the standard deviation. So the numbers lie around 0, and their typical size is 1.

# %%
import torch

from vitlit.patches import patchify, unpatchify

torch.set_num_threads(1)  # products this small only make threads wait for each other
P = 8
cat = torch.from_numpy(figures.chelsea(96)) / 255
mean = cat.mean(dim=(1, 2), keepdim=True)
std = cat.std(dim=(1, 2), keepdim=True)
images = ((cat - mean) / std)[None]
B, C, H, W = images.shape
patches = patchify(images, P)
patches.shape

# %% [markdown]
# Take one patch $x$, a vector of $CP^2$ numbers, and a second vector of as many **weights**. Their dot product is one number. It is large where the patch resembles the weights: a question put to the patch, and its answer.
#
# Here are three questions. How bright are you? Are you brighter on the right? Are you more red than blue? Stacked, they are the rows $E_0, E_1, E_2$ of a matrix $E$. One product puts all three to all patches.

# %%
bright, edge, red = torch.zeros(3, C, P, P)
bright[:] = 1
edge[..., : P // 2], edge[..., P // 2 :] = -1, 1
red[0], red[2] = 1, -1
questions = torch.stack([bright, edge, red]).reshape(3, C * P * P)
answers = patches @ questions.T
answers.shape

# %% [markdown]
# The weights have the shape of a patch, so we can look at them as a little picture. Weight 0 becomes gray, and in each color positive weights are lighter, negative ones darker.
#
# The answers form a picture too, with one pixel for each patch. We lay the 144 answers to one question out on the $12 \times 12$ grid.


# %%
def centered(values):
    return 0.5 + 0.4 * values / values.abs().max()


grid = H // P, W // P
weights = [centered(row.reshape(C, P, P)) for row in questions]
maps = [centered(answers[0, :, d].reshape(grid)) for d in range(3)]
names = ["E₀", "E₁", "E₂", "E₀ x", "E₁ x", "E₂ x"]
figures.images([*weights, *maps], names, columns=3)

# %% [markdown] tags=["caption"]
# <!-- alt: Top row, three sets of weights as squares: plain light gray, dark on the left and light on the right, plain orange. Below each, a 12 by 12 gray picture of the answers: a coarse cat, its vertical edges, and its reddest parts. -->
# **Figure 2.2.** Three rows of weights (top), and what they find in each patch of the cat (bottom). The first map is the cat herself at 12 × 12 pixels.

# %% [markdown]
# An **embedding** puts not three questions but $D$. Patch $x$ becomes the vector $z$ of $D$ answers, its **token**:
#
# $$z = E\,x + b, \qquad E \in \mathbb{R}^{D \times CP^2}, \quad b \in \mathbb{R}^{D}$$
#
# The **bias** $b$ is one more number for each question: what to answer when all pixels are 0.
#
# Nobody writes the questions. They begin as random numbers, and training changes them until they are of use. (The code divides them by $\sqrt{CP^2}$. The reason has a section of its own, [below](#scale).)

# %%
torch.manual_seed(0)
D = 64
E = torch.randn(D, C * P * P) / (C * P * P) ** 0.5
b = torch.zeros(D)
tokens = patches @ E.T + b
tokens.shape

# %% tags=["figure"]
figures.images([centered(row.reshape(C, P, P)) for row in E[:24]])

# %% [markdown] tags=["caption"]
# <!-- alt: Three rows of eight small squares, each filled with 8 by 8 pixels of random color. -->
# **Figure 2.3.** The first 24 of 64 random rows. Every model starts with such questions.

# %% [markdown]
# PyTorch has this map ready-made: `nn.Linear`. It stores $E$ with one row for each output, just as we do. With our $E$ and $b$ it gives our tokens. The difference is rounding at most.

# %%
from torch import nn

linear = nn.Linear(C * P * P, D)
with torch.no_grad():
    linear.weight.copy_(E)
    linear.bias.copy_(b)
    difference = (linear(patches) - tokens).abs().max().item()
print(f"max |Δ| {difference:.1e}   max |z| {tokens.abs().max():.3g}")

# %% [markdown]
# ## One map for all {#sharing}
#
# Every patch meets the same $E$. It need not be so: each of the $N$ places could have a matrix of its own. Three things speak for sharing.
#
# **It is cheap.** Here is what ViT-Base with $P = 16$ would pay at $224 \times 224$ pixels, in parameters. The second number is more than the whole model has ([chapter 5](05_head.ipynb) counts it).

# %%
one = 3 * 16**2 * 768 + 768
print(f"{'shared':<10}{one:>13,}\n{'separate':<10}{(224 // 16) ** 2 * one:>13,}")

# %% [markdown]
# **It fits any image size.** A larger picture has more patches, and they meet the same matrix.
#
# **What it learns in one place it knows in all.** Move the picture by $P$ pixels, and each patch turns up one place further, unchanged. So the tokens move by one place, unchanged. An eye keeps its token when it moves.
#
# But it has to move by whole patches. Move it by half a patch, and every patch is cut anew: the tokens are other tokens. The table says by how much they differ from the old tokens, after the whole step that fits best. (`roll` moves the picture and lets what leaves on one side return on the other.)


# %%
def on_grid(images, E):
    return (patchify(images, P) @ E.T)[0].T.reshape(-1, *grid)


still = on_grid(images, E)
table = [f"{'shift':>5}{'mean |Δ| / mean |z|':>22}"]
for shift in (0, 2, 4, 6, 8, 16):
    moved = on_grid(images.roll(shift, -1), E)
    steps = [(moved - still.roll(k, -1)).abs().mean() for k in range(3)]
    table.append(f"{shift:>5}{min(steps) / still.abs().mean():>22.2f}")
print("\n".join(table))

# %% tags=["figure"]
shifts = (0, P, P // 2)
moved = [on_grid(images.roll(s, -1), questions)[1] for s in shifts]
figures.images([centered(m) for m in moved], [f"{s} px" for s in shifts])

# %% [markdown] tags=["caption"]
# <!-- alt: Three 12 by 12 gray maps of edges. The second is the first, moved one square to the right. In the third, edges have appeared and vanished. -->
# **Figure 2.4.** The answers $E_1 x$ (brighter on the right?) for the cat at rest, moved by a whole patch, and by half a patch. A whole patch moves the map by one square. Half a patch makes another map.

# %% [markdown]
# ## A convolution in disguise {#convolution}
#
# A convolution slides a small window of weights, its **kernel**, over the image and takes a dot product at each stop. The **stride** is the distance between stops. Let $x$ be the whole image now. For a kernel $K$ of $P \times P$ pixels and stride $s$, output $d$ at stop $(i, j)$ is
#
# $$y_{d,i,j} = \sum_{c,u,v} K_{d,c,u,v}\; x_{c,\;is+u,\;js+v}.$$
#
# Set $s = P$. Now the windows touch and never overlap: window $(i, j)$ is patch number $n = i\,W/P + j$. The sum over $c, u, v$ is the dot product with row $d$ of $E$, in the order in which `patchify` flattens. So the kernel is $E$, reshaped.

# %%
from torch.nn import functional as F

kernel = E.reshape(D, C, P, P)
maps = F.conv2d(images, kernel, bias=b, stride=P)
maps.shape

# %% [markdown]
# The channels of this output are the numbers of a token, and its $12 \times 12$ pixels are the patches. Flatten the pixels and swap the two axes: the tokens.
#
# Two ways of adding up 192 products differ by rounding and nothing else. The proof: float64 rounds far more finely, and there the difference is far smaller.

# %%
table = [f"{'':<8}{'max |Δ|':>10}{'max |z|':>10}"]
for precision in (torch.float32, torch.float64):
    x, K = images.to(precision), kernel.to(precision)
    convolved = F.conv2d(x, K, stride=P).flatten(2).mT
    product = patchify(x, P) @ K.flatten(1).T
    difference = (convolved - product).abs().max().item()
    name = str(precision).removeprefix("torch.")
    table.append(f"{name:<8}{difference:>10.0e}{product.abs().max():>10.3g}")
print("\n".join(table))

# %% [markdown]
# With a smaller stride the windows overlap, and the maps grow finer. Read from the fine end, the patch embedding is a convolution at stride 1 of which every $P$-th pixel is kept, in rows and in columns.
#
# A convolutional network would put many small kernels one after another. The Vision Transformer has this one, with large windows, and leaves the rest to attention.

# %%
edges = questions[1:2].reshape(1, C, P, P)
strides = (1, 2, 4, 8)
maps = [F.conv2d(images, edges, stride=s)[0, 0] for s in strides]
figures.images([centered(m) for m in maps], [f"s = {s}" for s in strides])

# %% [markdown] tags=["caption"]
# <!-- alt: Four gray edge maps of the cat's face, from fine to coarse. At stride 1 eyes, nose and stripes are easy to make out; at stride 8 twelve by twelve squares remain. -->
# **Figure 2.5.** The kernel $E_1$ at four strides. At $s = P = 8$ this is the middle map of figure 2.2.

# %% [markdown]
# ## Which questions are good? {#filters}
#
# Rows of $E$ are also called **filters**. Which ones would training find? That depends on the task, and we have none yet. So we ask something simpler: with only $D$ answers, from which questions could you best rebuild the patch?
#
# Linear algebra knows. The best $D$ questions are the first $D$ **principal components** of the patches. They are the right singular vectors of the matrix $X$ that holds a patch in each row, in the order of the singular values. (Principal component analysis subtracts the mean patch first. Our pixels are standardized, so we leave that out.)
#
# We scale the cat to three sizes, and cut a patch at every third pixel, in rows and in columns.

# %%
sizes = (300, 200, 100)
cats = [torch.from_numpy(figures.chelsea(size)) / 255 for size in sizes]
X = torch.cat([F.unfold((c - mean) / std, P, stride=3).T for c in cats])
_, S, V = torch.linalg.svd(X, full_matrices=False)
X.shape, V.shape

# %% tags=["figure"]
figures.images([centered(row.reshape(C, P, P)) for row in V[:24]])

# %% [markdown] tags=["caption"]
# <!-- alt: Three rows of eight small squares. First plain brightness, then smooth light–dark gradients and two squares of nearly one color, then stripes and checks that grow ever finer. -->
# **Figure 2.6.** The first 24 principal components of the cat's patches: brightness, then slopes and colors, then ever finer waves. The sign of each is arbitrary.

# %% [markdown]
# The rows of $V$ are orthonormal, so rebuilding is easy. From the answers $z = V_D\,x$ of the first $D$ rows comes the patch
#
# $$\hat{x} = V_D^\top z = V_D^\top V_D\, x.$$

# %%
widths = (1, 4, 16, 64, 192)
rebuilt = []
for width in widths:
    V_D = V[:width]
    x_hat = patches @ V_D.T @ V_D
    rebuilt.append(unpatchify(x_hat, P, (H, W))[0] * std + mean)
figures.images(rebuilt, [f"D = {width}" for width in widths])

# %% [markdown] tags=["caption"]
# <!-- alt: Five pictures of the cat. With D = 1 she is a mosaic of brown squares, with 4 a blocky sketch, with 16 a little blurred, with 64 and 192 she looks like the photograph. -->
# **Figure 2.7.** The cat, rebuilt from $D$ numbers a patch. The patches themselves have 192 numbers, so at $D = 192$ nothing is lost.

# %% [markdown]
# Random questions are no disaster either. Here is what gets lost, the squared error as a share of the patches' sum of squares, for the components and for random rows. Both are rebuilt as well as a linear map can do it (`lstsq` finds that map).
#
# At equal $D$ the components lose less. But random answers tell a lot too, because the pixels of a patch resemble each other. And with as many questions as pixel values, nothing is lost either way.

# %%
torch.manual_seed(0)
table = [f"{'D':>4}{'V':>10}{'random':>10}"]
for width in widths:
    lost = []
    for rows in (V[:width], torch.randn(width, C * P * P)):
        Z = X @ rows.T
        rest = X - Z @ torch.linalg.lstsq(Z, X).solution
        lost.append((rest.square().sum() / X.square().sum()).item())
    table.append(f"{width:>4}{lost[0]:>10.1%}{lost[1]:>10.1%}")
print("\n".join(table))

# %% [markdown]
# That is the usual case. Most models of this book have $D \geq CP^2$ (a name below is a model's size, a slash and the patch size), so their embedding *need* not lose a thing. Their rows decide less what is kept than how it is laid out: which differences between patches are large for the layers that follow. Only patches of 32 pixels are squeezed.

# %%
from vitlit.config import ViTConfig

table = [f"{'':<10}{'CP²':>6}{'D':>6}"]
for name in ("micro/4", "B/16", "L/16", "H/14", "B/32", "L/32"):
    config = ViTConfig.named(name, image_size=(224, 224))
    table.append(f"{name:<10}{3 * config.patch_size**2:>6}{config.width:>6}")
print("\n".join(table))

# %% [markdown]
# ## Filters that are learned {#learned}
#
# Now let gradient descent find the rows. It starts with $D = 16$ random ones and is asked for the same thing: rebuild the patch as $\hat{x} = E^\top E\,x$, with the smallest mean squared error. (That is a linear **autoencoder**. A few seconds will do.)
#
# The last line printed is the error of $V_{16}$. It is the floor: no 16 rows can go below it.

# %%
torch.manual_seed(0)
A = nn.Parameter(torch.randn(16, C * P * P) / (C * P * P) ** 0.5)
optimizer = torch.optim.Adam([A], lr=0.01)
schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, total_iters=800)
table = [f"{'step':>5}{'error':>9}"]
for step in range(801):
    if step % 200 == 0:
        table.append(f"{step:>5}{F.mse_loss(X @ A.T @ A, X).item():>9.4f}")
    x = X[torch.randint(len(X), (256,))]
    loss = F.mse_loss(x @ A.T @ A, x)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
print("\n".join([*table, f"{'V':>5}{S[16:].square().sum() / X.numel():>9.4f}"]))

# %% [markdown]
# The error all but reaches the floor. Still the rows look nothing like the components: each is a mixture of them. The error cannot tell the difference. Rotate the 16 rows among themselves, and $E^\top E$ stays as it is.
#
# To undo the mixing, take the principal components of what the rows keep. (With orthonormal rows $Q$ of the same space, that is $X Q^\top Q$.)

# %%
A = A.detach()
Q = torch.linalg.qr(A.T).Q.T
principal = torch.linalg.svd(X @ Q.T @ Q, full_matrices=False).Vh[:16]
rows = [centered(row.reshape(C, P, P)) for row in [*A, *principal]]
figures.images(rows)

# %% [markdown] tags=["caption"]
# <!-- alt: Four rows of eight small squares. The upper two rows are soft mixtures of colors and stripes without order. The lower two run from plain brightness over slopes to waves. -->
# **Figure 2.8.** The 16 learned rows (upper half), and the principal components of what they keep (lower half). The components of figure 2.6 are back, up to their signs. Only the last differs more.

# %% [markdown]
# So training found the *space* of the components. How well, the cosines of the angles between the two spaces say: a 1 is a direction that they share. The first row shows the six smallest of the 16.
#
# One is no 1. The second row has the reason. It holds the mean squares of the answers to components 14 to 19: numbers 16 and 17 are worth nearly the same, so it hardly matters which of them is kept.
#
# These filters serve one cat and one purpose. What a model wants that must name the object in the picture is another question, and it takes real training: [chapter 6](06_cifar10.ipynb) has it.

# %%
cosines = torch.linalg.svdvals(Q @ V[:16].T)
worth = S.square() / len(X)
print(*(f"{c:.2f}" for c in cosines[-6:]))
print(*(f"{w:.2f}" for w in worth[13:19]))

# %% [markdown]
# ## How large is random? {#scale}
#
# Every $E$ starts at random. With weights how large? Say the weights $w_i$ of a row are independent, with mean 0 and variance $\sigma^2$. The answer is $z = \sum_i w_i x_i$. When we square it and average over many draws, the mixed terms $w_i w_j$ vanish, and what stays is
#
# $$\overline{z^2} = \sigma^2 \sum_i x_i^2 = \sigma^2 \cdot CP^2 \cdot \overline{x^2}.$$
#
# The bar over $z^2$ is the average over draws, the bar over $x^2$ the average over the numbers of the patch. So with $\sigma^2 = 1/CP^2$ the answers are as large as the pixels. The number of inputs, $CP^2$, is called the **fan-in**. Of the pixels nothing was asked: they may resemble each other as much as they like.
#
# We draw weights of three sizes: of variance 1, $1/CP^2$ and $1/(3CP^2)$. The third is what `nn.Linear` does by itself: it draws uniformly up to $\pm 1/\sqrt{CP^2}$.

# %%
fan_in, many = C * P * P, 768
draws = {
    "1": torch.randn(many, fan_in),
    "1/CP²": torch.randn(many, fan_in) / fan_in**0.5,
    "1/3CP²": nn.Linear(fan_in, many).weight.detach(),
}
answers = {f"z, σ² = {name}": patches @ weight.T for name, weight in draws.items()}
table = [f"{'':<16}{'deviation':>9}"]
for name, values in {"x": patches, **answers}.items():
    table.append(f"{name:<16}{values.square().mean().sqrt():>9.2f}")
print("\n".join(table))

# %% tags=["figure"]
series = {}
for name, values in {"x": patches, **answers}.items():
    counts, edges = torch.histogram(values.flatten(), 48, range=(-4.0, 4.0))
    density = counts / values.numel() / (edges[1] - edges[0])
    series[name] = ((edges[1:] + edges[:-1]) / 2, density)
figures.lines(series, x="value", y="density")

# %% [markdown] tags=["caption"]
# <!-- alt: Four densities over values from −4 to 4. Pixels x and answers with weights of variance 1/CP² are about equally wide. With 1/3CP² they are a narrow peak, with 1 nearly flat at the bottom. -->
# **Figure 2.9.** The pixels and their embeddings, drawn at three sizes. One draw keeps the width of the pixels. The flat line goes on far beyond the frame.

# %% [markdown]
# In a chain of layers such factors multiply. The encoder has normalizations against that (chapter 4), but to begin at the right size costs nothing.

# %% [markdown]
# ## The module's version {#module}
#
# All of this chapter is one function and one small class.

# %%
from vitlit.patches import PatchEmbedding, lecun_normal_
from vitlit.reveal import reveal

# %% [markdown]
# `lecun_normal_` draws with variance one over fan-in, as Flax does, the library of the paper's code. `weight.shape[1]` is the fan-in, since a row holds the weights of one output.
#
# The normal is cut at two deviations, so that no weight starts far out. The cut makes the deviation smaller, and the division by 0.88 makes up for it.

# %% tags=["reveal"]
reveal(lecun_normal_)

# %% [markdown]
# Times $\sqrt{CP^2}$, the deviation of the weights should be 1, and the largest should lie at $2 / 0.88 = 2.27$.

# %%
weight = lecun_normal_(torch.empty(many, fan_in)) * fan_in**0.5
print(f"{weight.std():.3f}  {weight.abs().max():.3f}")

# %% [markdown]
# The class is the embedding as chapter 1 and this one have built it: cut, then map.

# %% tags=["reveal"]
reveal(PatchEmbedding)

# %% [markdown]
# It holds one `nn.Linear`, from $CP^2$ numbers to $D$. The weights are drawn as above, and the bias starts at 0.

# %% tags=["reveal"]
reveal(PatchEmbedding.__init__)

# %% [markdown]
# Most of `forward` is courtesy. A grayscale picture in a color model would fail anyway, but with a message about matrix shapes. This one says what is wrong and what to do. The last line does the work.

# %% tags=["reveal"]
reveal(PatchEmbedding.forward)

# %% [markdown]
# With our $E$ and $b$ in place, the module gives our tokens. It has $64 \cdot 192$ weights and 64 biases.

# %%
module = PatchEmbedding(patch_size=P, channels=C, width=D)
with torch.no_grad():
    module.projection.weight.copy_(E)
    module.projection.bias.copy_(b)
torch.testing.assert_close(module(images), tokens)
sum(p.numel() for p in module.parameters())

# %% [markdown]
# ## Receipt {#receipt}
#
# The independent implementation is `nn.Conv2d`, with kernel and stride $P$. `randomize_` draws all parameters at random, the bias too, in float64. We copy them over by a reshape. The images are not square, so that exchanged axes would show.
#
# Outputs and gradients must agree, the latter for the pixels, the weights and the bias.

# %%
from vitlit.receipts import compare, random_images, randomize_

ours = randomize_(PatchEmbedding(patch_size=8, channels=3, width=64))
linear = ours.projection
conv = nn.Conv2d(3, 64, kernel_size=8, stride=8).double()
with torch.no_grad():
    conv.weight.copy_(linear.weight.reshape(conv.weight.shape))
    conv.bias.copy_(linear.bias)
compare(
    ours,
    lambda x: conv(x).flatten(2).mT,
    random_images(2, 3, 32, 48),
    {"weight": (linear.weight, conv.weight), "bias": (linear.bias, conv.bias)},
)

# %% [markdown]
# ## Exercises {#exercises}
#
# **1.** A model was trained on standardized pixels. You want to feed it raw ones, between 0 and 1. Standardizing is linear, and so is the embedding: one can absorb the other. Write `fold`, which returns a matrix and a bias for raw pixels that give the same tokens. `mean` and `std` have one number a channel.


# %% tags=["exercise"]
def fold(E, b, mean, std):
    return E, b


def check_fold(fold):
    raw = torch.rand(2, 3, 16, 24, dtype=torch.float64)
    E, b = torch.randn(64, 192, dtype=torch.float64), torch.ones(64)
    mean, std = torch.tensor([[0.5, 0.4, 0.3], [0.3, 0.2, 0.1]], dtype=torch.float64)
    standardized = (raw - mean[:, None, None]) / std[:, None, None]
    expected = patchify(standardized, 8) @ E.T + b
    new_E, new_b = fold(E, b, mean, std)
    torch.testing.assert_close(patchify(raw, 8) @ new_E.T + new_b, expected)


# %% jupyter={"source_hidden": true} tags=["solution"]
def fold(E, b, mean, std):
    each = E.shape[1] // len(mean)  # P² numbers of channel 0, then of channel 1, …
    E = E / std.repeat_interleave(each)
    return E, b - E @ mean.repeat_interleave(each)


check_fold(fold)

# %% [markdown]
# **2.** The paper's own code is written in JAX. There a kernel has the axes (row, column, channel, output): $P \times P \times C \times D$. Write `from_jax`, which turns such a kernel into our $E$ of $D \times CP^2$. The stub has the right shape. That is the trouble with it.


# %% tags=["exercise"]
def from_jax(kernel):
    return kernel.reshape(kernel.shape[-1], -1)


def check_from_jax(from_jax):
    kernel = torch.randn(8, 8, 3, 64, dtype=torch.float64)
    images = torch.randn(2, 3, 16, 24, dtype=torch.float64)
    windows = images.unfold(2, 8, 8).unfold(3, 8, 8)
    expected = torch.einsum("bcijuv,uvcd->bijd", windows, kernel).flatten(1, 2)
    torch.testing.assert_close(patchify(images, 8) @ from_jax(kernel).T, expected)


# %% jupyter={"source_hidden": true} tags=["solution"]
def from_jax(kernel):
    return kernel.permute(3, 2, 0, 1).flatten(1)


check_from_jax(from_jax)

# %% [markdown]
# ## In the paper {#paper}
#
# Section 3.1 of [Dosovitskiy et al. (2020)](../docs/bibliography.md#dosovitskiy2020) flattens the patches and maps them to $D$ dimensions, for it keeps one width through all layers. In equation 1 the map is $\mathbf{E} \in \mathbb{R}^{(P^2 \cdot C) \times D}$, our $E$ transposed, and without a bias. The authors' code uses a convolution, and it has a bias. At the end of the same section stands a hybrid: the patches may come from the feature map of a convolutional network instead.
#
# Section 4.5 and figure 7 (left) look at the trained filters of ViT-L/32, by their principal components. Figure 2.8 showed one reason not to go row by row: a row can be a mixture.
#
# So far a token says what is in its patch, but not where the patch was. [Chapter 3](03_positions.ipynb) tells it.
