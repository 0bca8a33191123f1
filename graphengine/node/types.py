"""Socket types, and when the output of one fits the input of another."""

import logging
from functools import lru_cache

logger = logging.getLogger(__name__)

#: "INT", "MODEL", a union "IMAGE,MASK", or "*" for anything.
SocketType = str

#: Types whose value the user can type in, so that the editor shows a widget.
WIDGET_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})

#: Types of what works on the device: nodes that take or give one take turns there.
DEVICE_TYPES = frozenset(
    {
        "MODEL", "CLIP", "VAE", "CONTROL_NET", "CLIP_VISION", "STYLE_MODEL", "UPSCALE_MODEL", "GLIGEN", "GUIDER",
        "NOISE", "SAMPLER", "LATENT_OPERATION", "AUDIO_ENCODER",
    }
)  # fmt: skip

#: Types whose values only nodes make: no document holds one.
OBJECT_TYPES = DEVICE_TYPES | {"IMAGE", "MASK", "LATENT", "CONDITIONING", "SIGMAS", "AUDIO", "VIDEO"}

#: An input or output whose type follows from what is linked to others of the same template.
MATCHED = "COMFY_MATCHTYPE_V3"
#: An input of several types.
MULTI_TYPED = "COMFY_MULTITYPED_V3"

_ANYTHING = frozenset({"*", MATCHED, MULTI_TYPED})


@lru_cache(maxsize=4096)
def fits(given: SocketType, wanted: SocketType) -> bool:
    """Whether an output of type `given` may feed an input of type `wanted`; both are plain texts.

    Unions are separated by commas and need one member in common; "*" fits everything.
    """
    if given == wanted:
        return True
    offered, taken = type_members(given), type_members(wanted)
    return not (offered.isdisjoint(_ANYTHING) and taken.isdisjoint(_ANYTHING) and offered.isdisjoint(taken))


def fits_as_written(given: str, wanted: str) -> bool:
    """The same for types of which at least one compares in its own way: its author's `!=` decides.

    What a type with its own comparison says of "*" is its own affair; its text still fits an equal text.
    """
    try:
        if not given != wanted:  # noqa: SIM202 (only `!=` is asked, "any" types leave `==` as it is)
            return True
    except Exception as error:  # noqa: BLE001 (an author's comparison may raise anything)
        logger.warning("comparing the types %s and %s: %s", plain_text(given), plain_text(wanted), error)
    offered, taken = type_members(plain_text(given)), type_members(plain_text(wanted))
    return (
        not offered.isdisjoint(taken)
        or ("*" in offered and not compares_itself(given))
        or ("*" in taken and not compares_itself(wanted))
    )


def compares_itself(type_: str) -> bool:
    """Whether a type is of a `str` subclass that compares in its own way, as "any" types of packs do."""
    return type(type_).__ne__ is not str.__ne__


def plain_text(type_: str) -> SocketType:
    """The text of a type and nothing else, whatever subclass of `str` it is."""
    return str.__str__(type_)


def type_members(type_: SocketType) -> frozenset[str]:
    """The types that a union names."""
    return frozenset(part.strip() for part in type_.split(","))
