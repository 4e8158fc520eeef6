"""What the book needs of mkdocs beyond its configuration.

Chapters are the notebooks that exist. Equations become HTML while building, pictures become files,
numbers come from run records. An edition in another language is translated on the way. Whatever a
reader would stumble on is a warning, and `--strict` makes a warning an error. What is not
translated is a warning only where the book is to be complete.
"""

import logging
import os
import re
from html import unescape
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

from vitlit import studies
from website import (
    ROOT,
    addresses,
    backlinks,
    bundle,
    columns,
    downloads,
    equations,
    example,
    figures,
    head,
    listings,
    offered,
    offline,
    pictures,
    pipeline,
    reading,
    results,
    signatures,
    throughput,
)
from website.notebooks import WATCHING, notebooks_of
from website.search import index
from website.translation.catalogs import Edition, stored_notebook
from website.translation.sources import translate_settings

log = logging.getLogger("mkdocs.plugins.vitlit")

CHAPTERS = "chapters"
AFTER = "after.md"
# Templates of the theme: website/addresses.py writes the one, the other needs the site's address.
NOT_FOUND, SITEMAP = "404.html", "sitemap.xml"
SCRIPTS = sorted((ROOT / "website/scripts").glob("*.js"))
FONTS = {
    "instrument-sans": ["instrument-sans-latin-wght-normal"],
    "jetbrains-mono": ["jetbrains-mono-latin-wght-normal"],
    "source-serif-4": ["source-serif-4-latin-wght-normal", "source-serif-4-latin-wght-italic"],
}


def chapters_of(notebooks: list[Path], config: MkDocsConfig) -> list[dict[str, Any]]:
    """The chapters that exist, in order, with what `extra.chapters` says of them."""
    chapters = []
    for notebook in notebooks:
        if notebook.stem not in config.extra["chapters"]:
            log.warning("mkdocs.yml says nothing of %s in extra.chapters", notebook.name)
            continue
        about = {"detours": [], **config.extra["chapters"][notebook.stem]}
        # By the English words, so that a chapter takes as long in every edition.
        minutes = reading.minutes(stored_notebook(ROOT / "notebooks" / notebook.name))
        for name in set(about["detours"]) - set(minutes):
            log.warning("mkdocs.yml: %s has no section #%s to be a detour", notebook.name, name)
        chapters.append(
            {
                "notebook": notebook,
                "source": f"{CHAPTERS}/{notebook.name}",
                "number": int(notebook.stem.partition("_")[0]),
                "colab": downloads.colab(config, notebook.stem),
                "shown": downloads.source(config, notebook.stem),
                "minutes": minutes,
                "read": reading.whole(minutes.values()),
                "short": reading.whole(
                    time for name, time in minutes.items() if name not in about["detours"]
                ),
                **about,
            }
        )
    return chapters


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Translate what an edition takes from the English one, and list the chapters that exist."""
    edition = config.extra["edition"] = Edition(config.theme["language"])
    watching = bool(os.environ.get(WATCHING))
    config.site_url = "" if watching else addresses.edition(config.site_url, edition.language)
    config.repo_url = addresses.repository(config.repo_url)
    config.extra["address"] = addresses.site(config.site_url)
    config.extra["example"] = example.read(ROOT)
    translate_settings(config, config.mdx_configs["toc"], edition.word)
    notebooks = notebooks_of(edition, config.extra["words"]["untranslated"])
    place = downloads.Place.of(config)
    printed = place.pdf if os.environ.get(downloads.PDF) else ""
    config.extra |= {"archive": place.archive, "offline": offline.ARCHIVE, "pdf": printed}
    config.extra["indexed"] = []
    if watching:  # one edition is served: a link out of it would lead nowhere
        config.extra |= {"languages": {}, "archive": "", "offline": ""}
    config.theme.static_templates -= unused_templates(config)
    elements = config.extra["elements"] = bundle.elements()
    config.extra["engine"] = "" if watching else "../"
    config.markdown_extensions.append(bundle.BlockElements(elements))
    chapters = config.extra["existing_chapters"] = chapters_of(notebooks, config)
    # What the whole book takes to read, and its short path, by the words that scripts use for them.
    config.extra["paths"] = {
        path: reading.spoken(sum(c[key] for c in chapters), edition.word)
        for path, key in (("", "read"), ("short", "short"))
    }
    config.extra["scripts"] = [script.name for script in SCRIPTS]
    listed = [{f"{c['number']} · {c['title']}": c["source"]} for c in chapters]
    config.nav = [
        {name: children or listed for name, children in entry.items()} for entry in config.nav or []
    ]
    return config


def unused_templates(config: MkDocsConfig) -> set[str]:
    """The templates of the theme that an edition does not fill."""
    return {NOT_FOUND} if config.site_url else {NOT_FOUND, SITEMAP}


@event_priority(50)  # before mkdocs-jupyter looks for notebooks
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the chapters' notebooks, drawings, icons, and fonts and KaTeX from node_modules."""
    for name in unused_templates(config):  # what is no template any more would be copied as it is
        if file := files.get_file_from_path(name):
            files.remove(file)
    # Not by the setting notebook_dirs of mkdocs-jupyter: it would parse and write each chapter's
    # HTML once more, which is a quarter of the time that a build takes.
    for chapter in config.extra["existing_chapters"]:
        source = str(chapter["notebook"])
        files.append(File.generated(config, chapter["source"], abs_src_path=source))
    if found := config.extra["example"]:
        for name, drawing in example.drawings(found).items():
            path = f"assets/images/step-{name}.svg"
            files.append(File.generated(config, path, content=drawing))
    head.add_icons(config, files)
    modules = ROOT / "node_modules"
    for family, names in FONTS.items():
        for name in names:
            source = str(modules / f"@fontsource-variable/{family}/files/{name}.woff2")
            files.append(File.generated(config, f"assets/fonts/{name}.woff2", abs_src_path=source))
    for script in SCRIPTS:
        path = f"assets/javascripts/{script.name}"
        files.append(File.generated(config, path, abs_src_path=str(script)))
    for path, content in equations.assets(modules / "katex/dist"):
        files.append(File.generated(config, f"assets/katex/{path}", content=content))
    for path, script in index.scripts():
        files.append(File.generated(config, path, abs_src_path=str(script)))
    if os.environ.get(WATCHING):  # else website/build.py puts it beside the editions
        for path, content in bundle.assets():
            files.append(File.generated(config, f"{bundle.FOLDER}/{path}", content=content))
    return files


