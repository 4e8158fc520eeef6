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
# # 4 · The encoder
#
# **How do tokens talk to each other?**
#
# So far every token is alone. It knows what its patch shows and where the patch was. It knows nothing of the others, and one patch of fur does not make a cat. The encoder lets tokens talk. It repeats two steps: every token gathers what it needs from all tokens, then it thinks about what it has heard, by itself.
#
# After this chapter you can
#
# - derive attention from dot products, and say why they are divided by $\sqrt{d}$,
# - write multi-head attention, the MLP and the whole block in plain functions,
# - say what norms and residuals do, from your own measurements,
# - count what a block costs, product by product.

# %% tags=["figure"]
from vitlit import figures

figures.pipeline("encoder")

# %% [markdown] tags=["caption"]
# <!-- alt: The model drawn as five boxes in a row. The fourth box, encoder, is lit. The arrows into it and out of it carry the same label, B T D. -->
# **Figure 4.1.** Where we are. $T$ tokens of width $D$ enter the encoder, and $T$ tokens of width $D$ leave it. Each comes back better informed.

# %% [markdown]
# ## A soft lookup {#lookup}
#
# A Python dictionary answers a query with the value of the one key that equals it. In a picture nothing equals anything. So make the lookup soft: compare the query with *every* key, and return a mixture of *all* values, with more of those whose keys fit better. That is attention. The rest of this section is how to compare, and how to mix.

# %% [markdown]
# Our tokens are Chelsea's patches, nothing more: 144 patches of $8 \times 8$ pixels, so each token is a vector of $d = 192$ numbers.
#
# From each number we subtract its mean over all patches, and divide everything by one standard deviation. Now a token says how its patch differs from the average patch.

# %%
import torch

from vitlit.patches import patchify

torch.set_num_threads(1)  # tensors this small are fastest on one thread
cat = torch.from_numpy(figures.chelsea(96)) / 255
patches = patchify(cat[None], 8)[0]
tokens = (patches - patches.mean(dim=0)) / patches.std()
tokens.shape

# %% [markdown]
# Patch 52 holds the pupil of an eye. Which patches are like it? Ask the **dot product**
#
# $$q \cdot k = \sum_{i=1}^{d} q_i k_i .$$
#
# It is large where two vectors point the same way, near 0 where they have nothing in common, negative where they are opposites. Divided by $d$ it is the mean of the 192 products, the **score** of a patch.

# %%
query = tokens[52]
scores = tokens @ query / 192
best = scores.topk(6)
for patch, score in zip(best.indices, best.values, strict=True):
    print(f"{patch:>4}{score:>8.2f}")
print(f"{scores.argmin():>4}{scores.min():>8.2f}")

# %% [markdown]
# For a mixture we need shares: positive numbers that add up to 1. **Softmax** makes them from any scores $s$:
#
# $$w_j = \frac{e^{s_j}}{\sum_i e^{s_i}}$$
#
# Only differences count. One point more of score is $e \approx 2.7$ times the share. So we may subtract the largest score first, and the exponential cannot overflow.


# %%
def softmax(scores):
    shares = (scores - scores.max(dim=-1, keepdim=True).values).exp()
    return shares / shares.sum(dim=-1, keepdim=True)


weights = softmax(scores)
assert torch.allclose(weights, scores.softmax(dim=-1))
figures.lookup(cat, 52, [weights.reshape(12, 12)], top=0.05)

# %% [markdown] tags=["caption"]
# <!-- alt: Left, the cat with a frame around the pupil of her left eye. Right, the cat in gray. Yellow marks lie on the framed pupil, the dark corner of that eye, the other pupil, the nostril and some dark stripes. -->
# **Figure 4.2.** Left, the patch that asks. Right, the weight of every patch: full yellow is 0.05 or more, and an equal share would be 0.007. A pupil finds the other pupil. It also finds the nostril, since all it has to go by is pixels.

# %% [markdown]
# The values are still missing. Once the weights $w_j$ are known, and token $j$ has the value $v_j$, the answer to the query is the mixture $\sum_j w_j v_j$.
#
# Above, one vector played three parts: a patch asked with its pixels, was found by its pixels, and would have handed over its pixels. Attention splits the parts. Three learned matrices make three vectors of each token $z$:
#
# - the **query** $q = z\,W_q$: what I am looking for,
# - the **key** $k = z\,W_k$: what I can be found by,
# - the **value** $v = z\,W_v$: what I hand over.
#
# So an ear may look for an eye, though they are not alike, and may want to hear of it only how far it is open.

# %% [markdown]
# ## Why divide the scores {#scale}
#
# Dividing by $d$ suited pixels, where neighbors are nearly equal and the products add up. Queries and keys of a fresh model are another matter: their numbers are independent, about half of the products are negative, and they mostly cancel. How large is what remains?
#
# Let all numbers have mean 0 and variance 1. Each product has variance 1 too, and variances of independent things add: $q \cdot k$ has variance $d$. Its standard deviation is $\sqrt{d}$.


# %%
def dots(d, trials=200, keys=64):
    q, k = torch.randn(trials, 1, d), torch.randn(trials, keys, d)
    return (q @ k.mT).squeeze(1)


