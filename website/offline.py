"""The site as one archive whose pages work from a disk, with both editions in it.

A server answers a folder with its index.html, a disk does not: so here links name the page. That is
all that pages lack, since they fetch nothing but styles, scripts and pictures. mkdocs-material's
own plugin for this would want each edition built once more.
"""

import posixpath
import re
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from website import LANGUAGES, downloads

ARCHIVE = "vitlit-offline.zip"
INDEX = "index.html"
LINK = re.compile(r'(<(?:a|link)\b[^>]*?\s(?:xlink:)?href=")([^"#?]+)')
# What is of use only where there is a network.
ONLINE = re.compile(r"<(a|script)\b[^>]*?\sdata-online\b.*?</\1>", re.S)


def write_archive(site: Path, entrance: str) -> Path:
    """Write the archive into the built site; `entrance` is the page that leads to the editions."""
    files = [site / downloads.Place("", language).archive for language in LANGUAGES]
    for language in LANGUAGES:
        files += (path for path in (site / language).rglob("*") if path.is_file())
    names = {path.relative_to(site).as_posix(): path for path in files}
    contents = {INDEX: entrance.encode()}
    for name, path in names.items():
        content = path.read_bytes()
        if path.suffix == ".html":
            content = page(content.decode(), name, names).encode()
        contents[name] = content
    target = site / ARCHIVE
    target.write_bytes(downloads.zipped("vitlit-offline", contents))
    return target


def page(html: str, name: str, names: Collection[str]) -> str:
    """A page as it is opened from a disk that holds `names`."""
    folder = posixpath.dirname(name)

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[2], INDEX))
        if urlsplit(match[2]).scheme or target not in {*names, INDEX}:
            return match[0]
        return match[1] + posixpath.join(match[2], INDEX)

    return LINK.sub(link, ONLINE.sub("", html))
