"""Whole checkpoints and diffusion models by family: tiny, random, in the layout of the published files.

All are made for the text encoders of encoders.py: CLIP-L 64 wide, CLIP-G 128, T5 256, language models 64.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.nodes.diffusion import (
    control_cases,
    ldm_layout,
    tiny_cascade,
    tiny_dit,
    tiny_dit_others,
    tiny_models,
    tiny_text,
    tiny_transformer_files,
)
from tests.nodes.diffusion.ldm_layout import Shapes

from . import encoders
from .encoders import CLIP_G, CLIP_L, LANGUAGE, SEEN, T5
from .vaes import ltx_vae, mochi_vae

Make = Callable[[Path], object]
"""Writes a file of random weights."""

GLIGEN_TEXT = 768  # SD1 as GLIGEN knows it
_CLIP = "cond_stage_model.transformer.text_model."


def sd1_unet(text: int = CLIP_L, channels: int = 4) -> Shapes:
    """SD1's UNet of four levels with two blocks each, which ControlNets and adapters fit."""
    unet = ldm_layout.unet(control_cases.WIDTHS, control_cases.BLOCKS, control_cases.ATTENTION, text)
    return unet | {"input_blocks.0.0.weight": (control_cases.WIDTHS[0], channels, 3, 3)}


def sd1(path: Path, text: int = CLIP_L, channels: int = 4) -> None:
    """SD1.x: UNet, CLIP and VAE; 9 channels for inpainting."""
    shapes = tiny_models.prefixed(ldm_layout.UNET, sd1_unet(text, channels))
    shapes |= tiny_models.prefixed(_CLIP, ldm_layout.clip(text, 2))
    ldm_layout.write(path, shapes | tiny_models.prefixed(ldm_layout.VAE, ldm_layout.kl((32, 32, 64, 64), 1)))


def zero123(path: Path) -> None:
    """Stable Zero123: SD1 with the picture beside its latent, an image encoder, and a layer for the camera."""
    sd1(path, channels=8)
    camera = {
        "cc_projection.weight": torch.randn(CLIP_L, CLIP_L + 4) * 0.1,
        "cc_projection.bias": torch.zeros(CLIP_L),
    }
    kept = {name: value for name, value in load_file(path).items() if not name.startswith("cond_stage_model.")}
    tower = encoders.open_vision("cond_stage_model.model.visual.", CLIP_L)
    save_file({**kept, **camera, **tower}, path)


def unclip(path: Path) -> None:
    """SD2.1-unCLIP with its image encoder."""
    tiny_models.unclip_checkpoint(path)
    save_file({**load_file(path), **encoders.open_vision("embedder.model.visual.", CLIP_L)}, path)


