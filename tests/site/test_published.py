"""What a page says of itself where the site has an address, and what stands at its root then."""

import os
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup
from PIL import Image

from website import LANGUAGES, ROOT, addresses, build, cards, head

ADDRESS = "https://vitlit.example/book/"
REPOSITORY = "https://github.com/some/book"
PAGES = [
    *(f"chapters/{path.stem}/" for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))),
    *("", "start/", "results/", "teach/", "terms/", "bibliography/", "api/model/"),
]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Chinese edition, and what stands beside it, built for an address."""
    build.install_assets()
    folder = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(addresses.SITE, ADDRESS)
        patch.setenv(addresses.REPOSITORY, REPOSITORY)
        build.build_language("zh", folder, complete=bool(os.environ.get("CI")))
        addresses.write_root(folder)
    return folder


def said(page: BeautifulSoup) -> dict[str, str]:
    """What the head's tags say, by their names."""
    tags = page.head.find_all("meta", content=True)
    return {tag.get("property") or tag.get("name", ""): tag["content"] for tag in tags}


@pytest.mark.slow
def test_a_page_says_where_it_is_and_shows_its_card(published: Path) -> None:
    for path in PAGES:
        page = BeautifulSoup((published / "zh" / path / "index.html").read_bytes(), "html.parser")
        here = f"{ADDRESS}zh/{path}"
        assert page.find("link", rel="canonical")["href"] == here
        editions = {link["hreflang"]: link["href"] for link in page.select("head link[hreflang]")}
        other = ADDRESS if path == "" else f"{ADDRESS}en/{path}"
        assert editions == {"zh": here, "en": f"{ADDRESS}en/{path}", "x-default": other}
        told = said(page)
        assert told["og:url"] == here
        assert told["og:image"] == told["twitter:image"]
        assert told["twitter:card"] == "summary_large_image"
        language, _, name = told["og:image"].removeprefix(ADDRESS).partition("/")
        assert language == ("zh" if cards.can_write("zh") else "en")
        if language == "zh":
            file = published / "zh" / name
            assert Image.open(file).size == cards.SIZE
            assert 10_000 < file.stat().st_size < 200_000


def test_the_entrance_shows_the_card_of_the_home_page() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(addresses.SITE, ADDRESS)
        told = said(BeautifulSoup(build.entrance(), "html.parser"))
    assert told["og:image"] == f"{ADDRESS}en/assets/cards/index.jpg"
    assert told["og:url"] == ADDRESS


@pytest.mark.slow
def test_the_map_of_the_site_has_every_page_in_every_language(published: Path) -> None:
    names = {"s": "http://www.sitemaps.org/schemas/sitemap/0.9"}
    tree = ElementTree.parse(published / "zh/sitemap.xml")
    listed = {tag.text for tag in tree.findall(".//s:loc", names)}
    assert {f"{ADDRESS}zh/{path}" for path in PAGES} <= listed
    others = re.findall(r'hreflang="en" href="([^"]+)"', (published / "zh/sitemap.xml").read_text())
    assert {address.replace("/en/", "/zh/") for address in others} == listed
    robots = (published / "robots.txt").read_text()
    assert [f"Sitemap: {ADDRESS}{language}/sitemap.xml" in robots for language in LANGUAGES]


@pytest.mark.slow
def test_a_page_that_is_not_there_leads_home_in_both_languages(published: Path) -> None:
    page = BeautifulSoup((published / "404.html").read_bytes(), "html.parser")
    assert [section["lang"] for section in page.find_all("section")] == list(LANGUAGES)
    links = {link["href"] for link in page.find_all("a")}
    assert links == {f"{ADDRESS}{name}/{at}" for name in LANGUAGES for at in ("", "#chapters")}
    assert not re.findall(r'(?:href|src)="(?!https://)', str(page))


