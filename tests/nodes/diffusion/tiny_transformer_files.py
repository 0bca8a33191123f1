"""A folder of tiny random files of the families of transformers: split files and whole checkpoints."""

from __future__ import annotations

import lzma
from importlib.resources import files
from pathlib import Path

from graphengine.node.api import NodeContext
from graphengine.node.folders import Folders

from . import ldm_layout, tiny_dit, tiny_dit_others, tiny_models, tiny_text, tiny_vae
from .ldm_layout import Shapes

CLIP_L, CLIP_G = 64, 128  # widths of the CLIP towers of tiny_models
LLAMA_WORDS = 128256
T5 = 256  # not less than both CLIP towers side by side
KINDS = ("checkpoints", "diffusion_models", "text_encoders", "vae", "tokenizers")


def kl16() -> Shapes:
    """The VAE of Flux and SD3: 16 channels, nothing around the latent."""
    whole = ldm_layout.kl((32, 32, 64, 64), 1)
    shapes = {name: shape for name, shape in whole.items() if "quant_conv" not in name}
    return shapes | {
        "encoder.conv_out.weight": (32, 64, 3, 3),
        "encoder.conv_out.bias": (32,),
        "decoder.conv_in.weight": (64, 16, 3, 3),
    }


def sd3() -> Shapes:
    """SD3 for the towers here."""
    return tiny_dit.sd3(text=T5, pooled=CLIP_L + CLIP_G)


def flux() -> Shapes:
    """Flux for the towers here."""
    return tiny_dit.flux(text=T5, pooled=CLIP_L)


def folder(root: Path) -> NodeContext:
    """Split files of every family whose VAE runs too, and whole checkpoints of Flux and SD3."""
    for kind in KINDS:
        (root / kind).mkdir()
    models, texts = root / "diffusion_models", root / "text_encoders"
    tiny_dit.write(models / "flux.safetensors", flux())
    tiny_dit.write(models / "sd3.safetensors", sd3())
    tiny_dit.write(models / "qwen.safetensors", tiny_dit.qwen_image(text=64), prefix=tiny_dit.PREFIX)
    tiny_dit.write(models / "wan.safetensors", tiny_dit.wan(text=64))
    tiny_dit.write(models / "wan_i2v.safetensors", tiny_dit.wan(text=64, channels=36))
    tiny_dit.write(models / "wan22_5b.safetensors", tiny_dit.wan(text=64, channels=48, out=48))
    tiny_dit.write(models / "z_image.safetensors", tiny_dit_others.z_image(text=64))
    tiny_dit.write(models / "lumina2.safetensors", tiny_dit_others.lumina2(text=64))
    tiny_dit.write(models / "chroma.safetensors", tiny_dit_others.chroma(text=T5))
    hidream = tiny_dit_others.hidream(text=T5, pooled=CLIP_L + CLIP_G, llama=64)
    tiny_dit.write(models / "hidream.safetensors", hidream)
    tiny_dit.write(models / "hunyuan.safetensors", tiny_dit_others.hunyuan_video(text=64, pooled=CLIP_L))
    tiny_models.clip_l_file(texts / "l.safetensors")
    tiny_models.clip_g_file(texts / "g.safetensors")
    tiny_dit.write(texts / "t5.safetensors", tiny_text.t5(T5))
    tiny_dit.write(texts / "umt5.safetensors", tiny_text.t5(64, words=tiny_text.UMT5_WORDS, own_positions=True))
    tiny_dit.write(texts / "qwen.safetensors", tiny_text.language_model(bias=True) | tiny_text.qwen_vision())
    tiny_dit.write(texts / "qwen3.safetensors", tiny_text.language_model(norms=True))
    tiny_dit.write(texts / "llama.safetensors", tiny_text.language_model(words=LLAMA_WORDS))
    tiny_dit.write(texts / "gemma.safetensors", tiny_text.gemma2(words=tiny_text.T5_WORDS))
    tiny_dit.write(texts / "vae.safetensors", kl16())
    tiny_dit.write(root / "vae/flux.safetensors", kl16())
    tiny_dit.write(root / "vae/wan.safetensors", tiny_vae.wan())
    tiny_dit.write(root / "vae/hunyuan.safetensors", tiny_vae.hunyuan())
    tiny_dit.write(root / "vae/wan22.safetensors", tiny_vae.wan(48, residual=True))
    parts = {"vae.": kl16(), "text_encoders.t5xxl.transformer.": tiny_text.t5(T5)}
    small = {"text_encoders.clip_l.transformer.text_model.": ldm_layout.clip(CLIP_L, 2)}
    checkpoint(root / "checkpoints/flux.safetensors", {tiny_dit.PREFIX: flux(), **parts, **small})
    large: dict[str, Shapes] = {
        "text_encoders.clip_g.transformer.text_model.": ldm_layout.clip(CLIP_G, 2),
        "text_encoders.clip_g.transformer.": {"text_projection.weight": (CLIP_G, CLIP_G)},
    }
    checkpoint(root / "checkpoints/sd3.safetensors", {tiny_dit.PREFIX: sd3(), **parts, **small, **large})
    return NodeContext(folders=Folders(models={kind: (root / kind,) for kind in KINDS}))


def checkpoint(path: Path, parts: dict[str, Shapes]) -> Path:
    """A file of parts under their prefixes."""
    shapes = {prefix + name: shape for prefix, part in parts.items() for name, shape in part.items()}
    return tiny_dit.write(path, shapes)


def with_vocabularies(context: NodeContext, root: Path) -> NodeContext:
    """The same models, with the vocabulary of T5 in the place of Llama's and Gemma's, which may not be shipped."""
    packed = files("graphengine_nodes.diffusion").joinpath("data/t5_tokenizer.json.xz").read_bytes()
    for name in ("llama3", "gemma2"):
        (root / name).mkdir()
        (root / name / "tokenizer.json").write_bytes(lzma.decompress(packed))
    return NodeContext(folders=Folders(models={**context.folders.models, "tokenizers": (root,)}))
