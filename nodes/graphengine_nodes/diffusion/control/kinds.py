"""The kinds of pictures that union ControlNets are told apart; light, so that listing nodes imports no torch."""

from collections.abc import Mapping

UNION_TYPES: Mapping[str, int] = {
    "openpose": 0,
    "depth": 1,
    "hed/pidi/scribble/ted": 2,
    "canny/lineart/anime_lineart/mlsd": 3,
    "normal": 4,
    "segment": 5,
    "tile": 6,
    "repaint": 7,
}
"""Kinds of pictures that union ControlNets know, and their numbers there; only ProMax ones know the last two."""
