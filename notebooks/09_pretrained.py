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
# # 9 · Pretrained
#
# **How do other people's weights get into our model, and when are they worth it?**
#
# The best Vision Transformers were trained on millions of pictures and more, by people with large machines. Their weights can be had. But each library has its own names and its own shapes for the same numbers, and a mistake in translation seldom says so. This chapter translates, proves it, and then asks why anyone should want weights that were trained on something else.
#
# After this chapter you can
#
# - read a weights file of torchvision, timm, Hugging Face or the paper's authors,
# - translate it, and prove that no number got lost or lost its place,
# - recognize the mistakes that load without an error,
# - say what a ViT lacks where pictures are few, and who can lend it.

# %% tags=["figure"]
from vitlit import figures

figures.pipeline("all")

# %% [markdown] tags=["caption"]
# <!-- alt: All five boxes of the model are lit, as in the chapter on CIFAR-10: every one after the patches holds weights that can come from elsewhere. -->
# **Figure 9.1.** Every part after the patches has weights, and every weight needs its place.

# %% [markdown]
# ## Four dialects {#dialects}
#
# A weights file is a dictionary: names, and a tensor for each. Here is a small model with random weights, and what four programs call the weights of its second block. Our names are on the left. Those of torchvision are its models', those of Hugging Face its files'. For these two that is not the same, as you will see below.

# %% tags=["wide"]
import torch

from vitlit import VisionTransformer, ViTConfig
from vitlit.layouts import LAYOUTS, to_layout
from vitlit.receipts import randomize_

config = ViTConfig(image_size=(32, 32), width=24, depth=2, heads=3, mlp_width=48)
model = randomize_(VisionTransformer(config)).float()
block = {name: t for name, t in model.state_dict().items() if "blocks.1." in name}
for layout in LAYOUTS:
    print(f"\n{layout}")
    for name, tensor in block.items():
        if name.endswith("weight"):
            for theirs, entry in to_layout({name: tensor}, layout, config).items():
                ours = name.removeprefix("encoder.blocks.1.")
                print(f"  {ours:<22}{theirs:<72}{tuple(entry.shape)}")

# %% [markdown]
# Three differ in little but names. torchvision and timm keep query, key and value as one matrix, as we do; Hugging Face keeps three. The last, `npz`, is that of the checkpoints which the paper's authors published. It was written by another framework, JAX, and there shapes differ too.

# %% [markdown]
# ## One matrix, four ways {#qkv}
#
# Take the matrix that makes queries, keys and values from tokens of width $D$. Ours has $3D$ rows: queries on top, then keys, then values. Within each, the rows of the first head come first, then those of the second.
#
# PyTorch multiplies by the transpose, $z\,W^\top$. JAX multiplies without it, $z\,K$, so its matrix (called kernel there) is $K = W^\top$. And it keeps the heads as an axis of their own: $D \times h \times d$.


# %%
def apart(W):
    return W.chunk(3)


def flax_kernel(W, h):
    return W.T.unflatten(1, (h, -1))


D, h = config.width, config.heads
W = model.encoder.blocks[1].attention.qkv.weight.detach()
Wq, Wk, Wv = apart(W)
K = flax_kernel(Wq, h)
print(tuple(W.shape), tuple(Wq.shape), tuple(K.shape))

tokens = torch.randn(5, D)
ours = (tokens @ Wq.T).unflatten(1, (h, -1))
flax = torch.einsum("td,dhk->thk", tokens, K)
print((ours - flax).abs().max().item())

# %% [markdown]
# The patch embedding is the other place to stumble. For PyTorch it is a convolution with $D$ filters of $C \times P \times P$. In the paper's files the axes come as $P \times P \times C \times D$. Whoever reads them in the wrong order gets numbers of the right count, and no error.

# %%
from vitlit import data, records, studies
from vitlit.classifier import load

trained = load(studies.best(records.find()).path)
filters = trained.model.embedding.projection.weight.detach().unflatten(1, (3, 4, 4))
strongest = filters[filters.flatten(1).norm(dim=1).argsort(descending=True)][:10]
kernel = strongest.permute(2, 3, 1, 0)  # as the paper's files have it
wrong = kernel.reshape(strongest.shape)
swapped = strongest.mT


