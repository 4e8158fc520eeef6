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
# # 5 · Head
#
# **How does a sequence become an answer, and what is the whole model?**
#
# The encoder returns as many vectors as it was given, one for each token. A question about a picture wants one answer. So something must read the sequence, and something must turn what it read into a score for each class. That is the last part. Then all parts stand in one row, and we can ask what the row costs.
#
# After this chapter you can
#
# - read one vector from a sequence in two ways, and say what each has seen,
# - write a linear head and an MLP head, and predict the first loss and the first gradient of a training run,
# - count a Vision Transformer's parameters, operations and memory with pencil and paper,
# - write the whole model in 60 lines.

# %% tags=["figure"]
from vitlit import figures

figures.pipeline("head")

# %% [markdown] tags=["caption"]
# <!-- alt: The model as five boxes in a row: patches, embedding, positions, encoder, head. The last box, head, is lit; B K leaves it. -->
# **Figure 5.1.** The last part. $T$ tokens of width $D$ enter, and $K$ scores leave, one for each class.

# %% [markdown]
# ## The row so far {#row}
#
# Chapters 2 to 4 left us with five modules. Here they stand in a row, small: width $D = 96$, $L = 6$ blocks, $h = 3$ attention heads. Chelsea has $96 \times 96$ pixels between $-1$ and $1$, cut with $P = 8$. That makes $N = 144$ patches and, with the class token, $T = 145$ tokens.
#
# The weights are untrained. For now we ask what *can* reach the answer, not what does.

# %%
import torch
from torch import nn

from vitlit.encoder import EncoderBlock
from vitlit.patches import PatchEmbedding
from vitlit.positions import ClassToken, PositionEmbedding

torch.manual_seed(0)
P, D, h, L, K, grid = 8, 96, 3, 6, 10, (12, 12)
embed = nn.Sequential(PatchEmbedding(P, 3, D), ClassToken(D), PositionEmbedding(grid, D))
blocks = nn.ModuleList(EncoderBlock(D, h, 2 * D) for _ in range(L))
norm = nn.LayerNorm(D, eps=1e-6)

# %% [markdown]
# `encode` runs the row, and can stop after fewer blocks.


# %%
def encode(images, depth=L):
    tokens = embed(images)
    for block in blocks[:depth]:
        tokens = block(tokens)
    return norm(tokens)


cat = torch.from_numpy(figures.chelsea(96)) / 255
images = 2 * cat[None] - 1
tokens = encode(images)
tokens.shape

# %% [markdown]
# ## Reading the sequence {#reading}
#
# Call the encoder's output $z^0, z^1, \dots, z^N$, where $z^0$ belongs to the class token. There are two plain ways to make one vector $y$ of it. Read the class token and ignore the rest, or average the patches:
#
# $$y = z^0 \qquad\text{or}\qquad y = \frac{1}{N} \sum_{i=1}^{N} z^i$$


# %%
def read_class(tokens):
    return tokens[:, 0]


def read_mean(tokens):
    return tokens[:, 1:].mean(dim=1)


read_class(tokens).shape, read_mean(tokens).shape

# %% [markdown]
# Reading one token of 145 looks careless. Did it see the cat at all? Ask by erasing. Make $N$ copies of the picture, and in copy $i$ paint patch $i$ gray. Then measure how far $y$ moves:
#
# $$\lVert y_{\text{erased } i} - y \rVert$$
#
# We do so after 0, 1 and 6 blocks.

# %%
from vitlit.patches import patchify, unpatchify

N = grid[0] * grid[1]
copies = patchify(images, P).repeat(N, 1, 1)
copies[range(N), range(N)] = 0
erased = unpatchify(copies, P, (96, 96))


@torch.no_grad()
def moved(read, depth):
    change = read(encode(erased, depth)) - read(encode(images, depth))
    return change.norm(dim=1).reshape(grid)


depths = [0, 1, 6]
maps = [moved(read, depth) for read in (read_class, read_mean) for depth in depths]
for name, of in (("z⁰", maps[:3]), ("mean", maps[3:])):
    for depth, map_ in zip(depths, of, strict=True):
        print(f"{name:<5} L = {depth}   min {map_.min():.4f}   max {map_.max():.4f}")

# %% [markdown]
# Without a block the class token is the same vector for every picture in the world. All it will ever know, it learns by attention. One block is enough to reach every patch.
#
# The mean sees every patch from the start. Without a block, though, it sees a bag of them: no patch knows of another. With blocks, the mean moves about as far as the class token does.
#
# Which one to read is a matter of taste, and of tuning. The paper reads the class token. A model that reads the mean needs no class token at all, and ours then leaves it out: all its tokens are patches.

# %% tags=["figure"]
labels = [f"{y}, L = {depth}" for y in ("z⁰", "z̄") for depth in depths]
figures.heatmaps(maps, labels, columns=3, bar=True)

