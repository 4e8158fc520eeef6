"""What the documents beside the book say of it."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.version import Version

from website.downloads import papers_of

ROOT = Path(__file__).resolve().parents[1]


def test_package_citation_and_changelog_are_of_one_version() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version, day = re.findall(r"^## \[(\d\S*)\] - (\S+)$", changelog, re.M)[0]
    assert citation["version"] == version
    # What is not released yet is numbered as what it is to become.
    assert package["version"] == version or Version(package["version"]) > Version(version)
    assert package["version"] == version or Version(package["version"]).is_devrelease
    assert str(citation["date-released"]) == day


def test_every_entry_of_the_bibliography_is_cited_and_every_citation_has_an_entry() -> None:
    bibliography = (ROOT / "docs/bibliography.md").read_text(encoding="utf-8")
    texts = [*(ROOT / "notebooks").glob("[0-9]*.py"), *(ROOT / "docs").rglob("*.md")]
    links = re.compile(r"bibliography\.md#([\w-]+)")
    cited = {key for file in texts for key in links.findall(file.read_text(encoding="utf-8"))}
    cited -= set(re.findall(r"\{#([\w-]+)\}", bibliography))  # its sections are no entries
    assert cited == set(re.findall(r"\{ #(\w+) \}", bibliography))
    # Chapters that are downloaded alone link straight to a paper.
    assert cited == papers_of(ROOT / "docs/bibliography.md").keys()


def bibtex() -> dict[str, dict[str, str]]:
    """The entries that the bibliography offers, by their type: field by field."""
    text = (ROOT / "docs/bibliography.md").read_text(encoding="utf-8")
    block = re.search(r"```bibtex\n(.*?)```", text, re.S)
    assert block
    return {
        kind: {name: value.strip("{}") for name, value in re.findall(r"(\w+) += +\{(.*)\},", body)}
        for kind, body in re.findall(r"@(\w+)\{\w+,\n(.*?)\n\}", block[1], re.S)
    }


def test_bibtex_and_citation_say_the_same() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    book, [paper] = bibtex()["software"], citation["references"]
    assert book["title"] == citation["title"]
    assert book["author"] == citation["authors"][0]["name"]
    assert book["version"] == citation["version"]
    assert book["year"] == str(citation["date-released"].year)
    assert book["license"].split(" and ") == citation["license"]
    assert book.get("url") == citation.get("url")
    other = bibtex()["article"]
    names = [f"{author['family-names']}, {author['given-names']}" for author in paper["authors"]]
    assert other["author"].split(" and ") == names
    assert {name: other[name] for name in ("title", "journal", "doi")} == {
        name: paper[name] for name in ("title", "journal", "doi")
    }
    assert (other["year"], other["note"]) == (str(paper["year"]), paper["notes"])
