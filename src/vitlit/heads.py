"""From tokens to classes (Dosovitskiy et al. 2020, section 3.1, equation 4, appendix D.3)."""

from jaxtyping import Float
from torch import Tensor, nn

from vitlit.patches import lecun_normal_


def pool(tokens: Float[Tensor, "B T D"], pooling: str) -> Float[Tensor, "B D"]:
    """One vector an image: the first token ("class") or the mean of all ("mean")."""
    return tokens[:, 0] if pooling == "class" else tokens.mean(dim=1)


class LinearHead(nn.Linear):
    """One linear layer from D numbers to K logits: the head for fine-tuning (section 3.2)."""

    def reset_parameters(self) -> None:
        """Start from zeros: at first every class gets the same logit."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


class MLPHead(nn.Module):
    """One hidden layer before the linear one: the head for pre-training (section 3.1).

    activation: "tanh" in the paper's code and torchvision, "relu" in labml's.
    """

    def __init__(self, width: int, hidden: int, classes: int, activation: str = "tanh") -> None:
        super().__init__()
        self.hidden = nn.Linear(width, hidden)
        self.activation = {"tanh": nn.Tanh, "relu": nn.ReLU}[activation]()
        self.output = LinearHead(hidden, classes)
        lecun_normal_(self.hidden.weight)
        nn.init.zeros_(self.hidden.bias)

    def forward(self, token: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
        """Logits of the K classes."""
        return self.output(self.activation(self.hidden(token)))
