"""Nodes that choose a text: from a list of one's own, and out of JSON."""

import json
from typing import Any, ClassVar

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form, and JSON holds anything.

_OPTIONS = 50  # texts that a list of one's own can hold
_ATTEMPTS = 1000  # places at which an object is looked for


class CustomCombo:
    """One of several texts that the user wrote, and its place among them."""

    GRAPHENGINE_CHECKS_OFF: ClassVar[dict[str, str]] = {"input_types": "the editor fills in what the user wrote"}
    CATEGORY = "utils"
    RETURN_TYPES = ("STRING", "INT")
    RETURN_NAMES = ("STRING", "INDEX")
    FUNCTION = "choose"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; the editor keeps the texts, the node is given the choice."""
        texts: dict[str, Any] = {f"option{number}": ("STRING", {}) for number in range(1, _OPTIONS + 1)}
        return {
            "required": {"choice": ("COMBO", {"options": []})},
            "optional": {"index": ("INT", {"default": 0}), **texts},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, choice: str) -> bool:
        """The choices are the user's own."""
        return True

    def choose(self, choice: str, index: int = 0, **options: str) -> tuple[str, int]:
        """The text and its place, counted from 0."""
        return choice, index


class JsonExtractString:
    """What a JSON object in a text holds under a key."""

    CATEGORY = "utils/string"
    RETURN_TYPES = ("STRING",)
    FUNCTION = "extract"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "json_string": ("STRING", {"multiline": True}),
                "key": ("STRING", {"multiline": False}),
            }
        }

    def extract(self, json_string: str, key: str) -> tuple[str]:
        """The value as a text; empty when there is no object, no such key, or null under it."""
        value = first_object(json_string).get(key)
        return ("" if value is None else str(value),)


def first_object(text: str) -> dict[str, Any]:
    """The first JSON object in a text that may hold anything around it; empty when there is none."""
    decoder = json.JSONDecoder()
    start = -1
    for _ in range(_ATTEMPTS):
        start = text.find("{", start + 1)
        if start < 0:
            break
        try:
            found, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return {}


NODE_CLASS_MAPPINGS: dict[str, type] = {"CustomCombo": CustomCombo, "JsonExtractString": JsonExtractString}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "CustomCombo": "Custom Combo",
    "JsonExtractString": "Extract Text from JSON",
}