def svd(path: Path) -> None:
    """Stable Video Diffusion: UNet, VAE and image encoder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing diffusers warns of other libraries' old names
        import diffusers

        from tests.nodes.diffusion import test_video_family as video

        unet = video.random(diffusers.UNetSpatioTemporalConditionModel(**video.SIZES)).state_dict()
    tensors = {f"{tiny_dit.PREFIX}{video.in_authors_names(name)}": value for name, value in unet.items()}
    save_file(
        {**tensors, **video.in_vae_names(video.decoder_oracle()), **encoders.open_vision(video.VISUAL, 64)}, path
    )


def _alone(shapes: Callable[[], Shapes]) -> Make:
    return lambda path: tiny_dit.write(path, shapes())


def _whole(
    shapes: Callable[[], Shapes], texts: Mapping[str, Shapes], vae: Callable[[], dict[str, Tensor]]
) -> Make:
    """A checkpoint of a transformer, its text encoders and its VAE."""

    def make(path: Path) -> None:
        parts = tiny_models.prefixed(tiny_dit.PREFIX, shapes())
        for name, tower in texts.items():
            parts |= tiny_models.prefixed(f"text_encoders.{name}.transformer.", tower)
        weights = tiny_dit.random_weights(parts)
        save_file({**weights, **{f"vae.{name}": value.contiguous() for name, value in vae().items()}}, path)

    return make


def _kl16() -> dict[str, Tensor]:
    return tiny_dit.random_weights(tiny_transformer_files.kl16())


def _kl4() -> dict[str, Tensor]:
    return ldm_layout.random_weights(ldm_layout.kl((32, 32, 64, 64), 1))


_T5: dict[str, Shapes] = {"t5xxl": tiny_text.t5(T5)}
_L: dict[str, Shapes] = {"clip_l": tiny_models.prefixed("text_model.", ldm_layout.clip(CLIP_L, 2))}
_G: dict[str, Shapes] = {
    "clip_g": tiny_models.prefixed("text_model.", ldm_layout.clip(CLIP_G, 2))
    | {"text_projection.weight": (CLIP_G, CLIP_G)}
}

TRANSFORMERS: Mapping[str, Callable[[], Shapes]] = {
    "sd3": partial(tiny_dit.sd3, text=T5, pooled=CLIP_L + CLIP_G),
    "flux": partial(tiny_dit.flux, text=T5, pooled=CLIP_L),
    "flux_schnell": partial(tiny_dit.flux, text=T5, pooled=CLIP_L, guided=False),
    "flux_fill": partial(tiny_dit.flux, text=T5, pooled=CLIP_L, channels=96),
    "chroma": partial(tiny_dit_others.chroma, text=T5),
    "qwen_image": partial(tiny_dit.qwen_image, text=LANGUAGE),
    "wan": partial(tiny_dit.wan, text=LANGUAGE),
    "wan_pictures": partial(tiny_dit.wan, text=LANGUAGE, channels=36),
    "wan_vision": partial(tiny_dit.wan, text=LANGUAGE, channels=36, image=SEEN),
    "wan_camera": lambda: tiny_dit.wan(text=LANGUAGE, channels=32, image=SEEN) | tiny_dit.wan_camera(),
    "wan_5b": partial(tiny_dit.wan, text=LANGUAGE, channels=48, out=48),
    "z_image": partial(tiny_dit_others.z_image, text=LANGUAGE),
    "omnigen2": partial(tiny_dit_others.omnigen2, text=LANGUAGE),
    "lumina": partial(tiny_dit_others.lumina2, text=LANGUAGE),
    "hidream": partial(tiny_dit_others.hidream, text=T5, pooled=CLIP_L + CLIP_G, llama=LANGUAGE),
    "hunyuan_video": partial(tiny_dit_others.hunyuan_video, text=LANGUAGE, pooled=CLIP_L),
    "mochi": partial(tiny_dit_others.mochi, text=T5),
    "ltx": partial(tiny_dit_others.ltx_video, text=T5),
    "cosmos_predict2": partial(tiny_dit_others.cosmos, text=T5),
    "aura_flow": partial(tiny_dit_others.aura_flow, text=T5),
}
"""The networks of diffusion transformers by family."""

CHECKPOINTS: Mapping[str, Make] = {
    "sd1": sd1,
    "sd1_gligen": partial(sd1, text=GLIGEN_TEXT),
    "sd1_inpaint": partial(sd1, channels=9),
    "sd2": partial(tiny_models.sd2_checkpoint, velocity=True),
    "sd2_inpaint": partial(tiny_models.sd2_checkpoint, in_channels=9),
    "sdxl": tiny_models.sdxl_checkpoint,
    "sdxl_refiner": tiny_models.refiner_checkpoint,
    "unclip": unclip,
    "zero123": zero123,
    "svd": svd,
    "cascade_c": tiny_cascade.stage_c_checkpoint,
    "cascade_b": tiny_cascade.stage_b_checkpoint,
    "sd3": _whole(TRANSFORMERS["sd3"], {**_L, **_G, **_T5}, _kl16),
    "flux": _whole(TRANSFORMERS["flux"], {**_L, **_T5}, _kl16),
    "flux_schnell": _whole(TRANSFORMERS["flux_schnell"], {**_L, **_T5}, _kl16),
    "lumina": _whole(TRANSFORMERS["lumina"], {"gemma2_2b": tiny_text.gemma2(words=tiny_text.T5_WORDS)}, _kl16),
    "mochi": _whole(TRANSFORMERS["mochi"], _T5, mochi_vae),
    "ltx": _whole(TRANSFORMERS["ltx"], {}, ltx_vae),
    "aura_flow": _whole(TRANSFORMERS["aura_flow"], {"pile_t5xl": tiny_text.t5(T5, words=32128)}, _kl4),
}
"""Whole checkpoints by family."""

DIFFUSION_MODELS: Mapping[str, Make] = {family: _alone(shapes) for family, shapes in TRANSFORMERS.items()}
"""Diffusion models alone by family."""

FAMILIES: tuple[tuple[str, str], ...] = (
    (r"cascade.*stage_?c", "cascade_c"),
    (r"cascade.*stage_?b", "cascade_b"),
    (r"svd", "svd"),
    (r"zero123", "zero123"),
    (r"unclip", "unclip"),
    (r"refiner", "sdxl_refiner"),
    (r"(512|768|v2|sd2).*inpaint", "sd2_inpaint"),
    (r"inpaint", "sd1_inpaint"),
    (r"v2-1|sd2|768", "sd2"),
    (r"flux.*fill", "flux_fill"),
    (r"flux.*schnell", "flux_schnell"),
    (r"flux", "flux"),
    (r"sd3|sd_?3\.5", "sd3"),
    (r"ltx", "ltx"),
    (r"mochi", "mochi"),
    (r"aura_?flow", "aura_flow"),
    (r"lumina", "lumina"),
    (r"chroma", "chroma"),
    (r"hidream", "hidream"),
    (r"hunyuan_?video", "hunyuan_video"),
    (r"cosmos.*predict2", "cosmos_predict2"),
    (r"omnigen2", "omnigen2"),
    (r"ace_step", "ace_step"),
    (r"qwen_image", "qwen_image"),
    (r"z_image", "z_image"),
    (r"wan.*camera", "wan_camera"),
    (r"wan.?2\.2.*5b", "wan_5b"),
    (r"wan.?2\.2.*i2v", "wan_pictures"),
    (r"wan.*i2v", "wan_vision"),
    (r"wan", "wan"),
    (r"xl", "sdxl"),
)
"""Patterns of file names, in lower case, and the family that they mean; the first that is found counts."""
