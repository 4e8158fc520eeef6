"""The book printed: a chapter and the pages behind it, in both languages."""

import re
import shutil
import unicodedata
from itertools import pairwise
from operator import methodcaller

import pytest
from pypdf import PdfReader

from website import LANGUAGES, downloads, pdf

ADDRESS = "https://vitlit.example/"
CHAPTERS = ("01_patches", "04_encoder")


@pytest.fixture(scope="module", params=LANGUAGES)
def printed(request, site, program, tmp_path_factory):
    """Two chapters of an edition as a book."""
    folder, language = tmp_path_factory.mktemp("part"), request.param
    left_out = shutil.ignore_patterns("0[23]_*", "0[5-9]_*", "api", "search")
    shutil.copytree(site / language, folder / language, ignore=left_out)
    place = downloads.Place(ADDRESS, language)
    return PdfReader(pdf.write(folder, place, "A4", program))


def text_of(page):
    # Some Chinese characters come out as the radicals that look like them.
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", page.extract_text()))


def flat(outline):
    for entry in outline:
        yield from flat(entry) if isinstance(entry, list) else [entry]


@pytest.mark.browser
def test_it_has_an_outline_of_its_parts(printed):
    parts = [entry for entry in printed.outline if not isinstance(entry, list)]
    titles = [entry.title for entry in parts]
    assert [title for title in titles if re.match(r"[14] · ", title)] == titles[2:4]
    assert len(titles) == len(CHAPTERS) + len(("cover", "contents", "solutions")) + 4
    pages = [printed.get_destination_page_number(entry) for entry in parts]
    assert all(one < next_ for one, next_ in pairwise(pages))
    for entry in flat(printed.outline):
        if re.fullmatch(r"[\w ]+", entry.title):  # no formula, which reads otherwise in the text
            page = printed.get_destination_page_number(entry)
            assert entry.title in text_of(printed.pages[page])


@pytest.mark.browser
def test_each_page_has_its_number_and_a_link_says_the_number_of_its_page(printed):
    for number, page in enumerate(printed.pages[1:], 2):
        assert text_of(page).startswith(str(number))  # the foot comes first
    contents = text_of(printed.pages[1])
    where = pdf.numbers_of(printed.stream)
    for chapter in CHAPTERS:
        assert f" {where[f'part-{chapter}']} " in contents
    assert "000" not in contents


@pytest.mark.browser
def test_links_stay_within_it_or_lead_to_an_address(printed):
    within, out = [], []
    for page in printed.pages:
        for note in page.get("/Annots", []):
            note = note.get_object()
            if action := note.get("/A"):
                out.append(action.get_object().get("/URI", ""))
            elif there := note.get("/Dest"):
                within.append(there)
    assert len(within) > 50
    assert all(str(there) in printed.named_destinations for there in within)
    assert all(address.startswith(("https://", "http://")) for address in out)
    assert any(address.startswith(ADDRESS) for address in out)


@pytest.mark.browser
def test_it_is_set_in_the_books_own_type(printed):
    fonts = " ".join(
        # A font with a range of weights becomes one of type 3, which has its name elsewhere.
        str(font.get("/BaseFont") or font["/FontDescriptor"].get_object()["/FontName"])
        for page in printed.pages[2:12]
        for font in map(methodcaller("get_object"), page["/Resources"]["/Font"].values())
    )
    for name in ("InstrumentSans", "JetBrainsMono", "KaTeX_Main"):
        assert name in fonts


def test_without_a_browser_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(pdf, "PLACES", {})
    monkeypatch.delenv("CHROME", raising=False)
    with pytest.raises(SystemExit, match="Install Chromium or Chrome, or say where one is: CHROME"):
        pdf.browser()
    monkeypatch.setenv("CHROME", "/nowhere/chrome")
    with pytest.raises(SystemExit, match="/nowhere/chrome was not found"):
        pdf.browser()


def test_a_browser_that_prints_nothing_is_told_with_its_words(tmp_path):
    program = tmp_path / "chrome"
    program.write_text("#!/bin/sh\necho no display\n")
    program.chmod(0o755)
    with pytest.raises(SystemExit, match="printed nothing:\nno display"):
        pdf.print_page(str(program), tmp_path / "book.html", tmp_path / "book.pdf")
