"""Nodes that save texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from graphengine.node.api import CONTEXT, NodeContext

from .output_files import expand_prefix, output_place, write_numbered

# Any throughout: INPUT_TYPES and the node's message to the editor are ComfyUI's open-ended forms.


class SaveText:
    """A text as a file in the output folder."""

    CATEGORY = "text"
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("text",)
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "text": ("STRING", {"forceInput": True}),
                "filename_prefix": ("STRING", {"default": "ComfyUI"}),
                "format": ("COMBO", {"options": ["txt", "csv", "md", "json"], "default": "txt"}),
            },
            "hidden": {"prompt": "PROMPT", "context": CONTEXT},
        }

    def save(
        self,
        text: str,
        context: NodeContext,
        filename_prefix: str = "ComfyUI",
        format: str = "txt",
        prompt: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The text, and the name of the file for the editor to show. JSON is written with its parts on lines."""
        place = output_place(context.folders.output, expand_prefix(filename_prefix, datetime.now(), prompt=prompt))
        content = indented(text) if format == "json" else text
        (name,) = write_numbered(place, f".{format}", [content.encode("utf-8", "surrogatepass")])
        file = {"filename": name, "subfolder": place.subfolder, "type": "output"}
        return {"ui": {"files": [file]}, "result": (text,)}


def indented(text: str) -> str:
    """JSON with its parts on lines of their own; anything else as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


NODE_CLASS_MAPPINGS: dict[str, type] = {"SaveText": SaveText}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {"SaveText": "Save Text"}
