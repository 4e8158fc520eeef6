"""vitlit.reveal: the module's source, shown in a notebook."""

from pathlib import Path

import vitlit.encoder
from vitlit.config import ViTConfig
from vitlit.encoder import EncoderBlock
from vitlit.patches import patchify
from vitlit.reveal import reveal

SOURCE = Path(vitlit.encoder.__file__).read_text()


def test_a_function_is_shown_as_it_stands_in_its_file():
    shown = repr(reveal(patchify))
    assert shown.startswith("def patchify(images: Float[Tensor")
    assert shown in Path(vitlit.patches.__file__).read_text()


def test_a_method_is_shown_at_the_left_margin():
    lines = repr(reveal(EncoderBlock.forward)).splitlines()
    assert lines[0] == "def forward(self, tokens: Tokens) -> Tokens:"
    assert lines[-1].startswith("    return tokens + ")
    assert all(f"    {line}" in SOURCE.splitlines() for line in lines)


def test_a_class_is_shown_down_to_its_first_method():
    shown = repr(reveal(EncoderBlock))
    assert shown.startswith("class EncoderBlock(nn.Module):\n")
    assert shown.endswith('"""')
    assert shown in SOURCE


def test_a_dataclass_is_shown_with_its_fields():
    shown = repr(reveal(ViTConfig))
    assert shown.startswith("@dataclass")
    assert "patch_size: Pixels = 4" in shown
    assert "def " not in shown


def test_a_notebook_gets_a_block_of_code_with_its_address():
    markdown = reveal(patchify)._repr_markdown_()
    assert markdown.startswith('```python title="vitlit.patches.patchify"\ndef patchify(')
    assert markdown.endswith("\n```")
    assert reveal(EncoderBlock.forward).address == "vitlit.encoder.EncoderBlock.forward"
