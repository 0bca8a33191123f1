"""Nodes that decide what is computed."""

from typing import Any

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form, and the node takes whatever comes.


class ComfySwitchNode:
    """One of two values; the other one is not computed."""

    CATEGORY = "logic"
    RETURN_TYPES = ("*",)
    RETURN_NAMES = ("output",)
    FUNCTION = "choose"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "switch": ("BOOLEAN", {}),
                "on_false": ("*", {"lazy": True}),
                "on_true": ("*", {"lazy": True}),
            },
        }

    def check_lazy_status(self, switch: bool, on_false: Any = None, on_true: Any = None) -> list[str]:
        """The input that is needed, as long as it is not there."""
        name, value = ("on_true", on_true) if switch else ("on_false", on_false)
        return [name] if value is None else []

    def choose(self, switch: bool, on_false: Any = None, on_true: Any = None) -> tuple[Any]:
        """The value that `switch` names."""
        return (on_true if switch else on_false,)


NODE_CLASS_MAPPINGS: dict[str, type] = {"ComfySwitchNode": ComfySwitchNode}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {"ComfySwitchNode": "Switch"}
