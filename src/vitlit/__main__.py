"""`python -m vitlit` is `vitlit`."""

from vitlit.cli import main

main()
