"""vitlit.layouts: weights under other programs' names, against those programs' own models."""

import math
from functools import partial

import numpy as np
import pytest
import timm
import timm.models.vision_transformer as timms
import torch
from safetensors.torch import load_file, save_file
from torchvision import models
from torchvision.models import VisionTransformer as TorchvisionViT
from transformers import ViTConfig as HuggingFaceConfig
from transformers import ViTForImageClassification

from vitlit.checkpoint import CheckpointError
from vitlit.config import ViTConfig
from vitlit.layouts import (
    LAYOUTS,
    config_of,
    entries,
    from_layout,
    layout_of,
    listed,
    to_layout,
)
from vitlit.receipts import Row, compare, compare_models, random_images, randomize_
from vitlit.vit import VisionTransformer

SMALL = ViTConfig(image_size=(8, 8), classes=5, width=12, depth=3, heads=3, mlp_width=24)
MLP = ViTConfig(**{**vars(SMALL), "head": "mlp", "head_width": 20})


def random_model(config=SMALL, seed=0):
    """A model whose every weight is random, so that no two tensors are alike."""
    return randomize_(VisionTransformer(config), seed)


def torchvisions(config=SMALL):
    c = config
    return TorchvisionViT(
        c.image_size[0], c.patch_size, c.depth, c.heads, c.width, c.mlp_width,
        num_classes=c.classes, representation_size=c.head_width,
    )  # fmt: skip


def timms_(config=SMALL):
    c = config
    return timms.VisionTransformer(
        c.image_size, c.patch_size, c.channels, c.classes, embed_dim=c.width, depth=c.depth,
        num_heads=c.heads, mlp_ratio=c.mlp_width / c.width,
    )  # fmt: skip


def huggingfaces(config=SMALL):
    c = config
    return ViTForImageClassification(
        HuggingFaceConfig(
            image_size=c.image_size[0], patch_size=c.patch_size, num_labels=c.classes,
            hidden_size=c.width, num_hidden_layers=c.depth, num_attention_heads=c.heads,
            intermediate_size=c.mlp_width, layer_norm_eps=c.eps, hidden_act="gelu",
        )
    )  # fmt: skip


def stored(model, folder):
    """What Hugging Face writes to a file for a model: its names are not those in memory."""
    model.save_pretrained(folder)
    return load_file(folder / "model.safetensors")


def loaded(state, config, folder):
    """Hugging Face's model with the weights of a file, by its own loading."""
    folder.mkdir()
    save_file({name: t.contiguous() for name, t in state.items()}, folder / "model.safetensors")
    empty = huggingfaces(config)
    empty.config.save_pretrained(folder)
    model, report = ViTForImageClassification.from_pretrained(
        folder, output_loading_info=True, dtype=torch.float64
    )
    assert not any(report.values()), report
    return model.double().eval()


def published(state):
    """A state dict of torchvision's under the names that the files on its server have."""
    older = {"mlp.0.": "mlp.linear_1.", "mlp.3.": "mlp.linear_2."}
    files = dict(state)
    for new, old in older.items():
        files = {name.replace(new, old): tensor for name, tensor in files.items()}
    return files


# Every key and shape, against the libraries' own models


@pytest.mark.parametrize("config", [SMALL, MLP], ids=["linear", "mlp"])
def test_every_weight_has_its_place_in_torchvisions_model(config):
    state = to_layout(random_model(config).state_dict(), "torchvision", config)
    theirs = torchvisions(config).state_dict()
    assert {n: t.shape for n, t in state.items()} == {n: t.shape for n, t in theirs.items()}


def test_every_weight_has_its_place_in_timms_model():
    state = to_layout(random_model().state_dict(), "timm", SMALL)
    theirs = timms_().state_dict()
    assert {n: t.shape for n, t in state.items()} == {n: t.shape for n, t in theirs.items()}