# %% [markdown] tags=["caption"]
# <!-- alt: Two rows of three maps of twelve by twelve squares. The first map of the upper row is uniformly dark, and the first of the lower row nearly so. The other maps show squares of different brightness. -->
# **Figure 5.2.** How far the answer moves when one patch is erased. Upper row: the class token $z^0$. Lower row: the patches' mean $\bar z$. Without a block, the class token has seen nothing.

# %% [markdown]
# ## From a vector to classes {#classes}
#
# The **linear head** gives every class a weight vector and a bias. A class's score is the dot product of its vector with $y$, plus the bias:
#
# $$s = y\,W^\top + b, \qquad W \in \mathbb{R}^{K \times D}$$
#
# These scores are called **logits**. They are any real numbers.


# %%
def linear_head(y, W, b):
    return y @ W.mT + b


y = read_class(tokens)
linear_head(y, torch.randn(K, D) / D**0.5, torch.zeros(K)).shape

# %% [markdown]
# **Softmax** turns logits into probabilities, as it did with attention scores in chapter 4. The **cross-entropy** is the surprise at the true class $c$:
#
# $$p_k = \frac{e^{s_k}}{\sum_j e^{s_j}}, \qquad \ell = -\ln p_c$$
#
# It is one line, and `torch` has it too, taking logits. Ours takes $\ln p$ from `log_softmax`, and not the logarithm of softmax. Why, the next cell shows.

# %%
from torch.nn import functional as F


def cross_entropy(logits, labels):
    return -logits.log_softmax(dim=-1)[range(len(labels)), labels].mean()


logits = torch.tensor([[2.0, 1.0, -1.0]])
print("p", logits.softmax(dim=-1).numpy().round(3))
for c in range(3):
    label = torch.tensor([c])
    mine, theirs = cross_entropy(logits, label), F.cross_entropy(logits, label)
    print(f"c {c}   ℓ {mine:.4f} {theirs:.4f}")

# %% [markdown]
# Now a model that is sure and wrong: its logits are 0 and 120, and the first class is the true one. The loss should be 120. But float32 has no number as small as $e^{-120}$, so softmax returns $p_c = 0$. The logarithm makes the loss infinite, and the gradient is no number at all (nan). One step along it makes every weight nan.
#
# The way around is not to compute $p_c$:
#
# $$\ln p_c = s_c - \ln \sum_j e^{s_j}$$
#
# `log_softmax` does this, and subtracts the largest score first, as our softmax of chapter 4 did. Printed are the loss and its gradient by the two logits.


# %%
def naive(logits, labels):
    return -logits.softmax(dim=-1)[range(len(labels)), labels].log().mean()


for name, f in (("softmax", naive), ("log_softmax", cross_entropy), ("torch", F.cross_entropy)):
    sure = torch.tensor([[0.0, 120.0]], requires_grad=True)
    value = f(sure, torch.tensor([0]))
    (gradient,) = torch.autograd.grad(value, sure)
    print(f"{name:<12}ℓ {value.item():>4.0f}   ∂ℓ/∂s {gradient[0].tolist()}")

# %% [markdown]
# The **MLP head** thinks once more before it answers: one hidden layer, then the linear one.
#
# $$s = \phi(y\,V^\top + a)\,W^\top + b$$
#
# The paper uses it for **pre-training** (on much data, first), and swaps it for the linear head when **fine-tuning** (on the data that one cares about).


# %%
def mlp_head(y, V, a, W, b, activation=torch.tanh):
    return linear_head(activation(linear_head(y, V, a)), W, b)


V, a = torch.randn(D, D) / D**0.5, torch.zeros(D)
for activation in (torch.tanh, torch.relu):
    hidden = activation(linear_head(y, V, a))
    low, high, zero = hidden.min(), hidden.max(), (hidden == 0).float().mean()
    print(f"{activation.__name__}   min {low:5.2f}   max {high:4.2f}   0: {zero:.0%}")

# %% [markdown]
# For $\phi$ the paper's code and torchvision take $\tanh$, [labml's annotated ViT](../docs/bibliography.md#labml) takes ReLU. The two are not interchangeable: weights trained under one are wrong under the other.
#
# Without any bend, two linear layers would be one, since the product of two matrices is a matrix.

# %% tags=["figure"]
x = torch.linspace(-3, 3, 121)
curves = {"tanh": (x, x.tanh()), "ReLU": (x, x.relu())}
figures.lines(curves, x="x", y="φ(x)")

# %% [markdown] tags=["caption"]
# <!-- alt: Two curves. One bends smoothly from minus one to one; the other is zero on the left and rises straight on the right. -->
# **Figure 5.3.** The two activations. $\tanh$ keeps the hidden layer between $-1$ and $1$; ReLU cuts off below and lets pass above.

# %% [markdown]
# ## Starting from zero {#zero}
#
# The last layer starts with $W = 0$ and $b = 0$. Then every logit is $0$, every class has $p = 1/K$, and the loss is known before anything is computed:
#
# $$\ell = -\ln\tfrac{1}{K} = \ln K$$
#
# No class is preferred by accident, and a first loss other than $\ln K$ means a bug. Here is the difference, in float64. It is rounding at most.

