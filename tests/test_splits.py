"""Where images lie, and what class and part that makes them of. No file is opened here."""

import re
import unicodedata

import pytest

from vitlit import splits
from vitlit.archives import DataError, Entry
from vitlit.splits import Catalog, listed


def arranged(*names, source="photos"):
    catalog = Catalog()
    for name in names:
        catalog.add(Entry(name))
    return catalog.arrange(source)


def images(*folders, count=2, suffix=".jpg"):
    return [f"{folder}/{i}{suffix}" for folder in folders for i in range(count)]


def places(side):
    return [place for place, _ in side.values()]


@pytest.mark.parametrize("top", ["", "photos/", "photos/photos/", "a/b/c/", "C:/Users/me/", "./"])
@pytest.mark.parametrize(
    "beside",
    [(), ("notes.txt", ".DS_Store", "Thumbs.db", "__MACOSX/photos/train/cat/._0.jpg", "Icon\r")],
)
def test_the_folder_of_train_and_test_is_found_anywhere(top, beside):
    sides = images("train/cat", "train/dog", "test/cat", "test/dog")
    got = arranged(*(top + name for name in (*sides, *beside)))
    assert got.classes == ("cat", "dog")
    assert places(got.train) == images("train/cat", "train/dog")
    assert places(got.test) == images("test/cat", "test/dog")
    assert [label for _, label in got.test.values()] == ["cat", "cat", "dog", "dog"]
    assert got.division == "train/ and test/"
    hidden = {".txt": 1, "hidden, or left by a system": 4}
    assert got.skipped == (hidden if beside else {})


@pytest.mark.parametrize("name", ["test", "testing", "val", "valid", "validation", "TEST", "Val"])
@pytest.mark.parametrize("train", ["train", "Train", "TRAINING"])
def test_other_names_of_both_parts(train, name):
    got = arranged(*images(f"{train}/cat", f"{train}/dog", f"{name}/cat", f"{name}/dog"))
    assert len(got.train) == len(got.test) == 4
    assert got.division == f"{train}/ and {name}/"


def test_of_several_parts_to_test_on_the_first_by_name_counts_and_the_others_are_counted():
    train = images("train/cat", "train/dog")
    for there, chosen in (
        (("test", "val"), "test"),
        (("validation", "Valid", "val"), "val"),
        (("validation", "testing"), "testing"),
    ):
        got = arranged(*train, *(n for side in there for n in images(f"{side}/cat", f"{side}/dog")))
        assert got.division == f"train/ and {chosen}/"
        assert got.skipped == {f"images in {side}/": 4 for side in there if side != chosen}


def test_a_level_between_part_and_class_is_passed_over():
    got = arranged(*images("train/images/cat", "train/images/dog", "test/cat", "test/dog"))
    assert got.classes == ("cat", "dog")
    assert places(got.train)[0] == "train/images/cat/0.jpg"


def test_images_deep_in_a_class_are_of_the_class():
    got = arranged(*images("train/cat/a/b", "train/cat", "train/dog", "test/cat/c", "test/dog"))
    assert [label for _, label in got.train.values()] == ["cat"] * 4 + ["dog"] * 2


@pytest.mark.parametrize("top", ["", "photos/", "photos/photos/"])
def test_classes_alone_are_divided(top):
    names = [top + name for name in images("cat", "dog", "sea cow", count=10)]
    got = arranged(*names, f"{top}labels.csv", f"{top}banner.jpg")
    assert got.classes == ("cat", "dog", "sea cow")
    assert len(got.train) == 24
    assert [label for _, label in got.test.values()] == ["cat"] * 2 + ["dog"] * 2 + ["sea cow"] * 2
    assert not set(got.train) & set(got.test)
    assert "one in 5 of each class" in got.division
    assert got.skipped == {".csv": 1, "images in no class folder": 1}
    assert listed(got.skipped) == "1 .csv, 1 image in no class folder"
    again = arranged(*reversed(images("cat", "dog", "sea cow", count=10)))
    assert places(got.test) == places(again.test)


