"""The Chinese of every block is there, is current, and is sound; and how blocks are found."""

import json
import logging
import os
import re
from typing import NoReturn

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from translation_checks import faults_of

from website import ROOT
from website.translation import catalogs, sources, text

LOCALE = ROOT / "locale/zh"
CATALOGS = sorted(
    path.relative_to(LOCALE).with_suffix("").as_posix() for path in LOCALE.rglob("*.po")
)


def incomplete(what: str) -> NoReturn:
    """Fail in CI. Elsewhere skip, so that who writes no Chinese can change the English."""
    message = f"{what}; `make translations` and locale/zh"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def is_current(message):
    """Whether there is a translation, and of the text as it is now."""
    return bool(message.id and message.string and not message.fuzzy)


def exceptions() -> list[list[str]]:
    """What looks like a fault and is none: catalog, fault, beginning of the English block."""
    lines = (LOCALE / "exceptions.txt").read_text(encoding="utf-8").splitlines()
    return [line.split(" | ", 2) for line in lines if line and not line.startswith("#")]


def test_every_page_has_a_catalog_and_every_catalog_a_page():
    if (pages := sorted([*sources.sources(), *sources.OTHERS])) != CATALOGS:
        incomplete(f"catalogs that are missing or left over: {sorted({*pages} ^ {*CATALOGS})}")


@pytest.mark.parametrize("name", CATALOGS)
def test_every_block_is_translated_and_none_is_stale(name):
    english = sources.source_messages(name) if name in [*sources.sources(), *sources.OTHERS] else []
    catalog = catalogs.read("zh", name)
    stored = [message for message in catalog if message.id]
    if [message.id for message in stored] != english:
        incomplete(f"locale/zh/{name}.po is not in step with the English")
    if gaps := [message.id[:70] for message in stored if not is_current(message)]:
        incomplete(f"missing or stale in locale/zh/{name}.po: {gaps}")
    assert not catalog.obsolete


@pytest.mark.parametrize("name", CATALOGS)
def test_every_block_is_sound(name):
    allowed = [(fault, start) for catalog, fault, start in exceptions() if catalog == name]
    faults = [
        f"{fault}: {message.string[:60]!r}"
        for message in catalogs.read("zh", name)
        if is_current(message)
        for fault in faults_of(message.id, message.string)
        if not any(fault == known and message.id.startswith(start) for known, start in allowed)
    ]
    assert not faults, "\n".join(faults)


def test_every_exception_is_needed():
    gone = []
    for name, fault, start in exceptions():
        messages = [
            m for m in catalogs.read("zh", name) if is_current(m) and m.id.startswith(start)
        ]
        found = [fault for m in messages for fault in faults_of(m.id, m.string)]
        if not messages:
            gone.append(f"{name}: {start}")
        else:
            assert fault in found, f"{name}: {start}"
    if gone:
        incomplete(f"no block of locale/zh/exceptions.txt begins so: {gone}")


@pytest.mark.parametrize("name", sources.documents())
def test_a_document_is_that_of_its_catalog(name):
    assert f"[中文]({name}.zh.md)" in (ROOT / f"{name}.md").read_text(encoding="utf-8")
    translated = catalogs.Edition("zh").document(name)
    assert f"[English]({name}.md)" in translated
    stored = ROOT / f"{name}.zh.md"
    if not stored.exists() or stored.read_text(encoding="utf-8") != translated:
        incomplete(f"{stored.name} is not in step with {name}.md and its catalog")


def test_documents_lead_to_each_other_in_their_language(book):
    (book / "README.md").write_text("[中文](README.zh.md)\n\n[How](CONTRIBUTING.md#how)\n", "utf-8")
    (book / "CONTRIBUTING.md").write_text("[中文](CONTRIBUTING.zh.md)\n\nHow.\n", "utf-8")
    assert {"README", "CONTRIBUTING"} <= set(sources.sources(book))
    edition = catalogs.Edition("zh", book)
    assert edition.document("CONTRIBUTING") == "[English](CONTRIBUTING.md)\n\nHow.\n"
    readme = "[English](README.md)\n\n[How](CONTRIBUTING.zh.md#how)\n"
    assert edition.document("README") == readme
    assert {gap.text for gap in edition.gaps} == {"How.", "[How](CONTRIBUTING.md#how)"}


