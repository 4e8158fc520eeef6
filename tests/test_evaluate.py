"""vitlit.evaluate: every image counts once, and chance plays no part."""

import pytest
import torch

from vitlit.classifier import Classifier
from vitlit.config import ViTConfig
from vitlit.evaluate import evaluate
from vitlit.receipts import randomize_
from vitlit.vit import VisionTransformer


def classifier_and_data(**changes):
    """A random model, and 23 random images with labels: no batch size but 23 divides them."""
    config = ViTConfig(image_size=(8, 8), classes=4, width=16, depth=2, heads=4, **changes)
    model = randomize_(VisionTransformer(config)).float()
    classes = ("ant", "bee", "cat", "dog")
    classifier = Classifier(
        model, classes, torch.full((3,), 127.0), torch.full((3,), 70.0), "noise"
    )
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (23, 3, 8, 8), dtype=torch.uint8, generator=generator)
    return classifier, images, torch.randint(0, 4, (23,), generator=generator)


@pytest.mark.parametrize("batch_size", [1, 5, 22, 23, 500])
def test_every_image_is_evaluated_whatever_the_batch_size(batch_size):
    classifier, images, labels = classifier_and_data()
    with torch.no_grad():
        logits = classifier.model((images - 127.0) / 70.0)
    result = evaluate(classifier, images, labels, batch_size)
    assert torch.equal(result.predictions, logits.argmax(1))
    torch.testing.assert_close(result.probabilities, logits.softmax(1))
    assert result.accuracy == (logits.argmax(1) == labels).sum().item() / 23
    assert result.loss == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item())


@pytest.mark.parametrize("chance", [{"dropout": 0.5}, {"stochastic_depth": 0.5}])
def test_evaluation_switches_chance_off_in_the_middle_of_training(chance):
    plain, images, labels = classifier_and_data()
    trained, _, _ = classifier_and_data(**chance)
    trained.model.train()
    result = evaluate(trained, images, labels, 10)
    expected = evaluate(plain, images, labels, 10)
    torch.testing.assert_close(result.probabilities, expected.probabilities)
    assert result.loss == evaluate(trained, images, labels, 10).loss
