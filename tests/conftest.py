"""Shapes are checked: every call of vitlit in the tests must keep its signature's shapes."""

import os

import pytest
import torch
import torchvision  # noqa: F401  # before the hook, which would compile all its modules anew
from jaxtyping import install_import_hook

for name in ("VITLIT_RUNS", "VITLIT_OUT", "VITLIT_PRESET"):  # a reader's own settings
    os.environ.pop(name, None)
install_import_hook("vitlit", "beartype.beartype")
if "PYTEST_XDIST_WORKER" in os.environ:  # a core a worker, and for what it starts
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
else:
    os.environ.setdefault("OMP_NUM_THREADS", "2")


@pytest.fixture(scope="module")
def one_thread():
    """Tiny products are no work to be shared, and a machine may be busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
