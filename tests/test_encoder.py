"""vitlit.encoder: self-attention, MLP, encoder block and encoder."""

import itertools
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vitlit import encoder
from vitlit.encoder import MLP, Encoder, EncoderBlock, SelfAttention
from vitlit.receipts import compare, compare_models, random_images, randomize_

TORCHS_NAMES = {
    "attention.": "self_attn.",
    "qkv.": "in_proj_",
    "out.": "out_proj.",
    "mlp.grow.": "linear1.",
    "mlp.shrink.": "linear2.",
    "blocks.": "layers.",
}
both_paths = pytest.mark.parametrize(
    "attend",
    [SelfAttention.forward, lambda attention, tokens: attention.with_weights(tokens)[0]],
    ids=["forward", "with_weights"],
)


def torchs(state):
    """A state dict of ours under the names of torch.nn."""
    renamed = {}
    for name, tensor in state.items():
        for ours, theirs in TORCHS_NAMES.items():
            name = name.replace(ours, theirs)
        renamed[name] = tensor
    return renamed


def attention_and_torchs():
    """Our attention and torch's, with the same random weights."""
    ours = randomize_(SelfAttention(12, 3))
    theirs = nn.MultiheadAttention(12, 3, batch_first=True).double().eval()
    theirs.load_state_dict(torchs(ours.state_dict()))
    return ours, theirs


@both_paths
def test_attention_is_scaled_dot_product_attention(attend):
    attention = randomize_(SelfAttention(12, 3))

    def reference(tokens):
        qkv = F.linear(tokens, attention.qkv.weight, attention.qkv.bias)
        q, k, v = (x.reshape(2, 7, 3, 4).transpose(1, 2) for x in qkv.split(12, dim=-1))
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(2, 7, 12)
        return F.linear(mixed, attention.out.weight, attention.out.bias)

    parameters = {name: (p, p) for name, p in attention.named_parameters()}
    compare(partial(attend, attention), reference, random_images(2, 7, 12), parameters)


def test_short_and_long_ways_agree_in_training(monkeypatch):
    attention, tokens = randomize_(SelfAttention(12, 3)), random_images(2, 7, 12)
    parameters = {name: (p, p) for name, p in attention.named_parameters()}
    stored = []
    whole = SelfAttention.with_weights
    monkeypatch.setattr(
        SelfAttention, "with_weights", lambda self, z: stored.append(z.shape[1]) or whole(self, z)
    )

    def limited(most):
        def attend(z):
            monkeypatch.setattr(encoder, "SHORT", most)
            return attention.train()(z)

        return attend

    compare(limited(7), limited(6), tokens, parameters)
    assert stored == [7]


@both_paths
def test_attention_is_torchs_multihead_attention(attend):
    ours, theirs = attention_and_torchs()
    their_parameters = dict(theirs.named_parameters())
    parameters = {
        name: (parameter, their_parameters[next(iter(torchs({name: parameter})))])
        for name, parameter in ours.named_parameters()
    }

    def reference(tokens):
        return theirs(tokens, tokens, tokens, need_weights=False)[0]

    compare(partial(attend, ours), reference, random_images(2, 7, 12), parameters)


def test_the_returned_weights_are_those_of_torchs_multihead_attention():
    ours, theirs = attention_and_torchs()
    compare(
        lambda x: ours.with_weights(x)[1],
        lambda x: theirs(x, x, x, average_attn_weights=False)[1],
        random_images(2, 7, 12),
    )


def test_the_weights_of_a_token_sum_to_one_and_mix_the_values():
    attention = randomize_(SelfAttention(12, 3))
    tokens = random_images(2, 7, 12)
    output, weights = attention.with_weights(tokens)
    values = attention.split(tokens)[2]
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 7, dtype=torch.float64))
    torch.testing.assert_close(attention.merge(weights @ values), output)


@pytest.mark.parametrize("gelu", ["none", "tanh"])
def test_a_block_is_torchs_pre_norm_encoder_layer(gelu):
    theirs = nn.TransformerEncoderLayer(
        12,
        3,
        dim_feedforward=20,
        dropout=0,
        activation=lambda x: F.gelu(x, approximate=gelu),
        layer_norm_eps=1e-6,
        batch_first=True,
        norm_first=True,
    )
    ours = EncoderBlock(12, 3, 20, gelu=gelu)
    compare_models(ours, theirs, torchs, random_images(2, 7, 12))


def test_the_encoder_is_torchs_pre_norm_encoder():
    layer = nn.TransformerEncoderLayer(
        12, 3, 20, 0, F.gelu, layer_norm_eps=1e-6, batch_first=True, norm_first=True
    )
    norm = nn.LayerNorm(12, eps=1e-6)
    theirs = nn.TransformerEncoder(layer, 3, norm, enable_nested_tensor=False)
    compare_models(Encoder(3, 12, 3, 20), theirs, torchs, random_images(2, 7, 12))


