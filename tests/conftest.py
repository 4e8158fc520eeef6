"""Shapes are checked: every call of vitlit in the tests must keep its signature's shapes."""

import os
import shutil
from collections.abc import Iterator

import pytest
import torch
import torchvision  # noqa: F401  # before the hook, which would compile all its modules anew
from jaxtyping import install_import_hook

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
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


@pytest.fixture(scope="session")
def program() -> str:
    """The path of Chromium. Where there is none, tests skip; in CI they fail."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        message = (
            f"none of {', '.join(CHROMIUM)} is installed; the pages are not tried in a browser"
        )
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="session")
def browser(program: str) -> Iterator["object"]:
    """Chromium, running."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield running
        running.close()
