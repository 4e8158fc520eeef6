"""Signatures on the API's pages: a parameter a line."""

import re

from bs4 import BeautifulSoup

from website.signatures import broken, one_parameter_a_line

LONG = (
    '<span class="nf">attention</span><span class="p">(</span><span class="n">query</span>: '
    "Float[Tensor, <span>&quot;B, (N D&quot;</span>], key: int = (1, 2), *, value)"
    " -&gt; tuple[int, int]"
)


def text_of(html: str) -> str:
    return BeautifulSoup(html, "html.parser").get_text()


def test_only_commas_between_parameters_break_a_line():
    assert text_of(broken(LONG)).splitlines() == [
        "attention(",
        '    query: Float[Tensor, "B, (N D"],',
        "    key: int = (1, 2),",
        "    *,",
        "    value",
        ") -> tuple[int, int]",
    ]


def test_a_short_signature_and_other_code_keep_their_lines():
    assert broken("area(width, height) -&gt; int") == "area(width, height) -&gt; int"
    name = "a_name_that_takes_the_line_all_by_itself_and_more"
    assert broken(f"{name}()") == f"{name}()"
    page = f'<div class="highlight"><pre><code>{LONG}</code></pre></div>'
    assert one_parameter_a_line(page) == page


def test_no_signature_on_the_pages_holds_two_parameters_a_line(soups):
    signatures = [
        tag.get_text()
        for page, soup in soups.items()
        if "/api/" in page
        for tag in soup.select(".doc-signature code")
    ]
    assert len(signatures) > 50
    for signature in signatures:
        if len(signature) > 60:
            inside = signature.partition("(")[2].rpartition("\n)")[0]
            assert all(line.startswith("    ") for line in inside.strip("\n").splitlines())
            flat, nested = inside, True
            while nested:
                flat, nested = re.subn(r"\[[^][]*\]|\([^()]*\)", "", flat)
            assert not re.search(r",[ ]*\S", flat), signature