def drawn(filters):
    return 0.5 + 0.5 * filters / filters.flatten(1).abs().amax(dim=1)[:, None, None, None]


figures.images([*drawn(strongest), *drawn(wrong), *drawn(swapped)], columns=10)

# %% [markdown] tags=["caption"]
# <!-- alt: Three rows of ten color tiles of four by four pixels. In the first row edges and corners can be seen, in the second row only motley noise, in the third the edges of the first row again, mirrored along the diagonal. -->
# **Figure 9.2.** The ten strongest filters of our best model. First row: read correctly. Second: its numbers in the paper's order, read as if they were in PyTorch's. Third: height and width swapped. The third looks just as good as the first.

# %% [markdown]
# ## The module's translators {#layouts}
#
# In the code a dialect is called a **layout**. One table for each says what is called how. One function uses it.

# %%
from vitlit.layouts import OTHERS, config_of, entries, from_layout, layout_of, listed
from vitlit.reveal import reveal

# %% [markdown]
# `entries` takes one tensor of ours and returns what a layout makes of it: one tensor, or three, under their names. The block's number is cut out of our name and put into theirs.

# %% tags=["reveal"]
reveal(entries)

# %% [markdown]
# The way back is not written down anywhere. `entries` copies nothing: what it returns are **views**, windows onto the memory of the tensor that it was given, with the axes in another order. So `from_layout` takes an empty tensor of our shape, opens the other layout's windows onto it, and fills them. The two directions cannot disagree.
#
# Before that, names and shapes are compared, all of them, and what does not fit is named.

# %% tags=["reveal", "wide"]
reveal(from_layout)

# %% [markdown]
# There and back, bit by bit, through all four:

# %%
state = model.state_dict()
for layout in LAYOUTS:
    theirs = to_layout(state, layout, config)
    back = from_layout(theirs, layout, config)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    count = sum(tensor.numel() for tensor in theirs.values())
    print(f"{layout_of(theirs):<12}{len(theirs):>4} tensors{count:>8,} numbers")

# %% [markdown]
# One trap is in none of these tables. A library may change its names, but the files that are out keep the old ones. torchvision has rebuilt its MLP since it published its weights: what the files call `mlp.linear_1` and `mlp.linear_2`, its models call `mlp.0` and `mlp.3`. Hugging Face's transformers has gone further. In version 5 its models have new names for nearly everything in a block, and its files still have the old ones. Both libraries rename in passing when they load.
#
# So we need one more table, from the name that is not in ours to the one that is:

# %% tags=["wide"]
for other, name in OTHERS.items():
    print(f"{other:<58}{name}")

# %% [markdown]
# The left column holds regular expressions, the right one what to put in their place. `listed` applies them. `from_layout` and `config_of` call it first, so they take the names of files and those of models.

# %% tags=["reveal"]
reveal(listed)

# %% [markdown]
# torchvision's own model takes the older names without a word, and ends with the same weights:

# %%
from torchvision import models

today = to_layout(state, "torchvision", config)
older = {
    name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): tensor
    for name, tensor in today.items()
}
same = {"hidden_dim": 24, "num_layers": 2, "num_heads": 3, "mlp_dim": 48}
theirs = models.VisionTransformer(image_size=32, patch_size=4, num_classes=10, **same)
theirs.load_state_dict(older)
assert listed(older).keys() == today.keys() != older.keys()
assert all(torch.equal(today[name], tensor) for name, tensor in theirs.state_dict().items())

# %% [markdown]
# Do the tables fit the real models? We take the names and shapes of the weights of torchvision's five ViTs, built without memory for them. `config_of` reads from the shapes what model they belong to. The number of heads is in none of these shapes: it is that of the named size (chapter 5) with this width and depth.

# %%
for name in ("vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14"):
    with torch.device("meta"):
        shapes = {n: t.shape for n, t in models.get_model(name).state_dict().items()}
        theirs = {n: torch.empty(shape) for n, shape in shapes.items()}
        c = config_of(theirs, "torchvision")
        ours = to_layout(VisionTransformer(c).state_dict(), "torchvision", c)
    assert {n: t.shape for n, t in ours.items()} == shapes
    size = f"D {c.width:>5}  L {c.depth:>3}  h {c.heads:>3}  P {c.patch_size:>3}"
    print(f"{name:<10}{size}{sum(t.numel() for t in theirs.values()):>13,}")

