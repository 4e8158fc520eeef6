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
# # 1 · Patches
#
# **How does a picture become a sequence?**
#
# A Transformer reads a sequence of vectors. A picture is a grid of pixels. The Vision Transformer, ViT for short, bridges the gap in the plainest way there is: it cuts the picture into squares, called **patches**, and reads them one after another, as a text is read word by word.
#
# After this chapter you can
#
# - cut a batch of images into patches and put them back together, without computing a thing,
# - say how many patches there are, what each one holds, and what they cost the attention that follows.

# %% tags=["figure"]
from vitlit import figures

figures.pipeline("patches")

# %% [markdown] tags=["caption"]
# <!-- alt: The model drawn as five boxes in a row: patches, embedding, positions, encoder, head. The first box, patches, is lit. -->
# **Figure 1.1.** Where we are. Every chapter lights one part. Between the parts stand the shapes that flow: $B$ images of $C$ channels and $H \times W$ pixels enter, and of each image $N$ patches of $CP^2$ numbers leave ($P$ is the side of a patch). The other letters are met on the way.

# %% [markdown]
# ## One picture, many squares {#squares}
#
# Meet [Chelsea](../docs/bibliography.md#chelsea). She is 96 pixels high and wide here, in three colors, so the picture is a tensor of shape $C \times H \times W = 3 \times 96 \times 96$. Its bytes, 0 to 255, become numbers between 0 and 1.
#
# We put a batch axis in front, because a network always reads a batch. Ours holds one picture: $B = 1$.

# %%
import torch

cat = torch.from_numpy(figures.chelsea(96)) / 255
images = cat[None]
images.shape

# %% [markdown]
# Choose a **patch size** $P$. It must divide both sides. A picture of $H \times W$ pixels then has
#
# $$N = \frac{H}{P} \cdot \frac{W}{P}$$
#
# patches. With $P = 24$ Chelsea becomes $4 \times 4 = 16$ squares. They are numbered as you read: row by row, from the left.

# %%
figures.patch_grid(cat, patch_size=24, lit=[5], numbers=True)

# %% [markdown] tags=["caption"]
# <!-- alt: Left, the face of a tabby cat. Right, the same picture cut into four rows of four squares, numbered 0 to 15. Square 5, which holds an eye, is framed. -->
# **Figure 1.2.** One picture, sixteen patches. Patch 5 stands in row 1 and column 1, counted from 0.

# %% [markdown]
# ## Cutting is a reshape {#cutting}
#
# No pixel changes its value. We only regroup axes, in three moves.
#
# First, **split** the height in two: which row of patches, and which pixel row inside the patch. Do the same with the width. An axis of 96 becomes two axes, 4 and 24.