# %%
import math

for classes in (10, 100, 1000):
    W, b = torch.zeros(classes, D, dtype=torch.float64), torch.zeros(classes)
    loss = cross_entropy(linear_head(y.double(), W, b), torch.tensor([3]))
    print(f"K {classes:>5}   ℓ {loss:.6f}   ℓ − ln K {loss - math.log(classes):.0e}")

# %% [markdown]
# It has a price. Whatever the encoder learns, it learns from the gradient that arrives at $y$, and that passes through $W$:
#
# $$\frac{\partial \ell}{\partial y} = \frac{\partial \ell}{\partial s}\,W$$
#
# With $W = 0$ nothing arrives. The first step moves only the last layer; $\partial \ell / \partial W$ needs no $W$. After it, $W$ is not zero and the gate is open. Below, one vector $y$, the label 3 and plain gradient descent on the linear head alone.

# %%
W, b = torch.zeros(K, D, requires_grad=True), torch.zeros(K, requires_grad=True)
y = y.detach().requires_grad_()

print("step       ℓ   |∂ℓ/∂W|   |∂ℓ/∂y|")
for step in range(4):
    loss = cross_entropy(linear_head(y, W, b), torch.tensor([3]))
    dw, db, dy = torch.autograd.grad(loss, [W, b, y])
    print(f"{step:>4}{loss:8.4f}{dw.norm():10.4f}{dy.norm():10.4f}")
    with torch.no_grad():
        W -= 0.01 * dw
        b -= 0.01 * db

# %% [markdown]
# ## The heads in the module {#heads}
#
# `vitlit.heads` holds the three things of this chapter: reading, the linear head and the MLP head.

# %%
from vitlit.heads import LinearHead, MLPHead, pool
from vitlit.reveal import reveal

# %% [markdown]
# `pool` reads. Its mean takes *all* tokens, because a model that reads the mean has no class token among them.

# %% tags=["reveal"]
reveal(pool)

# %% [markdown]
# The linear head *is* `nn.Linear`. It only starts differently.

# %% tags=["reveal"]
reveal(LinearHead)

# %% [markdown]
# `nn.Linear` calls `reset_parameters` when it is built. Replacing that one method is all it takes to start from zero.

# %% tags=["reveal"]
reveal(LinearHead.reset_parameters)

# %% [markdown]
# The activation of the MLP head is an argument, because sources differ.

# %% tags=["reveal"]
reveal(MLPHead)

# %% [markdown]
# Its last layer is a `LinearHead`, so it starts from zero too. The hidden layer starts as the patch embedding did in chapter 2: were it zero as well, $\tanh(0) = 0$ would reach the last layer, and no step would ever move anything but the last bias.

# %% tags=["reveal"]
reveal(MLPHead.__init__)

# %% [markdown]
# And `forward` is our formula: hidden, activation, output.

# %% tags=["reveal"]
reveal(MLPHead.forward)

# %% [markdown]
# Our functions and the module's heads, every weight drawn at random in float64: outputs and gradients agree.

# %%
from vitlit.receipts import compare, random_images, randomize_

linear = randomize_(LinearHead(D, K))
compare(lambda y: linear_head(y, *linear.parameters()), linear, random_images(5, D))

# %%
mlp = randomize_(MLPHead(D, 48, K, activation="relu"))
weights = [*mlp.hidden.parameters(), *mlp.output.parameters()]
compare(lambda y: mlp_head(y, *weights, torch.relu), mlp, random_images(5, D))

# %% [markdown]
# ## The whole model {#model}
#
# All parts are there. What is left is to choose their sizes, and to put them in a row.

# %%
from vitlit.config import SIZES, ViTConfig
from vitlit.vit import Keep, VisionTransformer

# %% [markdown]
# Everything that can be chosen about a model stands in one place, and with it what a field may hold: `Within` gives bounds, `OneOf` a choice. `ViTConfig` cannot be changed once it is built: it describes a model and travels with its weights.

# %% tags=["reveal"]
reveal(ViTConfig)

# %% [markdown]
# Nobody types all of that. Sizes have names: letter, slash, patch size. `ViTConfig.named("B/16")` is Base with $P = 16$. Base, Large and Huge are the paper's; Tiny and Small come from [DeiT](../docs/bibliography.md#touvron2021); the last four in the table are ours, for pictures of 32 pixels. An attention head is 64 numbers wide from Ti to L, and 80 in H.

# %%
print("        D   L   h   MLP  D/h")
for name, (width, depth, heads, mlp_width) in SIZES.items():
    print(f"{name:<5}{width:>4}{depth:>4}{heads:>4}{mlp_width:>6}{width // heads:>5}")

# %% [markdown]
# The model itself adds nothing to its parts but their order.

# %% tags=["reveal"]
reveal(VisionTransformer)

# %% [markdown]
# The constructor builds the row. `extra` counts the tokens before the patches: one class token, or none when the mean is read. Then `nn.Identity` stands where the class token would.

