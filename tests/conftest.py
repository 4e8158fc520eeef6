"""Shapes are checked: every call of vitlit in the tests must keep its signature's shapes."""

import os

import torchvision  # noqa: F401  # before the hook, which would compile all its modules anew
from jaxtyping import install_import_hook

install_import_hook("vitlit", "beartype.beartype")
os.environ.setdefault("OMP_NUM_THREADS", "2")
