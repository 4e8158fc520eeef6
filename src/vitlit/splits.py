"""Which images of a folder or archive are of which class, and which are to be tested on.

The folders say it: train/<class>/ and test/<class>/, or <class>/ alone; within other folders or
not, with litter beside or not.
"""

import hashlib
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from vitlit.archives import DataError, Entry, is_litter
from vitlit.pictures import HEIF_SUFFIXES, SUFFIXES, can_read

TRAIN = ("train", "training")  # in capitals or not
TEST = ("test", "testing", "val", "valid", "validation")  # the first that is there is tested on
PART = 5  # where nothing says what is tested on, it is one in so many of each class
DEEPEST = 100  # folders within folders
FORM = "train/<class>/ and test/<class>/, or <class>/ alone: a folder for each class"


@dataclass(frozen=True)
class Arrangement:
    """Class and place of the images by their names, how they were divided, what was left out.

    A place is the name below the folder that holds train/ and test/, or else the classes.
    """

    classes: tuple[str, ...]
    train: dict[str, tuple[str, str]]  # place and class by name, sorted by place
    test: dict[str, tuple[str, str]]
    division: str
    skipped: dict[str, int]


@dataclass
class _Folder:
    folders: dict[str, "_Folder"] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)  # names of those directly in it
    count: int = 0  # of images in it and below
    others: int = 0  # of other files in it and below

    @property
    def full(self) -> dict[str, "_Folder"]:
        """The folders in it that hold images."""
        return {name: folder for name, folder in self.folders.items() if folder.count}

    def below(self) -> Iterator[str]:
        """All images in it and below."""
        yield from self.images
        for folder in self.folders.values():
            yield from folder.below()


class Catalog:
    """Collects the names of a source, and arranges the images when all names are there."""

    def __init__(self) -> None:
        self.images: dict[str, str] = {}  # and where a link leads to, by name
        self.official = False  # whether a batch of the official archive is among the files
        self._top = _Folder()
        self._hidden: set[str] = set()
        self._skipped: Counter[str] = Counter()

    def add(self, entry: Entry) -> str | None:
        """Take note of an entry. Returns its name, in one way of writing, if it is an image's."""
        parts = [part for part in entry.name.split("/") if part not in ("", ".")]
        hidden = next((i for i, part in enumerate(parts, 1) if is_litter(part)), None)
        if hidden is not None:
            self._hidden.add("/".join(parts[:hidden]))
            return None
        if not parts:
            return None
        if len(parts) > DEEPEST:
            self._skipped[f"more than {DEEPEST} folders deep"] += 1
            return None
        is_folder = entry.name.endswith("/")
        if is_folder and not entry.odd:
            self._way(parts)
            return None
        name, suffix = "/".join(parts), posixpath.splitext(parts[-1])[1].lower()
        self.official |= parts[-1] == "data_batch_1"
        if suffix not in SUFFIXES or is_folder:
            for folder in self._way(parts[:-1]):
                folder.others += 1
            self._skipped["no regular file" if entry.odd else suffix or "without a suffix"] += 1
            return None
        if name in self.images:
            self._skipped["the earlier of two of the same name"] += 1
        else:
            for folder in (way := self._way(parts[:-1])):
                folder.count += 1
            way[-1].images.append(name)
        self.images[name] = entry.target
        return name

    def arrange(self, source: str) -> Arrangement:
        """Say where every image belongs. `source` is what messages call the whole.

        Raises DataError, naming the folder and what to do about it, if there are no two classes, if
        a class has too few images, or if the folders can be understood in more than one way.
        """
        if not self._top.count:
            shown = f" (skipped: {listed(self._skipped)})" if self._skipped else ""
            raise DataError(f"{source} has no images{shown}; it needs {FORM}")
        root, within = _root(self._top, source)
        train, test = _sides(root, source)
        if train and test:
            learn, check = (_members(root.folders[side], f"{side}/") for side in (train, test))
            self._drop_unread(learn, check)
            _refuse_incomplete(learn, check, train, test, source)
            division = f"{train}/ and {test}/"
        else:
            every = _members(root.folders[train], f"{train}/") if train else _members(root)
            self._drop_unread(every)
            _refuse_few(every, source)
            learn, check = _divided(every, len(within))
            division = f"one in {PART} of each class is tested on, chosen by a hash of its name"
        classes = tuple(sorted(learn))
        if not classes:
            raise DataError(f"the images in {source} lie in no class folder; it needs {FORM}")
        if len(classes) < 2:
            raise DataError(
                f"{source} has images of one class only, {classes[0]!r}; a classifier needs two or "
                f"more, as {FORM}"
            )
        sides = [_placed(members, len(within)) for members in (learn, check)]
        self._count_unused({*sides[0], *sides[1]}, within)
        return Arrangement(
            classes, sides[0], sides[1], division, dict(sorted(self._skipped.items()))
        )

    def _way(self, parts: list[str]) -> list[_Folder]:
        """The folders on the way to a name, from the top."""
        way = [self._top]
        for part in parts:
            way.append(way[-1].folders.setdefault(part, _Folder()))
        return way

    def _drop_unread(self, *sides: dict[str, list[str]]) -> None:
        """Leave out what cannot be decoded here, and say what would be needed."""
        for members in sides:
            for label, names in members.items():
                unread = {name: why for name in names if (why := _wanting(name))}
                if names and len(unread) == len(names):
                    raise DataError(f"all images of {label!r} are {unread[names[0]]}")
                members[label] = [name for name in names if name not in unread]
                self._skipped.update(unread.values())
                for name in unread:
                    del self.images[name]

    def _count_unused(self, used: set[str], within: str) -> None:
        """Images that lie beside the classes, or in a folder that is not used."""
        if self._hidden:
            self._skipped["hidden, or left by a system"] = len(self._hidden)
        for name in self.images.keys() - used:
            folder, slash, _ = name.removeprefix(within).partition("/")
            loose = not slash or within.startswith(f"{posixpath.dirname(name)}/")
            self._skipped["images in no class folder" if loose else f"images in {folder}/"] += 1