# %% tags=["reveal"]
reveal(VisionTransformer.__init__)

# %% [markdown]
# The head has a method of its own, because it is the one part that is replaced. The paper pre-trains under one head and fine-tunes under another (section 3.2).

# %% tags=["reveal"]
reveal(VisionTransformer.new_head)

# %% [markdown]
# And this is the Vision Transformer. Five lines.

# %% tags=["reveal"]
reveal(VisionTransformer.forward)

# %% [markdown]
# Is it our row? Put our own parts into a model of the same size, give it a head that is not zero, and compare with `encode` and `read_class`. They agree bit for bit.

# %%
config = ViTConfig.named("nano/8", image_size=(96, 96), classes=K)
model = VisionTransformer(config)
model.embedding, model.class_token, model.positions = embed
model.encoder.blocks, model.encoder.norm = blocks, norm
nn.init.normal_(model.head.weight)
assert torch.equal(model(images), model.head(read_class(encode(images))))

# %% [markdown]
# Now the zero start, in the whole model and with both heads. Chelsea and her negative, two labels, plain gradient descent. Each column is the length of the gradient that one part receives.
#
# At step 0 only the head gets any, and of the MLP head nothing goes to the hidden layer. From step 1 on everyone learns.

# %%
batch, labels = torch.cat([images, -images]), torch.tensor([3, 5])
watched = ("embedding", "positions", "encoder", "head.hidden", "head")


def gradient_of(module):
    return torch.cat([p.grad.flatten() for p in module.parameters()]).norm()


for head in ("linear", "mlp"):
    torch.manual_seed(0)
    learner = VisionTransformer(ViTConfig.named("nano/8", image_size=(96, 96), head=head))
    parts = [part for part in learner.named_modules() if part[0] in watched]
    descent = torch.optim.SGD(learner.parameters(), lr=0.01)
    print("step      ℓ", *(f"{name:>12}" for name, _ in parts))
    for step in range(3):
        loss = cross_entropy(learner(batch), labels)
        descent.zero_grad()
        loss.backward()
        print(f"{step:>4}{loss:7.4f}", *(f"{gradient_of(part):12.5f}" for _, part in parts))
        descent.step()

# %% [markdown]
# ## Watching a forward pass {#watch}
#
# `forward` returns logits and nothing else. To see what happens on the way, call `watch`: it hangs a hook on each part, runs `forward`, and takes the hooks off again, even if `forward` fails. So there is no second forward pass that could drift from the first.

# %% tags=["reveal"]
reveal(VisionTransformer.watch)

# %% [markdown]
# `stages` is the list of places. The patches are what the projection reads, and the vector $y$ is what the head reads. Of attention the weights are kept, of the rest the outputs.

# %% tags=["reveal"]
reveal(VisionTransformer.stages)

# %% [markdown]
# `Keep` is one hook. `torch` calls it with a module, its inputs and its output.

# %% tags=["reveal"]
reveal(Keep)

# %% [markdown]
# It is told where to keep what, and under which name.

# %% tags=["reveal"]
reveal(Keep.__init__)

# %% [markdown]
# Attention weights are special. The fast path never stores them, so the hook attends once more, slowly, with the same input. Who does not watch does not pay.

# %% tags=["reveal"]
reveal(Keep.__call__)

# %% [markdown]
# Here is the **shape ledger**: everything that Chelsea and her mirror image become on the way. Every size occurs once, so each can be named by its symbol.

# %%
both = torch.cat([images, images.flip(-1)])
seen = model.watch(both)
symbols = {2: "B", N: "N", 3 * P * P: "CP²", N + 1: "T", D: "D", h: "h", K: "K"}
for name, value in seen.items():
    shape = " ".join(symbols[size] for size in value.shape)
    print(f"{name:<16}{shape:<9}{tuple(value.shape)}")

# %% [markdown]
# The tokens themselves, as a reader of matrices sees them: a row for each token, the class token on top, a column for each of the $D$ numbers. How alike are the rows? As in chapter 4, we take the mean cosine over all pairs of different tokens.

# %%
names = ["with_positions", "block_1", "block_3", "block_6"]
for name in names:
    unit = F.normalize(seen[name][0], dim=-1)
    cosines = (unit @ unit.mT).detach()
    mean = (cosines.sum() - cosines.trace()) / (cosines.numel() - len(cosines))
    print(f"{name:<16}{mean:.3f}")

# %% [markdown]
# Chapter 4 drew this as a curve. Here it can be seen: at first the rows differ, as the patches do, and after six untrained blocks they are almost one row. Each block has added to every token a mixture of all, and much the same mixture to each.

# %% tags=["figure"]
figures.heatmaps([seen[name][0].detach() for name in names], names, signed=True, shared=False)

# %% [markdown] tags=["caption"]
# <!-- alt: Four tall matrices in blue and orange. The first looks like woven cloth; from left to right vertical stripes take over, until the last consists of stripes only. -->
# **Figure 5.4.** The tokens of one picture ($T \times D$): before the first block, and after one, three and six untrained ones. Stripes mean that all tokens are alike.

