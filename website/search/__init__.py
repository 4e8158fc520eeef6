"""The search: what readers call a section, the index of sections, its ranking, the dialog."""
