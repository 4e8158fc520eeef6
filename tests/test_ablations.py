"""vitlit.ablations: each does what its name says, and nothing else."""

import pytest
import torch
from helpers.tiny import MODEL
from torch import nn

from vitlit.ablations import (
    ConvolutionalStem,
    PostNormBlock,
    convolutional_stem_,
    post_norm_,
    shuffle_patches_,
)
from vitlit.config import ViTConfig
from vitlit.vit import VisionTransformer


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = ViTConfig(image_size=(8, 12), patch_size=4, **MODEL)
    model = VisionTransformer(config).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def test_post_norm_agrees_with_pytorch(model):
    post_norm_(model)
    block = model.encoder.blocks[0]
    reference = nn.TransformerEncoderLayer(
        16, 2, 24, dropout=0.0, activation="gelu", layer_norm_eps=1e-6, batch_first=True
    )
    names = {
        "self_attn.in_proj_": "attention.qkv.", "self_attn.out_proj.": "attention.out.",
        "linear1.": "mlp.grow.", "linear2.": "mlp.shrink.", "norm1.": "norm1.", "norm2.": "norm2.",
    }  # fmt: skip
    state = block.state_dict()
    reference.load_state_dict(
        {f"{b}{kind}": state[f"{a}{kind}"] for b, a in names.items() for kind in ("weight", "bias")}
    )
    tokens = torch.randn(3, 7, 16)
    torch.testing.assert_close(block(tokens), reference(tokens), atol=1e-5, rtol=1e-5)
    assert all(type(block) is PostNormBlock for block in model.encoder.blocks)
    assert torch.equal(model.encoder(tokens), model.encoder.blocks[1](block(tokens)))


def test_patches_are_shuffled_alike_in_every_image_and_positions_stay(model):
    images = torch.randn(2, 3, 8, 12)
    before = model.watch(images)
    shuffle_patches_(model)
    after = model.watch(images)
    order = [
        [torch.equal(a, b) for b in before["embedded"][0]].index(True) for a in after["embedded"][0]
    ]
    assert sorted(order) == list(range(6))
    assert order != list(range(6))
    assert torch.equal(after["embedded"], before["embedded"][:, order])
    assert torch.equal(model.watch(images)["embedded"], after["embedded"])
    positions = after["with_positions"] - after["with_class"]
    torch.testing.assert_close(positions[0], model.positions.table)


def test_a_convolutional_stem_gives_a_token_for_each_square_of_pixels(model):
    convolutional_stem_(model)
    model.embedding.eval()
    images = torch.randn(2, 3, 8, 12)
    tokens = model.embedding(images)
    assert tokens.shape == (2, 6, MODEL["width"])
    assert model(images).shape == (2, 10)
    convolutions = [m for m in model.embedding.layers if isinstance(m, nn.Conv2d)]
    assert [(c.kernel_size[0], c.stride[0]) for c in convolutions] == [(3, 2), (3, 2), (1, 1)]
    assert [c.out_channels for c in convolutions] == [MODEL["width"] // 2, *[MODEL["width"]] * 2]
    # A token sees its square, and three pixels around it to the left and above; row by row.
    far = images.clone()
    far[:, :, :4, 8:] += 1
    changed = (model.embedding(far) != tokens).any(dim=-1)[0]
    assert changed.tolist() == [False, False, True, False, False, True]


@pytest.mark.parametrize(("patch_size", "width"), [(3, 16), (1, 16), (8, 6)])
def test_a_stem_that_cannot_halve_is_refused(patch_size, width):
    with pytest.raises(ValueError, match=f"patch_size is {patch_size} and width {width}: set"):
        ConvolutionalStem(patch_size, 3, width)
