"""Text for XML documents."""

import re
from html import escape

# What no XML 1.0 document may hold, even escaped, and what turns the direction of text around.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]")


def escaped(text: str) -> str:
    """The text for an XML element or attribute; characters that XML cannot hold become U+FFFD."""
    return escape(_FORBIDDEN.sub("\ufffd", text))
