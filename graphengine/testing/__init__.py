"""What authors of node packs test with: a pytest plugin, values that behave, checks of what nodes promise.

Nothing is imported here: pytest imports this package in every run, whether or not nodes are tested in it.
"""
