"""A folder or archive of images, decoded to arrays."""

import re
from collections.abc import Callable, Iterable, Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np

from vitlit import cifar10
from vitlit.archives import DataError, Entry, opened
from vitlit.pictures import Picture, PictureError, channels_first, decode, refuse_large
from vitlit.progress import told
from vitlit.sizes import AS_THEY_ARE, Size, uniform, written
from vitlit.splits import Arrangement, Catalog

MOST_DECODED = 2**31  # bytes of all images together
NAMED = 10  # damaged images that one message names
LINKS = 40  # that may lead to one another in an archive


class _Reader:
    """Decodes the images of a source one by one, and remembers those that cannot be."""

    def __init__(self, source: str, size: Size | None) -> None:
        self.source, self.size = source, size
        self.pictures: dict[str, Picture] = {}
        self.wrong: dict[str, PictureError] = {}
        self.held = 0  # bytes of pixels

    def read(self, name: str, entry: Entry) -> None:
        """Decode one. Raises DataError if all together become too large."""
        try:
            if entry.open is None:
                raise PictureError(name, entry.odd)
            refuse_large(entry.size, name)
            with entry.open() as file:
                picture = decode(file, name, self.size, largest=AS_THEY_ARE)
        except PictureError as error:
            self.wrong[name] = error
            return
        self.wrong.pop(name, None)  # an archive may hold a name twice: the later one counts
        self.pictures[name] = picture
        self.held += picture.pixels.nbytes if picture.pixels is not None else 0
        if self.held > MOST_DECODED:
            smaller = f"a smaller --size than {written(self.size)}" if self.size else "a --size"
            raise DataError(
                f"{self.source}: the first {len(self.pictures):,} images take more than "
                f"{MOST_DECODED / 2**30:g} GiB, the limit; give fewer images, or {smaller}"
            )


def read_images(
    source: Path, md5: str, size: Size | None = None, listing: Sequence[Entry] | None = None
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Images and labels to train on and to test on, and what else a Dataset says of them.

    `size` is (H, W): all images are cropped at their center and resized to it. Without one they
    must be all alike. `listing` is what `archives.walk` found, if the folder was walked before.
    `md5` is the official archive's, which is no folder of images.

    Raises DataError if the source or an image is damaged, there is too much of it, or its folders
    tell no classes; SizeError if the images need a size.
    """
    catalog, reader, arranged = Catalog(), _Reader(source.name, size), None
    work: Iterable[tuple[str, Entry]]
    with opened(source, listing) as entries:
        named = ((name, entry) for entry in entries if (name := catalog.add(entry)))
        if isinstance(entries, Sequence):  # what is wrong with the folders is said at once
            by_name = dict(named)
            arranged = _arranged(catalog, source, md5)
            needed = {_followed(catalog, name) for name in (*arranged.train, *arranged.test)}
            work = [(name, by_name[name]) for name in sorted(needed)]
        else:
            work = named
        for name, entry in told(work, f"decoding {source.name}", _done(work)):
            if not entry.target:
                reader.read(name, entry)
    return _assembled(source, arranged or _arranged(catalog, source, md5), catalog, reader)


def _done(work: Iterable[tuple[str, Entry]]) -> Callable[[int, tuple[str, Entry]], float]:
    """How much of the work is done, when so many of it are, and this the last."""
    if isinstance(work, Sized):
        total = len(work)
        return lambda count, item: count / total
    return lambda count, item: item[1].done


def _arranged(catalog: Catalog, source: Path, md5: str) -> Arrangement:
    if catalog.official and source.is_dir():
        raise DataError(
            f"{source.name} is the official archive unpacked; give {cifar10.ARCHIVE} itself"
        )
    if catalog.official:
        raise DataError(
            f"{source.name} looks like the official archive, but its md5 is not {md5}: "
            "it is damaged or was packed anew; download it again"
        )
    return catalog.arrange(source.name)


def _followed(catalog: Catalog, name: str) -> str:
    """The image that a name stands for, itself or another that a link in the archive leads to."""
    for _ in range(LINKS):
        target = catalog.images[name]
        if target not in catalog.images:
            break
        name = target
    return name


def _assembled(
    source: Path, arranged: Arrangement, catalog: Catalog, reader: _Reader
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """The images in the order of their places, and what is known of them."""
    sides = (arranged.train, arranged.test)
    stands_for = {name: _followed(catalog, name) for side in sides for name in side}
    for name, real in stands_for.items():
        if catalog.images[real]:
            reader.wrong[real] = PictureError(name, "is a link to no image in the archive")
    _refuse_wrong([reader.wrong[real] for real in stands_for.values() if real in reader.wrong])

    pictures = {name: reader.pictures[real] for name, real in stands_for.items()}
    sizes = [picture.size for picture in pictures.values()]
    if reader.size is None:
        uniform(sizes, source.name)
    C = 3 if any(p.pixels is not None and p.pixels.ndim == 3 for p in pictures.values()) else 1
    arrays = []
    for side in sides:
        images = (pictures[name].pixels for name in side)
        arrays.append(np.stack([channels_first(image, C) for image in images if image is not None]))
        labels = [arranged.classes.index(label) for _, label in side.values()]
        arrays.append(np.array(labels, dtype=np.int64))

    name = title = _name_of(source)
    plain = {(picture.format, picture.size) for picture in pictures.values()}
    counts = tuple(len(side) for side in sides)
    as_known = (arranged.classes, counts, C) == (cifar10.CLASSES, cifar10.COUNTS, 3)
    if as_known and plain == {("JPEG", (32, 32))} and reader.size in (None, (32, 32)):
        name, title = "cifar10-jpeg", "CIFAR-10, JPEG copy"
    return arrays, {
        "name": name,
        "title": title,
        "classes": arranged.classes,
        "test_files": tuple(place for place, _ in arranged.test.values()),
        "source": source.name,
        "size": reader.size,
        "division": arranged.division,
        "skipped": arranged.skipped,
    }


def _refuse_wrong(wrong: list[PictureError]) -> None:
    """Name what cannot be used: a set that lacks images in silence is another set."""
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        shown = ", ".join(f"{error.name} {error.wrong}" for error in wrong[:NAMED])
        more = f", and {len(wrong) - NAMED:,} more" if len(wrong) > NAMED else ""
        remedies = " / ".join(dict.fromkeys(error.remedy for error in wrong))
        raise DataError(f"{len(wrong):,} images cannot be used: {shown}{more}; {remedies}")


def _name_of(source: Path) -> str:
    """The folder's or archive's name. It does not pass for data that has a name of its own."""
    name = source.name
    if not source.is_dir():
        name = re.sub(r"\.(tar|tgz|tbz2?|txz|zip).*", "", name, flags=re.I)
    return f"{name}-folder" if name in ("cifar10", "cifar10-jpeg", "digits") else name
