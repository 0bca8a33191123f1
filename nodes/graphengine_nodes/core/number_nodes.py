"""Nodes that compute numbers."""

import math
from collections.abc import Mapping
from string import ascii_lowercase
from typing import Any

from graphengine.node.api import GraphEngineError

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.

_RATIOS = {
    "1:1 (Square)": (1, 1),
    "2:3 (Portrait Photo)": (2, 3),
    "3:2 (Photo)": (3, 2),
    "3:4 (Portrait Standard)": (3, 4),
    "4:3 (Standard)": (4, 3),
    "9:16 (Portrait Widescreen)": (9, 16),
    "16:9 (Widescreen)": (16, 9),
    "21:9 (Ultrawide)": (21, 9),
}
_MEGAPIXEL = 1024 * 1024


class ComfyMathExpression:
    """A formula of up to 26 values, named a to z."""

    CATEGORY = "math"
    RETURN_TYPES = ("FLOAT", "INT", "BOOLEAN")
    RETURN_NAMES = ("FLOAT", "INT", "BOOL")
    FUNCTION = "compute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        template = {
            "input": {"required": {"value": ["FLOAT,INT,BOOLEAN", {}]}},
            "names": list(ascii_lowercase),
            "min": 1,
        }
        return {
            "required": {
                "expression": ("STRING", {"default": "a + b", "multiline": True}),
                "values": ("COMFY_AUTOGROW_V3", {"template": template}),
            }
        }

    def compute(self, expression: str, values: Mapping[str, float]) -> tuple[float, int, bool]:
        """The result, the result without its fraction, and whether it is not 0."""
        from .expressions import evaluate  # only here is Python's parser needed

        result = evaluate(expression, values)
        return _float(result), int(result), bool(result)


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError as error:
        raise GraphEngineError(f"a whole number of {len(str(number))} digits is too large for FLOAT") from error


class ComfyNumberConvert:
    """A number from a number, a truth value or a text."""

    CATEGORY = "math"
    RETURN_TYPES = ("FLOAT", "INT")
    FUNCTION = "convert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"value": ("INT,FLOAT,STRING,BOOLEAN", {})}}

    def convert(self, value: float | str | bool) -> tuple[float, int]:
        """The number, and without its fraction."""
        number = _read(value) if isinstance(value, str) else value
        if not isinstance(number, int | float):
            raise GraphEngineError(f"input 'value' is {number!r}, which is no number")
        if isinstance(number, float) and not math.isfinite(number):
            raise GraphEngineError(f"input 'value' is {value!r}, which is no finite number")
        return _float(number), int(number)


def _read(text: str) -> float:
    """The number that a text says."""
    for kind in (int, float):
        try:
            return kind(text.strip())
        except ValueError:
            continue
    shown = text if len(text) <= 80 else f"{text[:77]}…"
    raise GraphEngineError(f"input 'value' is the text {shown!r}, which is no number", hint="write it as 3.14")


class ResolutionSelector:
    """The sides of a picture from their proportion and the number of pixels."""

    CATEGORY = "utils"
    RETURN_TYPES = ("INT", "INT")
    RETURN_NAMES = ("width", "height")
    FUNCTION = "select"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "aspect_ratio": ("COMBO", {"options": list(_RATIOS), "default": "1:1 (Square)"}),
                "megapixels": ("FLOAT", {"default": 1.0, "min": 0.1, "max": 16.0, "step": 0.1}),
            },
            "optional": {"multiple": ("INT", {"default": 8, "min": 8, "max": 128, "step": 4})},
        }

    def select(self, aspect_ratio: str, megapixels: float, multiple: int = 8) -> tuple[int, int]:
        """Width and height, each the nearest multiple; a megapixel has 1024 * 1024 pixels."""
        across, down = _RATIOS[aspect_ratio]
        unit = math.sqrt(megapixels * _MEGAPIXEL / (across * down))
        width, height = (max(1, round(part * unit / multiple)) * multiple for part in (across, down))
        return width, height


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "ComfyMathExpression": ComfyMathExpression,
    "ComfyNumberConvert": ComfyNumberConvert,
    "ResolutionSelector": ResolutionSelector,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "ComfyMathExpression": "Math Expression",
    "ComfyNumberConvert": "Convert Number",
    "ResolutionSelector": "Resolution Selector",
}
