"""The site, built once for all tests and workers, with torch out of reach."""

import gzip
import http.server
import mimetypes
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from filelock import FileLock

from website import ROOT, build

COMPRESSED = {"text/html", "text/css", "text/javascript", "application/json", "image/svg+xml"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks for a built site waits for it."""
    for item in items:
        if {"site", "copy"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what a visit to each chapter transfers."""
    sizes = [
        value
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
        if name == "transfer"
    ]
    if sizes:
        terminalreporter.section("transferred at a first visit")
        terminalreporter.write_line("\n".join(sizes))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site, in CI of a complete book. The build is a test in itself."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # of all workers: the first one builds, the others wait for it
    folder, failure = shared / "site", shared / "site-failure.txt"
    with FileLock(shared / "site.lock"):
        if not (folder / "index.html").exists() and not failure.exists():
            try:
                build_without_torch(folder, shared / "blocked")
            except subprocess.CalledProcessError as error:
                failure.write_text(error.output, encoding="utf-8")
    if failure.exists():
        pytest.fail(f"the site cannot be built:\n{failure.read_text(encoding='utf-8')}")
    return folder


def build_without_torch(folder: Path, blocked: Path) -> None:
    """Build the site where an import of torch fails."""
    blocked.mkdir(exist_ok=True)
    (blocked / "torch.py").write_text("raise ImportError('the site is built without torch')\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(blocked), prepend=os.pathsep)
        build.build(folder, complete=bool(os.environ.get("CI")))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The book in a folder of its own, to be changed."""
    left_out = (".git", ".venv", "node_modules", "site", "build", ".*_cache", "__pycache__")
    folder = tmp_path / "book"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*left_out))
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    return folder


@pytest.fixture(scope="session")
def soups(site: Path) -> dict[str, BeautifulSoup]:
    """Every page by its path below the site."""
    return {
        page.relative_to(site).as_posix(): BeautifulSoup(page.read_bytes(), "html.parser")
        for page in sorted(site.rglob("*.html"))
    }


@dataclass
class Server:
    """Serves the site compressed, as a web server would, and counts the bytes it sends."""

    folder: Path
    address: str = ""
    sent: dict[str, int] = field(default_factory=dict)

    def body(self, path: str) -> tuple[bytes, str, bool] | None:
        """Content, type and whether it is compressed; None where there is no such file."""
        file = self.folder / path.split("?")[0].lstrip("/")
        file = file / "index.html" if file.is_dir() else file
        if not file.is_file():
            return None
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        content = file.read_bytes()
        compress = kind in COMPRESSED
        return (gzip.compress(content, 6) if compress else content), kind, compress


@pytest.fixture(scope="session")
def server(site: Path) -> Iterator[Server]:
    """The built site behind a local address."""
    state = Server(site)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = state.body(self.path)
            body, kind, compressed = found or (b"", "text/plain", False)
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if compressed:
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            state.sent[self.path] = len(body)
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    state.address = f"http://127.0.0.1:{listening.server_port}"
    yield state
    listening.shutdown()
    listening.server_close()
