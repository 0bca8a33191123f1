"""Models from files."""

from enum import Enum
from pathlib import Path
from typing import Any

from graphengine.node.api import current_context
from graphengine_comfy._node_classes import outside
from graphengine_comfy._placeholders import placeholders_of


class CLIPType(Enum):
    """What a text encoder is for; packs choose by name."""

    STABLE_DIFFUSION = 1
    STABLE_CASCADE = 2
    SD3 = 3
    STABLE_AUDIO = 4
    HUNYUAN_DIT = 5
    FLUX = 6
    MOCHI = 7
    LTXV = 8
    HUNYUAN_VIDEO = 9
    PIXART = 10
    COSMOS = 11
    LUMINA2 = 12
    WAN = 13
    HIDREAM = 14
    CHROMA = 15
    ACE = 16
    OMNIGEN2 = 17
    QWEN_IMAGE = 18
    HUNYUAN_IMAGE = 19
    HUNYUAN_VIDEO_15 = 20
    OVIS = 21
    KANDINSKY5 = 22
    KANDINSKY5_IMAGE = 23
    NEWBIE = 24
    FLUX2 = 25


# Any throughout: MODEL, CLIP and VAE are what our loaders give.
def load_checkpoint_guess_config(
    ckpt_path: str,
    output_vae: bool = True,
    output_clip: bool = True,
    output_clipvision: bool = False,
    embedding_directory: Any = None,
    output_model: bool = True,
    model_options: Any = None,
    te_model_options: Any = None,
) -> tuple[Any, Any, Any, None]:
    """MODEL, CLIP, VAE and nothing for CLIP_VISION, from a safetensors file; None for what is not asked for.

    Raises:
        ModelError: the file is damaged, no checkpoint, or of a family that graphengine does not know.
    """
    from graphengine_nodes.diffusion.build import load_unet  # brings torch
    from graphengine_nodes.diffusion.checkpoint import open_checkpoint
    from graphengine_nodes.diffusion.text_encode import load_text_encoder
    from graphengine_nodes.diffusion.vae import load_vae

    checkpoint = open_checkpoint(Path(ckpt_path))
    device = (current_context.get() or outside()).device
    return (
        load_unet(checkpoint, device) if output_model else None,
        load_text_encoder(checkpoint, device) if output_clip else None,
        load_vae(checkpoint, device) if output_vae else None,
        None,
    )


_missing = placeholders_of(__name__)


def __getattr__(name: str) -> Any:
    """`VAE` and `CLIP`, the types of our values, which bring torch; else a placeholder."""
    if name == "VAE":
        from graphengine_nodes.diffusion.vae import VAE

        return VAE
    if name == "CLIP":
        from graphengine_nodes.diffusion.text_encode import TextEncoder

        return TextEncoder
    return _missing(name)