torch.manual_seed(0)
sizes = [2**i for i in range(11)]
spread = torch.tensor([dots(d).std() for d in sizes])
scaled = spread / torch.tensor(sizes).sqrt()
series = {"q · k": (sizes, spread), "q · k / √d": (sizes, scaled)}
figures.lines(series, x="d", y="σ", logx=True, logy=True, base=2)

# %% [markdown] tags=["caption"]
# <!-- alt: Two curves on logarithmic axes. The deviation of q · k is a straight line from 1 at d = 1 to 32 at d = 1024. That of q · k divided by the root of d is flat at 1. -->
# **Figure 4.3.** The standard deviation $\sigma$ of dot products, measured on 12,800 random pairs for each $d$. It grows like $\sqrt{d}$, and dividing by $\sqrt{d}$ keeps it at 1.

# %% [markdown]
# What would softmax do with scores that large? The largest takes nearly everything, and the mixture is a mixture no more. Worse, softmax goes flat there. Its derivative is
#
# $$\frac{\partial w_i}{\partial s_j} = w_i\,(\delta_{ij} - w_j),$$
#
# where $\delta_{ij}$ is 1 if $i = j$, else 0. If one weight is 1 and the others are 0, all of it is 0. The scores get no gradient: the model cannot learn to look elsewhere.

# %%
torch.manual_seed(0)
series = {}
for name, power in (("s = q · k", 0), ("s = q · k / √d", 0.5)):
    largest, slope = [], []
    for d in sizes:
        w = softmax(dots(d) / d**power)
        derivative = torch.diag_embed(w) - w[:, :, None] * w[:, None, :]
        largest.append(w.amax(dim=1).mean())
        slope.append(derivative.norm(dim=(1, 2)).median())
    series[f"max w,  {name}"] = (sizes, largest)
    series[f"‖∂w/∂s‖,  {name}"] = (sizes, slope)
figures.lines(series, x="d", y="", logx=True, base=2)

# %% [markdown] tags=["caption"]
# <!-- alt: Four curves over d. Without the division the largest weight climbs from 0.1 to nearly 1, and the slope of softmax rises, then falls to 0. With it both stay flat. -->
# **Figure 4.4.** Softmax over 64 keys: the largest weight (mean of 200 queries) and the size of the derivative (median). Unscaled, at $d = 1024$ one key takes nearly all, and for a typical query the derivative is gone. Scaled, $d$ makes no difference.

# %% [markdown]
# So the scores are divided by $\sqrt{d}$. This is **scaled dot-product attention**, for all tokens at once, with a row for each in $q$, $k$ and $v$:
#
# $$A = \operatorname{softmax}\!\left(\frac{q\,k^\top}{\sqrt{d}}\right), \qquad \text{output} = A\,v$$
#
# Row $i$ of the $T \times T$ matrix $A$ holds the weights with which token $i$ mixes the values. Everything before the last two axes is a batch.


# %%
def attend(q, k, v):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    weights = softmax(scores)
    return weights @ v, weights


q, k, v = torch.randn(3, 144, 192)
output, A = attend(q, k, v)
output.shape, A.shape

# %% [markdown]
# ## Several heads {#heads}
#
# One softmax makes one mixture. But a token may have several questions: what is like me, what is near me, where is the eye? So we cut the width $D$ into $h$ parts of $d = D/h$ numbers, and each part is a lookup of its own, a **head**.
#
# Here are three made by hand, with queries equal to keys. All are made of a token's pixels or of its position embedding by a linear map, as learned ones would be:
#
# - $d = 1$: the brightness,
# - $d = 3$: the color, with the brightness taken out,
# - $d = 32$: the sine–cosine position of chapter 3.
#
# Patch 64, the green below the pupil, asks all three.

# %%
from vitlit.positions import sincos_positions

pixels = patches.reshape(144, 3, 64)
brightness = pixels.mean(dim=(1, 2))[:, None]
color = pixels.mean(dim=2) - brightness
looks = [brightness, color, sincos_positions((12, 12), 32)]
maps = []
for x in looks:
    x = x - x.mean(dim=0)
    x = x / x.std()
    maps.append(attend(x, x, x)[1][64].reshape(12, 12))
names = ["", *(f"d = {x.shape[1]}" for x in looks)]
figures.lookup(cat, 64, maps, names)

# %% [markdown] tags=["caption"]
# <!-- alt: Four pictures of the cat. In the first a frame lies below the left pupil. The second has its yellow on the darkest patches, the third on the green of both eyes, the fourth on the frame's neighborhood and its row and column. -->
# **Figure 4.5.** One query, three heads: by brightness, by color, by position. Full yellow is each map's largest weight. The color head finds the green of both eyes. The brightness head finds the pupil, which is darker than the patch that asks: a dot product prefers long vectors.

# %% [markdown]
# Put together, this is **multi-head attention**. `qkv` is one linear map from $D$ to $3D$ numbers, which holds $W_q$, $W_k$ and $W_v$ side by side.
#
# Splitting is a reshape, like cutting an image in chapter 1: the axis of $D$ numbers becomes two, $h$ and $d$, and the heads move to the front, to be a batch. Merging walks back.
#
# A last map, `out`, mixes what the heads bring. Without it, each head would add to $d$ coordinates of its own, and it would be left to the MLP and to the next layer to bring the heads together.
#
# Several heads take no more multiplications than one: each of the $h$ score matrices takes $T^2 d$ of them, and $h \cdot T^2 d = T^2 D$. What grows is the number of weights, $h\,T^2$, and with it the work of softmax.


