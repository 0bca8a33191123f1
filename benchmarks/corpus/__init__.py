"""Saved workflows of a folder with tiny models in place of those that they name; see ../corpus_runs.py."""
