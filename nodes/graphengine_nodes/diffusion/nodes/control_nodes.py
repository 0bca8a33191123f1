"""The nodes that load ControlNets and T2I-Adapters and add them to conditionings.

Thin classes over `control_loading` and `control_applying`. Definitions are read without running anything, so this
module imports no torch; the functions it calls are imported where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, Files, NodeContext
from graphengine_nodes.diffusion.control.kinds import UNION_TYPES

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.control.control import Control
    from graphengine_nodes.diffusion.model.model import Conditioning, DiffusionModel
    from graphengine_nodes.diffusion.text.text_encode import TextEncoder
    from graphengine_nodes.diffusion.vae.autoencoder import VAE

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.

_FILE = (Files("controlnet"),)
_STRENGTH = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.01})
_PERCENT = {"min": 0.0, "max": 1.0, "step": 0.001}
_RANGE = {
    "strength": _STRENGTH,
    "start_percent": ("FLOAT", {"default": 0.0, **_PERCENT}),
    "end_percent": ("FLOAT", {"default": 1.0, **_PERCENT}),
}


class ControlNetLoader:
    """A network from a file that steers a model by a picture."""

    CATEGORY = "loaders"
    RETURN_TYPES = ("CONTROL_NET",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"control_net_name": _FILE}, "hidden": {"context": CONTEXT}}

    def load(self, control_net_name: str, context: NodeContext) -> tuple[Control]:
        """The CONTROL_NET."""
        from graphengine_nodes.diffusion.control.loading import load_control  # brings torch
        from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

        checkpoint = open_checkpoint(context.folders.path("controlnet", control_net_name))
        return (load_control(checkpoint, context.device),)


class DiffControlNetLoader:
    """A ControlNet whose file may state its weights as differences to those of a model."""

    CATEGORY = "loaders"
    RETURN_TYPES = ("CONTROL_NET",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {"model": ("MODEL",), "control_net_name": _FILE},
            "hidden": {"context": CONTEXT},
        }

    def load(self, model: DiffusionModel, control_net_name: str, context: NodeContext) -> tuple[Control]:
        """The CONTROL_NET."""
        from graphengine_nodes.diffusion.control.loading import load_control  # brings torch
        from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

        checkpoint = open_checkpoint(context.folders.path("controlnet", control_net_name))
        return (load_control(checkpoint, context.device, model),)


class ControlNetApply:
    """A picture that steers all of the sampling, on both sides."""

    CATEGORY = "conditioning/controlnet"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "apply"
    DEPRECATED = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "conditioning": ("CONDITIONING",),
                "control_net": ("CONTROL_NET",),
                "image": ("IMAGE",),
                "strength": _STRENGTH,
            }
        }

    def apply(
        self, conditioning: Conditioning, control_net: Control, image: Tensor, strength: float
    ) -> tuple[Conditioning]:
        """The conditioning with the control, which the negative side borrows."""
        from graphengine_nodes.diffusion.control.applying import controlled  # brings torch

        (changed,) = controlled([conditioning], control_net, image, strength, for_all_sides=True)
        return (changed,)


class _OnBothSides:
    CATEGORY = "conditioning/controlnet"
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING")
    RETURN_NAMES = ("positive", "negative")
    FUNCTION = "apply"


class ControlNetApplyAdvanced(_OnBothSides):
    """A picture that steers a part of the sampling."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "control_net": ("CONTROL_NET",),
                "image": ("IMAGE",),
                **_RANGE,
            },
            "optional": {"vae": ("VAE",)},
        }

    def apply(
        self,
        positive: Conditioning,
        negative: Conditioning,
        control_net: Control,
        image: Tensor,
        strength: float,
        start_percent: float,
        end_percent: float,
        vae: VAE | None = None,
    ) -> tuple[Conditioning, Conditioning]:
        """Both conditionings with the control."""
        from graphengine_nodes.diffusion.control.applying import controlled  # brings torch

        sides = [positive, negative]
        first, second = controlled(sides, control_net, image, strength, (start_percent, end_percent), vae=vae)
        return first, second


