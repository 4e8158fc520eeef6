"""Update all catalogs and documents, and say what is left to translate."""

from website import ROOT
from website.translation.catalogs import TRANSLATIONS, Edition, path_of, update
from website.translation.sources import OTHERS, documents, sources


def main() -> None:
    """Go through all languages."""
    for language in TRANSLATIONS:
        known = [*sources(), *OTHERS]
        for file in sorted((ROOT / "locale" / language).rglob("*.po")):
            name = file.relative_to(ROOT / "locale" / language).with_suffix("").as_posix()
            if name not in known:
                file.unlink()
        left = 0
        for catalog in known:
            todo = [m for m in update(language, catalog) if m.id and (m.fuzzy or not m.string)]
            left += len(todo)
            if todo:
                print(f"{path_of(language, catalog).relative_to(ROOT)}: {len(todo)} to translate")
        for name in documents():
            target = ROOT / f"{name}.{language}.md"
            target.write_text(Edition(language).document(name), encoding="utf-8")
        print(f"{language}: {left} to translate")


if __name__ == "__main__":
    main()
