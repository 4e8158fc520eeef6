"""vitlit.unwrap: a ViT in whatever a program has stored."""

import inspect
import re

import pytest
import torch
from test_layouts import SMALL, huggingfaces, random_model, stored

import vitlit.unwrap
from vitlit.checkpoint import CheckpointError
from vitlit.config import ViTConfig
from vitlit.layouts import LAYOUTS, STEMS, layout_of, to_layout
from vitlit.pretrained import model_of
from vitlit.receipts import compare, random_images, randomize_
from vitlit.unwrap import OURS, PLACES, unwrap


def state_of(layout, config=SMALL):
    return to_layout(random_model(config).state_dict(), layout, config)


def under(prefix, state):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def changed(state):
    return {name: tensor + 1 for name, tensor in state.items()}


def same(found, state):
    return found.keys() == state.keys() and all(torch.equal(found[n], state[n]) for n in state)


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "model.", "_orig_mod.", "backbone.", "encoder.", "state_dict.model.module.",
     "net._orig_mod.vit.", "params/"],
)  # fmt: skip
@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_prefix_and_no_key_must_be_known(layout, prefix):
    state = state_of(layout)
    found = unwrap(under(prefix, state))
    assert found.layout == layout
    assert same(found.tensors, state)
    inner = "vit" if layout == "huggingface" else ""  # Hugging Face's own prefix
    assert found.entry == f"{prefix}{inner}".rstrip("./")


def test_what_else_a_checkpoint_holds_is_left_out():
    state = state_of("timm")
    beside = {"optimizer.state.0.exp_avg": torch.ones(3), "model.n_averaged": torch.tensor(3)}
    found = unwrap(under("model.module.", state) | beside)
    assert same(found.tensors, state)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("state_dict", "state_dict_ema"), ("model", "model_ema.module"), ("model", "ema.module"),
        ("student.backbone", "teacher.backbone"), ("model", "averaged"),
    ],
)  # fmt: skip
def test_of_several_the_averaged_one_is_taken_unless_another_is_named(first, second):
    state = state_of("timm")
    both = under(f"{first}.", changed(state)) | under(f"{second}.", state)
    found = unwrap(both)
    assert (found.entry, len(found.entries)) == (second, 2)
    assert same(found.tensors, state)
    assert same(unwrap(both, first).tensors, changed(state))
    with pytest.raises(CheckpointError, match=f"no entry 'best'; there are '{first}', '{second}'"):
        unwrap(both, "best")


def test_of_several_that_are_no_average_the_first_is_taken():
    state = state_of("timm")
    found = unwrap(under("one.", state) | under("two.", changed(state)))
    assert found.entry == "one"
    assert same(found.tensors, state)


@pytest.mark.parametrize("name", ["{}", "ema.{}"])
def test_the_first_is_by_layout_and_only_then_by_place(name):
    ours, last = name.format("ours"), name.format("last")
    both = under(f"{ours}.", random_model().state_dict())
    for layout in reversed(LAYOUTS):
        both |= under(f"{last}.{layout}.", state_of(layout))
        both |= under(f"{name.format('more')}.{layout}.", state_of(layout))
        found = unwrap(both)
        assert found.layout == layout
        assert found.entry.startswith(f"{last}.{layout}")


def test_only_layouts_say_how_the_patch_embedding_is_called():
    for layout, stem in STEMS.items():
        assert stem in state_of(layout)
        assert layout_of({stem: torch.zeros(1)}) == layout
        assert stem.endswith(PLACES[layout])
    assert "kernel" not in inspect.getsource(vitlit.unwrap)


@pytest.mark.parametrize("layout", ["torchvision", "timm"])
@pytest.mark.parametrize("outer", ["", "model."])
def test_a_head_beside_the_backbone_is_taken_along(layout, outer):
    state = state_of(layout)
    trunk = {n: t for n, t in state.items() if not n.startswith("head")}
    head = {n: t for n, t in state.items() if n.startswith("head")}
    found = unwrap(under(f"{outer}backbone.", trunk) | under(outer, head))
    assert same(found.tensors, state)


