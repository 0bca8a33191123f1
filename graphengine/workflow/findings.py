"""What pydantic finds in a document, in our words."""

from collections.abc import Sequence

from pydantic import JsonValue, ValidationError

from graphengine.workflow.json_input import Place

_WORDS = {
    "missing": "is missing",
    "string_type": "is not a text",
    "int_type": "is not a whole number",
    "dict_type": "is not an object",
    "model_type": "is not an object",
    "list_type": "is not a list",
    "too_short": "is too short",
}


def first_finding(error: ValidationError, document: JsonValue) -> tuple[Place, str]:
    """Place and text of the first thing wrong with a document: `(("nodes", 0, "type"), "is missing")`."""
    finding = error.errors(include_url=False)[0]
    text = _WORDS.get(finding["type"], finding["msg"].lower())
    return _place(finding["loc"], document, missing=finding["type"] == "missing"), text


def _place(steps: Sequence[str | int], document: JsonValue, *, missing: bool) -> Place:
    """The steps that lead through the document; those that only name the branch of a union are left out."""
    place: list[str | int] = []
    value = document
    for step in steps:
        match value:
            case dict() if step in value:
                value = value[str(step)]
            case list() if isinstance(step, int) and step < len(value):
                value = value[step]
            case _:
                continue
        place.append(step)
    return (*place, steps[-1]) if missing else tuple(place)
