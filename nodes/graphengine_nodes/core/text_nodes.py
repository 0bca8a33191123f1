"""Nodes that join, cut, change and compare texts."""

from typing import Any

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.

_LINES = ("STRING", {"multiline": True})


def _choice(*options: str) -> tuple[str, dict[str, Any]]:
    return "COMBO", {"options": list(options), "multiselect": False}


class StringConcatenate:
    """Two texts with a delimiter between them."""

    CATEGORY = "utils/string"
    RETURN_TYPES = ("STRING",)
    FUNCTION = "join"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "string_a": _LINES,
                "string_b": _LINES,
                "delimiter": ("STRING", {"default": "", "multiline": False}),
            },
        }

    def join(self, string_a: str, string_b: str, delimiter: str) -> tuple[str]:
        """`string_a`, the delimiter, `string_b`."""
        return (delimiter.join((string_a, string_b)),)


class StringSubstring:
    """A part of a text."""

    CATEGORY = "utils/string"
    RETURN_TYPES = ("STRING",)
    FUNCTION = "cut"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"string": _LINES, "start": ("INT", {}), "end": ("INT", {})}}

    def cut(self, string: str, start: int, end: int) -> tuple[str]:
        """The characters from `start` up to but without `end`; negative places count from the end."""
        return (string[start:end],)


class StringLength:
    """How long a text is."""

    CATEGORY = "utils/string"
    RETURN_TYPES = ("INT",)
    RETURN_NAMES = ("length",)
    FUNCTION = "count"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"string": _LINES}}

    def count(self, string: str) -> tuple[int]:
        """The number of characters."""
        return (len(string),)


class CaseConverter:
    """A text in upper, lower, sentence or title case."""

    CATEGORY = "utils/string"
    RETURN_TYPES = ("STRING",)
    FUNCTION = "convert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "string": _LINES,
                "mode": _choice("UPPERCASE", "lowercase", "Capitalize", "Title Case"),
            },
        }

    def convert(self, string: str, mode: str) -> tuple[str]:
        """The text in that case; "Capitalize" lowers all but the first character."""
        match mode:
            case "UPPERCASE":
                return (string.upper(),)
            case "lowercase":
                return (string.lower(),)
            case "Capitalize":
                return (string.capitalize(),)
            case _:
                return (string.title(),)


class StringTrim:
    """A text without white space at its ends."""

    CATEGORY = "utils/string"
    RETURN_TYPES = ("STRING",)
    FUNCTION = "trim"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"string": _LINES, "mode": _choice("Both", "Left", "Right")}}

    def trim(self, string: str, mode: str) -> tuple[str]:
        """The text without the white space at the end or ends that `mode` names."""
        match mode:
            case "Left":
                return (string.lstrip(),)
            case "Right":
                return (string.rstrip(),)
            case _:
                return (string.strip(),)


class StringReplace:
    """A text with one part replaced by another, everywhere."""

    CATEGORY = "utils/string"
    RETURN_TYPES = ("STRING",)
    FUNCTION = "replace_all"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"string": _LINES, "find": _LINES, "replace": _LINES}}

    def replace_all(self, string: str, find: str, replace: str) -> tuple[str]:
        """The text with every `find` replaced."""
        return (string.replace(find, replace),)


class StringContains:
    """Whether a text occurs in another."""

    CATEGORY = "utils/string"
    RETURN_TYPES = ("BOOLEAN",)
    RETURN_NAMES = ("contains",)
    FUNCTION = "search"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {"string": _LINES, "substring": _LINES, "case_sensitive": ("BOOLEAN", {"default": True})}
        }

    def search(self, string: str, substring: str, case_sensitive: bool) -> tuple[bool]:
        """Whether `substring` is in `string`."""
        if not case_sensitive:
            string, substring = string.lower(), substring.lower()
        return (substring in string,)


class StringCompare:
    """Whether a text begins with, ends with or equals another."""

    CATEGORY = "utils/string"
    RETURN_TYPES = ("BOOLEAN",)
    FUNCTION = "compare"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "string_a": _LINES,
                "string_b": _LINES,
                "mode": _choice("Starts With", "Ends With", "Equal"),
                "case_sensitive": ("BOOLEAN", {"default": True}),
            },
        }

    def compare(self, string_a: str, string_b: str, mode: str, case_sensitive: bool) -> tuple[bool]:
        """Whether `string_a` begins with, ends with or equals `string_b`."""
        if not case_sensitive:
            string_a, string_b = string_a.lower(), string_b.lower()
        match mode:
            case "Starts With":
                return (string_a.startswith(string_b),)
            case "Ends With":
                return (string_a.endswith(string_b),)
            case _:
                return (string_a == string_b,)
