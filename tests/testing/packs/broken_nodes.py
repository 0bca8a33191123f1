"""Thirty small nodes, each with one planted defect. `DEFECTS` says which check has to find it."""

import os
import random
import socket
import subprocess
import time
from pathlib import Path

import torch


class Picture:
    """Takes a picture and gives one; the others differ from it in one thing."""

    CATEGORY = "broken"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "amount": ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0})}}

    def run(self, image, amount):
        return (image * amount,)


class TupleTooShort(Picture):
    RETURN_TYPES = ("IMAGE", "MASK")


class TupleTooLong(Picture):
    def run(self, image, amount):
        return (image, amount)


class NoTuple(Picture):
    def run(self, image, amount):
        return image


class ChangesInput(Picture):
    def run(self, image, amount):
        return (image.mul_(amount).clone(),)


class ChannelTooMany(Picture):
    def run(self, image, amount):
        return (torch.cat([image, image[..., :2]], dim=-1),)


class ChannelsFirst(Picture):
    def run(self, image, amount):
        return (image.movedim(-1, 1),)


class MaskForImage(Picture):
    def run(self, image, amount):
        return (image[..., 0],)


class Bytes(Picture):
    def run(self, image, amount):
        return ((image * 255).to(torch.uint8),)


class To255(Picture):
    def run(self, image, amount):
        return (image * 255.0,)


class NotFinite(Picture):
    def run(self, image, amount):
        return ((image - image.mean()) / (image - image.mean()).abs().max(),)


class HiddenRandomness(Picture):
    def run(self, image, amount):
        return ((image + 0.01 * torch.rand_like(image)).clamp(0, 1),)


class ClockInOutput(Picture):
    RETURN_TYPES = ("STRING",)

    def run(self, image, amount):
        return (str(time.perf_counter_ns()),)


class GlobalSeed(Picture):
    def run(self, image, amount):
        torch.manual_seed(42)
        return ((image + 0.01 * torch.rand_like(image)).clamp(0, 1),)


class GlobalPythonSeed(Picture):
    def run(self, image, amount):
        random.seed(7)
        return (image * random.random(),)


class GlobalDtype(Picture):
    def run(self, image, amount):
        torch.set_default_dtype(torch.float64)
        return (image,)


class GradMode(Picture):
    def run(self, image, amount):
        torch.set_grad_enabled(False)
        return (image,)


class Threads(Picture):
    def run(self, image, amount):
        torch.set_num_threads(torch.get_num_threads() + 1)
        return (image,)


class Undeclared(Picture):
    """Asks the network."""

    def run(self, image, amount):
        with socket.socket() as connection:
            connection.settimeout(0.01)
            connection.connect_ex(("127.0.0.1", 9))
        return (image,)


class StartsProcess(Picture):
    def run(self, image, amount):
        subprocess.run(["true"], check=True)
        return (image,)


class WritesElsewhere(Picture):
    def run(self, image, amount):
        file = Path(__file__).parent / "written_by_a_broken_node.txt"
        file.write_text("here")
        os.remove(file)
        return (image,)


class ChoiceNotInList(Picture):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "amount": (["low", "high"], {"default": "middle"})}}

    def run(self, image, amount):
        return (image,)


class DefaultOutOfRange(Picture):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "amount": ("FLOAT", {"default": 2.0, "min": 0.0, "max": 1.0})}}

    def run(self, image, amount):
        return (image,)


class UnstableInputs(Picture):
    asked = 0

    @classmethod
    def INPUT_TYPES(cls):
        cls.asked += 1
        return {"required": {"image": ("IMAGE",), "amount": ("INT", {"default": cls.asked})}}

    def run(self, image, amount):
        return (image,)


class MissingParameter(Picture):
    def run(self, image):
        return (image,)


class NamesOfTwoOutputs(Picture):
    RETURN_NAMES = ("first", "second")


class TypeAsText(Picture):
    RETURN_TYPES = "IMAGE"


class FailsOnOnePixel(Picture):
    def run(self, image, amount):
        return (image * image[0, 1, 1, 0].clamp(1, 1),)


class FailsOnEmptyText:
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"default": "a red apple"})}}

    def run(self, text):
        return (text[0].upper() + text[1:],)


class PrintsTheError(Picture):
    def run(self, image, amount):
        try:
            return (image * undefined,)
        except NameError as error:
            print(f"Error: {error}")  # noqa: T201
            return (image,)


class UnstableIsChanged(Picture):
    @classmethod
    def IS_CHANGED(cls, image, amount):
        return random.random()


DEFECTS = {
    TupleTooShort: "wrong_result",
    TupleTooLong: "wrong_result",
    NoTuple: "wrong_result",
    ChangesInput: "changed_input",
    ChannelTooMany: "wrong_type",
    ChannelsFirst: "wrong_type",
    MaskForImage: "wrong_type",
    Bytes: "wrong_type",
    To255: "out_of_range",
    NotFinite: "out_of_range",
    HiddenRandomness: "not_deterministic",
    ClockInOutput: "not_deterministic",
    GlobalSeed: "global_state",
    GlobalPythonSeed: "global_state",
    GlobalDtype: "global_state",
    GradMode: "global_state",
    Threads: "global_state",
    Undeclared: "network",
    StartsProcess: "process",
    WritesElsewhere: "file_outside",
    ChoiceNotInList: "default_in_choices",
    DefaultOutOfRange: "default_in_range",
    UnstableInputs: "input_types_stable",
    MissingParameter: "signature",
    NamesOfTwoOutputs: "return_types",
    TypeAsText: "return_types",
    FailsOnOnePixel: "unclear_error",
    FailsOnEmptyText: "unclear_error",
    PrintsTheError: "printed_error",
    UnstableIsChanged: "is_changed",
}

NODE_CLASS_MAPPINGS = {node.__name__: node for node in (*DEFECTS, Picture)}