# %% [markdown]
# Attention tells the same story. Take the class token's row of weights, times $T$, so that 1 means an equal share. In the first block the tokens differ, so the weights do. In the last there is little left to tell apart: each token gets about $1/T$.

# %%
for name in ("attention_1", "attention_6"):
    weights = seen[name][0, :, 0] * (N + 1)
    print(f"{name}   T·min {weights.min():.2f}   T·max {weights.max():.2f}")

# %% [markdown]
# In the maps below nothing is knowledge yet.

# %% tags=["figure"]
maps, labels = [], [""]
for i in (1, 6):
    for head, weights in enumerate(seen[f"attention_{i}"][0, :, 0, 1:].detach()):
        maps.append(weights.reshape(grid))
        labels.append(f"attention_{i} [{head}]")
figures.overlay(cat, maps, labels)

# %% [markdown] tags=["caption"]
# <!-- alt: Seven pictures of the cat. After the plain one, three are gray with a few yellow patches, and three are yellow almost evenly. -->
# **Figure 5.5.** Attention of the class token in an untrained model, in the first and the last block, for each of three heads. Full yellow is each map's largest weight.

# %% [markdown]
# ## Another image size {#resized}
#
# Of all parts, only the positions know how many patches there are. `resized` builds the model for the new size, interpolates that one table as in chapter 3, and copies everything else. How to interpolate is passed on.

# %% tags=["reveal"]
reveal(VisionTransformer.resized)

# %% [markdown]
# Here is Chelsea stretched to $160 \times 96$ pixels: 20 rows of 12 patches, so 241 tokens. One table has changed. All other weights are equal.

# %%
tall = F.interpolate(images, size=(160, 96), mode="bicubic")
bigger = model.resized((160, 96))
print(tuple(tall.shape), "→", tuple(bigger(tall).shape))
new = bigger.state_dict()
for name, weight in model.state_dict().items():
    if weight.shape != new[name].shape or not torch.equal(weight, new[name]):
        print(name, tuple(weight.shape), "→", tuple(new[name].shape))

# %% [markdown]
# ## What the whole model costs {#ledger}
#
# **Parameters.** A linear map from $n$ to $m$ numbers has $nm + m$ of them, a norm $2D$. With MLP width $M$, the parts of the model have
#
# | part | parameters |
# |---|---|
# | embedding | $CP^2 D + D$ |
# | class token | $D$ |
# | positions | $(N + 1)\,D$ |
# | a block's attention | $4D^2 + 4D$ |
# | a block's MLP | $2DM + M + D$ |
# | a block's two norms | $4D$ |
# | last norm | $2D$ |
# | head | $DK + K$ |
#
# Count ViT-B/16 for pictures of 224 pixels and 1,000 classes by formula, then by looking. On the `meta` device a model has shapes but no numbers, so building it takes no memory.

# %%
with torch.device("meta"):
    base = VisionTransformer(ViTConfig.named("B/16", image_size=(224, 224), classes=1000))
C, P, N, D, M, L, K = 3, 16, 14**2, 768, 3072, 12, 1000


def count(module):
    return sum(p.numel() for p in module.parameters())


# %%
every, stack = base.encoder.blocks, nn.ModuleList
norms = stack(norm for block in every for norm in (block.norm1, block.norm2))
ledger = {
    "embedding": (C * P**2 * D + D, base.embedding),
    "class_token": (D, base.class_token),
    "positions": ((N + 1) * D, base.positions),
    "attention": (L * (4 * D**2 + 4 * D), stack(block.attention for block in every)),
    "mlp": (L * (2 * D * M + M + D), stack(block.mlp for block in every)),
    "norm1, norm2": (L * 4 * D, norms),
    "norm": (2 * D, base.encoder.norm),
    "head": (D * K + K, base.head),
}
for name, (formula, part) in ledger.items():
    print(f"{name:<14}{formula:>12,}{count(part):>12,}")
print(f"{'':<14}{sum(f for f, _ in ledger.values()):>12,}{count(base):>12,}")

# %% [markdown]
# Two thirds of the parameters sit in the MLPs, one third in attention. All else is small, the head of this chapter included.

# %% tags=["figure"]
millions = {name: formula / 1e6 for name, (formula, _) in ledger.items()}
figures.bars(millions, x="parameters / 10⁶", lit=["head"])

# %% [markdown] tags=["caption"]
# <!-- alt: Horizontal bars. The bar of the MLPs is the longest, that of attention half as long; all others are short, the head's among them. -->
# **Figure 5.6.** Where the parameters of ViT-B/16 are. The part that this chapter is about is the short bar at the bottom.

# %% [markdown]
# The three sizes of the paper: our parameters, beside torchvision's. They are equal to the last digit.

# %%
from torchvision import models