def test_every_weight_has_its_place_in_hugging_faces_file(tmp_path):
    state = to_layout(random_model().state_dict(), "huggingface", SMALL)
    theirs = stored(huggingfaces(), tmp_path)
    assert {n: t.shape for n, t in state.items()} == {n: t.shape for n, t in theirs.items()}


@pytest.mark.parametrize("name", ["vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14"])
def test_torchvisions_named_models_are_understood_in_their_true_shapes(name):
    with torch.device("meta"):
        theirs = models.get_model(name)
    state = theirs.state_dict()
    assert layout_of(state) == "torchvision"
    config = config_of(state, "torchvision")
    sizes = (theirs.hidden_dim, theirs.patch_size, theirs.mlp_dim, theirs.num_classes)
    assert (config.width, config.patch_size, config.mlp_width, config.classes) == sizes
    first = theirs.encoder.layers[0]
    assert (config.heads, config.depth) == (first.num_heads, len(theirs.encoder.layers))
    assert config.image_size == (theirs.image_size, theirs.image_size)
    with torch.device("meta"):
        ours = VisionTransformer(config).state_dict()
    again = to_layout(ours, "torchvision", config)
    assert {n: t.shape for n, t in again.items()} == {n: t.shape for n, t in state.items()}


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_base_patch32_384"])
def test_timms_named_models_are_understood_in_their_true_shapes(name):
    theirs = timm.create_model(name)
    config = config_of(theirs.state_dict(), layout_of(theirs.state_dict()))
    assert config.heads == theirs.blocks[0].attn.num_heads
    from_layout(theirs.state_dict(), "timm", config)


# Receipts: the same numbers come out


def test_torchvisions_model_computes_the_same():
    for config in (SMALL, MLP):
        rename = partial(to_layout, layout="torchvision", config=config)
        images = random_images(2, 3, 8, 8)
        compare_models(VisionTransformer(config), torchvisions(config), rename, images)


def test_timms_model_computes_the_same():
    rename = partial(to_layout, layout="timm", config=SMALL)
    compare_models(VisionTransformer(SMALL), timms_(), rename, random_images(2, 3, 8, 8))


def test_hugging_faces_model_computes_the_same_and_its_gradients_too(tmp_path):
    config = ViTConfig(**{**vars(SMALL), "eps": 1e-12})
    ours = random_model(config)
    state = to_layout(ours.state_dict(), "huggingface", config)
    theirs = loaded(state, config, tmp_path / "in")
    images = random_images(2, 3, 8, 8)
    compare(ours, lambda x: theirs(pixel_values=x).logits, images)

    # The parameters' gradients travel as weights would: written to a file, and read by us.
    for model in (ours, lambda x: theirs(pixel_values=x).logits):
        logits = model(images)
        weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0))
        (100 * weights * logits).sum().backward()
    for parameter in theirs.parameters():
        parameter.data = parameter.grad
    found = from_layout(stored(theirs, tmp_path / "out"), "huggingface", config)
    for name, parameter in ours.named_parameters():
        difference = (found[name] - parameter.grad).abs().max().item()
        assert Row(name, difference, parameter.grad.abs().max().item()).holds, name


# What is computed on the way


def kept_by(module, name, seen):
    """Keep what a module returns, under a name, whenever it is called."""
    module.register_forward_hook(lambda module, inputs, output: seen.update({name: output}))


def assert_same_on_the_way(ours, theirs, images, seen):
    """`theirs` was run with hooks that fill `seen`; every name in it is one of `watch`."""
    with torch.no_grad():
        watched = ours.watch(images)
        theirs(images)
    assert len(seen) > ours.config.depth
    for name, reference in seen.items():
        difference = (watched[name].reshape(reference.shape) - reference).abs().max().item()
        row = Row(name, difference, reference.abs().max().item())
        assert row.holds, row


