"""How long a section reads, and what the short path leaves out."""

import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from website import ROOT, reading
from website.translation.catalogs import stored_notebook

CHAPTERS = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["extra"]["chapters"]
WORDS = {"minutes_read": "min to read", "detour": "Detour", "goes_on": "Go on at:"}


def code(source: str, *tags: str, outputs: int = 0) -> dict:
    printed = [new_output("stream", text="1\n") for _ in range(outputs)]
    return new_code_cell(source, metadata={"tags": list(tags)}, outputs=printed)


def test_words_lines_and_looks_take_the_time_of_the_rule():
    prose = "word " * 220
    notebook = new_notebook(
        cells=[
            new_markdown_cell(f"# A chapter\n\n{prose}"),
            new_markdown_cell(f"## One {{#one}}\n\n{prose}\n\n$$a + b$$\n\n[{prose}](long_link)"),
            new_markdown_cell(f"{prose}\n\n## Two {{#two}}\n\n<!-- alt: {prose} -->\nHere."),
            code("x = 1\n\n" * 40, outputs=3),
            code("draw()\n" * 40, "figure", outputs=1),
            code("answer\n" * 40, "solution", outputs=1),
        ]
    )
    found = reading.minutes(notebook)
    assert list(found) == ["", "one", "two"]
    assert found[""] == pytest.approx(1, abs=0.02)
    assert found["one"] == pytest.approx(3 + 1 / 6)
    assert found["two"] == pytest.approx(1 / 220 + 2 + 4 / 6)


def test_a_revealed_source_counts_and_the_call_that_fetched_it_does_not():
    source = new_output("display_data", data={"text/markdown": "line\n" * 20})
    cell = new_code_cell("reveal(it)", metadata={"tags": ["reveal"]}, outputs=[source])
    assert reading.minutes(new_notebook(cells=[cell])) == {"": 1.0}


def test_minutes_become_words():
    assert reading.whole([0.2]) == 1
    assert reading.whole([1.3, 1.3]) == 3
    assert [reading.spoken(time) for time in (59, 60, 135)] == ["59 min", "1 h 0 min", "2 h 15 min"]


def test_a_detour_is_marked_and_leads_to_the_next_section_that_is_none():
    html = "".join(
        f'<h2 id="{name}">{name.title()}<a class="headerlink" href="#{name}">#</a></h2><p>Text.</p>'
        for name in ("one", "two", "three", "four")
    )
    chapter = {
        "minutes": {"": 1, "one": 2.4, "two": 0.1, "three": 3, "four": 1},
        "detours": ["two", "three"],
    }
    marked = reading.with_times(html, chapter, WORDS)
    assert marked.count("Detour") == 2
    assert marked.count('Go on at: <a href="#four">Four</a>') == 2
    assert [marked.count(f"<span>{n} min to read</span>") for n in (1, 2, 3)] == [2, 1, 1]
    assert '<h2 class="detour" id="two">' in marked
    assert '<h2 id="one">' in marked


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_detours_are_sections_and_the_last_section_is_none(chapter):
    sections = list(reading.minutes(stored_notebook(ROOT / f"notebooks/{chapter}.ipynb")))
    detours = CHAPTERS[chapter]["detours"]
    assert set(detours) <= set(sections[1:])
    assert sections[-1] not in detours  # there the path goes on


def test_the_short_path_takes_about_two_hours():
    time = sum(
        minutes
        for name, chapter in CHAPTERS.items()
        for section, minutes in reading.minutes(
            stored_notebook(ROOT / f"notebooks/{name}.ipynb")
        ).items()
        if section not in chapter["detours"]
    )
    assert 105 <= time <= 140