theirs = {
    "B/16": (models.vit_b_16, models.ViT_B_16_Weights.IMAGENET1K_V1),
    "L/16": (models.vit_l_16, models.ViT_L_16_Weights.IMAGENET1K_V1),
    "H/14": (models.vit_h_14, models.ViT_H_14_Weights.IMAGENET1K_SWAG_LINEAR_V1),
}
ours = {}
print(f"{'':<6}{'vitlit':>13}{'torchvision':>13}")
for name, (build, _) in theirs.items():
    config = ViTConfig.named(name, image_size=(224, 224), classes=1000)
    with torch.device("meta"):
        ours[name], reference = VisionTransformer(config), build()
    print(f"{name:<6}{count(ours[name]):>13,}{count(reference):>13,}")
    assert count(ours[name]) == count(reference)

# %% [markdown]
# And here is what the paper prints, in millions. Other people's figures stand in one file, each with its source.
#
# H fits. B and L do not: ours round to 87 and 304, where the paper has 86 and 307.

# %%
from vitlit import studies

title = "parameters of ViT-"
paper = {row["what"][-1]: row for row in studies.others() if row["what"].startswith(title)}
for name, row in paper.items():
    print(f"{name}{row['value']:>5}   {row['source']}")

# %% [markdown]
# The paper's table names neither the patch size nor the head that it counts. So try. Each size comes with the patch sizes that the paper uses, and in turn with
#
# - no head (—),
# - a linear head for ImageNet's 1,000 classes,
# - the hidden layer of the MLP head, but not its last,
# - a whole MLP head for 1,000 classes,
# - a linear head for the 21,843 classes of ImageNet-21k.
#
# A star marks what rounds to the paper's number.

# %%
heads = {
    "—": lambda D: 0,
    "linear 1000": lambda D: D * 1000 + 1000,
    "mlp.hidden": lambda D: D * D + D,
    "mlp 1000": lambda D: D * D + D + D * 1000 + 1000,
    "linear 21843": lambda D: D * 21843 + 21843,
}
print(f"{'':<10}", *(f"{head:>12} " for head in heads))
for name in ("B/16", "B/32", "L/16", "L/32", "H/14"):
    with torch.device("meta"):
        whole = VisionTransformer(ViTConfig.named(name, image_size=(224, 224)))
    body = count(whole) - count(whole.head)
    totals = [(body + extra(whole.config.width)) / 1e6 for extra in heads.values()]
    printed = paper[name[0]]["value"]
    row = (f"{total:12.2f}{' *'[round(total) == printed]}" for total in totals)
    print(f"{name:<5}{printed:>5}", *row)

# %% [markdown]
# No head that we tried makes 307 of L/16. L/32 gets there: its larger patches need 2.4 million more in the embedding and 0.15 million fewer in the positions. One column has a star for all three letters: the hidden layer counted, the last layer not, with B/16, L/32 and H/14. That is arithmetic, not a statement of the authors. But it shows that the difference is one of counting: the encoders are the same.

# %% [markdown]
# **Operations.** Chapter 4 counted one block's multiplications. The whole model has $L$ of them, the embedding and the head. Each multiplication comes with an addition, which makes two FLOPs. With $M = 4D$, one picture costs
#
# $$\text{FLOPs} = 2\,\big(\underbrace{N\,CP^2 D}_{\text{embedding}} + L\,(\underbrace{12\,TD^2}_{\text{linear maps}} + \underbrace{2\,T^2D}_{\text{attention}}) + \underbrace{DK}_{\text{head}}\big)$$
#
# without norms, softmax and GELU. `torch` counts the operations that a forward pass calls, on the `meta` device too. torchvision publishes its own figure with its weights, `_ops`: it counts a multiplication with its addition as one.

# %%
from torch.utils.flop_counter import FlopCounterMode


def flops(c, T):
    blocks = c.depth * (12 * T * c.width**2 + 2 * T**2 * c.width)
    patches = (T - 1) * c.channels * c.patch_size**2 * c.width
    return 2 * (patches + blocks + c.width * c.classes)


print(f"{'':<6}{'T':>5}{'formula / 10⁹':>16}{'torch / 10⁹':>14}{'½ torch':>10}{'_ops':>10}")
for name, (_, published) in theirs.items():
    T = len(ours[name].positions.table)
    with FlopCounterMode(display=False) as counter:
        ours[name](torch.empty(1, 3, 224, 224, device="meta"))
    ran = counter.get_total_flops()
    formula, half = flops(ours[name].config, T), ran / 2e9
    print(f"{name:<6}{T:>5}{formula / 1e9:>16.3f}{ran / 1e9:>14.3f}", end="")
    print(f"{half:>10.3f}{published.meta['_ops']:>10.3f}")
    assert ran == formula

# %% [markdown]
# **Memory.** Weights in float32 take 4 bytes each. Training with AdamW takes four times as much: each weight, its gradient, and running means of the gradient and of its square.
#
# The rest is what the forward pass keeps for the backward pass. A block keeps, in numbers per token: its input and the norm of it ($2D$), queries, keys and values ($3D$), the mixed values ($D$), the second input and its norm ($2D$), and the MLP before and after the GELU ($2M = 8D$). Each norm adds two numbers, and the fast attention one a head:
#
# $$16\,TD + (h + 4)\,T$$
#
# PyTorch tells us what it keeps, if asked. Here is one block of B/16, for one picture. Had the attention weights been stored, the last line says what they would add to each block: $h\,T^2$.