# %%
def split(x, heads):
    B, T, D = x.shape
    return x.reshape(B, T, heads, D // heads).transpose(1, 2)


def merge(x):
    return x.transpose(1, 2).flatten(2)


def multi_head(z, qkv, out, heads):
    q, k, v = (split(x, heads) for x in qkv(z).chunk(3, dim=-1))
    mixed, weights = attend(q, k, v)
    return out(merge(mixed)), weights


assert torch.equal(merge(split(tokens[None], 3)), tokens[None])
split(tokens[None], 3).shape

# %% [markdown]
# ## The module's attention {#attention}
#
# The same in `vitlit`, one method at a time.

# %%
from vitlit.encoder import MLP, Encoder, EncoderBlock, SelfAttention
from vitlit.reveal import reveal

# %% [markdown]
# *Self*-attention, because queries, keys and values all come from the same tokens.

# %% tags=["reveal"]
reveal(SelfAttention)

# %% [markdown]
# First a check: the heads must share the width evenly.
#
# Then the two maps. The initialization is the paper's code: **Xavier uniform**, a variance of $2 / (n_\text{in} + n_\text{out})$. It is drawn for $W_q$, $W_k$, $W_v$ separately (`chunk(3)`), so each counts as a map from $D$ to $D$. Drawn as one map from $D$ to $3D$ they would be smaller, with half the variance.
#
# **Dropout** sets a random part of the results to 0 while training. It is off unless asked for.

# %% tags=["reveal"]
reveal(SelfAttention.__init__)

# %% [markdown]
# `split` makes all three at once. `chunk` cuts the $3D$ numbers of a token into three times $D$, `unflatten` makes the axes $h, d$ of each $D$, and `transpose` brings them to the order $B, h, T, d$.

# %% tags=["reveal"]
reveal(SelfAttention.split)

# %% [markdown]
# `merge` is ours, with the last map in it.

# %% tags=["reveal"]
reveal(SelfAttention.merge)

# %% [markdown]
# `forward` leaves the middle to PyTorch. `scaled_dot_product_attention` computes the same numbers, but its fast kernels work in pieces and never store $A$. That saves $h T^2$ numbers for each image. In one case this is the slower way: training on a CPU with few tokens. There `forward` takes the other path, which comes next.

# %% tags=["reveal"]
reveal(SelfAttention.forward)

# %% [markdown]
# We also want to look at $A$. So there is a second path that keeps it.

# %% tags=["reveal"]
reveal(SelfAttention.with_weights)

# %% [markdown]
# Given the module's two maps, our function returns what the module returns, on both paths.

# %%
torch.manual_seed(0)
module = SelfAttention(width=192, heads=3)
with torch.no_grad():
    output, A = multi_head(tokens[None], module.qkv, module.out, heads=3)
    torch.testing.assert_close(module(tokens[None]), output)
    torch.testing.assert_close(module.with_weights(tokens[None]), (output, A))

# %% [markdown]
# ## Looks that were learned {#learned}
#
# Queries and keys are learned. What does that look like? Here is a game that cannot be won without attention.
#
# A board has 16 tiles, two of each color. Every color has a mark: one quarter of the middle is white. One tile of each color has lost its mark to noise. Restore it.
#
# No tile can do that alone. It must find its twin among 15 others, wherever it lies, and copy its mark. The mark is dealt anew each time, so there is nothing to learn by heart.

# %%
names = ["d93333", "33b34d", "4066d9", "e6991a", "d9d933", "33b3bf", "8c4dbf", "e680b3"]
colors = torch.tensor([[*bytes.fromhex(name)] for name in names]) / 255
marks = torch.eye(4).reshape(4, 1, 2, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)


def deal(B):
    whole = colors.repeat(2, 1)[:, :, None, None].repeat(B, 1, 1, 8, 8)
    whole[..., 2:6, 2:6] = marks[torch.randint(4, (B, 8)).repeat(1, 2)]
    tiles = whole.clone()
    tiles[:, :8, :, 2:6, 2:6] = torch.rand(B, 8, 1, 4, 4)
    order, row = torch.rand(B, 16).argsort(dim=1), torch.arange(B)[:, None]
    return tiles[row, order].flatten(2), whole[row, order].flatten(2), order


# %% [markdown]
# The model is as bare as can be: embed a tile, **one attention with one head**, paint a tile from what it gathered. It has no positions, no MLP, no second layer. What it cannot gather it cannot paint.
#
# The table has the error and the weight that a broken tile gives to its twin, on average. An equal share would be $1/16$.

# %%
from torch import nn
from torch.nn import functional as F

torch.manual_seed(2)
embed, paint = nn.Linear(192, 64), nn.Linear(64, 192)
attention = SelfAttention(width=64, heads=1)


def repair(tiles):
    mixed, weights = attention.with_weights(embed(tiles - 0.5))
    return paint(mixed), weights[:, 0]


board, solution, order = deal(1)
with torch.no_grad():
    before = repair(board)

# %%
parameters = nn.ModuleList([embed, attention, paint]).parameters()
optimizer = torch.optim.Adam(parameters)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=501)
for step in range(501):
    tiles, whole, dealt = deal(32)
    painted, weights = repair(tiles)
    broken = dealt < 8
    loss = F.mse_loss(painted[broken], whole[broken])
    if step % 100 == 0:
        twin = dealt[:, :, None] + 8 == dealt[:, None, :]
        print(f"{step:>4}{loss.item():>10.5f}{weights[twin].mean().item():>7.2f}")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()