def test_torchvisions_intermediates_are_those_of_watch():
    ours, theirs, seen = random_model(), torchvisions().double().eval(), {}
    theirs.load_state_dict(to_layout(ours.state_dict(), "torchvision", SMALL))
    for i, block in enumerate(theirs.encoder.layers, 1):
        kept_by(block, f"block_{i}", seen)
        attention = block.self_attention

        def attend(q, k, v, need_weights, name=f"attention_{i}", call=attention.forward):
            output, seen[name] = call(q, k, v, average_attn_weights=False)
            return output, None

        attention.forward = attend
    kept_by(theirs.encoder.dropout, "with_positions", seen)
    kept_by(theirs.encoder, "encoded", seen)
    theirs.heads.register_forward_pre_hook(lambda _, inputs: seen.update(class_token=inputs[0]))
    assert_same_on_the_way(ours, theirs, random_images(2, 3, 8, 8).detach(), seen)


def test_timms_intermediates_are_those_of_watch():
    ours, theirs, seen = random_model(), timms_().double().eval(), {}
    theirs.load_state_dict(to_layout(ours.state_dict(), "timm", SMALL))
    for i, block in enumerate(theirs.blocks, 1):
        kept_by(block, f"block_{i}", seen)
        block.attn.fused_attn = False
        kept_by(block.attn.attn_drop, f"attention_{i}", seen)
    kept_by(theirs.patch_embed, "embedded", seen)
    kept_by(theirs.pos_drop, "with_positions", seen)
    kept_by(theirs.norm, "encoded", seen)
    assert_same_on_the_way(ours, theirs, random_images(2, 3, 8, 8).detach(), seen)


def test_hugging_faces_intermediates_are_those_of_watch(tmp_path):
    config = ViTConfig(**{**vars(SMALL), "eps": 1e-12})
    ours, seen = random_model(config), {}
    state = to_layout(ours.state_dict(), "huggingface", config)
    model = loaded(state, config, tmp_path / "in")

    def theirs(images):
        said = model(pixel_values=images, output_hidden_states=True)
        names = ["with_positions", *(f"block_{i}" for i in range(1, config.depth + 1))]
        seen.update(zip(names, said.hidden_states, strict=True))
        seen["logits"] = said.logits

    images = random_images(2, 3, 8, 8).detach()
    assert_same_on_the_way(ours, theirs, images, seen)

    model.set_attn_implementation("eager")  # it keeps the weights, and rounds them to float32
    with torch.no_grad():
        weights = model(pixel_values=images, output_attentions=True).attentions
        watched = ours.watch(images)
    for i, reference in enumerate(weights, 1):
        torch.testing.assert_close(watched[f"attention_{i}"], reference, rtol=1e-5, atol=1e-6)