# %% [markdown]
# ## Receipts {#receipt}
#
# Shapes prove little: a square matrix may be the wrong square matrix. So compare what comes out. The models have the width, heads and MLP of B/16, but two blocks and small pictures, to be quick. Everything is random and in float64, and `compare_models` copies strictly.
#
# First torchvision: logits, and the gradients of a randomly weighted sum of them for every pixel and parameter.

# %%
from functools import partial

from vitlit.receipts import Row, compare, compare_models, random_images

config = ViTConfig.named("B/16", depth=2, image_size=(64, 64))
same = {"hidden_dim": 768, "num_layers": 2, "num_heads": 12, "mlp_dim": 3072}
compare_models(
    VisionTransformer(config),
    models.VisionTransformer(image_size=64, patch_size=16, num_classes=10, **same),
    partial(to_layout, layout="torchvision", config=config),
    random_images(1, 3, 64, 64),
)

# %% [markdown]
# timm:

# %%
from timm.models.vision_transformer import VisionTransformer as TimmViT

compare_models(
    VisionTransformer(config),
    TimmViT(img_size=64, patch_size=16, num_classes=10, depth=2),
    partial(to_layout, layout="timm", config=config),
    random_images(1, 3, 64, 64),
)

# %% [markdown]
# The paper's files. timm reads them too, with code of its own. So we write one, and both read it. It holds float32 numbers; the comparison is in float64 again.
#
# The authors' code has the tanh approximation of GELU, so that is what `model_of`, which builds a model from weights, takes for theirs. timm has the exact GELU, and for this receipt we want the same.

# %%
import tempfile

import numpy as np

from vitlit.pretrained import model_of, read

state = to_layout(randomize_(VisionTransformer(config)).float().state_dict(), "npz", config)
theirs = TimmViT(img_size=64, patch_size=16, num_classes=10, depth=2)
with tempfile.TemporaryDirectory() as folder:
    file = f"{folder}/paper.npz"
    np.savez(file, **{name: tensor.numpy() for name, tensor in state.items()})
    theirs.load_pretrained(file)
    ours = model_of(read(file), gelu="none")
compare(ours.double(), theirs.double().eval(), random_images(1, 3, 64, 64))

# %% [markdown]
# Hugging Face loads from a folder, so we write one and let its own code read it. Unless told otherwise, its LayerNorm adds an $\varepsilon$ of $10^{-12}$ to the variance, not $10^{-6}$; we tell *our* model to do so too.

# %%
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save_file
from transformers import ViTConfig as HuggingFaceConfig
from transformers import ViTForImageClassification
from transformers.utils import logging

logging.disable_progress_bar()
config = replace(config, eps=1e-12)
ours = randomize_(VisionTransformer(config))
with tempfile.TemporaryDirectory() as folder:
    HuggingFaceConfig(num_hidden_layers=2, image_size=64, num_labels=10).save_pretrained(folder)
    state = to_layout(ours.state_dict(), "huggingface", config)
    save_file({n: t.contiguous() for n, t in state.items()}, f"{folder}/model.safetensors")
    theirs = ViTForImageClassification.from_pretrained(folder, dtype=torch.float64).eval()
images = random_images(1, 3, 64, 64)
compare(ours, lambda x: theirs(pixel_values=x).logits, images)

# %% [markdown]
# The file has the names of our table. The model that was read from it has others. `from_layout` takes its state dict all the same, and returns our weights. Printed are the first names that only the model has, and how many there are of how many.

# %%
in_memory = theirs.state_dict()
new = [name for name in in_memory if name not in state]
back = from_layout(in_memory, "huggingface", config)
assert all(torch.equal(back[name], tensor) for name, tensor in ours.state_dict().items())
print(*new[:4], f"{len(new)} / {len(in_memory)}", sep="\n")

# %% [markdown]
# And what happens on the way: the tokens before the first block and after each. Hugging Face returns them when asked; `watch` gives ours.

# %%
with torch.no_grad():
    watched = ours.watch(images)
    said = theirs(pixel_values=images, output_hidden_states=True)
