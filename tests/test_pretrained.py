"""vitlit.pretrained: our weights under the names of torchvision and timm."""

import pytest
import timm.models.vision_transformer as timms
import torch
from torchvision.models import VisionTransformer as TorchvisionViT

from vitlit.config import ViTConfig
from vitlit.pretrained import to_timm, to_torchvision
from vitlit.vit import VisionTransformer

SIZES = {"image_size": (8, 8), "classes": 5, "width": 12, "depth": 11, "heads": 3, "mlp_width": 24}


@pytest.mark.parametrize("head", [{"head": "linear"}, {"head": "mlp", "head_width": 20}])
def test_every_weight_has_its_place_in_torchvisions_model(head):
    ours = VisionTransformer(ViTConfig(**SIZES, **head))
    width = head.get("head_width")
    theirs = TorchvisionViT(8, 4, 11, 3, 12, 24, num_classes=5, representation_size=width)
    renamed = to_torchvision(ours.state_dict(), 4)
    assert set(renamed) == set(theirs.state_dict())
    theirs.load_state_dict(renamed)


def test_every_weight_has_its_place_in_timms_model():
    ours = VisionTransformer(ViTConfig(**SIZES))
    theirs = timms.VisionTransformer(8, 4, 3, 5, embed_dim=12, depth=11, num_heads=3, mlp_ratio=2)
    renamed = to_timm(ours.state_dict(), 4)
    assert set(renamed) == set(theirs.state_dict())
    theirs.load_state_dict(renamed)


def test_the_number_of_a_block_is_kept():
    state = {f"encoder.blocks.{i}.norm1.weight": torch.full((2,), i) for i in (0, 1, 10)}
    renamed = to_timm(state, 4)
    assert {name: int(tensor[0]) for name, tensor in renamed.items()} == {
        "blocks.0.norm1.weight": 0,
        "blocks.1.norm1.weight": 1,
        "blocks.10.norm1.weight": 10,
    }


def test_timm_has_no_place_for_an_mlp_head():
    ours = VisionTransformer(ViTConfig(**SIZES, head="mlp"))
    with pytest.raises(KeyError, match=r"head\.hidden\.weight has no place"):
        to_timm(ours.state_dict(), 4)


def test_a_weight_without_a_place_is_named():
    with pytest.raises(KeyError, match=r"extra\.weight has no place in the layout"):
        to_torchvision({"extra.weight": torch.zeros(2)}, 4)
