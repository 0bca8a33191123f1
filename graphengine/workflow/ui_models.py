"""The editor's document, versions 0.4 and 1, as far as conversion needs it; unknown keys are kept.

The two versions differ in small things: links are arrays `[id, origin, slot, target, slot, type]` or objects.
Fields take what editors of all ages have written, so that a document reads and writes back unchanged.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from graphengine.errors import WorkflowFormatError
from graphengine.workflow.findings import first_finding
from graphengine.workflow.json_input import place_name

#: Nodes and links are numbered; newer editors also use texts. Ids inside of subgraphs are put together from
#: several, so none may be long.
UiId = (
    Annotated[int, Field(strict=True, ge=-(2**63), le=2**63)] | Annotated[str, Field(strict=True, max_length=64)]
)

# Any: JSON that the decoder made; checking it value by value again would double the time of reading.
_Json = Any
_T = TypeVar("_T")
#: A list that is read up to the first thing wrong: a hostile document may have millions.
_Rows = Annotated[list[_T], Field(fail_fast=True)]


class _UiModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", strict=True)


class UiWidgetRef(_UiModel):
    """The widget that an input slot stands for."""

    name: str


class UiInput(_UiModel):
    """An input slot; `link` is the id of the link that ends here."""

    name: str
    type: _Json = "*"
    link: UiId | None = None
    widget: UiWidgetRef | None = None


class UiOutput(_UiModel):
    """An output slot."""

    name: str = ""
    type: _Json = "*"


class UiNode(_UiModel):
    """A node as the editor keeps it. `mode` is 0 (runs), 2 (muted) or 4 (bypassed)."""

    id: UiId
    type: Annotated[str, Field(strict=True, max_length=1000)]
    mode: int | None = 0
    inputs: _Rows[UiInput] | None = None
    outputs: _Rows[UiOutput] | None = None
    widgets_values: list[_Json] | dict[str, _Json] | None = None
    title: str | None = None
    properties: _Json = None


class UiLink(_UiModel):
    """A link of version 1; slots count from 0."""

    id: UiId
    origin_id: UiId
    origin_slot: int
    target_id: UiId
    target_slot: int
    type: _Json = "*"


UiLinkRow = Annotated[list[_Json], Field(min_length=5, description="[id, origin, slot, target, slot, type]")]


class UiSubgraphSlot(_UiModel):
    """An input or output of a subgraph; `linkIds` are the links inside that end at it."""

    name: str = ""
    type: _Json = "*"
    linkIds: _Rows[UiId] | None = None


class UiSubgraph(_UiModel):
    """A graph that nodes of the document stand for: each node whose type is its `id` is an instance of it.

    Links from its inputs have the origin -10, links to its outputs the target -20.
    """

    id: UiId
    name: str | None = None
    nodes: _Rows[UiNode] | None = None
    links: _Rows[UiLinkRow | UiLink | None] | None = None
    inputs: _Rows[UiSubgraphSlot] | None = None
    outputs: _Rows[UiSubgraphSlot] | None = None
    groups: _Json = None
    extra: _Json = None


class UiDefinitions(_UiModel):
    """What the document defines for itself."""

    subgraphs: _Rows[UiSubgraph] | None = None


class UiDocument(_UiModel):
    """A saved graph."""

    nodes: _Rows[UiNode]
    links: _Rows[UiLinkRow | UiLink | None] | None = None
    version: int | float | str | None = None
    definitions: UiDefinitions | None = None
    groups: _Json = None
    extra: _Json = None
    _raw: Mapping[str, Any] | None = PrivateAttr(None)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> "UiDocument":
        """The document in a JSON object, which it keeps: writing it anew would take as long as reading it."""
        document = cls.model_validate(raw)
        document._raw = raw
        return document

    def to_json(self) -> Mapping[str, Any]:
        """The document as it was read; not to be changed."""
        return self._raw if self._raw is not None else self.model_dump(exclude_unset=True)


def parse_ui(raw: Mapping[str, Any]) -> UiDocument:
    """The editor's document in a parsed JSON object.

    Raises:
        WorkflowFormatError: a part that is needed is missing or of another kind; the message names its place.
    """
    try:
        return UiDocument.read(raw)
    except ValidationError as error:
        place, text = first_finding(error, dict(raw))
        raise WorkflowFormatError(
            f"{place_name(place)} {text}", hint="save the workflow again in the editor"
        ) from error
