"""Showing any value as text."""

import json
from typing import Any

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form, and the node takes whatever comes.


class PreviewAny:
    """Shows a value: a text as it is, what JSON can express as JSON, anything else as Python prints it."""

    CATEGORY = "utils"
    RETURN_TYPES = ()
    FUNCTION = "show"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"source": ("*", {})}}

    def show(self, source: Any = None) -> dict[str, Any]:
        """The text for the editor to show."""
        return {"ui": {"text": [as_text(source)]}}


def as_text(value: Any) -> str:
    """The value as one would read it: texts and numbers plainly, structures as JSON, the rest by `str`."""
    if value is None or isinstance(value, str | int | float):
        return str(value)
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return str(value)
