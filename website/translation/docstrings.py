"""Docstrings in the language of an edition: an extension of griffe, which reads them."""

from typing import Any

import griffe

from website.translation.catalogs import Edition
from website.translation.sources import sources
from website.translation.text import unwrapped


class Translated(griffe.Extension):
    """Puts the docstring of every public object into another language."""

    def __init__(self, language: str) -> None:
        self.edition = Edition(language)
        self.shown = sources()

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Translate one docstring, and say what has no translation."""
        catalog = f"source/{obj.module.path.replace('.', '/')}"
        private = any(part.startswith("_") for part in obj.path.split("."))
        if obj.docstring is None or private or catalog not in self.shown:
            return
        text = unwrapped(obj.docstring.value)
        obj.docstring.value = self.edition.markdown(catalog, text)
        self.edition.report_gaps()