# %% [markdown]
# A new board, which it has never seen. Ask on behalf of one broken tile, before and after training.
#
# Here query and key differ. A broken tile asks for *a whole tile of my color*. Its own key has the right color and still does not fit, since all it could hand over is noise.
#
# Nobody told it any of this. The error came down where the weights went to the twin, and so they went there.

# %%
from vitlit.patches import unpatchify

with torch.no_grad():
    after = repair(board)
picture = unpatchify(board, 8, (32, 32))[0]
asks = (order[0] == 2).nonzero().item()
maps = [weights[0, asks].reshape(4, 4) for _, weights in (before, after)]
figures.lookup(picture, asks, maps, ["board", "before", "after"], top=0.8)

# %% [markdown] tags=["caption"]
# <!-- alt: Left, a board of four by four colored tiles, half of them with a white quarter on black, half with gray noise in the middle; a blue one with noise is framed. Middle, the board faded to gray under a faint and even yellow. Right, the gray board with one bright yellow tile, the other blue one. -->
# **Figure 4.6.** The board, and where the framed tile looks before and after training. Full yellow is a weight of 0.8 or more.

# %%
boards = [board]
for painted, _ in (before, after):
    boards.append(torch.where(order[:, :, None] < 8, painted, board))
names = ["board", "before", "after", "solution"]
figures.images([unpatchify(b, 8, (32, 32))[0] for b in [*boards, solution]], names)

# %% [markdown] tags=["caption"]
# <!-- alt: Four boards of colored tiles. The first has eight noisy middles. In the second those tiles are dark and shapeless. In the third and fourth, which look alike, every tile has a clean white quarter. -->
# **Figure 4.7.** The board, the board repaired before training and after, and the solution. All eight broken tiles are asked at once: one matrix $A$, eight lookups.

# %% [markdown]
# ## The MLP: each by itself {#mlp}
#
# Attention moves information between tokens, but its values are only mixed: sums with weights. To *make* something of what was gathered, every token passes through a small network of two layers, the **MLP** (multilayer perceptron). It is the same network for all tokens, and no token sees another.

# %% [markdown]
# Between the layers stands a nonlinearity. ReLU keeps $x$ where it is positive, else 0. **GELU** does it softly:
#
# $$\operatorname{GELU}(x) = x\,\Phi(x)$$
#
# $\Phi(x)$ is the chance that a standard normal number is below $x$: nearly 1 for large $x$, nearly 0 for very negative $x$. So it is ReLU without the kink, and slightly negative values get a slope too.


# %%
def gelu(x):
    return x * (1 + torch.erf(x / 2**0.5)) / 2


x = torch.linspace(-4, 4, 200)
assert torch.allclose(gelu(x), F.gelu(x), atol=1e-6)
figures.lines({"GELU": (x, gelu(x)), "ReLU": (x, x.relu())}, x="x", y="")

# %% [markdown] tags=["caption"]
# <!-- alt: Two curves. ReLU is flat at 0 left of the origin and rises straight on its right, with a kink. GELU follows it smoothly and dips slightly below 0 just left of the origin. -->
# **Figure 4.8.** GELU beside ReLU.

# %% [markdown]
# The first layer grows a token, usually from $D$ to $4D$ numbers, the second shrinks it back.
#
# Who hears whom? Measure it: how much does output token $i$ change with input token $j$? That is the size of the derivative $\partial\,\text{output}_i / \partial z_j$, one number for each pair.


# %%
def mlp(z, grow, shrink):
    return shrink(gelu(grow(z)))


def hears(f, T=8, D=16):
    derivative = torch.autograd.functional.jacobian(f, torch.randn(1, T, D))
    return derivative[0, :, :, 0].norm(dim=(1, 3))


torch.manual_seed(0)
grow, shrink = nn.Linear(16, 64), nn.Linear(64, 16)
both = [hears(SelfAttention(16, heads=2)), hears(lambda z: mlp(z, grow, shrink))]
names = ["SelfAttention", "MLP"]
figures.heatmaps(both, names, shared=False)

# %% [markdown] tags=["caption"]
# <!-- alt: Two 8 by 8 matrices. That of SelfAttention has colors of many shades nearly everywhere, the brightest on the diagonal. That of the MLP has colors on the diagonal only and is dark elsewhere. -->
# **Figure 4.9.** Who hears whom: output tokens down, input tokens across. In attention everybody hears everybody. In the MLP each hears itself.

# %% [markdown]
# Here is the class of the MLP. It has one choice to name. The authors' code computes GELU with tanh, an approximation; torchvision and timm compute it exactly.

# %% tags=["reveal"]
reveal(MLP)

# %% [markdown]
# Xavier again for the weights. The biases are normal with a deviation of $10^{-6}$, which is zero for all purposes. It is in the authors' code, so it is here.

