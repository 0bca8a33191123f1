"""Merging two edits of one workflow, node by node and input by input."""