def npz_of(config, seed=0):
    """A checkpoint as the paper's authors published them, written out by hand."""
    generator = np.random.default_rng(seed)
    P, D, h, M, K = config.patch_size, config.width, config.heads, config.mlp_width, config.classes
    N = math.prod(config.image_size) // P**2
    attention = {"query": (D, h, D // h), "key": (D, h, D // h), "value": (D, h, D // h)}
    shapes = {
        "cls": (1, 1, D), "embedding/kernel": (P, P, config.channels, D), "embedding/bias": (D,),
        "Transformer/posembed_input/pos_embedding": (1, N + 1, D),
        "Transformer/encoder_norm/scale": (D,), "Transformer/encoder_norm/bias": (D,),
        "head/kernel": (config.head_width or D, K), "head/bias": (K,),
    }  # fmt: skip
    if config.head == "mlp":
        shapes |= {"pre_logits/kernel": (D, config.head_width), "pre_logits/bias": (20,)}
    for i in range(config.depth):
        block = f"Transformer/encoderblock_{i}/"
        for norm in ("LayerNorm_0", "LayerNorm_2"):
            shapes |= {f"{block}{norm}/scale": (D,), f"{block}{norm}/bias": (D,)}
        for name, shape in attention.items():
            where = f"{block}MultiHeadDotProductAttention_1/{name}/"
            shapes |= {f"{where}kernel": shape, f"{where}bias": shape[1:]}
        where = f"{block}MultiHeadDotProductAttention_1/out/"
        shapes |= {f"{where}kernel": (h, D // h, D), f"{where}bias": (D,)}
        for name, ins, outs in (("Dense_0", D, M), ("Dense_1", M, D)):
            where = f"{block}MlpBlock_3/{name}/"
            shapes |= {f"{where}kernel": (ins, outs), f"{where}bias": (outs,)}
    return {
        n: generator.normal(1.0 if n.endswith("scale") else 0.0, 0.3, shape).astype(np.float32)
        for n, shape in shapes.items()
    }


def test_the_papers_checkpoint_computes_what_timm_computes_with_it(tmp_path):
    arrays = npz_of(SMALL)
    np.savez(tmp_path / "paper.npz", **arrays)
    theirs = timms_()
    theirs.load_pretrained(str(tmp_path / "paper.npz"))
    ours = VisionTransformer(SMALL)
    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    assert layout_of(state) == "npz"
    assert config_of(state, "npz", gelu="none") == SMALL  # timm's GELU, not the paper's code's
    ours.load_state_dict(from_layout(state, "npz", SMALL))
    compare(ours.double().eval(), theirs.double().eval(), random_images(2, 3, 8, 8))


def test_the_papers_mlp_head_is_read():
    state = {name: torch.from_numpy(array) for name, array in npz_of(MLP).items()}
    config = config_of(state, "npz")
    assert (config.head, config.head_width) == ("mlp", 20)
    ours = from_layout(state, "npz", config)
    assert torch.equal(ours["head.hidden.weight"], state["pre_logits/kernel"].T)


def test_the_names_in_torchvisions_own_files_are_older_than_its_models():
    today = to_layout(random_model().state_dict(), "torchvision", SMALL)
    files = published(today)
    assert files.keys() != today.keys()
    theirs = torchvisions().double()
    theirs.load_state_dict(files)  # it renames them itself
    found = listed(files)
    assert found.keys() == theirs.state_dict().keys()
    assert all(torch.equal(found[name], t) for name, t in theirs.state_dict().items())
    for layout in ("timm", "huggingface", "npz"):
        other = to_layout(random_model().state_dict(), layout, SMALL)
        assert listed(other).keys() == other.keys()


def test_hugging_faces_model_in_memory_is_read_like_its_file(tmp_path):
    theirs = randomize_(huggingfaces())
    in_memory, in_file = theirs.state_dict(), stored(theirs, tmp_path)
    assert in_memory.keys() != in_file.keys()
    assert listed(in_memory).keys() == in_file.keys()
    assert config_of(in_memory, "huggingface", heads=3, eps=SMALL.eps) == SMALL
    ours = VisionTransformer(SMALL).double()
    for state in (in_memory, in_file):
        ours.load_state_dict(from_layout(state, "huggingface", SMALL))
        compare(ours, lambda x: theirs(pixel_values=x).logits, random_images(2, 3, 8, 8))


def test_a_weight_under_both_its_names_is_refused():
    files = published(to_layout(random_model().state_dict(), "torchvision", SMALL))
    name = "encoder.layers.encoder_layer_1.mlp.linear_1.bias"
    with pytest.raises(CheckpointError, match=f"unknown: {name}"):
        from_layout(files | {name.replace("linear_1", "0"): files[name]}, "torchvision", SMALL)


# There and back


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_come_back_bit_by_bit(layout, dtype):
    for config in (SMALL, MLP) if layout in ("torchvision", "npz") else (SMALL,):
        ours = random_model(config).to(dtype).state_dict()
        theirs = to_layout(ours, layout, config)
        back = from_layout(theirs, layout, config)
        assert back.keys() == ours.keys()
        assert all(torch.equal(back[name], tensor) for name, tensor in ours.items())
        assert all(back[name].dtype == dtype for name in back)
        again = to_layout(back, layout, config)
        assert all(torch.equal(again[name], tensor) for name, tensor in theirs.items())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_a_layout_makes_of_a_tensor_looks_at_its_memory(layout):
    for name, tensor in random_model().state_dict().items():
        for part in entries(name, tensor, layout, SMALL).values():
            inside = part.data_ptr() - tensor.data_ptr()
            assert 0 <= inside < tensor.nbytes, name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_configuration_is_read_from_the_shapes(layout):
    implied = {"huggingface": {"eps": 1e-12}, "npz": {"gelu": "tanh"}}.get(layout, {})
    for config in (SMALL, MLP) if layout in ("torchvision", "npz") else (SMALL,):
        theirs = to_layout(random_model(config).state_dict(), layout, config)
        assert layout_of(theirs) == layout
        found = config_of(theirs, layout, heads=3)
        assert found == ViTConfig(**{**vars(config), **implied})


def test_without_a_class_token_the_mean_is_pooled():
    config = ViTConfig(**{**vars(SMALL), "pooling": "mean"})
    theirs = to_layout(random_model(config).state_dict(), "timm", config)
    assert config_of(theirs, "timm", heads=3) == config


# What is refused


@pytest.fixture
def theirs():
    return to_layout(random_model().state_dict(), "timm", SMALL)


def test_a_missing_tensor_is_named(theirs):
    del theirs["blocks.1.attn.qkv.bias"]
    with pytest.raises(CheckpointError, match=r"missing: blocks\.1\.attn\.qkv\.bias"):
        from_layout(theirs, "timm", SMALL)


def test_an_unknown_tensor_is_named(theirs):
    theirs["blocks.0.ls1.gamma"] = torch.ones(12)
    with pytest.raises(CheckpointError, match=r"unknown: blocks\.0\.ls1\.gamma"):
        from_layout(theirs, "timm", SMALL)


def test_another_shape_is_named(theirs):
    theirs["norm.bias"] = torch.zeros(13)
    with pytest.raises(CheckpointError, match=r"norm\.bias \(13,\), not \(12,\)"):
        from_layout(theirs, "timm", SMALL)


def test_what_all_is_wrong_is_said_in_one_message_with_the_origin(theirs):
    for i in range(3):
        theirs[f"blocks.{i}.odd.a"] = theirs[f"blocks.{i}.odd.b"] = torch.zeros(1)
    del theirs["norm.weight"]
    with pytest.raises(CheckpointError, match=r"^here are no .*missing: norm.weight; unknown:.*"):
        from_layout(theirs, "timm", SMALL, "here")
    with pytest.raises(CheckpointError, match="and 3 more"):
        from_layout(theirs, "timm", SMALL)


def test_a_tensor_of_ours_without_a_place_is_named():
    with pytest.raises(KeyError, match=r"head\.hidden\.weight has no place in timm's layout"):
        to_layout(random_model(MLP).state_dict(), "timm", MLP)
    with pytest.raises(KeyError, match=r"extra\.weight has no place in torchvision's layout"):
        to_layout({"extra.weight": torch.zeros(2)}, "torchvision", SMALL)


def test_an_unknown_layout_is_refused():
    with pytest.raises(ValueError, match="no layout 'keras'; choose one of torchvision, timm"):
        to_layout({}, "keras", SMALL)
    with pytest.raises(CheckpointError, match="weights named conv1, bn1 … are of no layout"):
        layout_of({"conv1": torch.zeros(1), "bn1": torch.zeros(1)})


def test_what_shapes_do_not_tell_must_be_said(theirs):
    with pytest.raises(CheckpointError, match=r"a model of width 12 and depth 3 has; .* heads"):
        config_of(theirs, "timm")
    theirs["pos_embed"] = torch.zeros(1, 7, 12)
    with pytest.raises(CheckpointError, match=r"6 positions make no square; say the size, as in"):
        config_of(theirs, "timm", heads=3)
    assert config_of(theirs, "timm", heads=3, image_size=(8, 12)).image_size == (8, 12)
    del theirs["head.bias"]
    with pytest.raises(CheckpointError, match="no whole ViT"):
        config_of(theirs, "timm", heads=3)
