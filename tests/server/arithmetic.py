"""Nodes that the server's tests queue: numbers, a picture by name, and one that only ends when it is stopped."""

import threading
from typing import Any

from graphengine.node.api import Files, NodeContext, Preview
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
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"a": ("INT", {"default": 0}), "b": ("INT", {"default": 0})}}

    def run(self, a: int, b: int) -> tuple[int]:
        return (a + b,)


class Out:
    """Shows a number."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"value": ("INT", {"forceInput": True})}}

    def run(self, value: int) -> dict[str, dict[str, list[int]]]:
        return {"ui": {"value": [value]}}


class Word:
    """One of three words, and one of many numbers."""

    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {
            "required": {"word": (["RED", "GREEN", "BLUE"], {"default": "RED"})},
            "optional": {"many": ([str(n) for n in range(30)],), "model": (Files("checkpoints"),)},
        }

    def run(self, word: str, many: str = "0", model: str = "") -> tuple[str]:
        return (word,)


class Even:
    """Takes only even numbers, and checks that itself."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"value": ("INT", {})}}

    @classmethod
    def VALIDATE_INPUTS(cls, value: int) -> bool | str:
        return True if value % 2 == 0 else f"{value} is odd"

    def run(self, value: int) -> tuple[int]:
        return (value,)


class Picture:
    """The size of a file in the input folder."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"image": (Files("input"),)}}

    def run(self, image: str) -> tuple[int]:
        return (len(image),)


class Fail:
    """Raises."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"message": ("STRING", {})}}

    def run(self, message: str) -> tuple[int]:
        raise RuntimeError(message)


class Endless:
    """Counts its calls, tells of progress, shows a preview, and ends only when the run is stopped."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {
            "required": {"start": ("INT", {})},
            "optional": {"image": ("*", {})},
            "hidden": {"context": ("GRAPHENGINE_CONTEXT",)},
        }

    def run(self, start: int, context: NodeContext, image: object = None) -> tuple[int]:
        if image is not None:
            context.preview(Preview(image, "png", 64))
        context.progress(1, 4)
        while True:
            context.check_cancelled()
            threading.Event().wait(0.002)


class Chequers:
    """A small picture."""

    RETURN_TYPES = ("*",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"size": ("INT", {})}}

    def run(self, size: int) -> tuple[object]:
        from PIL import Image

        return (Image.new("RGB", (size, size), "red"),)


class Write:
    """Appends a number to a file: once for each call."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"value": ("INT", {})}, "hidden": {"context": ("GRAPHENGINE_CONTEXT",)}}

    def run(self, value: int, context: NodeContext) -> dict[str, Any]:
        with (context.folders.output / "calls.txt").open("a") as file:
            file.write(f"{value}\n")
        return {"ui": {"value": [value]}, "result": (value,)}


CLASSES = (Number, Add, Out, Word, Even, Picture, Fail, Endless, Chequers, Write)


def arithmetic() -> NodeRegistry:
    """A registry of the classes above."""
    return NodeRegistry(define(node_class.__name__, node_class, version="1") for node_class in CLASSES)
