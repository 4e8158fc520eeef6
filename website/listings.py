"""Listings on paper: a short one stands undivided, see docs/assets/stylesheets/print.css.

Style sheets can tell a listing, not how long it is.
"""

import re

# Lines that a page's end may leave empty: a sixth of a page.
SHORT = 14
LISTING = re.compile(r'highlight">(?=(.*?)</pre>)', re.S)


def marked(html: str) -> str:
    """A page's HTML in which short listings have the class `whole`."""

    def mark(match: re.Match[str]) -> str:
        lines = match[1].rstrip().count("\n") + 1
        return 'highlight whole">' if lines <= SHORT else match[0]

    return LISTING.sub(mark, html)
