"""The pictures that a component offers, with what PyTorch answered: its static figure. No torch.

A parameter `_` puts words into the language of the page, as in gettext.
"""

from html import escape
from io import BytesIO
from typing import Any

import numpy as np
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url
from PIL import Image
from safetensors import safe_open

from website import ROOT
from website.bundle import RECEIPT
from website.throughput import Translate

SHOWN = 20  # pictures: of ten classes two each


def shown(
    page: Page, config: MkDocsConfig, files: Files, _: Translate = str
) -> dict[str, Any] | None:
    """What a page's Markdown can say of the stored pictures; None where the book has none.

    `answer` is the figure of <vit-answer> as HTML: some pictures, and the answer to the first as
    bars. Of all `pictures` PyTorch names so many `right`. Those that are shown become files.
    """
    if not (ROOT / RECEIPT).is_file():
        return None
    with safe_open(ROOT / RECEIPT, framework="numpy") as stored:
        classes = stored.metadata()["classes"].split("\n")
        images, labels, logits = map(stored.get_tensor, ("images", "labels", "logits"))
    drawn = []
    for i, (image, label) in enumerate(zip(images[:SHOWN], labels, strict=False)):
        name = f"assets/pictures/offered-{i}.png"
        if files.get_file_from_path(name) is None:
            files.append(File.generated(config, name, content=png(image)))
        words = _("Test picture {number}: {name}").format(number=i + 1, name=classes[label])
        drawn.append(
            f'<img alt="{escape(words)}" src="{get_relative_url(name, page.url)}" data-offered '
            f'width="{image.shape[2]}" height="{image.shape[1]}">'
        )
    figure = (
        f'<div class="live-columns"><div class="live-offered">{"".join(drawn)}</div>'
        f"{bars(classes, shares_of(logits[0]))}</div>"
    )
    right = int((logits.argmax(axis=1) == labels).sum())
    return {"answer": figure, "pictures": len(images), "right": right}


def shares_of(logits: np.ndarray) -> np.ndarray:
    """Softmax."""
    grown = np.exp(logits - logits.max())
    shares: np.ndarray = grown / grown.sum()
    return shares


def bars(classes: list[str], shares: np.ndarray) -> str:
    """An answer as a bar a class, as website/live/elements/bars.ts draws it."""
    rows = [
        f"<li{' data-best' if share == shares.max() else ''}><span>{escape(name)}</span>"
        f'<span class="live-bar" aria-hidden="true" style="--share: {share:.4f}"></span>'
        f'<span class="live-percent">{100 * share:.1f} %</span></li>'
        for name, share in zip(classes, shares, strict=True)
    ]
    return f'<ol class="live-bars">{"".join(rows)}</ol>'


def png(image: np.ndarray) -> bytes:
    """A picture, (3, H, W), as a file of the same pixels."""
    buffer = BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, format="png", optimize=True)
    return buffer.getvalue()
