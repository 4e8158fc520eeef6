"""The chapters of the book, as they are stored."""

from functools import cache

import pytest
from chapter_checks import (
    CHECKS,
    CHECKS_OF_THE_BOOK,
    MODEL,
    NOTEBOOKS,
    PACKAGE,
    defined_in_the_model,
    object_at,
    read,
)

SOURCES = sorted(NOTEBOOKS.glob("[0-9]*.py"))
FIRST_EDITION = [
    "01_patches", "02_embeddings", "03_positions", "04_encoder", "05_head", "06_cifar10",
    "07_finetune", "08_inside", "09_pretrained",
]  # fmt: skip


chapter = cache(read)


def test_the_chapters_of_the_first_edition_are_there():
    assert [source.stem for source in SOURCES][:9] == FIRST_EDITION


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_chapter(source, check):
    faults = check(chapter(source))
    assert not faults, "\n".join([f"{source.name}:", *faults])


@pytest.mark.parametrize("check", CHECKS_OF_THE_BOOK, ids=lambda check: check.__name__)
def test_the_book(check):
    faults = check([chapter(source) for source in SOURCES])
    assert not faults, "\n".join(faults)


def test_all_definitions_of_the_model_files_are_looked_for():
    addresses = defined_in_the_model()
    assert len(set(addresses)) == len(addresses)
    assert {
        "vitlit.vit.Keep.__call__",
        "vitlit.heads.LinearHead",
        "vitlit.patches.patchify",
    } <= set(addresses)
    assert {address.split(".")[1] for address in addresses} == set(MODEL)
    assert all(callable(object_at(address)) for address in addresses)
    words = sum((PACKAGE / f"{name}.py").read_text().count("def ") for name in MODEL)
    classes = sum((PACKAGE / f"{name}.py").read_text().count("\nclass ") for name in MODEL)
    assert len(addresses) == words + classes
