"""ControlNets from files, and the types of their values."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphengine.node.api import current_context
from graphengine_comfy._node_classes import outside
from graphengine_comfy._placeholders import placeholders_of

if TYPE_CHECKING:
    from torch import Tensor


# Any: CONTROL_NET and MODEL are what our loaders give.
def load_controlnet(ckpt_path: str, model: Any = None, model_options: Any = None) -> Any:
    """The CONTROL_NET of a safetensors file: a ControlNet, a control-LoRA or a T2I-Adapter.

    model: whose weights a file of differences is added to.

    Raises:
        ModelError: the file is damaged, or holds no ControlNet of a kind that graphengine knows.
    """
    from graphengine_nodes.diffusion.control.loading import load_control
    from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint  # brings torch

    device = (current_context.get() or outside()).device
    return load_control(open_checkpoint(Path(ckpt_path)), device, model)


def broadcast_image_to(tensor: "Tensor", target_batch_size: int, batched_number: int) -> "Tensor":
    """Pictures (N, …) for a batch of equal groups: repeated in turn in each; a single one stays alone."""
    from graphengine_nodes.diffusion.control.chain import for_batch  # brings torch

    return for_batch(tensor, target_batch_size, batched_number)


_missing = placeholders_of(__name__)


def __getattr__(name: str) -> Any:
    """The types of our values and of their settings, which bring torch; else a placeholder."""
    if name in ("ControlBase", "ControlNet", "T2IAdapter"):
        from graphengine_nodes.diffusion.control import control

        return control.Control if name == "ControlBase" else getattr(control, name)
    if name == "StrengthType":
        from graphengine_nodes.diffusion.model.control_network import StrengthType

        return StrengthType
    return _missing(name)
