"""Sizes that are asked for, sizes that images have, and the patches that suit them."""

import pytest

from vitlit import sizes
from vitlit.sizes import SizeError, asked, patch_size, uniform, written


@pytest.mark.parametrize(
    ("given", "size"),
    [
        (64, (64, 64)),
        ("64", (64, 64)),
        (" 64 ", (64, 64)),
        ("48x64", (48, 64)),
        ("48X64", (48, 64)),
        ("48×64", (48, 64)),
        ((48, 64), (48, 64)),
        (8, (8, 8)),
        ("1024x8", (1024, 8)),
        (None, None),
    ],
)
def test_a_size_is_written_in_several_ways(monkeypatch, given, size):
    monkeypatch.delenv("VITLIT_SIZE", raising=False)
    assert asked(given) == size
    if size:
        assert asked(written(size)) == size


def test_the_environment_is_asked_when_nobody_else_says(monkeypatch):
    monkeypatch.setenv("VITLIT_SIZE", "32x40")
    assert asked() == (32, 40)
    assert asked(16) == (16, 16)
    monkeypatch.setenv("VITLIT_SIZE", "")
    assert asked() is None
    monkeypatch.setenv("VITLIT_SIZE", "big")
    with pytest.raises(SizeError, match="VITLIT_SIZE is 'big'; write a side, such as 64"):
        asked()


@pytest.mark.parametrize(
    "given", ["", "x", "64x", "x64", "64px", "64x64x3", "-64", "6.4", "1e3", "nan", "٦٤", True,
              "64 48", "9" * 5000]
)  # fmt: skip
def test_what_is_no_size_is_refused(given):
    with pytest.raises(SizeError, match="write a side, such as 64, or height and width"):
        asked(given)


@pytest.mark.parametrize("given", [0, 7, -8, 1025, "4096", (8, 7), (2000, 8), 10**9])
def test_a_size_out_of_bounds_is_refused(given):
    with pytest.raises(SizeError, match=r"size is .*; a side must be 8 to 1024"):
        asked(given)


@pytest.mark.parametrize(
    ("size", "patch"),
    [
        ((32, 32), 4),
        ((64, 64), 8),
        ((28, 28), 4),
        ((8, 8), 1),
        ((96, 96), 12),
        ((224, 224), 28),
        ((48, 64), 4),
        ((8, 64), 2),
        ((64, 8), 2),
        ((36, 54), 3),
        ((1024, 1024), 128),
        ((1024, 8), 8),
    ],
)
def test_the_patches_suit_the_size(size, patch):
    assert patch_size(size) == patch


@pytest.mark.parametrize("H", range(8, 131))
def test_patches_divide_the_size_and_are_neither_few_nor_many(H):
    for W in range(8, 131, 7):
        try:
            side = patch_size((H, W))
        except SizeError as error:
            proposed = asked(str(error).partition("--size ")[2].partition(" ")[0])
            side, (h, w) = patch_size(proposed), proposed
            assert abs(h - H) + abs(w - W) <= 20
        else:
            h, w = H, W
        assert h % side == w % side == 0
        assert 16 <= h * w // side**2 <= 400


@pytest.mark.parametrize(
    ("size", "proposal"),
    [((97, 97), "96"), ((256, 121), "255x120"), ((74, 74), "72"), ((1021, 1021), "1024"),
     ((2, 2), "8"), ((4000, 4001), "1024")],
)  # fmt: skip
def test_a_size_that_no_patches_suit_is_refused_with_the_nearest_that_they_do(size, proposal):
    H, W = size
    with pytest.raises(SizeError, match=rf"{H}×{W} \(H×W\).*--size {proposal} \(or VITLIT_SIZE"):
        patch_size(size)


def test_images_that_are_alike_and_not_large_need_no_size():
    assert uniform([(20, 30)] * 5, "photos") == (20, 30)
    assert uniform([(256, 8)], "photos") == (256, 8)


@pytest.mark.parametrize(
    ("there", "words", "proposal"),
    [
        ([(3024, 4032)] * 9, r"3024×4032 \(H×W\).*up to 256 a side", "64"),
        ([(480, 640), (3024, 4032), (4032, 3024)], "3 sizes, from 480×640 to 4032×3024", "64"),
        ([(30, 30), (31, 40), (20, 90)], "3 sizes, from 30×30 to 20×90", "16"),
        ([(40, 40), (41, 40)], "2 sizes, from 40×40 to 41×40", "32"),
        ([(257, 8)], r"257×8 \(H×W\)", "8"),
    ],
)
def test_other_images_are_refused_with_a_size_that_they_can_have(there, words, proposal):
    with pytest.raises(SizeError, match=f"photos has .*{words}.*--size {proposal} "):
        uniform(there, "photos")
    assert asked(proposal)
    assert patch_size(asked(proposal))


def test_no_image_is_enlarged_by_a_proposal_unless_it_is_tiny():
    assert sizes._common([(9, 90), (10, 10), (90, 90)]) == (8, 8)
