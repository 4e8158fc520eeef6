"""Text goes above code that towers over it."""

from website.columns import CODES, PAIR, PICTURE, heights, with_tall_pairs


def pair(text: str, code: str) -> str:
    return f"{PAIR}\n<div>\n\n{text}\n\n</div>\n{CODES}\n\n{code}\n\n</div></div>\n"


def block(lines: int) -> str:
    return "~~~~~~~~ { .python }\n" + "x = 1\n" * lines + "~~~~~~~~"


def test_heights_grow_with_text_code_and_pictures():
    text, code = heights(pair("word " * 50, block(20)))
    assert heights(pair("word " * 100, block(20)))[0] > text
    assert heights(pair("word " * 50, block(30)))[1] == code + 200
    assert heights(pair("word", '<img alt="" src="a.png">'))[1] == PICTURE
    folded = f"<details>\n{block(60)}\n</details>"
    assert heights(pair("word", f"{block(20)}\n{folded}"))[1] == code


def test_only_code_that_towers_is_set_below_its_text():
    marked = with_tall_pairs(
        "Before." + pair("A line.", block(60)) + pair("word " * 300, block(60)) + pair("A.", "")
    )
    assert marked.count("pair tall") == 1
    assert marked.startswith("Before." + PAIR.replace("pair", "pair tall"))
    assert marked.replace("pair tall", "pair").count(PAIR) == 3
