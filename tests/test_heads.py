"""vitlit.heads: pooling, the linear head and the MLP head."""

import pytest
import torch
from torch import nn

from vitlit.heads import LinearHead, MLPHead, pool
from vitlit.receipts import compare_models, random_images


def test_pooling_takes_the_first_token_or_the_mean_of_all():
    tokens = torch.randn(3, 5, 8)
    assert torch.equal(pool(tokens, "class"), tokens[:, 0])
    torch.testing.assert_close(pool(tokens, "mean"), sum(tokens[:, i] for i in range(5)) / 5)


@pytest.mark.parametrize("head", [LinearHead(8, 5), MLPHead(8, 12, 5)])
def test_an_untrained_head_gives_every_class_the_same_logit(head):
    assert not head(torch.randn(3, 8)).any()


def test_the_linear_head_is_a_linear_layer():
    inputs = random_images(3, 8)
    compare_models(LinearHead(8, 5), nn.Linear(8, 5), lambda state: state, inputs)


@pytest.mark.parametrize(("activation", "layer"), [("tanh", nn.Tanh), ("relu", nn.ReLU)])
def test_the_mlp_head_is_two_linear_layers_around_its_activation(activation, layer):
    def rename(state):
        places = {"hidden": "0", "output": "2"}
        return {
            places[name.split(".")[0]] + "." + name.split(".")[1]: state[name] for name in state
        }

    theirs = nn.Sequential(nn.Linear(8, 12), layer(), nn.Linear(12, 5))
    compare_models(MLPHead(8, 12, 5, activation), theirs, rename, random_images(3, 8))


def test_the_mlp_heads_hidden_layer_starts_with_lecuns_deviation():
    torch.manual_seed(0)
    head = MLPHead(256, 512, 5)
    assert head.hidden.weight.std().item() == pytest.approx(1 / 16, rel=0.02)
    assert not head.hidden.bias.any()