def test_the_division_is_drawn_not_cut_and_the_same_for_ever():
    got = arranged(*images("cat", "dog", count=100))
    chosen = {int(place.removeprefix("cat/")[:-4]) for place in places(got.test) if "cat" in place}
    assert len(chosen) == 20
    assert 5 < sum(i < 50 for i in chosen) < 15
    assert sorted(chosen)[:4] == [3, 8, 13, 30]
    more = arranged(*images("cat", "dog", count=101))
    assert len(set(places(more.test)) & set(places(got.test))) >= 38


def test_images_beside_a_folder_that_holds_the_classes_are_counted():
    got = arranged(*images("a/b/cat", "a/b/dog"), "a/x.jpg", "y.jpg")
    assert got.classes == ("cat", "dog")
    assert got.skipped == {"images in no class folder": 2}


def test_train_alone_is_divided_as_well():
    got = arranged(*images("train/cat", "train/dog", count=7), "train/notes.txt")
    assert (len(got.train), len(got.test)) == (12, 2)
    assert all(place.startswith("train/") for place in places(got.test))


@pytest.mark.parametrize(("count", "tested"), [(2, 1), (3, 1), (7, 1), (8, 2), (50, 10)])
def test_at_least_one_image_is_tested_on(count, tested):
    assert len(arranged(*images("cat", "dog", count=count)).test) == 2 * tested


def test_unlabelled_test_images_are_counted_not_used():
    got = arranged(*images("train/cat", "train/dog", count=5), *images("test", count=3))
    assert (len(got.train), len(got.test)) == (8, 2)
    assert got.skipped == {"images in test/": 3}


def test_a_class_may_be_called_train():
    got = arranged(*images("train", "car", "ship", count=5))
    assert got.classes == ("car", "ship", "train")


def test_one_name_in_two_forms_of_unicode_is_one_class():
    composed, decomposed = (
        "caf\N{LATIN SMALL LETTER E WITH ACUTE}",
        "cafe\N{COMBINING ACUTE ACCENT}",
    )
    got = arranged(*images(f"train/{composed}", "train/tea", f"test/{decomposed}", "test/tea"))
    assert got.classes == (composed, "tea")


def test_the_division_and_the_order_do_not_depend_on_the_form_of_unicode():
    names = [f"한/{first}{i}.jpg" for first in "éfz" for i in range(20)]
    names += images("dog", count=20)
    composed, decomposed = (
        arranged(*(unicodedata.normalize(form, name) for name in names)) for form in ("NFC", "NFD")
    )
    for side in ("train", "test"):
        expected, got = (places(getattr(each, side)) for each in (composed, decomposed))
        assert [unicodedata.normalize("NFC", place) for place in got] == expected


def test_two_names_that_differ_in_the_form_of_unicode_alone_stay_two():
    both = (unicodedata.normalize(form, "cat/é.jpg") for form in ("NFC", "NFD"))
    names = [*images("dog"), *both]
    got, again = arranged(*names), arranged(*reversed(names))
    assert len(got.train) + len(got.test) == 4
    assert (places(got.train), places(got.test)) == (places(again.train), places(again.test))


def test_a_name_that_stands_twice_counts_once():
    got = arranged(*images("cat", "dog"), "cat/0.jpg", "./cat//1.jpg")
    assert len(got.train) + len(got.test) == 4
    assert got.skipped == {"the earlier of two of the same name": 2}


def test_images_that_need_a_package_are_counted_with_its_name(monkeypatch):
    monkeypatch.setattr(splits, "can_read", lambda suffix: suffix not in (".heic", ".avif"))
    got = arranged(*images("cat", "dog"), *images("cat", suffix=".HEIC"), "dog/9.avif")
    assert len(got.train) + len(got.test) == 4
    assert got.skipped == {
        ".heic (to read them: pip install pillow-heif)": 2,
        ".avif (to read them: pip install --upgrade pillow)": 1,
    }
    with pytest.raises(DataError, match=r"all images of 'dog' are \.heic .*pillow-heif"):
        arranged(*images("cat"), *images("dog", suffix=".heic"))


