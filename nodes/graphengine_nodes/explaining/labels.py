"""Texts with one entry per line."""

from __future__ import annotations


def lines(text: str) -> list[str]:
    """The lines of a text that are not empty, without the spaces around them."""
    return [line.strip() for line in text.splitlines() if line.strip()]
