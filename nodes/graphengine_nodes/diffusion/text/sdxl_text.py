"""What SDXL is told with a prompt: other words for its two towers, sizes, and an aesthetic score."""

from __future__ import annotations

from collections.abc import Mapping

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.model.model import Conditioning

from .prompt import WeightedToken
from .text_encode import TextEncoder

Chunks = list[list[WeightedToken]]


def encode_sdxl(clip: TextEncoder, text_l: str, text_g: str, sizes: Mapping[str, int]) -> Conditioning:
    """The conditioning of a prompt for CLIP-L and one for CLIP-G; the shorter is filled up with empty chunks.

    sizes, in pixels: width, height, crop_w, crop_h, target_width, target_height.

    Raises:
        ModelError: the CLIP is not that of SDXL.
    """
    if not {"l", "g"} <= set(clip.towers):
        raise ModelError(
            f"the CLIP has the text towers {', '.join(clip.towers)}, but SDXL's prompts need l and g",
            hint="connect the CLIP of an SDXL checkpoint, or of DualCLIPLoader with the type sdxl",
        )
    tokens = clip.tokenize(text_g) | {"l": clip.tokenize(text_l)["l"]}
    empty = clip.tokenize("")
    longest = max(len(tokens["l"]), len(tokens["g"]))
    filled = {name: _filled(chunks, empty[name], longest) for name, chunks in tokens.items()}
    return clip.encode_tokens(filled).conditioning(**sizes)


def _filled(chunks: Chunks, empty: Chunks, number: int) -> Chunks:
    return chunks + empty[:1] * (number - len(chunks))