def test_the_mlp_works_on_every_token_by_itself():
    mlp = randomize_(MLP(12, 20))
    tokens = random_images(2, 7, 12)
    torch.testing.assert_close(mlp(tokens)[:, 3:4], mlp(tokens[:, 3:4]))


def test_shuffled_tokens_give_shuffled_outputs():
    encoder = randomize_(Encoder(2, 12, 3, 20))
    tokens = random_images(2, 7, 12)
    order = torch.tensor([3, 0, 6, 2, 5, 1, 4])
    torch.testing.assert_close(encoder(tokens[:, order]), encoder(tokens)[:, order])


def test_the_residual_carries_the_tokens_themselves():
    block = randomize_(EncoderBlock(12, 3, 20))
    for layer in (block.attention.out, block.mlp.shrink):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    tokens = random_images(2, 7, 12)
    assert torch.equal(block(tokens), tokens)


def test_attention_starts_with_xaviers_bound_for_query_key_and_value_each():
    torch.manual_seed(0)
    attention = SelfAttention(96, 3)
    bound = (6 / (96 + 96)) ** 0.5
    for matrix in (*attention.qkv.weight.split(96), attention.out.weight):
        assert 0.99 * bound < matrix.abs().max() <= bound
        assert matrix.std().item() == pytest.approx(bound / 3**0.5, rel=0.03)
    assert not attention.qkv.bias.any()
    assert not attention.out.bias.any()


def test_the_mlp_starts_with_xaviers_bound_and_tiny_biases():
    torch.manual_seed(0)
    mlp = MLP(96, 192)
    bound = (6 / (96 + 192)) ** 0.5
    for layer in (mlp.grow, mlp.shrink):
        assert 0.99 * bound < layer.weight.abs().max() <= bound
        assert 0 < layer.bias.std() < 2e-6


def test_no_two_blocks_share_a_parameter_or_start_equal():
    blocks = Encoder(3, 12, 3, 20).blocks
    pointers = [parameter.data_ptr() for block in blocks for parameter in block.parameters()]
    assert len(set(pointers)) == len(pointers) == 3 * 12
    for one, other in itertools.combinations(blocks, 2):
        assert not torch.equal(one.attention.qkv.weight, other.attention.qkv.weight)
        assert not torch.equal(one.attention.out.weight, other.attention.out.weight)
        assert not torch.equal(one.mlp.grow.weight, other.mlp.grow.weight)
        assert not torch.equal(one.mlp.shrink.weight, other.mlp.shrink.weight)


def test_every_norm_has_the_given_eps_and_starts_as_nothing():
    encoder = Encoder(2, 12, 3, 20, eps=1e-3)
    norms = [part for part in encoder.modules() if isinstance(part, nn.LayerNorm)]
    assert [norm.eps for norm in norms] == [1e-3] * 5
    assert all((norm.weight == 1).all() and not norm.bias.any() for norm in norms)


def test_stochastic_depth_grows_linearly_to_the_last_block():
    chances = [block.skip.p for block in Encoder(5, 12, 3, 20, stochastic_depth=0.4).blocks]
    assert chances == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert Encoder(1, 12, 3, 20, stochastic_depth=0.4).blocks[0].skip.p == 0


def test_an_image_skips_a_branch_as_a_whole_and_the_rest_are_scaled_up():
    torch.manual_seed(0)
    block = randomize_(EncoderBlock(12, 3, 20, stochastic_depth=0.5))
    nn.init.zeros_(block.mlp.shrink.weight)
    nn.init.zeros_(block.mlp.shrink.bias)
    tokens = random_images(1, 7, 12).expand(40, 7, 12)
    added = block.train()(tokens) - tokens
    skipped = added.flatten(1).abs().sum(1) == 0
    assert 8 < skipped.sum() < 32
    branch = 2 * block.attention(block.norm1(tokens))
    torch.testing.assert_close(added[~skipped], branch[~skipped])


@pytest.mark.parametrize("chance", [{"dropout": 0.5}, {"stochastic_depth": 0.5}])
def test_chance_plays_in_training_only(chance):
    torch.manual_seed(0)
    encoder = randomize_(Encoder(2, 12, 3, 20, **chance))
    plain = randomize_(Encoder(2, 12, 3, 20))
    tokens = random_images(8, 7, 12)
    assert torch.equal(encoder(tokens), plain(tokens))
    encoder.train()
    assert not torch.equal(encoder(tokens), encoder(tokens))


def test_dropout_reaches_the_tokens_and_every_branch():
    dropouts = [part for part in Encoder(2, 12, 3, 20, 0.3).modules() if type(part) is nn.Dropout]
    assert [part.p for part in dropouts] == [0.3] * (1 + 2 * 2)


@pytest.mark.parametrize("heads", [5, 0, 24])
def test_heads_that_do_not_divide_the_width_are_refused(heads):
    with pytest.raises(ValueError, match=f"heads {heads} .* width 12; choose one of 1, 2, 3, 4, 6"):
        SelfAttention(12, heads)
