"""The book in other languages: gettext catalogs, one message a block of text.

`python -m website.translation` brings the catalogs under locale/ in step with the English text:
new blocks are added, blocks that are gone are removed, and the translation of a block that changed
is kept but marked fuzzy, until somebody has read it again. Code, outputs and pictures are in no
catalog, since they are taken from the English source. Docstrings are, for the API's pages.
"""