@pytest.mark.slow
def test_the_repository_is_linked_and_not_asked(published: Path) -> None:
    page = BeautifulSoup((published / "zh/api/model/index.html").read_bytes(), "html.parser")
    assert not page.select("[data-md-component=source]")  # material's script would ask for stars
    link = page.find(id="vitlit.patches.patchify").find_next("p").find("a", string="源文件")
    address, _, line = link["href"].partition("#L")
    assert address == f"{REPOSITORY}/blob/HEAD/src/vitlit/patches.py"
    source = (ROOT / "src/vitlit/patches.py").read_text(encoding="utf-8").splitlines()
    assert source[int(line) - 1].startswith("def patchify(")
    home = BeautifulSoup((published / "zh/index.html").read_bytes(), "html.parser")
    assert f"git clone {REPOSITORY}" in home.article.get_text()
    colab = "https://colab.research.google.com/"
    assert any(link["href"].startswith(colab) for link in home.select("a.begin-else"))


@pytest.mark.parametrize("setting", [ADDRESS, ADDRESS.rstrip("/"), f"{ADDRESS}en/"])
def test_an_edition_is_found_below_the_sites_address(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(addresses.SITE, raising=False)
    assert addresses.edition(setting, "zh") == f"{ADDRESS}zh/"
    assert addresses.edition("", "zh") == ""
    monkeypatch.setenv(addresses.SITE, "https://other.example")
    assert addresses.edition(setting, "en") == "https://other.example/en/"


def test_without_an_address_nothing_is_made_that_needs_one(site: Path) -> None:
    assert not (site / "robots.txt").exists()
    assert not list(site.rglob("404.html")) + list(site.rglob("sitemap.xml"))
    assert not list(site.rglob("cards/*"))
    assert "og:image" not in (site / "en/index.html").read_text(encoding="utf-8")


def test_every_page_describes_itself(soups: dict[str, BeautifulSoup]) -> None:
    known: dict[tuple[str, str], str] = {}
    for path, page in soups.items():
        if path == "index.html":
            continue
        told = said(page)
        text = told["description"]
        assert 8 < len(text) <= 200, f"{path}: {text}"
        assert known.setdefault((page.html["lang"], text), path) == path
        assert told["og:description"] == told["twitter:description"] == text
        assert told["og:title"]
        for link in page.select("link[rel=apple-touch-icon], link[rel=icon][type='image/png']"):
            assert link["href"].endswith(".png")
    english = said(soups["en/chapters/01_patches/index.html"])
    assert english["description"] == "How does a picture become a sequence?"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<h1>T</h1><p>One &lt; <b>two</b>. Three.</p><p>Four.</p>", "One < two. Three."),
        ("<figure><p>No.</p></figure><p>Yes.</p>", "Yes."),
        (f"<p>First one. {'long ' * 40}.</p>", "First one."),
        ("<p>第一句。第二句。</p>", "第一句。第二句。"),
        ("<h1>T</h1>", ""),
    ],
)
def test_a_description_is_the_first_sentences(html: str, text: str) -> None:
    assert head.summary(html) == text


def test_icons_are_the_mark(site: Path) -> None:
    for name, (size, *_) in head.ICONS.items():
        icon = Image.open(site / "en" / name).convert("RGBA")
        assert icon.size == (size, size)
        red, green, blue, opaque = icon.getpixel((size // 2, size // 2))
        assert (opaque, red > 180, green < 130, blue < 80) == (255, True, True, True)


def test_a_long_text_is_broken_where_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(cards.pieces("a cat sat")) == ["a ", "cat ", "sat"]
    assert list(cards.pieces("看图，好。")) == ["看", "图，", "好。"]


def test_a_card_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build.install_assets()
    first = cards.card("Patches", "How does a picture become a sequence?", "en", tmp_path)
    monkeypatch.setattr(cards, "drawn", None)
    assert cards.card("Patches", "How does a picture become a sequence?", "en", tmp_path) == first
    with pytest.raises(TypeError):
        cards.card("Patches", "Another question?", "en", tmp_path)
