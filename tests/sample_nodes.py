"""Node classes in ComfyUI's form that tests build small graphs of."""

from typing import Any

from graphengine.node.api import Files, NodeContext
from graphengine.node.comfy_classes import define
from graphengine.node.registry import NodeRegistry

Inputs = dict[str, dict[str, tuple[Any, ...]]]


class Number:
    """A number from 0 to 100."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"value": ("INT", {"default": 1, "min": 0, "max": 100})}}

    def run(self, value: int) -> tuple[int]:
        return (value,)


class Add:
    """The sum of two numbers."""

    RETURN_TYPES = ("INT",)
    RETURN_NAMES = ("sum",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"a": ("INT", {}), "b": ("INT", {})}}

    def run(self, a: int, b: int) -> tuple[int]:
        return (a + b,)


class Show:
    """Shows any value."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"value": ("*",)}, "optional": {"note": ("STRING", {"default": ""})}}

    def run(self, value: object, note: str = "") -> dict[str, dict[str, list[str]]]:
        return {"ui": {"text": [f"{note}{value}"]}}


class Save:
    """Writes a value to a file named after it."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"value": ("*",)}, "hidden": {"context": ("GRAPHENGINE_CONTEXT",)}}

    def run(self, value: object, context: NodeContext) -> dict[str, dict[str, list[dict[str, str]]]]:
        name = f"{value}.txt"
        (context.folders.output / name).write_text(str(value))
        return {"ui": {"files": [{"filename": name, "subfolder": "", "type": "output"}]}}


class Fail:
    """Raises."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"message": ("STRING", {})}}

    def run(self, message: str) -> tuple[int]:
        raise ValueError(message)


class Choose:
    """One of two modes, and a checkpoint."""

    RETURN_TYPES = ("STRING", "MODEL")
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {
            "required": {
                "mode": (["fast", "slow"],),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 2.0}),
                "ckpt_name": (Files("checkpoints"),),
            }
        }

    def run(self, mode: str, strength: float, ckpt_name: str) -> tuple[str, object]:
        return (f"{mode} {strength} {ckpt_name}", object())


class Count:
    """Counts to `steps` and reports each."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"steps": ("INT", {})}, "hidden": {"context": ("GRAPHENGINE_CONTEXT",)}}

    def run(self, steps: int, context: NodeContext) -> tuple[int]:
        for step in range(steps):
            context.progress(step + 1, steps)
        return (steps,)


class Restless:
    """Never the same: `IS_CHANGED` is NaN."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {}}

    @classmethod
    def IS_CHANGED(cls) -> float:
        return float("nan")

    def run(self) -> tuple[int]:
        return (7,)


class Split:
    """Numbers 0 to n - 1 as a list output."""

    RETURN_TYPES = ("INT",)
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"n": ("INT", {})}}

    def run(self, n: int) -> tuple[list[int]]:
        return (list(range(n)),)


class Total:
    """The sum of a whole list."""

    RETURN_TYPES = ("INT",)
    INPUT_IS_LIST = True
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"values": ("INT", {})}, "hidden": {"unique_id": ("UNIQUE_ID",)}}

    def run(self, values: list[int], unique_id: list[str]) -> tuple[int]:
        return (sum(values),)


class Picky:
    """Takes only even numbers, and checks that itself."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"value": ("INT", {"max": 10})}}

    @classmethod
    def VALIDATE_INPUTS(cls, value: int) -> bool | str:
        return True if value % 2 == 0 else f"{value} is odd"

    def run(self, value: int) -> tuple[int]:
        return (value,)


CLASSES = (Number, Add, Show, Save, Fail, Choose, Count, Restless, Split, Total, Picky)


def sample_registry() -> NodeRegistry:
    """A registry of the classes above, each under its own name."""
    return NodeRegistry(define(node_class.__name__, node_class, version="1") for node_class in CLASSES)
