"""The nodes of GLIGEN.

Thin classes over `gligen`. Definitions are read without running anything, so this module imports no torch; the
functions it calls are imported where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, Files, NodeContext

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.control.gligen import Gligen
    from graphengine_nodes.diffusion.model.model import Conditioning
    from graphengine_nodes.diffusion.text.text_encode import TextEncoder

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.

_SIZE = ("INT", {"default": 64, "min": 8, "max": 16384, "step": 8})
_PLACE = ("INT", {"default": 0, "min": 0, "max": 16384, "step": 8})


class GLIGENLoader:
    """A network from a file that binds texts to boxes."""

    CATEGORY = "loaders"
    RETURN_TYPES = ("GLIGEN",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"gligen_name": (Files("gligen"),)}, "hidden": {"context": CONTEXT}}

    def load(self, gligen_name: str, context: NodeContext) -> tuple[Gligen]:
        """The GLIGEN."""
        from graphengine_nodes.diffusion.control.gligen import load_gligen  # brings torch
        from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

        return (load_gligen(open_checkpoint(context.folders.path("gligen", gligen_name)), context.device),)


class GLIGENTextBoxApply:
    """A text for a box of the picture."""

    CATEGORY = "conditioning/gligen"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "apply"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "conditioning_to": ("CONDITIONING",),
                "clip": ("CLIP",),
                "gligen_textbox_model": ("GLIGEN",),
                "text": ("STRING", {"multiline": True, "dynamicPrompts": True}),
                "width": _SIZE,
                "height": _SIZE,
                "x": _PLACE,
                "y": _PLACE,
            }
        }

    def apply(
        self,
        conditioning_to: Conditioning,
        clip: TextEncoder | None,
        gligen_textbox_model: Gligen,
        text: str,
        width: int,
        height: int,
        x: int,
        y: int,
    ) -> tuple[Conditioning]:
        """The conditioning with that box."""
        from graphengine_nodes.diffusion.control.gligen import with_box  # brings torch
        from graphengine_nodes.diffusion.text.text_encode import require_clip

        size, position = (width, height), (x, y)
        return (with_box(conditioning_to, require_clip(clip), gligen_textbox_model, text, size, position),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "GLIGENLoader": GLIGENLoader,
    "GLIGENTextBoxApply": GLIGENTextBoxApply,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