# %% tags=["reveal"]
reveal(MLP.__init__)

# %% [markdown]
# `nn.Linear` works on the last axis and treats all others as a batch. So "each token by itself" needs no code at all.

# %% tags=["reveal"]
reveal(MLP.forward)

# %% [markdown]
# ## LayerNorm: no shouting {#norm}
#
# A dot product rewards vectors for being long. Some tokens are much longer vectors than others. And every block will add to them, as the next section shows, with nothing to keep them from growing. **LayerNorm** sets each token, by itself, to mean 0 and variance 1 over its $D$ numbers:
#
# $$\operatorname{LN}(z) = \gamma \cdot \frac{z - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta$$
#
# The gain $\gamma$ and the bias $\beta$ are learned, $D$ numbers each, and start at 1 and 0. The $\varepsilon$ keeps an all-equal token from dividing by 0. It is $10^{-6}$ in the authors' code, but $10^{-5}$ by default in PyTorch.


# %%
def layer_norm(z, gain=1.0, bias=0.0, eps=1e-6):
    mean = z.mean(dim=-1, keepdim=True)
    variance = z.var(dim=-1, correction=0, keepdim=True)
    return gain * (z - mean) / (variance + eps).sqrt() + bias


normed = layer_norm(tokens)
torch.testing.assert_close(normed, F.layer_norm(tokens, (192,), eps=1e-6))
print(f"{'':>4}{'mean z':>8}{'std':>6}{'mean LN':>9}{'std':>6}")
for i in (52, 60, 116):
    z, n = tokens[i], normed[i]
    print(f"{i:>4}{z.mean():>8.2f}{z.std():>6.2f}{n.mean().abs():>9.2f}{n.std():>6.2f}")

# %% [markdown]
# See what it is good for. Let every patch attend to all patches, with its pixels as query, key and value, and put the results together as a picture. The patch with the pupil is the longest vector. It wins wherever anything is dark.
#
# Then the same with queries and keys normalized. Printed is how many patches take most from patch 52.


# %%
def remade(z):
    mixed, weights = attend(z, z, patches)
    print((weights.argmax(dim=-1) == 52).sum().item())
    return unpatchify(mixed[None], 8, (96, 96))[0]


pictures = [cat, remade(tokens), remade(normed)]
figures.images(pictures, ["", "z", "LN(z)"])

# %% [markdown] tags=["caption"]
# <!-- alt: Three pictures of the cat: the original; one in which copies of the pupil sit in every dark place, on the forehead, the cheeks and the nose; one that is close to the original. -->
# **Figure 4.10.** The cat, her patches mixed by attention as they are, and mixed by attention with queries and keys normalized. In the middle, everything dark has turned into an eye.

# %% [markdown]
# ## Residuals, and where the norm goes {#residual}
#
# An encoder is a stack of blocks. Each has an attention and an MLP, and either is called a **branch**. Two more decisions make it trainable. The first decision: a branch does not replace the tokens, its result is *added* to them. That is the **residual connection**. A branch with nothing to say returns zero, and the tokens pass unharmed.
#
# The second decision: where to normalize. The first Transformer did it after the sum (**post-norm**). ViT does it before the branch (**pre-norm**), and no block ever normalizes the sum itself:
#
# $$z' = z + \operatorname{Attention}(\operatorname{LN}(z)), \qquad z'' = z' + \operatorname{MLP}(\operatorname{LN}(z'))$$


# %%
def pre_norm(z, attention, mlp):
    z = z + attention(layer_norm(z))
    return z + mlp(layer_norm(z))


def post_norm(z, attention, mlp):
    z = layer_norm(z + attention(z))
    return layer_norm(z + mlp(z))


def no_residual(z, attention, mlp):
    z = attention(layer_norm(z))
    return mlp(layer_norm(z))


# %% [markdown]
# Do these choices matter? Stack 24 blocks with random weights, the same for all three, send random tokens through and look at two things.
#
# Going forward, after each block: are the tokens still different from each other? We take the mean cosine between pairs of tokens of an image. At 1 they all point the same way.
#
# Going backward, from the dot product of the output's first token and a random vector: how large is the gradient of each block's $W_q$ and $W_k$? These are the weights that decide who listens to whom.
#
# Printed is the size of the tokens after the last block, as a standard deviation. They start at 1.

# %%
torch.manual_seed(0)
T, D, L = 17, 64, 24
stack = [(SelfAttention(D, 4).double(), MLP(D, 4 * D).double()) for _ in range(L)]
noise, question = torch.randn(8, T, D).double(), torch.randn(8, D).double()


def measure(block):
    z, alike = noise, []
    for attention, network in stack:
        attention.zero_grad()
        z = block(z, attention, network)
        unit = F.normalize(z.detach(), dim=-1)
        cosines = (unit @ unit.mT).sum(dim=(1, 2)) - T
        alike.append(cosines.mean() / (T * T - T))
    (question * layer_norm(z)[:, 0]).sum().backward()
    gradients = [attention.qkv.weight.grad[: 2 * D].norm() for attention, _ in stack]
    return alike, gradients, z.std().item()


# %%
blocks = range(1, L + 1)
kinds = {"z + f(LN(z))": pre_norm, "LN(z + f(z))": post_norm, "f(LN(z))": no_residual}
results = {name: measure(block) for name, block in kinds.items()}
for name, (*_, size) in results.items():
    print(f"{name:<14}{size:>5.1f}")
