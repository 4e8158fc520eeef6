"""The program that builds the website: the pages of docs/ and the notebooks, in every language."""

from pathlib import Path

ROOT = Path(__file__).absolute().parents[1]
# Folder of the edition → its mkdocs configuration. The first one is the source of the others.
LANGUAGES = {"en": "mkdocs.yml", "zh": "mkdocs.zh.yml"}