@pytest.mark.parametrize("name", sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")))
def test_pieces_are_the_whole_text(name):
    for cell in json.loads(name.read_text(encoding="utf-8"))["cells"]:
        cell_text = "".join(cell["source"])
        assert "".join(piece for piece, _ in text.split(cell_text)) == cell_text
        assert text.translated(cell_text, str) == cell_text or cell_text.startswith("# ")


def test_a_block_is_a_message():
    page = """\
---
title: No message
---

# Heading

One block,
two lines.

```python
code = "no message"
```

$$x = 1$$

<div class="cards" markdown="1">

!!! note "A title"

    Below it.

{% if runs %}
Words.
{% endif %}

::: vitlit.config

```
a map of words
```
"""
    assert text.messages(page) == [
        "# Heading",
        "One block,\ntwo lines.",
        '!!! note "A title"',
        "Below it.",
        "Words.",
        "```\na map of words\n```",
    ]
    shouted = text.translated(page, str.upper)
    assert "# HEADING { #heading }\n" in shouted
    assert "\n    BELOW IT.\n" in shouted
    assert 'code = "no message"' in shouted
    assert "{% if runs %}\nWORDS.\n{% endif %}\n" in shouted


def put(root, name, **texts):
    """Store translations in a catalog."""
    catalog = catalogs.update("zh", name, root)
    for english, chinese in texts.items():
        catalog.get(english.replace("_", " ")).string = chinese
    catalogs.write(catalog, "zh", name, root)


def test_a_block_that_changes_is_stale_until_it_is_read_again(book):
    put(book, "index", **{"# Home": "# 首页", "A patch is a token.": "旧的译文。"})
    edition = catalogs.Edition("zh", book)
    source = (book / "docs/index.md").read_text("utf-8")
    assert edition.markdown("index", source) == "# 首页 { #home }\n\n旧的译文。\n"
    assert not edition.gaps

    changed = source.replace("is a token", "becomes a token")
    (book / "docs/index.md").write_text(changed, "utf-8")
    message = catalogs.update("zh", "index", book).get("A patch becomes a token.")
    assert message.fuzzy
    assert message.string == "旧的译文。"

    edition = catalogs.Edition("zh", book)
    marked = edition.markdown("index", changed, mark="过时：")
    assert [(gap.kind, gap.text) for gap in edition.gaps] == [("stale", "A patch becomes a token.")]
    assert '<div class="untranslated" lang="en" markdown="1">' in marked
    assert "**过时：** A patch becomes a token." in marked
    assert "旧的译文" not in marked

    file = catalogs.path_of("zh", "index", book)
    mended = file.read_text("utf-8").replace("#, fuzzy\n", "").replace("旧的译文", "新的译文")
    file.write_text(mended, "utf-8")
    catalogs.update("zh", "index", book)
    assert catalogs.Edition("zh", book).text("index", message.id) == "新的译文。"
    assert not [line for line in file.read_text("utf-8").splitlines() if line.startswith("#")]


@pytest.mark.parametrize(
    ("english", "marked"),
    [
        ("# Home", "# **未译：** Home { #home }"),
        ("## Home {#h}", "## **未译：** Home {#h}"),
        ("- one\n- two", "- **未译：** one\n- two"),
        ("1. one\n2. two", "1. **未译：** one\n2. two"),
        ("<!-- alt: A\ncat. -->\n**A** cat.", "<!-- alt: A\ncat. -->\n**未译：** **A** cat."),
        ("| a |\n|---|\n| b |", "| a |\n|---|\n| b |"),
        (
            "A patch is a token.",
            '<div class="untranslated" lang="en" markdown="1">\n\n'
            "**未译：** A patch is a token.\n\n</div>",
        ),
    ],
)
def test_a_block_without_a_translation_stays_english_marked_and_is_named(book, english, marked):
    edition = catalogs.Edition("zh", book)
    assert edition.markdown("index", english, mark="未译：") == marked
    assert [(gap.kind, gap.text) for gap in edition.gaps] == [("missing", english)]
    assert catalogs.Edition("en", book).markdown("index", english) == english


@pytest.mark.parametrize(("complete", "level"), [("1", logging.WARNING), ("", logging.INFO)])
def test_a_gap_is_a_warning_only_where_the_book_is_to_be_complete(
    book, monkeypatch, caplog, complete, level
):
    monkeypatch.setenv(catalogs.COMPLETE, complete)
    edition = catalogs.Edition("zh", book)
    edition.text("index", "# Home")
    edition.text("index", "# Home")
    with caplog.at_level(logging.INFO):
        edition.report_gaps()
        edition.report_gaps()
    [said] = caplog.records
    assert (said.levelno, said.getMessage()) == (
        level,
        "index: missing: '# Home'; `make translations` and locale/zh",
    )


def test_missing_translations_fail_the_tests_only_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="make translations"):
        incomplete("a block")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="a block; `make translations` and locale/zh"):
        incomplete("a block")