series = {name: (blocks, alike) for name, (alike, *_) in results.items()}
figures.lines(series, x="ℓ", y="cos")

# %% [markdown] tags=["caption"]
# <!-- alt: Three curves over 24 blocks. Without a residual the cosine is at 1 from the third block on. Post-norm is at 1 around the twelfth. Pre-norm rises slowly and stays below 0.9. -->
# **Figure 4.11.** How alike the tokens of an image are after each block, $\ell = 1, \dots, 24$, at the start of training: pre-norm, post-norm, and without the sum ($f$ stands for either branch). Attention begins near an average, and averaging makes alike.

# %% [markdown]
# Where all tokens are alike, it does not matter to whom one listens, and no gradient says whom to choose. Without the sum, figure 4.12 shows, $W_q$ and $W_k$ have one in the first few blocks only; what remains is rounding.
#
# With post-norm it fades more slowly. Each norm shrinks the sum back to size 1, and with it what is left of the old tokens. With pre-norm the sum may grow. Each branch then weighs less than the one before, and the differences survive.
#
# This is a look at the start of training and at two of the matrices, no more. Post-norm models can be trained; they want a careful warm-up, a learning rate that starts small and rises slowly. [Xiong et al. (2020)](../docs/bibliography.md#xiong2020) find the reason in the gradients near the output.

# %%
series = {name: (blocks, gradients) for name, (_, gradients, _) in results.items()}
figures.lines(series, x="ℓ", y="‖∂/∂W‖", logy=True)

# %% [markdown] tags=["caption"]
# <!-- alt: Three falling curves on a logarithmic axis. Pre-norm falls gently, by less than two powers of ten over 24 blocks. Post-norm falls by five powers of ten. Without a residual the curve plunges from the third block on, and lies on the floor from the sixth. -->
# **Figure 4.12.** The gradient of $W_q$ and $W_k$ in each block, at the start of training.

# %% [markdown]
# ## The block and the encoder {#block}
#
# A block has its own variant of dropout, **stochastic depth**. It does not silence single numbers but a whole branch, and it throws the dice for each image of the batch. With a chance of 0.1, one image in ten skips the branch; the sum makes that harmless. For the other nine the branch is divided by 0.9, so on average it says as much as ever: $0.9 \cdot \frac{1}{0.9} = 1$. In evaluation nothing is skipped.

# %% tags=["reveal"]
reveal(EncoderBlock)

# %% [markdown]
# Two norms, since each branch has its own. `skip` has no weights, so one serves both branches. torchvision has it ready-made; `mode="row"` means an image at a time.

# %% tags=["reveal"]
reveal(EncoderBlock.__init__)

# %% [markdown]
# And `forward` is our `pre_norm`, with the skip around the branches.

# %% tags=["reveal"]
reveal(EncoderBlock.forward)

# %% [markdown]
# The promise in numbers: ten thousand images, a chance of 0.1, a branch that says 1. First what the values are and how many images got them, then the mean.
#
# Then the block against our functions. A fresh norm has gain 1 and bias 0, as ours has.

# %%
torch.manual_seed(0)
block = EncoderBlock(width=192, heads=3, hidden=768, stochastic_depth=0.1)
said = block.skip(torch.ones(10_000, 1, 1))
for value, count in zip(*said.unique(return_counts=True), strict=True):
    print(f"{value:>6.3f}{count:>8,}")
print(f"{said.mean():>6.3f}")
block.eval()
z = tokens[None]
parts = block.attention, lambda z: mlp(z, block.mlp.grow, block.mlp.shrink)
torch.testing.assert_close(block(z), pre_norm(z, *parts))

# %% [markdown]
# The encoder stacks $L$ blocks. In pre-norm nothing has ever normalized the sum, so one last norm follows.

# %% tags=["reveal"]
reveal(Encoder)

# %% [markdown]
# The chance of skipping grows from 0 in the first block to its full value in the last: the early blocks are needed by all that follow.
#
# Every block is built anew. Copying one block $L$ times is shorter and wrong: all would start with the same weights.

# %% tags=["reveal"]
reveal(Encoder.__init__)

# %% [markdown]
# That is the whole encoder. Tokens come in, run through the blocks, and leave with the shape they had.

# %% tags=["reveal"]
reveal(Encoder.forward)

# %% [markdown]
# Are the blocks independent? For each matrix, the smallest of the largest differences between two blocks. A copy would give 0. And our own loop over the blocks agrees with `forward`.

# %%
from itertools import combinations

torch.manual_seed(0)
encoder = Encoder(depth=6, width=192, heads=3, hidden=768).eval()
for name in ("attention.qkv", "attention.out", "mlp.grow", "mlp.shrink"):
    matrices = [block.get_submodule(name).weight for block in encoder.blocks]
    differences = [(a - b).abs().max() for a, b in combinations(matrices, 2)]
    print(f"{name:<15}{min(differences):>6.3f}")
z, maps = tokens[None], []
for block in encoder.blocks:
    maps.append(block.attention.with_weights(block.norm1(z))[1].detach())
    z = pre_norm(z, block.attention, block.mlp)