pairs = dict(zip(("with_positions", "block_1", "block_2"), said.hidden_states, strict=True))
for name, reference in pairs.items():
    row = Row(name, (watched[name] - reference).abs().max().item(), reference.abs().max().item())
    assert row.holds, row
    print(f"{name:<16}max |Δ| {row.difference:.1e}   max |reference| {row.reference:.3g}")

# %% [markdown]
# ## Mistakes that load {#mistakes}
#
# What if one does it wrong? Here are seven mistakes. None raises an error. Our best model makes each of them, and is then tested on every tenth test picture.

# %%
pictures = data.load()
images, labels = pictures.test_images[::10], pictures.test_labels[::10]


def edited(kind):
    model, c = trained.model, trained.model.config
    changes = {
        "eps": {"eps": 1e-12},
        "GELU": {"gelu": "tanh"},
        "tanh → ReLU": {"activation": "relu"},
    }
    state = dict(model.state_dict())
    for name, tensor in state.items():
        rows = tensor.unflatten(0, (3, c.heads, -1)) if "qkv" in name else None
        if kind == "Q ↔ K" and rows is not None:
            state[name] = rows[[1, 0, 2]].flatten(0, 2)
        if kind == "heads" and rows is not None:
            state[name] = rows.transpose(1, 2).flatten(0, 2)
        if kind == "H ↔ W" and name == "embedding.projection.weight":
            state[name] = tensor.unflatten(1, (3, c.patch_size, -1)).mT.flatten(1)
        if kind == "rows ↔ columns" and name == "positions.table":
            places = tensor[1:].unflatten(0, model.positions.grid).transpose(0, 1).flatten(0, 1)
            state[name] = torch.cat([tensor[:1], places])
    new = VisionTransformer(replace(c, **changes.get(kind, {})))
    new.load_state_dict(state)
    return replace(trained, model=new)


kinds = ("none", "eps", "GELU", "tanh → ReLU", "rows ↔ columns", "H ↔ W", "heads", "Q ↔ K")
right, reference = {}, None
print(f"{'':<16}{'max |Δ logits|':>16}{'other answers':>16}{'right':>10}")
for kind in kinds:
    logits = torch.cat([edited(kind).logits(batch) for batch in images.split(250)])
    reference = logits if reference is None else reference
    moved = (logits - reference).abs().max().item()
    other = (logits.argmax(dim=1) != reference.argmax(dim=1)).sum().item()
    right[kind] = (logits.argmax(dim=1) == labels).double().mean().item()
    print(f"{kind:<16}{moved:>16.1e}{other:>16}{right[kind]:>10.1%}")

# %% tags=["figure"]
figures.bars({kind: 100 * share for kind, share in right.items()}, "accuracy / %", lit=["none"])

# %% [markdown] tags=["caption"]
# <!-- alt: Eight horizontal bars, the first for no mistake, the others for one each. The first four, from none to tanh → ReLU, are about equally long; the bars below are clearly shorter, some of them very short. -->
# **Figure 9.3.** Accuracy after a mistake in translation, on every tenth test picture. In "heads", the heads' rows lie interleaved, and are read one head after the other.

# %% [markdown]
# Some mistakes hardly show. Another eps or another GELU moves the logits a little and not one of the answers. An accuracy never tells of them. ReLU for the head's tanh makes other logits altogether, and yet most answers stay. Positions or filters with their axes swapped leave a model that still knows a good deal. It looks like a model that needs fine-tuning, not like a bug. Only the last two are plain to see.
#
# So an accuracy that is only a little low does not prove a translation right. A receipt does.

# %% [markdown]
# ## Another resolution {#resolution}
#
# Weights may come for 384 pixels, and one wants 224. Chapter 7 has said what to do with the positions. With a foreign model one should do as its library does. `model_of` interpolates as timm, bicubic and antialiased; the ways of other libraries are in chapter 3. A timm model for 384 pixels, random and with two blocks, goes to 224 by timm's own code and by ours. (timm computes the table in float32, so `float` means `double` meanwhile.)

# %%
from unittest import mock

import timm
from timm.models.vision_transformer import checkpoint_filter_fn