@event_priority(-50)  # after mkdocs-jupyter has turned the notebook into Markdown
def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Prepare the Markdown of chapters, and of pages that show numbers of runs."""
    if not page.url.startswith("api/"):  # the bar at the left is for the API's pages only
        page.meta["hide"] = [*page.meta.get("hide", []), "navigation"]
    for chapter in config.extra["existing_chapters"]:
        if chapter["source"] == page.file.src_uri:
            page.meta.update(chapter=chapter, template="chapter.html")
            return chapter_markdown(markdown, page, config, files)
    edition = config.extra["edition"]
    untranslated = config.extra["words"]["untranslated"]
    markdown = edition.markdown(page.file.src_uri.removesuffix(".md"), markdown, untranslated)
    if page.file.src_uri == AFTER:
        page.meta["drawn"] = {"rows": figures.tokens(edition.word)._repr_html_()}
    if page.meta.get("numbers"):
        measured = ROOT / "benchmarks/results"
        # Jinja's own comments begin with {#, as a heading's id does.
        environment = Environment(
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            comment_start_string="<!--#",
            comment_end_string="#-->",
        )
        found = config.extra["example"]
        return environment.from_string(markdown).render(
            chapters=config.extra["existing_chapters"],
            example=example.shown(found) if found else None,
            repository=config.repo_url,
            paths=config.extra["paths"],
            words=config.extra["words"],
            offered=offered.shown(page, config, files, edition.word),
            benchmarks=throughput.benchmarks(measured, edition.word),
            steps=throughput.training_steps(measured, edition.word),
            **results.context(ROOT / "runs", page, edition.word, studies.costs()),
        )
    return markdown


def chapter_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Mend what mkdocs-jupyter leaves, name the folds, put pictures into files."""
    # mkdocs-jupyter 0.27 ends every notebook with an indented <style>, which is Markdown for code.
    markdown = re.sub(r"\n {8}<style>\n.*?</style>\s*$", "\n", markdown, flags=re.S)
    markdown = unescape(markdown)  # see notebook.html.j2
    words = config.extra["words"]
    markdown = re.sub(
        r'<summary data-count="(\d+)" data-word="(\w+)"></summary>',
        lambda match: f"<summary>{words[match[2]].format(match[1])}</summary>",
        markdown,
    )
    # In Jupyter a chapter's neighbour is docs/, on the site docs/ is the folder above.
    markdown = re.sub(r"\]\(\.\./docs/", "](../", markdown)
    return columns.with_tall_pairs(pictures.extract(markdown, page, config, files))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn source headers into links to the API, inline drawings, and refuse wordless pictures.

    Special methods such as `__init__` have no place of their own in the API: their class has.
    """
    html = re.sub(
        r'<span class="filename">(vitlit\.[\w.]+?)(\.__\w+__)?</span>',
        r'<span class="filename"><autoref identifier="\1" optional>\1\2</autoref></span>',
        html,
    )
    if chapter := page.meta.get("chapter"):
        html = reading.with_times(html, chapter, config.extra["words"])
    html = signatures.one_parameter_a_line(html)
    html = listings.marked(html)
    # A table wider than a phone scrolls in its own frame, which the keyboard must reach.
    html = html.replace("<table>", '<div class="table" tabindex="0"><table class="plain">')
    html = re.sub(r'(<table class="plain">.*?</table>)', r"\1</div>", html, flags=re.S)
    html = pictures.inline_drawings(html, files)
    html, page.meta["live"] = bundle.without_scripts(html, config)
    pictures.require_alt_text(html, page)
    numbered = {
        str(chapter["number"]): file.url
        for chapter in config.extra["existing_chapters"]
        if (file := files.get_file_from_path(chapter["source"]))
    }
    html = figures.link_mentions(html, numbered, page)
    drawn = page.meta.get("drawn", {})
    if chapter := page.meta.get("chapter"):
        drawn = figures.drawn_in(chapter["notebook"])
    html = figures.place(html, drawn, page, config, files, numbered)
    head.describe(html, page)
    return pipeline.linked(html, addresses_of(page, config, files))


def addresses_of(page: Page, config: MkDocsConfig, files: Files) -> dict[str, tuple[str, str]]:
    """Title and address of every chapter by its notebook's name, as seen from a page."""
    return {
        chapter["notebook"].stem: (
            f"{chapter['number']} · {chapter['title']}",
            get_relative_url(file.url, page.url),
        )
        for chapter in config.extra["existing_chapters"]
        if (file := files.get_file_from_path(chapter["source"]))
    }


@event_priority(-100)  # when every page has its HTML
def on_env(env: Environment, config: MkDocsConfig, files: Files) -> Environment:
    """Link back, draw cards, render all equations in one go, and say what is not translated."""
    config.extra["edition"].report_gaps()
    pages = [file.page for file in files.documentation_pages() if file.page]
    backlinks.add(pages, config.extra["words"], config.repo_url or "")
    head.add_cards(config, files)
    equations.render(pages, ROOT)
    return env


def on_page_context(context: dict[str, Any], page: Page, config: MkDocsConfig, nav: Any) -> None:
    """Note what the search will find on a page."""
    config.extra["indexed"].append(index.read(page))


def on_post_build(config: MkDocsConfig) -> None:
    """Write the search's index, and put each chapter beside its page, as it is downloaded."""
    index.write(config.extra["indexed"], Path(config.site_dir), config.theme["language"])
    place = downloads.Place.of(config)
    for chapter in config.extra["existing_chapters"]:
        notebook = chapter["notebook"]
        target = Path(config.site_dir, CHAPTERS, notebook.stem, notebook.name)
        target.write_text(downloads.single(notebook, place), encoding="utf-8")