torch.testing.assert_close(encoder(tokens[None]), layer_norm(z))

# %% [markdown]
# What does such an encoder look at, before it has learned anything? The pupil asks once more, in the colors of figure 4.2.
#
# In each block the scores have, on average, a deviation of at most 1 (first line): the division by $\sqrt{d}$ keeps them small. So most weights differ by small factors, and without any sense. The second line says over how many of the 144 patches they are spread (the exponential of their mean entropy). Were they all equal, it would be 144.

# %%
print(*(f"{A.log().std(dim=-1).mean():>5.2f}" for A in maps))
print(*(f"{(-A * A.log()).sum(dim=-1).mean().exp():>5.0f}" for A in maps))
chosen = [maps[i][0, 0, 52].reshape(12, 12) for i in (0, 2, 5)]
names = ["", "ℓ = 1", "ℓ = 3", "ℓ = 6"]
figures.lookup(cat, 52, chosen, names, top=0.05)

# %% [markdown] tags=["caption"]
# <!-- alt: Four pictures of the cat. In the first a frame lies on a pupil. In the other three, for blocks 1, 3 and 6, yellow patches, faint and strong, are scattered over the whole gray picture. -->
# **Figure 4.13.** One head of a fresh encoder, in three of its blocks. Full yellow is 0.05 again. There is a little from everywhere, and nothing of eyes.

# %% [markdown]
# ## What a block costs {#cost}
#
# Chapter 1 promised to count. A map from $n$ to $m$ numbers multiplies $nm$ times for each token. With an MLP of $4D$:
#
# | product | multiplications |
# |---|---|
# | queries, keys, values | $3\,TD^2$ |
# | scores $q\,k^\top$ | $T^2D$ |
# | mixtures $A\,v$ | $T^2D$ |
# | the map after the heads | $TD^2$ |
# | MLP, growing and shrinking | $4\,TD^2 + 4\,TD^2$ |
# | together | $12\,TD^2 + 2\,T^2D$ |
#
# Below, beside each, is what PyTorch counts when it runs. (It counts a multiplication and an addition as two operations, so we halve.) Neither counts norms, softmax and GELU, which take a few operations for each number and not thousands.
#
# The size is ViT-Base at 224 pixels. The last lines are the share of $q\,k^\top$ and $A\,v$, the part that grows with $T^2$, and the count of an attention with 1, 3 and 12 heads. Counted like this, heads are free. Softmax, which is not counted, has $h$ times as much to do.

# %%
from torch.utils.flop_counter import FlopCounterMode


def counted(f, *inputs):
    with FlopCounterMode(display=False) as counter:
        f(*inputs)
    return counter.get_total_flops() // 2


T, D = 197, 768
block, z = EncoderBlock(D, heads=12, hidden=4 * D), torch.randn(1, T, D)
a, m = block.attention, block.mlp
q, k, v = a.split(z)
rows = {
    "qkv": (3 * T * D**2, counted(a.qkv, z)),
    "q kᵀ": (T**2 * D, counted(torch.matmul, q, k.mT)),
    "A v": (T**2 * D, counted(torch.matmul, torch.rand(1, 12, T, T), v)),
    "out": (T * D**2, counted(a.out, z)),
    "grow": (4 * T * D**2, counted(m.grow, z)),
    "shrink": (4 * T * D**2, counted(m.shrink, torch.randn(1, T, 4 * D))),
    "": (12 * T * D**2 + 2 * T**2 * D, counted(block, z)),
}
for name, (formula, count) in rows.items():
    print(f"{name:<8}{formula:>15,}{count:>15,}")
    assert formula == count
print(f"{2 * T**2 * D / count:.1%}")
{h: counted(SelfAttention(D, heads=h), z) for h in (1, 3, 12)}

# %% [markdown]
# ## Receipt {#receipt}
#
# First the attention, against PyTorch's `scaled_dot_product_attention` on heads that we cut by hand: one call for each head, on its own columns. As always in float64, with every parameter drawn at random.

# %%
from vitlit.receipts import compare, compare_models, random_images, randomize_

ours = randomize_(SelfAttention(width=48, heads=3))
inputs = random_images(2, 17, 48)


def by_hand(z):
    q, k, v = F.linear(z, ours.qkv.weight, ours.qkv.bias).chunk(3, dim=-1)
    columns = [slice(0, 16), slice(16, 32), slice(32, 48)]
    heads = [F.scaled_dot_product_attention(q[..., c], k[..., c], v[..., c]) for c in columns]
    return F.linear(torch.cat(heads, dim=-1), ours.out.weight, ours.out.bias)


compare(lambda z: ours.with_weights(z)[0], by_hand, inputs)

# %% [markdown]
# Then against a whole other class, `nn.MultiheadAttention`. It returns its weights too, so we compare both at once, and the gradients of all parameters.

# %%
theirs = nn.MultiheadAttention(48, 3, batch_first=True).double()
parameters = {
    "qkv.weight": (ours.qkv.weight, theirs.in_proj_weight),
    "qkv.bias": (ours.qkv.bias, theirs.in_proj_bias),
    "out.weight": (ours.out.weight, theirs.out_proj.weight),
    "out.bias": (ours.out.bias, theirs.out_proj.bias),
}
for mine, other in parameters.values():
    other.data.copy_(mine.data)


