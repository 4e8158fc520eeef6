"""Where the site and the repository are published, and what a site needs only where it is.

`VITLIT_SITE_URL` is the address of the site's folder, `VITLIT_REPO_URL` that of the repository.
Without them the settings `site_url` and `repo_url` of mkdocs.yml count. Where there is no address,
nothing is made that would need one.
"""

import os
import re
import string
from pathlib import Path

import yaml

from website import LANGUAGES, ROOT
from website.translation.catalogs import Edition

SITE, REPOSITORY = "VITLIT_SITE_URL", "VITLIT_REPO_URL"


def site(setting: str | None) -> str:
    """The address of the folder that holds the editions, with a slash at its end; or nothing.

    The setting may be an edition's own address, too, which ends in its language.
    """
    address = (os.environ.get(SITE) or setting or "").rstrip("/")
    return re.sub(rf"/({'|'.join(LANGUAGES)})$", "", address) + "/" if address else ""


def edition(setting: str | None, language: str) -> str:
    """An edition's address; or nothing."""
    address = site(setting)
    return f"{address}{language}/" if address else ""


def repository(setting: str | None) -> str:
    """The repository's address, without a slash at its end; or nothing."""
    return (os.environ.get(REPOSITORY) or setting or "").rstrip("/")


def source(repository: str, path: str, line: int | None = None) -> str:
    """Where a file of the repository is shown; empty unless the repository has an address."""
    at = f"#L{line}" if line else ""
    return f"{repository}/blob/HEAD/{path}{at}" if repository else ""


def write_root(folder: Path, root: Path = ROOT) -> None:
    """Write what stands beside the editions and needs their address: robots.txt and 404.html.

    A server gives 404.html for whatever is not there, at any depth, so its links are absolute.
    """
    settings = yaml.safe_load((root / LANGUAGES["en"]).read_text(encoding="utf-8"))
    address = site(settings.get("site_url"))
    if not address:
        return
    maps = "".join(f"Sitemap: {address}{language}/sitemap.xml\n" for language in LANGUAGES)
    (folder / "robots.txt").write_text(f"User-agent: *\nAllow: /\n\n{maps}", encoding="utf-8")
    words = settings["extra"]["words"]
    parts = []
    for language in LANGUAGES:
        lost, home, chapters = (
            Edition(language, root).word(words[name]) for name in ("lost", "home", "chapters")
        )
        here = f"{address}{language}/"
        parts.append(
            f'<section lang="{language}"><h2>{lost}</h2><p><a href="{here}">{home}</a> · '
            f'<a href="{here}#chapters">{chapters}</a></p></section>'
        )
    template = (root / "website/templates/404.html").read_text(encoding="utf-8")
    page = string.Template(template).substitute(address=address, sections="\n".join(parts))
    (folder / "404.html").write_text(page, encoding="utf-8")