small = {"embed_dim": 96, "depth": 2, "num_heads": 3, "num_classes": 10}
large = randomize_(timm.create_model("vit_tiny_patch16_384", **small))
ours = model_of(large.state_dict(), resized_to=(224, 224), heads=3)
reference = timm.create_model("vit_tiny_patch16_384", img_size=224, **small).double().eval()
with mock.patch.object(torch.Tensor, "float", torch.Tensor.double):
    reference.load_state_dict(checkpoint_filter_fn(large.state_dict(), reference))
compare(ours, reference, random_images(1, 3, 224, 224))

# %% [markdown]
# ## Why pre-training matters {#data}
#
# Chapter 6 said why a small data set is hard for a ViT: two facts that a convolution is born with, it has to find out. How many pictures is that worth? Two models learn CIFAR-10 from its first 1,000 training pictures in a random order, then, from scratch, from the first 2,000, and so on up to all of them. One is the ViT with which chapter 6 changed one ingredient at a time, with all patches from the start. The other is a small ResNet, a convolutional network with residual connections. A picture costs both about the same number of multiplications.

# %%
groups = studies.by_images([run for run in records.find() if run.summary["preset"] == "scaling"])
for model_name, sizes in groups.items():
    summary = sizes[min(sizes)][0].summary
    cost = f"{summary['flops'] / 2e6:6.1f} million multiplications"
    print(f"{model_name:<8}{summary['parameters']:>9,} parameters {cost}")

# %% [markdown]
# Every run takes the same number of steps, those of three epochs of 50,000 pictures: with fewer pictures it sees each of them more often. Crops, flips, batches, warm-up and label smoothing are the same for both. The optimizer is each model's own, and so is its learning rate: for the ResNet that of SGD, for the ViT that of Muon. Each was the best of a few on training pictures that were held back, after training on 10,000 pictures for a third of the steps. `make scaling` repeats all runs; here they are read from their records, three seeds each:

# %%
import statistics

print(f"{'':>7}" + "".join(f"{name:>15}" for name in groups))
for count in sorted(groups["vit"]):
    row = ""
    for sizes in groups.values():
        shares = [100 * run.summary["test_accuracy"] for run in sizes[count]]
        row += f"{statistics.mean(shares):9.1f} ± {statistics.stdev(shares):.1f}"
    print(f"{count:>7,}{row}")

# %% tags=["figure"]
figures.accuracy_over_images(groups)

# %% [markdown] tags=["caption"]
# <!-- alt: Two curves over the number of training pictures on a logarithmic axis, three dots at every number. The one of the ResNet lies above that of the ViT everywhere. Both rise steeply at first and are level at the right end. -->
# **Figure 9.4.** Test accuracy over the number of training images, on a logarithmic axis. A dot is a seed, the line their mean.

# %% [markdown]
# **Nowhere is the ViT ahead.** It is furthest behind where pictures are few.
#
# **It is short of pictures.** With all of them it is about as good as the ResNet with one in twenty-five.
#
# **In the end both curves are level.** There, steps are scarce as well: the more pictures, the fewer times each is seen.
#
# That is the case for pre-training. What a ResNet is born with, a ViT must learn from pictures, but they need not be *yours*. Anybody's will do, and then a few of yours. The paper draws such curves for far larger sets (its figures 3 and 4). There the ViTs begin behind the ResNets too, and overtake them. This book cannot show that: CIFAR-10 ends at 50,000.

# %% [markdown]
# ## With a connection {#online}
#
# If you have one, set the environment variable `VITLIT_ONLINE` and run the cell below: torchvision downloads its ViT-B/16, which was trained on ImageNet, and Chelsea is shown to it. Among ImageNet's classes are five kinds of domestic cats. The cell stores nothing here, so you will see your own result only.

# %%
import os

from IPython.display import display

if os.environ.get("VITLIT_ONLINE"):
    known = load("torchvision:vit_b_16")
    cat = torch.from_numpy(figures.chelsea(224))[None]
    chances = known.logits(cat)[0].softmax(dim=0)
    for k in chances.topk(5).indices.tolist():
        print(f"{known.classes[k]:<24}{chances[k]:>8.1%}")
    seen = known.watch(cat)
    looks = seen["attention_12"][0, :, 0, 1:].mean(dim=0).unflatten(0, (14, 14))
    display(figures.overlay(cat[0], [looks]))

