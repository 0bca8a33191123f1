"""Colours of socket types: fixed for those of everyday, by name for all others."""

from colorsys import hls_to_rgb
from zlib import crc32

#: What errors and warnings are drawn in.
ERROR, WARNING = "#d32030", "#c77700"

#: What boxes are filled and framed with that carry a mark.
MARKS = {
    "cached": ("#e3f4e1", "#4a9d45"),
    "runs": ("#ffe9cc", "#e07b00"),
    "perhaps": ("#e4e6ea", "#7d8590"),
    "not needed": ("#ffffff", "#c3c8d0"),
    "added": ("#e3f4e1", "#4a9d45"),
    "removed": ("#fbe3e1", "#c0392b"),
    "changed": ("#ffe9cc", "#e07b00"),
}

_COLOURS = {
    "*": "#8a8f98",
    "AUDIO": "#1f8a8a",
    "BOOLEAN": "#7a6a58",
    "CLIP": "#d9a800",
    "CLIP_VISION": "#6aa9ad",
    "CONDITIONING": "#e8862a",
    "CONTROL_NET": "#2fa77a",
    "FLOAT": "#6b7f99",
    "IMAGE": "#3a86d8",
    "INT": "#51719c",
    "LATENT": "#d65ccf",
    "MASK": "#4ca64f",
    "MODEL": "#7e62c4",
    "STRING": "#8f8f3a",
    "VAE": "#dd5454",
    "VIDEO": "#2a6f97",
}


def colour_of(type_: str) -> str:
    """The colour of a socket type, as `#rrggbb`; the same for a name on every machine."""
    return _COLOURS.get(type_) or _by_name(type_)


def _by_name(type_: str) -> str:
    hue = crc32(type_.encode("utf-8", "surrogatepass")) % 360 / 360
    red, green, blue = (round(255 * part) for part in hls_to_rgb(hue, 0.45, 0.5))
    return f"#{red:02x}{green:02x}{blue:02x}"