# %%
def kept(function, x):
    storages = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        storages[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        function(x)
    known = {p.untyped_storage()._cdata for p in function.parameters()}
    return sum(s.nbytes() for key, s in storages.items() if key not in known) // 4


T, D, h = 197, 768, 12
block = EncoderBlock(D, h, 4 * D)
print(f"{kept(block, torch.randn(1, T, D, requires_grad=True)):>12,}")
print(f"{16 * T * D + (h + 4) * T:>12,}")
print(f"{h * T**2:>12,}")

# %% [markdown]
# In megabytes, for $p$ parameters: the weights, the weights in training, and what the blocks keep for one picture. The last column is the batch $B$ from which the pictures need more than the weights with their gradients and means. For most batches, then, it is the pictures that fill the GPU.

# %%
print("         4p      16p   4·L·(16TD + (h+4)T)     B")
for name, whole in ours.items():
    c, T, p = whole.config, len(whole.positions.table), count(whole)
    activations = 4 * c.depth * (16 * T * c.width + (c.heads + 4) * T)
    row = f"{p * 4 / 1e6:>7,.0f}{p * 16 / 1e6:>9,.0f}{activations / 1e6:>22,.0f}"
    print(f"{name:<5}{row}{math.ceil(16 * p / activations):>6}")

# %% [markdown]
# ## Receipt {#receipt}
#
# The whole model against torchvision's, with a linear head and with an MLP head. Every parameter is random, class token, head and norms included; it is copied from one to the other, and one left over on either side is an error. Then logits are compared, and the gradients of a randomly weighted sum of them: for every pixel and every parameter.

# %%
from functools import partial

from vitlit.layouts import to_layout
from vitlit.receipts import compare_models

small = {"patch_size": 8, "width": 32, "depth": 3, "heads": 4, "mlp_width": 64}
same = {"patch_size": 8, "hidden_dim": 32, "num_layers": 3, "num_heads": 4, "mlp_dim": 64}
ours = VisionTransformer(ViTConfig(**small))
compare_models(
    ours,
    models.VisionTransformer(image_size=32, num_classes=10, **same),
    partial(to_layout, layout="torchvision", config=ours.config),
    random_images(2, 3, 32, 32),
)

# %%
ours = VisionTransformer(ViTConfig(head="mlp", head_width=48, **small))
compare_models(
    ours,
    models.VisionTransformer(image_size=32, num_classes=10, representation_size=48, **same),
    partial(to_layout, layout="torchvision", config=ours.config),
    random_images(2, 3, 32, 32),
)

# %% [markdown]
# And against timm's, which was written by other people. It takes oblong pictures, so it gets some: swapped axes would show.

# %%
import timm

same = {"patch_size": 8, "embed_dim": 32, "depth": 3, "num_heads": 4, "mlp_ratio": 2}
ours = VisionTransformer(ViTConfig(image_size=(32, 48), **small))
compare_models(
    ours,
    timm.models.VisionTransformer(img_size=(32, 48), num_classes=10, **same),
    partial(to_layout, layout="timm", config=ours.config),
    random_images(2, 3, 32, 48),
)

# %% [markdown]
# ## The whole model in one cell {#one-cell}
#
# Five chapters derived their part in plain functions. Here they are together: nothing but `torch` and arithmetic. No class, no module, and fewer than 60 lines.
#
# The weights are a dictionary with the module's names. `part` picks what belongs to one part.
#
# - `linear` is the map from $n$ to $m$ numbers that everything is made of.
# - `patchify` is the reshape of chapter 1.
# - `attend` and `multi_head` are those of chapter 4: scores, softmax, mixtures, and once for each head.
# - `mlp` is chapter 4's too, with its GELU, $x\,\Phi(x)$, written out.
# - `layer_norm` and `pre_norm` make the block of chapter 4.
# - `vit` embeds the patches (chapter 2), puts the class token before them and adds positions (chapter 3), runs the blocks and the last norm (chapter 4), reads the first token and scores the classes (this chapter).
#
# The numbers of heads and blocks and the patch size are passed in. The rest is in the weights.

# %%
import torch


def part(weights, name):
    return {k[len(name) + 1 :]: v for k, v in weights.items() if k.startswith(name + ".")}


def linear(x, weights):
    return x @ weights["weight"].mT + weights["bias"]


def patchify(images, P):
    B, C, H, W = images.shape
    blocks = images.reshape(B, C, H // P, P, W // P, P).permute(0, 2, 4, 1, 3, 5)
    return blocks.reshape(B, (H // P) * (W // P), C * P * P)


def attend(q, k, v):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    return scores.softmax(dim=-1) @ v


def multi_head(z, weights, heads):
    B, T, D = z.shape
    qkv = linear(z, part(weights, "qkv")).reshape(B, T, 3, heads, D // heads)
    mixed = attend(*qkv.permute(2, 0, 3, 1, 4))
    return linear(mixed.transpose(1, 2).flatten(2), part(weights, "out"))


def mlp(z, weights):
    x = linear(z, part(weights, "grow"))
    return linear(x * (1 + torch.erf(x / 2**0.5)) / 2, part(weights, "shrink"))


def layer_norm(z, weights, eps=1e-6):
    mean, variance = z.mean(dim=-1, keepdim=True), z.var(dim=-1, correction=0, keepdim=True)
    return weights["weight"] * (z - mean) / (variance + eps).sqrt() + weights["bias"]


def pre_norm(z, weights, heads):
    normed = layer_norm(z, part(weights, "norm1"))
    z = z + multi_head(normed, part(weights, "attention"), heads)
    return z + mlp(layer_norm(z, part(weights, "norm2")), part(weights, "mlp"))


def vit(images, weights, P, heads, depth):
    z = linear(patchify(images, P), part(weights, "embedding.projection"))
    z = torch.cat([weights["class_token.token"].expand(len(z), 1, -1), z], dim=1)
    z = z + weights["positions.table"]
    for i in range(depth):
        z = pre_norm(z, part(weights, f"encoder.blocks.{i}"), heads)
    z = layer_norm(z, part(weights, "encoder.norm"))
    return linear(z[:, 0], part(weights, "head"))


# %% [markdown]
# The last receipt: our model in functions, given the module's weights, has the same logits and the same gradients for every parameter.

# %%
module = randomize_(VisionTransformer(ViTConfig(image_size=(32, 48), **small)))
weights = {name: p.detach().clone().requires_grad_() for name, p in module.named_parameters()}
compare(
    lambda images: vit(images, weights, P=8, heads=4, depth=3),
    module,
    random_images(2, 3, 32, 48),
    {name: (weights[name], p) for name, p in module.named_parameters()},
)

# %% [markdown]
# ## Exercises {#exercises}
#
# **1.** How many parameters has ViT-Ti/16 ($D = 192$, $L = 12$, $M = 768$) for pictures of 224 pixels and 1,000 classes? Write `parameters` for any size, with a class token, learned positions and a linear head. The check asks for three models.


# %% tags=["exercise"]
def parameters(D, L, M, P, N, K, C=3): ...


def check_parameters(parameters):
    for name, K in (("Ti/16", 1000), ("S/32", 10), ("H/14", 100)):
        config = ViTConfig.named(name, image_size=(224, 224), classes=K)
        with torch.device("meta"):
            right = count(VisionTransformer(config))
        c, N = config, (224 // config.patch_size) ** 2
        assert parameters(c.width, c.depth, c.mlp_width, c.patch_size, N, K) == right


# %% jupyter={"source_hidden": true} tags=["solution"]
def parameters(D, L, M, P, N, K, C=3):
    block = (4 * D * D + 4 * D) + (2 * D * M + M + D) + 4 * D
    before = (C * P * P * D + D) + D + (N + 1) * D
    return before + L * block + 2 * D + (D * K + K)


check_parameters(parameters)
print(f"{parameters(192, 12, 768, 16, 196, 1000):,}")

# %% [markdown]
# **2.** What does the head hear from the loss? Write `gradient`: the derivative $\partial \ell / \partial s$ of the mean cross-entropy by the logits $s$ ($B \times K$) for `labels` ($B$ class numbers), without `autograd`. The result says in one line why the first step raises the last biases of the classes that are there more often than average.


# %% tags=["exercise"]
def gradient(logits, labels): ...


def check_gradient(gradient):
    torch.manual_seed(0)
    logits, labels = torch.randn(5, 4, requires_grad=True), torch.tensor([0, 3, 1, 1, 2])
    (right,) = torch.autograd.grad(F.cross_entropy(logits, labels), logits)
    mine = gradient(logits.detach(), labels)
    assert isinstance(mine, torch.Tensor)
    torch.testing.assert_close(mine, right)
    assert torch.equal(logits.detach(), logits)


# %% jupyter={"source_hidden": true} tags=["solution"]
def gradient(logits, labels):
    p = logits.softmax(dim=-1)
    truth = F.one_hot(labels, logits.shape[-1])
    return (p - truth) / len(labels)


check_gradient(gradient)

# %% [markdown]
# ## In the paper {#paper}
#
# Section 3.1 of [Dosovitskiy et al. (2020)](../docs/bibliography.md#dosovitskiy2020) reads the class token in equation 4, $y = \mathrm{LN}(z_L^0)$, and names the two heads. Section 3.2 swaps the head for one filled with zeros. Table 1 has the sizes. Appendix D.3 compares the class token with the mean of the patches, and finds both equally good, given a learning rate of its own each.
#
# The model is complete, and it knows nothing. Next, [chapter 6](06_cifar10.ipynb) trains it.