def test_a_folder_of_other_files_is_no_class():
    got = arranged(*images("cat", "dog"), "labels/cat.txt", "labels/dog.txt")
    assert got.classes == ("cat", "dog")


REFUSED = {
    "nothing": ([], "photos has no images; it needs train/<class>/ and test/<class>/, or <class>/"),
    "no images": (["cat/1.txt", "dog/2"], r"no images \(skipped: 1 .txt, 1 without a suffix\)"),
    "loose in a folder": (images("photos"), "images of one class only, 'photos'"),
    "loose": (["1.jpg", "2.jpg"], "the images in photos lie in no class folder; it needs"),
    "one class": (images("cat"), "images of one class only, 'cat'; a classifier needs two or more"),
    "one class in parts": (images("train/cat", "test/cat"), "one class only, 'cat'"),
    "one class deep": (images("train/images", "test/images"), "one class only, 'images'"),
    "parts without classes": (images("train", "test"), r"in test/ and train/.*in no class folders"),
    "train without classes": (images("train"), "the images in train/ of photos lie in no class"),
    "test alone": (images("test/cat", "test/dog"), "no train/<class>/; it needs one"),
    "two trains": (images("train/a", "train/b", "Train/a"), "has Train/ and train/; it needs one"),
    "one image": ([*images("cat", "dog"), "owl/1.jpg"], "too few images: 1 of 'owl'; a class"),
    "empty class": ([*images("cat", "dog"), "owl/"], "too few images: 0 of 'owl'"),
    "many with few": (
        images(*"abcdefg", count=1), r"1 of 'a', 1 of 'b', .*1 of 'e' and 2 more classes; a class"
    ),
    "empty test": (
        [*images("train/cat", "train/dog"), "test/"], "class 'cat', but test/cat/ does not exist"
    ),
    "empty test class": (
        [*images("train/cat", "train/dog", "test/cat"), "test/dog/"], "but test/dog/ is empty; put"
    ),
    "other class in test": (
        images("train/cat", "train/dog", "Val/cat", "Val/owl"), "'dog', but Val/dog/ does not exist"
    ),
    "loose in train": (
        [*images("train/cat", "train/dog"), "train/1.jpg", "train/2.jpg"],
        r"train/1.jpg \(and 1 more\) lies in no class; move it to train/<class>/ or remove it",
    ),
    "turned": (
        images("cat/train", "dog/train", "cat/test", "dog/test"),
        "cat/train/ stands the wrong way round; make it train/cat/",
    ),
    "two sets": (
        images("a/train/cat", "a/train/dog", "b/train/cat", "b/train/dog"),
        r"\['a', 'b'\]; keep one",
    ),
    "classes within folds": (
        images("a/fold1/cat", "a/fold1/dog", "a/fold2/cat", "a/fold2/dog"),
        "fold1, fold2 in it all hold the same folders, cat, dog: if these are the classes, put",
    ),
    "classes within years": (
        images("train/1/cat", "train/1/dog", "train/2/cat", "train/2/dog", "val/cat", "val/dog"),
        "1, 2 in train/ all hold the same folders",
    ),
    "train beside classes": (
        images("train/steam", "train/electric", "car", "ship"),
        "beside it car, ship with images: if train is a class, put its images directly into it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_be_understood_in_no_way_or_in_two_is_refused(case):
    names, message = REFUSED[case]
    with pytest.raises(DataError, match=message) as caught:
        arranged(*names)
    assert re.search("needs?|put|move|make|keep", str(caught.value))


def test_folders_may_be_deep_but_not_bottomless():
    within = "/".join("abcdefgh") + "/"
    assert arranged(*images(f"{within}cat", f"{within}dog")).classes == ("cat", "dog")
    deep = "/".join(["x"] * 5000)
    assert arranged(*images("cat", "dog"), f"{deep}/1.jpg").skipped == {
        "more than 100 folders deep": 1
    }
