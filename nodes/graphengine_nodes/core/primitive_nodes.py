"""Nodes that hold one typed-in value."""

from typing import Any

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.

_LIMIT = 2**63 - 1


class PrimitiveString:
    """A text of one line."""

    CATEGORY = "utils/primitive"
    RETURN_TYPES = ("STRING",)
    FUNCTION = "give"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"value": ("STRING", {"multiline": False})}}

    def give(self, value: str) -> tuple[str]:
        """The text."""
        return (value,)


class PrimitiveStringMultiline:
    """A text of many lines."""

    CATEGORY = "utils/primitive"
    RETURN_TYPES = ("STRING",)
    FUNCTION = "give"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"value": ("STRING", {"multiline": True})}}

    def give(self, value: str) -> tuple[str]:
        """The text."""
        return (value,)


class PrimitiveInt:
    """A whole number of 64 bits."""

    CATEGORY = "utils/primitive"
    RETURN_TYPES = ("INT",)
    FUNCTION = "give"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {"value": ("INT", {"min": -_LIMIT, "max": _LIMIT, "control_after_generate": True})},
        }

    def give(self, value: int) -> tuple[int]:
        """The number."""
        return (value,)


class PrimitiveFloat:
    """A number."""

    CATEGORY = "utils/primitive"
    RETURN_TYPES = ("FLOAT",)
    FUNCTION = "give"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"value": ("FLOAT", {"min": -_LIMIT, "max": _LIMIT})}}

    def give(self, value: float) -> tuple[float]:
        """The number."""
        return (value,)


class PrimitiveBoolean:
    """True or false."""

    CATEGORY = "utils/primitive"
    RETURN_TYPES = ("BOOLEAN",)
    FUNCTION = "give"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"value": ("BOOLEAN", {})}}

    def give(self, value: bool) -> tuple[bool]:
        """The truth value."""
        return (value,)
