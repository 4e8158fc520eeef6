"""Build the site and print the book, a PDF an edition: `python -m website.pdf [--paper letter]`.

Headless Chromium prints the page that website/book.py makes of the built ones. It sets links, the
outline and the numbers at the foot of a page. On which page a section stands it cannot print before
it has printed once, so it prints twice.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pypdf import PdfReader

from website import ROOT, build, downloads
from website.book import Book, numbered

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Where an installed browser is that no PATH names.
PLACES = {
    "darwin": [
        f"/Applications/{name}.app/Contents/MacOS/{name}" for name in ("Google Chrome", "Chromium")
    ],
    "win32": [r"C:\Program Files\Google\Chrome\Application\chrome.exe"],
}
PAPERS = ("A4", "letter")
# The first version that prints what CSS puts at the foot of a page.
OLDEST = 131
REMEDY = "Install Chromium or Chrome, or say where one is: CHROME=path/to/chrome make pdf"


def browser() -> str:
    """The program that prints: $CHROME, or what is installed. SystemExit if there is none."""
    chosen = os.environ.get("CHROME")
    for place in [chosen] if chosen else [*BROWSERS, *PLACES.get(sys.platform, ())]:
        if found := shutil.which(place):
            return found
    missing = chosen or "no browser that prints (" + ", ".join(BROWSERS) + ")"
    raise SystemExit(f"{missing} was not found. {REMEDY}")


def write(site: Path, place: downloads.Place, paper: str, program: str) -> Path:
    """Print one edition of the built site and return the PDF's path."""
    html = Book(site, place.language, place.address).html(paper)
    target = site / place.pdf
    with tempfile.TemporaryDirectory() as folder:
        page, made = Path(folder, "book.html"), Path(folder, "book.pdf")
        numbers: dict[str, int] = {}
        for _ in range(3):  # a contents that grew by a page would want a third
            page.write_text(numbered(html, numbers), encoding="utf-8")
            print_page(program, page, made)
            before, numbers = numbers, numbers_of(made)
            if numbers == before:
                return Path(shutil.copy(made, target))
    raise RuntimeError(f"the page numbers of {target.name} do not come to rest")


def print_page(program: str, page: Path, target: Path) -> None:
    """Let the browser print a page into a PDF."""
    target.unlink(missing_ok=True)
    done = subprocess.run(
        [
            *(program, "--headless", "--disable-gpu", "--no-first-run", "--no-pdf-header-footer"),
            *("--generate-pdf-document-outline", f"--print-to-pdf={target}"),
            f"--user-data-dir={target.parent / 'profile'}",
            *(["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []),
            page.as_uri(),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    if not target.is_file():
        raise SystemExit(f"{program} printed nothing:\n{done.stdout[-2000:]}\n{REMEDY}")


def numbers_of(pdf: Path) -> dict[str, int]:
    """On which page each place stands that a link leads to, counted from 1."""
    reader = PdfReader(pdf)
    version = re.search(r"Skia/PDF m(\d+)", (reader.metadata and reader.metadata.producer) or "")
    if version and int(version[1]) < OLDEST:
        raise SystemExit(
            f"the browser is version {version[1]}, and {OLDEST} is the first that numbers pages. "
            f"{REMEDY}"
        )
    return {
        name.removeprefix("/"): (reader.get_destination_page_number(there) or 0) + 1
        for name, there in reader.named_destinations.items()
    }


def main() -> None:
    """Parse the command line, build the site and print it."""
    parser = argparse.ArgumentParser(description="Build the website and print the book.")
    parser.add_argument("--paper", choices=PAPERS, default=PAPERS[0])
    parser.add_argument("--complete", action="store_true", default=bool(os.environ.get("CI")))
    parser.add_argument("--site", type=Path, default=ROOT / "site", help="where it is built")
    arguments = parser.parse_args()
    program = browser()  # whether there is one should be known before anything is built
    site = arguments.site.resolve()
    build.build_or_exit(site, complete=arguments.complete, printed=True)
    for place in downloads.places():
        print(f"Printing {place.pdf} …", flush=True)
        made = write(site, place, arguments.paper, program)
        print(f"{made}  {made.stat().st_size / 2**20:.1f} MiB", flush=True)


if __name__ == "__main__":
    main()
