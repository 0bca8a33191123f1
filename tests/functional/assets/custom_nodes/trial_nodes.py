"""Nodes that do what a command line must cope with: take steps, fail, be interrupted, show odd things."""

import signal
from typing import Any

from graphengine.node.api import CONTEXT, NodeContext

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class TrialSteps:
    """Takes steps; at step `interrupt_at` the user presses Ctrl-C `presses` times."""

    CATEGORY = "trial"
    RETURN_TYPES = ("INT",)
    FUNCTION = "take"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        whole = ("INT", {"default": 0, "min": 0, "max": 100})
        return {
            "required": {"steps": whole},
            "optional": {"interrupt_at": whole, "presses": whole, "seed": ("INT", {"default": 0})},
            "hidden": {"context": CONTEXT},
        }

    def take(
        self, steps: int, context: NodeContext, interrupt_at: int = 0, presses: int = 1, seed: int = 0
    ) -> dict[str, Any]:
        for step in range(1, steps + 1):
            if step == interrupt_at:
                for _ in range(presses):
                    signal.raise_signal(signal.SIGINT)
            context.progress(step, steps)
        return {"ui": {"text": [f"{steps} steps, seed {seed}"]}, "result": (steps,)}


class TrialFailure:
    """Raises what nodes raise."""

    CATEGORY = "trial"
    RETURN_TYPES = ()
    FUNCTION = "fail"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"message": ("STRING", {})}}

    def fail(self, message: str) -> tuple[()]:
        raise ValueError(message)


class TrialSave:
    """Saves a text below the output folder."""

    CATEGORY = "trial"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"text": ("STRING", {})}, "hidden": {"context": CONTEXT}}

    def save(self, text: str, context: NodeContext) -> dict[str, Any]:
        context.folders.output.mkdir(parents=True, exist_ok=True)
        (context.folders.output / "saved.txt").write_text(text)
        return {"ui": {"files": [{"filename": "saved.txt", "subfolder": "", "type": "output"}]}}


NODE_CLASS_MAPPINGS = {"TrialSteps": TrialSteps, "TrialFailure": TrialFailure, "TrialSave": TrialSave}