def listed(skipped: dict[str, int]) -> str:
    """Counts by kind, on one line."""
    return ", ".join(
        f"{count:,} {kind.replace('images', 'image', 1) if count == 1 else kind}"
        for kind, count in skipped.items()
    )


def _wanting(name: str) -> str:
    """What is needed to decode images of this suffix, where it is not there; else nothing."""
    suffix = posixpath.splitext(name)[1].lower()
    if can_read(suffix):
        return ""
    package = "pillow-heif" if suffix in HEIF_SUFFIXES else "--upgrade pillow"
    return f"{suffix} (to read them: pip install {package})"


def _is_side(name: str) -> bool:
    return name.lower() in TRAIN + TEST


def _root(top: _Folder, source: str) -> tuple[_Folder, str]:
    """The folder that holds train/ and test/, or else the classes; and its name, with a slash."""
    level = [("", top)]
    while level:
        holds = [
            (name, folder)
            for name, folder in level
            if any(_is_side(side) and inner.full for side, inner in folder.folders.items())
        ]
        if len(holds) > 1:
            names = sorted(name.removesuffix("/") for name, _ in holds)
            raise DataError(f"{source} has train/ or test/ in several folders, {names}; keep one")
        if holds:
            return holds[0][1], holds[0][0]
        level = [(f"{at}{name}/", inner) for at, f in level for name, inner in f.full.items()]
    return _inmost(top)


def _inmost(folder: _Folder, name: str = "") -> tuple[_Folder, str]:
    """The folder of the classes: this, or one in it where it alone holds images."""
    within_side = bool(name)
    while len(folder.full) == 1:
        ((inner_name, inner),) = folder.full.items()
        if not inner.full or (within_side and folder.images):
            break
        folder, name = inner, f"{name}{inner_name}/"
    return folder, name


def _sides(root: _Folder, source: str) -> tuple[str, str]:
    """The names of the folders to learn from and to be tested on, empty where there is none."""
    full = root.full
    loose = [name for name in full if _is_side(name) and not full[name].full]
    if not any(_is_side(name) and full[name].full for name in full):
        if loose and (len(loose) > 1 or loose == list(full)):
            raise DataError(
                f"the images in {' and '.join(f'{name}/' for name in sorted(loose))} of {source} "
                f"lie in no class folders; it needs {FORM}"
            )
        return "", ""
    there = {names: _first(root, names, loose) for names in (TRAIN, TEST)}
    train, test = there.values()
    if len(train) > 1 or not train:
        what = " and ".join(f"{name}/" for name in train) or "no train/<class>/"
        raise DataError(f"{source} has {what}; it needs one, as {FORM}")
    beside = sorted(name for name in full if not _is_side(name))
    if beside and not test:
        raise DataError(
            f"{source} has {train[0]}/ with folders in it, and beside it {', '.join(beside)} with "
            f"images: if {train[0]} is a class, put its images directly into it, else move "
            f"{', '.join(beside)} away"
        )
    return train[0], test[0] if test else ""


