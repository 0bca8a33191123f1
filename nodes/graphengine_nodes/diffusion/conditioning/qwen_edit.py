"""What Qwen-Image-Edit is told: an instruction about pictures that its text tower sees, and their latents.

Templates and sizes are those of diffusers' QwenImageEditPipeline and QwenImageEditPlusPipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.diffusion.model.model import Conditioning
from graphengine_nodes.diffusion.text.text_encode import Encoded, TextEncoder
from graphengine_nodes.diffusion.text.text_towers.language_model import LanguageTower
from graphengine_nodes.diffusion.text.text_towers.qwen_vision import Seen
from graphengine_nodes.diffusion.vae.vae import VAE
from graphengine_nodes.image.scaling import resize

from .conditioning import with_appended

_TEMPLATE = (
    "<|im_start|>system\nDescribe the key features of the input image (color, shape, size, texture, objects, "
    "background), then explain how the user's text instruction should alter or modify the image. Generate a new "
    "image that meets the user's requirements while maintaining consistency with the original input where "
    "appropriate.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
_DROPPED = 64  # tokens of the template before the user's
_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
_PICTURE_TOKEN = 151655
_LATENT_AREA = 1024 * 1024


@dataclass(frozen=True, slots=True)
class EditKind:
    """How pictures are shown.

    seen_area: the pixels that the text tower sees. caption: the text around each. multiple: of the sides of what
    becomes a latent.
    """

    seen_area: int
    caption: str
    multiple: int


EDIT = EditKind(1024 * 1024, "{picture}", 1)
"""Qwen-Image-Edit, of one picture."""

EDIT_PLUS = EditKind(384 * 384, "Picture {number}: {picture}", 8)
"""Qwen-Image-Edit 2509, of several."""


def encode_edit(
    clip: TextEncoder,
    prompt: str,
    vae: VAE | None,
    pictures: Sequence[Tensor | None],
    check: Callable[[], None],
    kind: EditKind = EDIT,
) -> Conditioning:
    """The conditioning of an instruction about pictures (B, H, W, 3), some of which may be missing.

    With a VAE they become reference latents too, scaled to about a million pixels.

    Raises:
        GraphEngineError: the CLIP cannot see pictures.
    """
    given = [(number, picture) for number, picture in enumerate(pictures, 1) if picture is not None]
    if not given:
        return clip.encode(prompt).conditioning()
    conditioning = _seen(clip, prompt, given, kind).conditioning()
    if vae is None:
        return conditioning
    latents = [vae.encode(scaled(picture, _LATENT_AREA, kind.multiple), check) for _, picture in given]
    return with_appended(conditioning, "reference_latents", latents)


def _seen(clip: TextEncoder, prompt: str, pictures: Sequence[tuple[int, Tensor]], kind: EditKind) -> Encoded:
    tower = next((tower for tower in clip.towers.values() if isinstance(tower, LanguageTower)), None)
    if tower is None or tower.vision is None:
        raise GraphEngineError(
            "the CLIP cannot see pictures: it holds no Qwen2.5-VL with its vision tower",
            hint="load qwen_2.5_vl_7b with CLIPLoader and the type 'qwen_image'",
        )
    captions = "".join(kind.caption.format(number=number, picture=_PICTURE) for number, _ in pictures)
    ids = tower.tokenizer()(_TEMPLATE.replace("{}", captions + prompt))
    eyes = iter([tower.vision.see(scaled(picture, kind.seen_area)[0]) for _, picture in pictures])
    # a prompt may spell the token of a picture itself
    tokens: list[int | Seen] = [next(eyes, token) if token == _PICTURE_TOKEN else token for token in ids]
    return Encoded(tower.encode_seen(tokens)[:, _DROPPED:])


def scaled(picture: Tensor, area: int, multiple: int = 1) -> Tensor:
    """A picture (B, H, W, 3 or more) of about so many pixels in the same proportions, averaged; (B, h, w, 3)."""
    height, width = picture.shape[1:3]
    factor = sqrt(area / (width * height))
    sides = [max(1, round(side * factor / multiple)) * multiple for side in (width, height)]
    return resize(picture[..., :3].movedim(-1, 1), sides[0], sides[1], "area").movedim(1, -1)
