"""Texts in XMP data, an XML document that pictures carry: values of attributes and of elements without children.

Programs that move metadata about, and some packs, keep a workflow there as `prompt`, `workflow` or `description`,
in whatever namespace. Entities that a document declares itself could make much of little and are not read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from graphengine.workflow.metadata import COMMENT, Text, is_wanted

#: What XMP data begins with in a JPEG picture.
JPEG_NAME = b"http://ns.adobe.com/xap/1.0/\0"
#: What each piece of XMP data begins with that is too long for one segment. A digest of 32 letters follows, then
#: the length of the whole and the place of the piece, four bytes each.
JPEG_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
#: What a text chunk with XMP data is called in a PNG picture.
PNG_NAME = "XML:com.adobe.xmp"


def xmp_texts(data: bytes) -> list[Text]:
    """The texts in XMP data that may be workflows; none when it is not XML, since other texts may hold one."""
    found = _Texts()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = found.start
    parser.CharacterDataHandler = found.pieces.append
    parser.EndElementHandler = found.end
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(data.strip(b"\0"), True)
    except (expat.ExpatError, ValueError):
        return []
    return found.texts


def _refuse(*_declared: object) -> None:
    raise ValueError("XMP data declares no entities")


@dataclass(slots=True)
class _Texts:
    """What the parser has come by."""

    texts: list[Text] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    def start(self, _name: str, attributes: Mapping[str, str]) -> None:
        for name, value in attributes.items():
            self._add(name, value)
        self.pieces.clear()

    def end(self, name: str) -> None:
        self._add(name, "".join(self.pieces))
        self.pieces.clear()

    def _add(self, name: str, text: str) -> None:
        local = name.rpartition(" ")[2]
        if "{" in text:
            self.texts.append((local if is_wanted(local) else COMMENT, text))
