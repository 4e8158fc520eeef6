"""What the head of a page says of it to search engines and to those who share it."""

import re
from html import escape, unescape
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from website import addresses, cards

LONGEST = 160  # characters of a description
ICONS = {
    "assets/images/icon.png": (48, 0.0, None),
    "assets/images/touch-icon.png": (180, 0.16, cards.PAPER),
}
# Words that nobody reads there: equations, headings' links, whatever is no prose.
UNREAD = re.compile(r"<(script|style|svg|pre|figure|table)\b.*?</\1>", re.S)
PARAGRAPH = re.compile(r"<p(?: [^>]*)?>(.*?)</p>", re.S)


def describe(html: str, page: Page) -> None:
    """Give a page its description: a chapter's question, or what the page begins with."""
    chapter = page.meta.get("chapter")
    text = chapter["question"] if chapter else summary(html)
    page.meta["description"] = escape(text)


def summary(html: str) -> str:
    """The first sentences of a page's first paragraph, as many as there is room for."""
    found = PARAGRAPH.search(UNREAD.sub("", html))
    text = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "", found[1]))).strip() if found else ""
    kept = ""
    for sentence in re.findall(r".+?(?:[.?!](?= |$)|[。？！]|$)\s*", text):
        if kept and len(kept + sentence.rstrip()) > LONGEST:
            break
        kept += sentence
    return kept.strip()


def entrance(words: str, address: str) -> str:
    """The tags of the page that leads to the editions: it is what people share."""
    tags = [f'<meta name="description" content="{escape(words)}">']
    if address:
        tags += [
            f'<link rel="canonical" href="{address}">',
            '<meta property="og:title" content="vitlit">',
            f'<meta property="og:description" content="{escape(words)}">',
            f'<meta property="og:url" content="{address}">',
            f'<meta property="og:image" content="{address}en/assets/cards/index.jpg">',
            '<meta name="twitter:card" content="summary_large_image">',
        ]
    return "\n".join(tags)


def add_icons(config: MkDocsConfig, files: Files) -> None:
    """Add the mark as PNG, for those who take no SVG."""
    for name, how in ICONS.items():
        files.append(File.generated(config, name, content=cards.icon(*how)))


def add_cards(config: MkDocsConfig, files: Files) -> None:
    """Draw a card for every page, where the site has an address to which a link can be shared."""
    language = str(config.theme["language"])
    if not config.site_url:
        return
    drawn_in = language if cards.can_write(language) else "en"
    for file in files.documentation_pages():
        if page := file.page:
            name = f"assets/cards/{file.src_uri.rpartition('.')[0].replace('/', '-')}.jpg"
            page.meta["card"] = f"{addresses.edition(config.site_url, drawn_in)}{name}"
            if drawn_in == language:
                title = plain(config.site_description if page.is_homepage else page.title)
                content = cards.card(title, unescape(page.meta["description"]), language)
                files.append(File.generated(config, name, content=content))


def plain(html: Any) -> str:
    """A title without markup."""
    return unescape(re.sub(r"<[^>]+>", "", str(html)))