class ControlNetApplySD3(ControlNetApplyAdvanced):
    """A picture that steers a part of the sampling of a model whose ControlNets see latents."""

    DEPRECATED = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "positive": ("CONDITIONING", {}),
                "negative": ("CONDITIONING", {}),
                "control_net": ("CONTROL_NET", {}),
                "vae": ("VAE", {}),
                "image": ("IMAGE", {}),
                **_RANGE,
            }
        }


class ControlNetInpaintingAliMamaApply(_OnBothSides):
    """A picture with a mask that steers a part of the sampling, for ControlNets that fill in what is masked."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "control_net": ("CONTROL_NET",),
                "vae": ("VAE",),
                "image": ("IMAGE",),
                "mask": ("MASK",),
                **_RANGE,
            }
        }

    def apply(
        self,
        positive: Conditioning,
        negative: Conditioning,
        control_net: Control,
        vae: VAE,
        image: Tensor,
        mask: Tensor,
        strength: float,
        start_percent: float,
        end_percent: float,
    ) -> tuple[Conditioning, Conditioning]:
        """Both conditionings with the control, which sees the masked picture and the mask."""
        from graphengine_nodes.diffusion.control.applying import controlled, masked_picture  # brings torch

        concat: tuple[Tensor, ...] = ()
        if control_net.concat_mask:
            image, kept = masked_picture(image, mask)
            concat = (kept,)
        sides, when = [positive, negative], (start_percent, end_percent)
        first, second = controlled(sides, control_net, image, strength, when, vae=vae, extra_concat=concat)
        return first, second


class SetUnionControlNetType:
    """Tells a union ControlNet which kind of picture it is given."""

    CATEGORY = "conditioning/controlnet"
    RETURN_TYPES = ("CONTROL_NET",)
    FUNCTION = "set_type"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"control_net": ("CONTROL_NET",), "type": (["auto", *UNION_TYPES],)}}

    def set_type(self, control_net: Control, type: str) -> tuple[Control]:
        """The CONTROL_NET with the kind set."""
        from graphengine_nodes.diffusion.control.applying import of_kind  # brings torch

        return (of_kind(control_net, type),)


class CLIPTextEncodeControlnet:
    """A text of its own for the ControlNets of a conditioning."""

    CATEGORY = "_for_testing/conditioning"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "encode"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "clip": ("CLIP", {}),
                "conditioning": ("CONDITIONING", {}),
                "text": ("STRING", {"multiline": True, "dynamicPrompts": True}),
            }
        }

    def encode(self, clip: TextEncoder | None, conditioning: Conditioning, text: str) -> tuple[Conditioning]:
        """The conditioning with that text."""
        from graphengine_nodes.diffusion.control.applying import with_text_for_control  # brings torch
        from graphengine_nodes.diffusion.text.text_encode import require_clip

        return (with_text_for_control(require_clip(clip), conditioning, text),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "ControlNetLoader": ControlNetLoader,
    "DiffControlNetLoader": DiffControlNetLoader,
    "ControlNetApply": ControlNetApply,
    "ControlNetApplyAdvanced": ControlNetApplyAdvanced,
    "ControlNetApplySD3": ControlNetApplySD3,
    "SetUnionControlNetType": SetUnionControlNetType,
    "ControlNetInpaintingAliMamaApply": ControlNetInpaintingAliMamaApply,
    "CLIPTextEncodeControlnet": CLIPTextEncodeControlnet,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "ControlNetLoader": "Load ControlNet Model",
    "DiffControlNetLoader": "Load ControlNet Model (diff)",
    "ControlNetApply": "Apply ControlNet (OLD)",
    "ControlNetApplyAdvanced": "Apply ControlNet",
    "ControlNetApplySD3": "Apply Controlnet with VAE",
}
