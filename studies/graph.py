"""The graph of the book's weights, for the page in which they run: `make graph`.

It lies beside the page's programs, as an executed chapter lies beside its source. A test compares
what it says of itself to the weights, so it is made anew when they change.
"""

import argparse
import sys
from pathlib import Path

from vitlit import files
from vitlit.classifier import load
from vitlit.onnx import graph

RUN = "cpu-long-seed0"
# In half the bytes: with the runtime, what a page loads on request is to stay below 6 MB.
STORED = "fp16"
FILE = Path(__file__).resolve().parents[1] / "website" / "live" / "book.onnx"


def run(words: list[str]) -> Path:
    """Write the graph as the command line says; returns its file, which is written over."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--run", default=RUN, help=f"whose weights (default: {RUN})")
    parser.add_argument("--stored", default=STORED, help=f"fp32 or fp16 (default: {STORED})")
    parser.add_argument("--out", type=Path, default=FILE, help="file (default: the page's)")
    given = parser.parse_args(words)
    content = graph(load(given.run), given.stored, given.run)
    files.write(given.out, content)
    print(f"{given.out}: {given.run} as {given.stored}, {len(content):,} bytes")
    return Path(given.out)


def main() -> None:
    """Run the command; bad input ends with one line that says what was wrong."""
    try:
        run(sys.argv[1:])
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
