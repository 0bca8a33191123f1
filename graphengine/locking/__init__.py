"""The lock of a project: what its workflows ran with, checked, written down, and brought back elsewhere."""
