"""Serve one edition and build it again at every change: `python -m website.watch [--language zh]`.

A chapter's words come from NN_name.py, so a change shows before anything is executed. Nothing is
written but build/watch/ and a temporary folder. A change of the Python in website/ or src/ that
builds or draws needs a new start.
"""

import argparse
import os

from mkdocs.__main__ import cli

from website import LANGUAGES, ROOT
from website.build import free_port, install_assets
from website.notebooks import WATCHING

# What pages are made from besides docs/, which mkdocs watches anyway.
WATCHED = (
    "mkdocs.yml", "notebooks", "locale", "runs", "benchmarks/results", "src/vitlit",
    "website/live", "website/scripts", "website/search", "website/templates",
)  # fmt: skip


def main() -> None:
    """Parse the command line and let mkdocs serve.

    All pages are built each time: with mkdocs' --dirty, pages that did not change have no title,
    anchors or entry in the search, and a catalog's change is no page's.
    """
    parser = argparse.ArgumentParser(description="Serve one edition and follow every change.")
    parser.add_argument("--language", choices=LANGUAGES, default=next(iter(LANGUAGES)))
    parser.add_argument("--port", type=int, default=8000, help="first port to try (default 8000)")
    arguments = parser.parse_args()
    install_assets()
    os.environ |= {WATCHING: "1", "NO_MKDOCS_2_WARNING": "1"}
    os.chdir(ROOT)
    cli(
        [
            *("serve", "--no-strict", "--config-file", LANGUAGES[arguments.language]),
            *("--dev-addr", f"127.0.0.1:{free_port(arguments.port)}"),
            *(word for path in WATCHED for word in ("--watch", path)),
        ]
    )


if __name__ == "__main__":
    main()
