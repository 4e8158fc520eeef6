"""All pages as one: ids, links, solutions and contents, on a site of three small pages."""

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from website import book

PAGE = '<html><head><link rel="stylesheet" href="{up}assets/base.css"></head><article>{}</article>'
PAGES = {
    "index": "<h1>Home</h1>",
    "chapters/01_one/index": """
        <div class="chapter"><nav>to click</nav><h1 id="one">1 · One<a class="headerlink">#</a></h1>
        <h2 id="same">The <em>same</em> <a href="https://vitlit.example/x">x</a></h2>
        <p><a id="far" href="../02_two/#same">two</a> <a id="near" href="#same">here</a>
        <a id="api" href="../../api/model/#patchify">API</a>
        <a id="home" href="../../../zh/">zh</a></p>
        <svg viewBox="0 0 1 1"><g id="g" clip-path="url(#c)"></g><use xlink:href="#g"></use></svg>
        <img src="../../assets/pictures/a.png" loading="lazy">
        <div class="cell figure"><details class="fold"><summary>Code</summary>draw</details></div>
        <div class="cell solution"><details class="fold"><summary>Solution</summary>
        <pre>return 1 &lt; 2</pre></details></div></div>""",
    "chapters/02_two/index": '<h1 id="two">2 · Two</h1><h2 id="same">Again</h2>',
    "terms/index": "<h1>Terms</h1>",
}


@pytest.fixture
def site(tmp_path):
    """A site without mkdocs."""
    for name, content in PAGES.items():
        path = tmp_path / f"en/{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGE.format(content, up="../" * name.count("/")))
    return tmp_path


def soup_of(site: Path, address: str = "") -> BeautifulSoup:
    return BeautifulSoup(book.Book(site, "en", address).html("A4"), "html.parser")


def test_each_place_has_one_id_and_each_link_a_place(site):
    soup = soup_of(site)
    ids = [tag["id"] for tag in soup.find_all(id=True)]
    assert len(ids) == len(set(ids))
    links = [tag["href"] for tag in soup.select('[href^="#"]')]
    assert set(links) <= {f"#{name}" for name in ids}
    assert soup.find(id="part-01_one--far")["href"] == "#part-02_two--same"
    assert soup.find(id="part-01_one--near")["href"] == "#part-01_one--same"


def test_a_drawing_keeps_its_own_names(site):
    soup = soup_of(site)
    assert soup.g["clip-path"] == "url(#part-01_one--c)"
    assert soup.use["xlink:href"] == f"#{soup.g['id']}"


@pytest.mark.parametrize(
    ("address", "api"),
    [("", None), ("https://vitlit.example/", "https://vitlit.example/en/api/model/#patchify")],
)
def test_what_is_no_part_is_linked_where_it_has_an_address(site, address, api):
    soup = soup_of(site, address)
    assert soup.find(id="part-01_one--api").get("href") == api
    assert not [tag for tag in soup.find_all("a") if "file:" in tag.get("href", "")]


def test_pictures_are_found_and_not_waited_for(site):
    image = soup_of(site).select_one(".chapter img")
    assert image["src"] == (site / "en/assets/pictures/a.png").as_uri()
    assert "loading" not in image.attrs


def test_the_contents_list_parts_and_sections_in_order(site):
    lines = soup_of(site).select(".book-contents li")
    assert [(line["class"], line.a.span.decode_contents()) for line in lines] == [
        (["part"], "1 · One"), (["section"], "The <em>same</em> x"),
        (["part"], "2 · Two"), (["section"], "Again"),
        (["part"], "Solutions"), (["section"], "1 · One"),
        (["part"], "Terms"),
    ]  # fmt: skip


def test_solutions_stand_at_the_end_and_the_exercise_says_where(site):
    soup = soup_of(site)
    one, solutions = soup.find(id="part-01_one"), soup.find(id="solutions")
    assert "return" not in one.get_text()
    assert solutions.pre.get_text() == "return 1 < 2"
    assert solutions.find("details") is None
    place = one.select_one(".see a")["href"].removeprefix("#")
    assert solutions.find(id=place).get_text() == "1.1"
    html = book.numbered(str(soup), {place: 7})
    assert BeautifulSoup(html, "html.parser").select_one(".see").get_text() == "Solution on page 7"


def test_what_is_to_be_clicked_is_left_out(site):
    text = soup_of(site).find(id="part-01_one").get_text()
    assert not re.search("to click|#|draw", text)