def test_a_catalog_does_not_change_by_being_renewed(book):
    put(book, "index", **{"# Home": "# 首页"})
    file = catalogs.path_of("zh", "index", book)
    before = file.read_bytes()
    catalogs.update("zh", "index", book)
    assert file.read_bytes() == before


def test_a_block_that_is_gone_leaves_the_catalog(book):
    put(book, "index", **{"# Home": "# 首页", "A patch is a token.": "译文。"})
    (book / "docs/index.md").write_text("# Home\n", "utf-8")
    catalog = catalogs.update("zh", "index", book)
    assert [message.id for message in catalog if message.id] == ["# Home"]
    assert not catalog.obsolete


def test_a_damaged_catalog_is_named(book):
    file = catalogs.path_of("zh", "index", book)
    file.parent.mkdir(parents=True)
    file.write_text('msgid "open"\nnonsense\n', "utf-8")
    with pytest.raises(ValueError, match=re.escape(str(file))):
        catalogs.read("zh", "index", book)


def test_a_translated_notebook_has_the_same_code(book):
    notebook = new_notebook(
        cells=[new_markdown_cell("# Title\n\nA word."), new_code_cell("print('A word.')")]
    )
    nbformat.write(notebook, book / "notebooks/01_one.ipynb")
    put(book, "chapters/01_one", **{"# Title": "# 标题", "A word.": "一个词。"})
    folder = book / "build"
    folder.mkdir()
    (folder / "99_gone.ipynb").write_text("", "utf-8")
    catalogs.Edition("zh", book).notebooks(folder)
    assert [path.name for path in folder.iterdir()] == ["01_one.ipynb"]
    written = nbformat.read(folder / "01_one.ipynb", nbformat.NO_CONVERT)
    nbformat.validate(written)
    assert [cell.source for cell in written.cells] == [
        "# 标题 { #title }\n\n一个词。",
        "print('A word.')",
    ]


def test_words_are_found_in_the_configuration_and_in_python(book):
    (book / "website/x.py").write_text('x = _("{} minutes")\n', "utf-8")
    (book / "docs/data/tried.json").write_text(
        '[{"what": "a trial", "note": "", "tested_on": "test images", "epochs": 1}]', "utf-8"
    )
    found = sources.source_messages("words", book)
    assert {"Home", "Download the notebook", "How do tokens talk to each other?"} <= set(found)
    assert "{} minutes" in found
    assert found[-2:] == ["a trial", "test images"]
    assert "hard labels" in found
