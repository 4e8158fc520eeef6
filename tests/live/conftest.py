"""The engine and the components on pages of their own: the site need not be built for them."""

import http.server
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from website import ROOT, bundle

RUN = "cpu-long-seed0"
BUSY = 1.5  # programs a core from which on a time says nothing
KINDS = {
    ".js": "text/javascript", ".html": "text/html", ".css": "text/css", ".wasm": "application/wasm"
}  # fmt: skip
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>A page</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="live.css"><body><main>{elements}</main>
<script type="application/json" id="live-words">{words}</script>
<script type="module" src="engine/{script}"></script></body></html>
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was measured."""
    measured = [
        value
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
        if name == "measured"
    ]
    if measured:
        terminalreporter.section("the model in the page")
        terminalreporter.write_line("\n".join(measured))


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Any:
    """Note a figure for the summary."""
    return lambda text: request.node.user_properties.append(("measured", text))


@pytest.fixture
def in_time(measured: Any) -> Any:
    """Note how long something took; too long is a failure, unless the machine does too much."""

    def check(what: str, took: float, limit: float, unit: str) -> None:
        busy = os.getloadavg()[0] / (os.cpu_count() or 1)
        words = f"{what}: {took:.3g} {unit}, of {limit:g} allowed ({busy:.1f} programs a core)"
        if took >= limit and busy > BUSY:
            pytest.skip(f"the machine is busy: {words}")
        assert took < limit, words
        measured(words)

    return check


@pytest.fixture(scope="session")
def classifier() -> Any:
    """The shipped weights, as a graph of float16 stores them."""
    import torch

    from vitlit.classifier import load

    loaded = load(RUN)
    loaded.round_(torch.float16)
    return loaded


@pytest.fixture(scope="session")
def watched(classifier: Any) -> Any:
    """PyTorch's side: what the graph computes, by the module that is exported."""
    pytest.importorskip("onnxscript", reason="needs onnx and onnxscript")
    return pytest.importorskip("vitlit.onnx").Watched(classifier)


@pytest.fixture(scope="session")
def graph(watched: Any) -> bytes:
    """The graph of the shipped weights, of which a book need not have one stored."""
    from vitlit.classifier import load

    content: bytes = pytest.importorskip("vitlit.onnx").graph(load(RUN), "fp16")
    return content


@dataclass
class Place:
    """A server of one folder that notes what is asked and can refuse it."""

    folder: Path
    address: str = ""
    asked: list[str] = field(default_factory=list)
    refused: tuple[str, ...] = ()

    def page(self, elements: str = "", script: str = "main.js") -> str:
        """The address of a new page with these elements."""
        config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
        words = json.dumps(config["extra"]["live"]).replace("<", "\\u003c")
        html = PAGE.format(elements=elements, script=script, words=words)
        name = f"page-{len(list(self.folder.glob('page-*')))}.html"
        (self.folder / name).write_text(html, encoding="utf-8")
        return f"{self.address}/{name}"


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, graph: bytes) -> Iterator[Place]:
    """The engine with the graph, behind a local address."""
    book = tmp_path_factory.mktemp("book")
    (book / "node_modules").symlink_to(ROOT / "node_modules")
    shutil.copytree(ROOT / "website", book / "website")
    (book / bundle.GRAPH).write_bytes(graph)
    shutil.copy(Path(__file__).with_name("probe.ts"), book / "website/live")
    folder = tmp_path_factory.mktemp("served")
    bundle.write(folder, book)
    worker = next((folder / "engine").glob("worker-*.js")).name
    [(_, probe)] = bundle.scripts("probe.ts", {"WORKER": worker}, book).items()
    (folder / "engine/probe.js").write_bytes(probe)
    shutil.copy(ROOT / "docs/assets/stylesheets/live.css", folder)
    state = Place(folder)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.split("?")[0].lstrip("/")
            state.asked.append(name)
            file = folder / name
            if not file.is_file() or any(part in name for part in state.refused):
                self.send_error(404)
                return
            body = file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", KINDS.get(file.suffix, "application/octet-stream"))
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    state.address = f"http://127.0.0.1:{listening.server_port}"
    yield state
    listening.shutdown()
    listening.server_close()


@contextmanager
def fresh_page(browser: Any, place: Place, **how: Any) -> Iterator[Any]:
    """A page in a fresh context, whose errors fail the test and which asks no other host."""
    context = browser.new_context(viewport={"width": 1000, "height": 900}, **how)
    opened = context.new_page()
    errors: list[str] = []
    foreign: list[str] = []
    ours = (place.address, "data:", "blob:")
    opened.on("pageerror", lambda error: errors.append(str(error)))
    context.on("request", lambda asked: asked.url.startswith(ours) or foreign.append(asked.url))
    place.asked.clear()
    place.refused = ()
    yield opened
    context.close()
    place.refused = ()
    assert errors == []
    assert foreign == []


@pytest.fixture
def page(browser: Any, place: Place) -> Iterator[Any]:
    """A fresh page."""
    with fresh_page(browser, place) as opened:
        yield opened


@pytest.fixture(scope="module")
def engine(browser: Any, place: Place) -> Iterator[Any]:
    """A page whose engine has started; `engine.evaluate("run(…)")` asks it."""
    with fresh_page(browser, place) as opened:
        opened.goto(place.page(script="probe.js"))
        about = opened.evaluate("start()")
        assert "code" not in about, about
        yield opened
