"""What the book's best model makes of one picture, to be drawn on the home page: `make example`.

The picture is Chelsea at the size that the model reads. The record is docs/data/example.json: the
picture as it came in, what its tokens are before the first block, where the class token looks in
each block, and the answer. It holds the checksum of the weights, so that the site, which is built
without torch, can tell whether they are still the book's.
"""

import argparse
import base64
import json
import shlex
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from studies.attention import attentions, chosen
from vitlit import files, records
from vitlit.classifier import Classifier, load
from vitlit.figures import chelsea

OUT = Path(__file__).resolve().parents[1] / "docs/data/example.json"
NUMBERS = 12  # of a token's vector, from the first on
DIGITS = 4


def look(classifier: Classifier) -> dict[str, Any]:
    """What the model makes of Chelsea, in numbers that JSON takes.

    `tokens` are what enters the first block: the first NUMBERS of each, the class token first.
    `attention` has a row a block: the class token's weights on all patches, the mean of the heads.
    Raises ValueError if the model has no class token or reads no square pictures in color.
    """
    config = classifier.model.config
    size, wide = config.image_size
    if config.pooling != "class" or size != wide or config.channels != 3:
        raise ValueError(
            "the drawings follow the class token over a square picture in color; give weights of a "
            "run whose pooling is 'class'"
        )
    pixels = torch.from_numpy(chelsea(size))
    seen = classifier.watch(pixels[None])
    png = BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(png, format="png", optimize=True)
    answers = seen["logits"][0].softmax(dim=0)
    return {
        "picture": {
            "name": "Chelsea",
            "size": size,
            "png": base64.b64encode(png.getvalue()).decode(),
        },
        "grid": list(classifier.model.positions.grid),
        "tokens": rounded(seen["with_positions"][0, :, :NUMBERS]),
        "attention": [rounded(weights[0].mean(dim=0)[0, 1:]) for weights in attentions(seen)],
        "answers": dict(zip(classifier.classes, rounded(answers), strict=True)),
    }


def rounded(numbers: Tensor) -> Any:
    """A tensor as nested lists, with what a drawing needs of each number."""
    if numbers.dim() > 1:
        return [rounded(row) for row in numbers]
    return [round(number, DIGITS) for number in numbers.tolist()]


def record(run: records.Run, command: str) -> dict[str, Any]:
    """The whole record: which weights, how it was made, and what they make of the picture."""
    found = look(load(str(run.path)))
    return {"run": run.name, "weights": run.checksum, "command": command, **found}


def main() -> None:
    """Write the record; bad input ends with one line that says what was wrong."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--run", help="whose weights: a run's name or folder (default: the best)")
    parser.add_argument(
        "--out", type=Path, default=OUT, help=f"file (default: {OUT.name} in docs/)"
    )
    given = parser.parse_args()
    try:
        run = chosen(given.run)
        made = record(run, shlex.join(["python", "-m", "studies.example", *sys.argv[1:]]))
        text = json.dumps(made, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        # A line for each part, so that a difference tells which part it is.
        files.write(given.out, text.replace(',"', ',\n"').encode() + b"\n")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    answer = max(made["answers"], key=made["answers"].__getitem__)
    print(f"{given.out}: {run.name} takes Chelsea for a {answer} ({made['answers'][answer]:.0%})")


if __name__ == "__main__":
    main()
