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

import jieba
from jinja2 import Environment, StrictUndefined
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from vitlit import studies
from website import ROOT, downloads, equations, figures, pictures, results, throughput
from website.notebooks import WATCHING, notebooks_of
from website.translation.catalogs import Edition
from website.translation.sources import translate_settings

log = logging.getLogger("mkdocs.plugins.vitlit")
jieba.setLogLevel(logging.WARNING)  # it cuts Chinese into words for the search, and tells of it

CHAPTERS = "chapters"
UNUSED_TEMPLATES = {"404.html", "sitemap.xml"}
FONTS = {
    "instrument-sans": ["instrument-sans-latin-wght-normal"],
    "jetbrains-mono": ["jetbrains-mono-latin-wght-normal"],
    "source-serif-4": ["source-serif-4-latin-wght-normal", "source-serif-4-latin-wght-italic"],
}


def chapters_of(notebooks: list[Path], config: MkDocsConfig) -> list[dict[str, Any]]:
    """The chapters that exist, in order, with what `extra.chapters` says of them."""
    for notebook in notebooks:
        if notebook.stem not in config.extra["chapters"]:
            log.warning("mkdocs.yml says nothing of %s in extra.chapters", notebook.name)
    return [
        {
            "notebook": notebook,
            "source": f"{CHAPTERS}/{notebook.name}",
            "number": int(notebook.stem.partition("_")[0]),
            "colab": downloads.colab(config, notebook.stem),
            "shown": downloads.source(config, notebook.stem),
            **config.extra["chapters"][notebook.stem],
        }
        for notebook in notebooks
        if notebook.stem in config.extra["chapters"]
    ]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Translate what an edition takes from the English one, and list the chapters that exist."""
    edition = config.extra["edition"] = Edition(config.theme["language"])
    translate_settings(config, config.mdx_configs["toc"], edition.word)
    notebooks = notebooks_of(edition, config.extra["words"]["untranslated"])
    config.extra["archive"] = downloads.Place.of(config).archive
    if os.environ.get(WATCHING):  # one edition is served: a link out of it would lead nowhere
        config.extra |= {"languages": {}, "archive": ""}
    # Both would need the address that the site will have one day.
    config.theme.static_templates -= UNUSED_TEMPLATES
    chapters = config.extra["existing_chapters"] = chapters_of(notebooks, config)
    listed = [{f"{c['number']} · {c['title']}": c["source"]} for c in chapters]
    config.nav = [
        {name: children or listed for name, children in entry.items()} for entry in config.nav or []
    ]
    return config


@event_priority(50)  # before mkdocs-jupyter looks for notebooks
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the chapters' notebooks, and the fonts and KaTeX's style sheet from node_modules."""
    for name in UNUSED_TEMPLATES:  # what is no template any more would be copied as it is
        if file := files.get_file_from_path(name):
            files.remove(file)
    # Not by the setting notebook_dirs of mkdocs-jupyter: it would parse and write each chapter's
    # HTML once more, which is a quarter of the time that a build takes.
    for chapter in config.extra["existing_chapters"]:
        source = str(chapter["notebook"])
        files.append(File.generated(config, chapter["source"], abs_src_path=source))
    modules = ROOT / "node_modules"
    for family, names in FONTS.items():
        for name in names:
            source = str(modules / f"@fontsource-variable/{family}/files/{name}.woff2")
            files.append(File.generated(config, f"assets/fonts/{name}.woff2", abs_src_path=source))
    for path, content in equations.assets(modules / "katex/dist"):
        files.append(File.generated(config, f"assets/katex/{path}", content=content))
    return files


@event_priority(-50)  # after mkdocs-jupyter has turned the notebook into Markdown
def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Prepare the Markdown of chapters, and of pages that show numbers of runs."""
    if not page.url.startswith("api/"):  # the bar at the left is for the API's pages only
        page.meta["hide"] = [*page.meta.get("hide", []), "navigation"]
    for chapter in config.extra["existing_chapters"]:
        if chapter["source"] == page.file.src_uri:
            page.meta.update(chapter=chapter, template="chapter.html", search={"boost": 2})
            return chapter_markdown(markdown, page, config, files)
    edition = config.extra["edition"]
    untranslated = config.extra["words"]["untranslated"]
    markdown = edition.markdown(page.file.src_uri.removesuffix(".md"), markdown, untranslated)
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
        return environment.from_string(markdown).render(
            chapters=config.extra["existing_chapters"],
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
        r'<summary data-word="(\w+)"></summary>',
        lambda match: f"<summary>{words[match[1]]}</summary>",
        markdown,
    )
    # In Jupyter a chapter's neighbour is docs/, on the site docs/ is the folder above.
    markdown = re.sub(r"\]\(\.\./docs/", "](../", markdown)
    return pictures.extract(markdown, page, config, files)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn source headers into links to the API, inline drawings, and refuse wordless pictures.

    Special methods such as `__init__` have no place of their own in the API: their class has.
    """
    html = re.sub(
        r'<span class="filename">(vitlit\.[\w.]+?)(\.__\w+__)?</span>',
        r'<span class="filename"><autoref identifier="\1" optional>\1\2</autoref></span>',
        html,
    )
    if "chapter" in page.meta:  # search finds headings, prose and captions, not code
        html = html.replace("<pre><span></span>", "<pre data-search-exclude><span></span>")
    # A table wider than a phone scrolls in its own frame, which the keyboard must reach.
    html = html.replace("<table>", '<div class="table" tabindex="0"><table class="plain">')
    html = re.sub(r'(<table class="plain">.*?</table>)', r"\1</div>", html, flags=re.S)
    html = pictures.inline_drawings(html, ROOT / "docs")
    pictures.require_alt_text(html, page)
    addresses = {
        str(chapter["number"]): file.url
        for chapter in config.extra["existing_chapters"]
        if (file := files.get_file_from_path(chapter["source"]))
    }
    html = figures.link_mentions(html, addresses, page)
    drawn = page.meta.get("drawn", {})
    if chapter := page.meta.get("chapter"):
        drawn = figures.drawn_in(chapter["notebook"])
    return figures.place(html, drawn, page, config, files, addresses)


@event_priority(-100)  # when every page has its HTML, and before the search index reads it
def on_env(env: Environment, config: MkDocsConfig, files: Files) -> Environment:
    """Render all equations of the site in one go, and say what is not translated."""
    config.extra["edition"].report_gaps()
    equations.render([file.page for file in files.documentation_pages() if file.page], ROOT)
    return env


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Name the search dialog, which material leaves without a name."""
    return output.replace(
        'data-md-component="search" role="dialog"',
        f'data-md-component="search" role="dialog" aria-label="{config.extra["words"]["search"]}"',
    )


def on_post_build(config: MkDocsConfig) -> None:
    """Put each chapter beside its page, as it is downloaded."""
    place = downloads.Place.of(config)
    for chapter in config.extra["existing_chapters"]:
        notebook = chapter["notebook"]
        target = Path(config.site_dir, CHAPTERS, notebook.stem, notebook.name)
        target.write_text(downloads.single(notebook, place), encoding="utf-8")