# %% [markdown]
# On the command line it is `vitlit predict --weights torchvision:vit_b_16 cat.jpg`. `timm:` and `huggingface:` work alike, with the names of those libraries.

# %% [markdown]
# ## And out again {#export}
#
# What you train here need not stay here. `vitlit export` writes a folder that another library loads, and says how. The model of chapter 7 has a linear head, so all three can take it. Here timm does, and answers as we do on 200 test pictures.

# %%
from vitlit.export import export

tuned = load("finetune-48-seed0")
some = pictures.test_images[::50]
with tempfile.TemporaryDirectory() as place:
    folder = Path(place) / "mine"
    print(export(tuned, "timm", folder).replace(place, "…"))
    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
with torch.no_grad():
    answers = theirs(tuned.inputs(some)).argmax(dim=1)
agree = (answers == tuned.logits(some).argmax(dim=1)).sum().item()
print(agree, "/", len(some))
assert agree == len(some)

# %% [markdown]
# ## Exercises {#exercises}
#
# **1.** In the paper's files the matrix behind the heads has the shape $h \times d \times D$. Flax is the library of the paper's code. Write `from_flax`: our `out.weight`, $D \times D$, from such a kernel.


# %% tags=["exercise"]
def from_flax(kernel): ...


def check_from_flax(from_flax):
    torch.manual_seed(0)
    name, weight = "encoder.blocks.0.attention.out.weight", torch.randn(24, 24)
    config = ViTConfig(width=24, heads=3, mlp_width=48)
    (kernel,) = to_layout({name: weight}, "npz", config).values()
    assert kernel.shape == (3, 8, 24)
    found = from_flax(kernel)
    assert found is not None
    assert torch.equal(found, weight)


# %% jupyter={"source_hidden": true} tags=["solution"]
def from_flax(kernel):
    return kernel.flatten(0, 1).T


check_from_flax(from_flax)

# %% [markdown]
# **2.** Somebody gives you torchvision's `in_proj_weight`, $3D \times D$, of a layer with `heads` heads. Write `query_matrix`, which returns the rows that make the queries of head `k` (heads count from 0).


# %% tags=["exercise"]
def query_matrix(in_proj_weight, heads, k): ...


def check_query_matrix(query_matrix):
    torch.manual_seed(0)
    layer = torch.nn.MultiheadAttention(12, 3, bias=False, batch_first=True)
    tokens = torch.randn(1, 5, 12)
    _, weights = layer(tokens, tokens, tokens, average_attn_weights=False)
    keys = layer.in_proj_weight[12:24].detach().unflatten(0, (3, 4))
    for k in range(3):
        matrix = query_matrix(layer.in_proj_weight.detach(), 3, k)
        assert matrix is not None
        assert matrix.shape == (4, 12)
        scores = (tokens[0] @ matrix.T) @ (tokens[0] @ keys[k].T).T / 2
        assert torch.allclose(scores.softmax(dim=-1), weights[0, k], atol=1e-6)


# %% jupyter={"source_hidden": true} tags=["solution"]
def query_matrix(in_proj_weight, heads, k):
    queries = in_proj_weight.chunk(3)[0]
    return queries.chunk(heads)[k]


check_query_matrix(query_matrix)

# %% [markdown]
# ## In the paper {#paper}
#
# Section 4.3 of [Dosovitskiy et al. (2020)](../docs/bibliography.md#dosovitskiy2020) asks how much data a ViT needs; its figure 3 compares ViTs and ResNets pre-trained on 1.3 million, 14 million and 303 million pictures, figure 4 on parts of the largest of these sets. Table 5 has the results of fine-tuning from each. [Steiner et al. (2021)](../docs/bibliography.md#steiner2021) trade data against augmentation and regularization, and say when to train and when to download. The small ResNet is from section 4.2 of [He et al. (2016)](../docs/bibliography.md#he2016).
#
# That was the last chapter. The [results](../docs/results.md) have every number of the book, with the command that repeats it. What others have changed about this model since 2020 is told in [what came after](../docs/after.md).
