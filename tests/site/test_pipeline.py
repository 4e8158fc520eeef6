"""The parts of the model in the drawing that opens a chapter lead to chapters."""

from bs4 import BeautifulSoup

from website.pipeline import CHAPTERS, linked

CHAPTER = {"04_encoder": ("4 · Encoder", "../04_encoder/"), "05_head": ("5 · Head", "../05_head/")}


def drawing(*parts: str) -> str:
    boxes = "".join(f"<svg><g class='part-{p}'><text>{p}</text></g></svg>" for p in parts)
    return f'<div class="panels" role="img" aria-label="The model." style="">{boxes}</div>'


def test_boxes_of_chapters_that_exist_are_links():
    page = linked("<p>" + drawing("positions", "encoder", "head") + drawing("x"), CHAPTER)
    model, other = BeautifulSoup(page, "html.parser").select(".panels")
    links = {link["href"]: (link["aria-label"], link.get_text()) for link in model.select("a")}
    assert links == {
        "../04_encoder/": ("4 · Encoder", "encoder"),
        "../05_head/": ("5 · Head", "head"),
    }
    assert model["role"] == "group"  # an image could hold no link
    assert other["role"] == "img"


def test_every_part_has_its_chapter():
    from vitlit.figures import PARTS

    assert tuple(CHAPTERS) == PARTS