# %%
B, C, H, W = images.shape
P = 24
blocks = images.reshape(B, C, H // P, P, W // P, P)
blocks.shape

# %% [markdown]
# Second, **reorder**. The axes that number the patches (row, column) move to the front, right after the batch. What is inside a patch (channel, pixel row, pixel column) moves to the back. `permute` lists the old positions in their new order.

# %%
blocks = blocks.permute(0, 2, 4, 1, 3, 5)
blocks.shape

# %% [markdown]
# Third, **flatten** both groups. Row and column become one axis, $N = 4 \cdot 4 = 16$, the number of patches. Channel, pixel row and pixel column become $CP^2 = 3 \cdot 24 \cdot 24 = 1728$, the numbers in one patch.

# %%
patches = blocks.reshape(B, (H // P) * (W // P), C * P * P)
patches.shape

# %% [markdown]
# Patch 5 is the square with the left eye. We reshape it back to a little image.
#
# The second move matters. Without it the reshape still runs, and the shape is still right. But each square is filled with lines that run across the whole picture, one after another, folded up. No error message says so. Only a look at it, or a test, will tell.

# %%
right = patches[0, 5].reshape(C, P, P)
unordered = images.reshape(patches.shape)
wrong = unordered[0, 5].reshape(C, P, P)
figures.images([right, wrong], labels=["permute", "—"])

# %% [markdown] tags=["caption"]
# <!-- alt: Two small squares. The left one is a clean picture of a cat's eye. The right one is a jumble of horizontal stripes. -->
# **Figure 1.3.** Patch 5 with the second move, and without it. Both have the right shape.

# %% [markdown]
# ## The module's version {#module}
#
# The module `vitlit` holds the same idea as three functions. What you see below is their source, read from the installed module when this notebook ran.

# %%
from vitlit.patches import grid_of, patchify, unpatchify
from vitlit.reveal import reveal

# %% [markdown]
# Before cutting comes a check. A patch size that does not divide the picture is refused, and the message names the sizes that would do.

# %% tags=["reveal"]
reveal(grid_of)

# %% [markdown]
# `patchify` is our three moves: **reshape**, **permute**, **reshape**. The signature says the shapes, letter by letter: a tensor of floats with axes `B C H W` goes in, one with axes `B N CPP` comes out. (`CPP` is $CP^2$.) Python ignores these shapes. While the tests run, every call is checked against them.

# %% tags=["reveal"]
reveal(patchify)

# %% [markdown]
# `unpatchify` walks the same way back. It needs the image size, because 16 patches could be $4 \times 4$ or $2 \times 8$. The `-1` lets PyTorch work out $C$.

# %% tags=["reveal"]
reveal(unpatchify)

# %% [markdown]
# Our three moves and the module's function agree bit for bit, since neither computes anything. And cutting loses nothing: back together, every pixel is where it was.

# %%
assert torch.equal(patchify(images, P), patches)
assert torch.equal(unpatchify(patches, P, (H, W)), images)

# %% [markdown]
# Nothing asks for a square picture. Here is Chelsea's left half, $96 \times 48$ pixels. It makes 4 rows of 2 patches. Height comes before width, everywhere in this book.

# %%
half = images[..., :48]
grid_of(half.shape[-2:], P), tuple(patchify(half, P).shape)

# %% [markdown]
# ## What a patch costs {#cost}
#
# Why not make patches tiny, down to single pixels? Because of what comes after. Each patch becomes a vector, called a **token**. In the encoder, the model's long middle part, **attention** lets every token look at every token. With $T = N + 1$ tokens (the patches and one more, of which chapter 3 speaks), that makes $T^2$ pairs, in every layer.
#
# Halve $P$, and $N$ grows fourfold. Then $T^2$ grows nearly sixteenfold. Here are the numbers for a picture of $224 \times 224$ pixels.

# %%
table = [f"{'P':>3}{'T':>7}{'T²':>13}"]
for size in (4, 8, 16, 32):
    T = (224 // size) ** 2 + 1
    table.append(f"{size:>3}{T:>7,}{T * T:>13,}")
print("\n".join(table))

# %% [markdown]
# Pairs are not the whole bill. Let a token be a vector of $D$ numbers. Then one layer of the encoder computes, for each image, about
#
# $$\underbrace{12\,T D^2}_{\text{linear maps}} + \underbrace{2\,T^2 D}_{\text{attention}}$$
#
# multiplications. The first term is work on each token by itself, and grows with their number. The second is the pairs, and grows with its square. Take both on trust here: chapter 4 counts them one by one. The second equals the first at $T = 6D$. From there on, attention is what you pay for.


# %%
def cost(H, P, D=768):
    T = (H // P) ** 2 + 1
    return 12 * T * D**2 + 2 * T**2 * D


sides = range(64, 1025, 64)
series = {}
for size in (8, 16, 32):
    series[f"P = {size}"] = (sides, [cost(side, size) / 1e9 for side in sides])
axes = {"x": "H = W / pixels", "y": "multiplications / 10⁹"}
figures.lines(series, **axes, logx=True, logy=True, base=2)

# %% [markdown] tags=["caption"]
# <!-- alt: Three rising curves on logarithmic axes, for patch sizes 8, 16 and 32. Smaller patches cost more, and their curves bend upward at large images. -->
# **Figure 1.4.** Multiplications of one encoder layer of ViT-Base ($D = 768$) for square images. Halving $P$ costs about four times as much where linear maps dominate. Toward the upper right, where attention does, it costs more.

# %% [markdown]
# ## Receipt {#receipt}
#
# Every chapter has a **receipt**: our code beside somebody else's, on random input. Here it is `torch.nn.functional.unfold`, which slides a window over the image. We let it jump by a whole window. It puts the patches last, so `.mT` swaps the last two axes.
#
# The left number is the largest difference, in the outputs and in the gradients that flow back to the pixels. Here it must be 0, since nothing is computed. The right number is the largest absolute value among the other code's results. It shows that there was something to compare: zeros agree with anything. If either number is out of bounds, `compare` raises an error.

# %%
from torch.nn import functional as F

from vitlit.receipts import compare, random_images

compare(
    lambda x: patchify(x, 8),
    lambda x: F.unfold(x, kernel_size=8, stride=8).mT,
    random_images(2, 3, 32, 48),
)

# %% [markdown]
# ## Exercises {#exercises}
#
# **1.** A picture of $H \times W$ pixels is cut into patches of size $P$, and one more token joins them. How many pairs of tokens does attention compare in one layer? Write `pairs`. Then run `check_pairs(pairs)`: silence means that it is right.


# %% tags=["exercise"]
def pairs(H, W, P): ...


def check_pairs(pairs):
    assert pairs(32, 32, 4) == 65**2
    assert pairs(224, 224, 16) == 197**2
    assert pairs(64, 32, 8) == 33**2


# %% jupyter={"source_hidden": true} tags=["solution"]
def pairs(H, W, P):
    T = (H // P) * (W // P) + 1
    return T * T


check_pairs(pairs)

# %% [markdown]
# **2.** Where does a pixel go? The pixel at row `y` and column `x` of an image `W` pixels wide lands in which patch? Write `patch_of`, which returns the patch's number.


# %% tags=["exercise"]
def patch_of(y, x, W, P): ...


def check_patch_of(patch_of):
    marked = torch.zeros(1, 1, 24, 32)
    for y, x in [(0, 0), (5, 31), (23, 0), (17, 20)]:
        marked.zero_()[0, 0, y, x] = 1
        patch = patchify(marked, 8)[0].sum(dim=1).argmax().item()
        assert patch_of(y, x, W=32, P=8) == patch


# %% jupyter={"source_hidden": true} tags=["solution"]
def patch_of(y, x, W, P):
    return (y // P) * (W // P) + x // P


check_patch_of(patch_of)

# %% [markdown]
# ## In the paper {#paper}
#
# Section 3.1 of [Dosovitskiy et al. (2020)](../docs/bibliography.md#dosovitskiy2020) introduces patches in its first paragraph: $x \in \mathbb{R}^{H \times W \times C}$ becomes $x_p \in \mathbb{R}^{N \times (P^2 C)}$. The channels come last there and first here, as PyTorch has them. It is a matter of order alone. Its figure 1 shows the cut. Section 4.1 names the models by their patch size: ViT-L/16 has $P = 16$.
#
# Next, [chapter 2](02_embeddings.ipynb) turns each patch into a vector that the model can work with.