def joined(z, output, weights):
    return torch.cat([output.flatten(1), weights.flatten(1)], dim=1)


compare(
    lambda z: joined(z, *ours.with_weights(z)),
    lambda z: joined(z, *theirs(z, z, z, average_attn_weights=False)),
    inputs,
    parameters,
)

# %% [markdown]
# Last the whole block, against `nn.TransformerEncoderLayer`. Several of its defaults are not ours: it is post-norm, it uses ReLU and dropout, its $\varepsilon$ is another, and it does not expect the batch first. `compare_models` copies our parameters under their names, strictly: one left over on either side is an error.

# %%
names = {
    "attention.qkv.": "self_attn.in_proj_",
    "attention.out.": "self_attn.out_proj.",
    "mlp.grow.": "linear1.",
    "mlp.shrink.": "linear2.",
}


def rename(state):
    for here, there in names.items():
        state = {name.replace(here, there): value for name, value in state.items()}
    return state


layer = nn.TransformerEncoderLayer(
    48, 3, dim_feedforward=192, dropout=0.0, activation=F.gelu,
    layer_norm_eps=1e-6, batch_first=True, norm_first=True,
)  # fmt: skip
compare_models(EncoderBlock(48, heads=3, hidden=192), layer, rename, inputs)

# %% [markdown]
# ## Exercises {#exercises}
#
# **1.** Tokens need not hear everybody. Language models hide the future, some vision models everything but a window. Write `masked`: attention in which token $i$ takes nothing from token $j$ unless `allowed[i, j]`. Set the other scores to $-\infty$, since $e^{-\infty} = 0$. The stub lets everybody talk.


# %% tags=["exercise"]
def masked(q, k, v, allowed):
    return attend(q, k, v)


def check_masked(masked):
    q, k, v = torch.randn(3, 2, 4, 9, 8, dtype=torch.float64)
    near = (torch.arange(9)[:, None] - torch.arange(9)).abs() <= 1
    output, weights = masked(q, k, v, near)
    assert (weights[..., ~near] == 0).all()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 4, 9, dtype=torch.float64))
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=near)
    torch.testing.assert_close(output, expected)


# %% jupyter={"source_hidden": true} tags=["solution"]
def masked(q, k, v, allowed):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    weights = softmax(scores.masked_fill(~allowed, float("-inf")))
    return weights @ v, weights


check_masked(masked)

# %% [markdown]
# **2.** Stochastic depth takes two lines. Write `skip`: with chance `chance` an image's branch becomes 0, all of it, otherwise it is divided by $1 - \text{chance}$. Each image of the batch throws its own dice. The stub throws them for every number, which is dropout.


# %% tags=["exercise"]
def skip(branch, chance):
    return F.dropout(branch, chance)


def check_skip(skip):
    torch.manual_seed(0)
    branch = torch.rand(4000, 3, 5) + 1
    ratio = skip(branch, 0.2) / branch
    assert torch.allclose(ratio, ratio[:, :1, :1].expand_as(ratio))
    kept = ratio[:, 0, 0] > 0
    assert torch.allclose(ratio[kept], torch.tensor(1 / 0.8))
    assert abs(kept.float().mean() - 0.8) < 0.03
    assert torch.equal(skip(branch, 0.0), branch)
    elsewhere = torch.empty(4, 3, 5, device="meta")  # as on a GPU: the dice must be there too
    assert skip(elsewhere, 0.2).device == elsewhere.device


# %% jupyter={"source_hidden": true} tags=["solution"]
def skip(branch, chance):
    stays = torch.rand(len(branch), 1, 1, device=branch.device) >= chance
    return branch * stays / (1 - chance)


check_skip(skip)

# %% [markdown]
# ## In the paper {#paper}
#
# Section 3.1 of [Dosovitskiy et al. (2020)](../docs/bibliography.md#dosovitskiy2020) describes the encoder in a few lines. Equations 2 and 3 are the block, and equation 4 has the last norm. Appendix A spells out attention: equation 5 makes queries, keys and values, 6 divides the scores by $\sqrt{D_h}$ (our $d$) before the softmax, 7 mixes the values, 8 joins the heads. Table 1 lists widths, heads and MLP sizes: $D_h = 64$ but in ViT-Huge, and the MLP is $4D$ wide throughout. Appendix B.1 says where dropout goes.
#
# Little of it is ViT's own, and that was the point: take a standard Transformer and change as little as possible. Attention with heads and the $\sqrt{d}$ is [Vaswani et al. (2017)](../docs/bibliography.md#vaswani2017), the sum [He et al. (2016)](../docs/bibliography.md#he2016), the norm [Ba et al. (2016)](../docs/bibliography.md#ba2016), GELU [Hendrycks and Gimpel (2016)](../docs/bibliography.md#hendrycks2016), stochastic depth, which the paper does not use, [Huang et al. (2016)](../docs/bibliography.md#huang2016). They skip a block for a whole mini-batch, leave the others as they are, and rescale in the test. To throw the dice for each image and to rescale in training is what timm calls `DropPath`. That attention without residuals makes tokens alike is proved in [Dong et al. (2021)](../docs/bibliography.md#dong2021).
#
# The tokens have talked. [Chapter 5](05_head.ipynb) asks them what they saw.
