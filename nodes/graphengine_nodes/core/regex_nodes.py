"""Nodes that search texts with regular expressions: thin classes over `regex`."""

from __future__ import annotations

from typing import Any

from . import regex

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class RegexMatch:
    """Whether a regular expression fits somewhere in a text."""

    CATEGORY = "utils/string"
    RETURN_TYPES = ("BOOLEAN",)
    RETURN_NAMES = ("matches",)
    FUNCTION = "search"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "string": ("STRING", {"multiline": True}),
                "regex_pattern": ("STRING", {"multiline": True}),
                "case_insensitive": ("BOOLEAN", {"default": True}),
                "multiline": ("BOOLEAN", {"default": False}),
                "dotall": ("BOOLEAN", {"default": False}),
            },
        }

    def search(
        self, string: str, regex_pattern: str, case_insensitive: bool, multiline: bool, dotall: bool
    ) -> tuple[bool]:
        """Whether there is a match."""
        flags = regex.flags(case_insensitive=case_insensitive, multiline=multiline, dotall=dotall)
        return (regex.matches(string, regex_pattern, flags),)


class RegexExtract:
    """What a regular expression finds in a text."""

    CATEGORY = "utils/string"
    RETURN_TYPES = ("STRING",)
    FUNCTION = "extract"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "string": ("STRING", {"multiline": True}),
                "regex_pattern": ("STRING", {"multiline": True}),
                "mode": (
                    "COMBO",
                    {"multiselect": False, "options": ["First Match", "All Matches", "First Group", "All Groups"]},
                ),
                "case_insensitive": ("BOOLEAN", {"default": True}),
                "multiline": ("BOOLEAN", {"default": False}),
                "dotall": ("BOOLEAN", {"default": False}),
                "group_index": ("INT", {"default": 1, "min": 0, "max": 100}),
            },
        }

    def extract(
        self,
        string: str,
        regex_pattern: str,
        mode: str,
        case_insensitive: bool,
        multiline: bool,
        dotall: bool,
        group_index: int,
    ) -> tuple[str]:
        """What was found, one match in a line; an empty text for nothing."""
        flags = regex.flags(case_insensitive=case_insensitive, multiline=multiline, dotall=dotall)
        return (regex.extract(string, regex_pattern, mode, group_index, flags),)


class RegexReplace:
    """A text with what a regular expression finds replaced."""

    CATEGORY = "utils/string"
    RETURN_TYPES = ("STRING",)
    FUNCTION = "substitute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "string": ("STRING", {"multiline": True}),
                "regex_pattern": ("STRING", {"multiline": True}),
                "replace": ("STRING", {"multiline": True}),
            },
            "optional": {
                "case_insensitive": ("BOOLEAN", {"default": True}),
                "multiline": ("BOOLEAN", {"default": False}),
                "dotall": ("BOOLEAN", {"default": False}),
                "count": ("INT", {"default": 0, "min": 0, "max": 100}),
            },
        }

    def substitute(
        self,
        string: str,
        regex_pattern: str,
        replace: str,
        case_insensitive: bool = True,
        multiline: bool = False,
        dotall: bool = False,
        count: int = 0,
    ) -> tuple[str]:
        """The text; a count of 0 replaces every match."""
        flags = regex.flags(case_insensitive=case_insensitive, multiline=multiline, dotall=dotall)
        return (regex.substitute(string, regex_pattern, replace, count, flags),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "RegexMatch": RegexMatch,
    "RegexExtract": RegexExtract,
    "RegexReplace": RegexReplace,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "RegexMatch": "Regex Match",
    "RegexExtract": "Regex Extract",
    "RegexReplace": "Regex Replace",
}