def test_what_pre_training_leaves_beside_is_left_out_and_nothing_else():
    state = state_of("timm")
    beside = {"mask_token": torch.zeros(1), "decoder_blocks.0.norm1.weight": torch.ones(3)}
    assert same(unwrap(state | beside).tensors, state)
    for name in ("dist_token", "norm_pre.weight", "blocks.0.ls1.gamma"):
        with pytest.raises(CheckpointError, match=f"unknown: {name}"):
            model_of(state | {name: torch.ones(12)}, heads=3)


def test_hugging_faces_weights_in_memory_have_other_names_than_in_its_files(tmp_path):
    theirs = randomize_(huggingfaces())
    in_memory, in_file = theirs.state_dict(), stored(theirs, tmp_path)
    assert in_memory.keys() != in_file.keys()
    for state in (in_memory, in_file, under("model.", in_memory)):
        ours = model_of(state, heads=3, eps=1e-6).double()
        compare(ours, lambda x: theirs.double()(pixel_values=x).logits, random_images(2, 3, 8, 8))


def test_hugging_faces_model_without_a_head_has_other_names_again(tmp_path):
    theirs = huggingfaces()
    found = unwrap(under("x.", stored(theirs.vit, tmp_path)))
    whole = unwrap(theirs.state_dict()).tensors
    assert same(found.tensors, {n: t for n, t in whole.items() if not n.startswith("classifier")})


@pytest.mark.parametrize(
    "changes", [{}, {"head": "mlp", "head_width": 20}, {"pooling": "mean"}, {"channels": 1}]
)
@pytest.mark.parametrize("prefix", ["", "net.module."])
def test_a_state_dict_of_ours_comes_back(changes, prefix):
    config = ViTConfig(**{**vars(SMALL), **changes})
    ours = random_model(config)
    back = model_of(under(prefix, ours.state_dict()), heads=3)
    assert back.config == config
    assert same(back.state_dict(), ours.state_dict())


def test_a_state_dict_of_ours_that_does_not_fit_is_refused():
    state = random_model().state_dict()
    with pytest.raises(CheckpointError, match=r"extra\.weight has no place"):
        unwrap(state | {"extra.weight": torch.zeros(2)})
    with pytest.raises(CheckpointError, match="patches of 48 numbers are no squares of 2 channels"):
        unwrap(state, channels=2)


@pytest.mark.parametrize("shape", [(12, 3, 4, 4), (12, 12, 4), (12,), (), (12, 0), (0, 48)])
def test_a_patch_embedding_that_is_no_matrix_is_named_with_its_shape(shape):
    state = random_model().state_dict() | {OURS: torch.zeros(shape)}
    words = f"here: {OURS} has the shape {shape}, but ours is a matrix"
    with pytest.raises(CheckpointError, match=f"^{re.escape(words)}"):
        model_of(state, origin="here", heads=3)


def test_a_width_beyond_all_models_is_refused():
    state = random_model().state_dict() | {OURS: torch.zeros(70_000, 48)}
    with pytest.raises(CheckpointError, match=r"here: a state dict .* not fit: width is 70000"):
        model_of(state, origin="here", heads=3)


def test_another_network_is_named_with_its_origin():
    with pytest.raises(CheckpointError, match=r"^here: weights named conv1 … are of no layout"):
        model_of({"conv1": torch.zeros(1)}, origin="here")


def test_a_tensor_that_holds_no_numbers_is_named_as_in_the_file_and_others_do_not_matter():
    state = under("model.", state_of("timm"))
    unwrap(state | {"optimizer.exp_avg": torch.tensor([float("nan")])})
    state["model.blocks.1.attn.qkv.bias"][3] = float("inf")
    with pytest.raises(CheckpointError, match=r"^here: model.blocks.1.attn.qkv.bias holds 1 of 36"):
        unwrap(state, origin="here")