def _first(root: _Folder, names: tuple[str, ...], loose: list[str]) -> list[str]:
    """The folders of the first of these names, in capitals or not, that has class folders."""
    there = [name for name in sorted(root.folders) if name.lower() in names and name not in loose]
    order = sorted({name.lower() for name in there}, key=names.index)
    return [name for name in there if name.lower() == order[0]] if order else []


def _members(folder: _Folder, place: str = "") -> dict[str, list[str]]:
    """The images of every class in a folder, by the class's name."""
    folder, place = _inmost(folder, place) if place else (folder, place)
    if place and folder.images:
        more = f" (and {len(folder.images) - 1:,} more)" if len(folder.images) > 1 else ""
        raise DataError(
            f"{folder.images[0]}{more} lies in no class; move it to {place}<class>/ or remove it"
        )
    members: dict[str, list[str]] = {}
    for name, inner in folder.folders.items():
        if inner.count or not inner.others:  # a folder of other files is no class
            label = _composed(name)
            members.setdefault(label, []).extend(inner.below())
            turned = [side for side in inner.full if _is_side(side)]
            if turned and not place:
                raise DataError(
                    f"{name}/{turned[0]}/ stands the wrong way round; make it {turned[0]}/{name}/"
                )
    _refuse_nested(folder, place)
    return members


def _refuse_nested(folder: _Folder, place: str) -> None:
    """Folders that all hold the same folders may be classes, or may each hold the classes."""
    inner = [set(f.full) if not f.images else set() for f in folder.full.values()]
    if len(inner) > 1 and len(inner[0]) > 1 and all(names == inner[0] for names in inner):
        outer, deep = (", ".join(sorted(names)[:3]) for names in (folder.full, inner[0]))
        raise DataError(
            f"{outer} in {place or 'it'} all hold the same folders, {deep}: if these are the "
            "classes, put each together in one folder; else put the images directly into the outer"
        )


def _refuse_incomplete(
    learn: dict[str, list[str]], check: dict[str, list[str]], train: str, test: str, source: str
) -> None:
    """Both sides must have images of each class."""
    for label in sorted({*learn, *check}):
        for members, side in ((learn, train), (check, test)):
            if not members.get(label):
                what = "is empty" if label in members else "does not exist"
                raise DataError(
                    f"{source} has a class {label!r}, but {side}/{label}/ {what}; put images of it "
                    f"there, or remove {label}/ from {train}/ and {test}/"
                )


def _refuse_few(every: dict[str, list[str]], source: str) -> None:
    few = {label: len(names) for label, names in sorted(every.items()) if len(names) < 2}
    if few:
        shown = ", ".join(f"{count} of {label!r}" for label, count in list(few.items())[:5])
        more = f" and {len(few) - 5} more classes" if len(few) > 5 else ""
        raise DataError(
            f"{source} has too few images: {shown}{more}; a class needs 2, one of which is tested "
            "on: add some, or remove its folder"
        )


def _divided(
    every: dict[str, list[str]], start: int
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """One in PART of each class, at least one, to be tested on: those whose names hash lowest.

    So the division is the same on every machine, and hardly changes when images are added.
    """
    learn, check = {}, {}
    for label, names in every.items():
        order = sorted(names, key=lambda name: (_digest(name[start:]), name))
        count = max(1, round(len(order) / PART))
        check[label], learn[label] = order[:count], order[count:]
    return learn, check


def _placed(members: dict[str, list[str]], start: int) -> dict[str, tuple[str, str]]:
    pairs = {name: (name[start:], label) for label, names in members.items() for name in names}
    return dict(sorted(pairs.items(), key=lambda pair: (_composed(pair[1][0]), pair[1])))


def _digest(place: str) -> bytes:
    return hashlib.sha256(_composed(place).encode()).digest()


def _composed(name: str) -> str:
    """A name in one form of Unicode: one system writes é as one sign, another as two."""
    return unicodedata.normalize("NFC", name)
