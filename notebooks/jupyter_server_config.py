"""How `make lab` starts Jupyter: chapters are saved as `make notebooks` stores them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from notebooks.pairs import before_saving

c.FileContentsManager.pre_save_hook = before_saving  # Jupyter defines c
