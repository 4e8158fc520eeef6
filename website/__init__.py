"""The program that builds the website: the pages of docs/ and the notebooks, in every language."""

from pathlib import Path

ROOT = Path(__file__).absolute().parents[1]
