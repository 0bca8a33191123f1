"""Diffusion transformers through their nodes: from files to pictures."""

from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine.errors import GraphEngineError, ModelError
from graphengine.node.api import NodeContext
from graphengine_nodes.diffusion.model.model import Conditioning, DiffusionModel
from graphengine_nodes.diffusion.nodes.clip_nodes import CLIPTextEncode
from graphengine_nodes.diffusion.nodes.dit_text_nodes import (
    CLIPTextEncodeFlux,
    CLIPTextEncodeHiDream,
    CLIPTextEncodeLumina2,
    CLIPTextEncodePixArtAlpha,
    CLIPTextEncodeSD3,
    T5TokenizerOptions,
    TextEncodeQwenImageEdit,
    TextEncodeQwenImageEditPlus,
)
from graphengine_nodes.diffusion.nodes.loader_nodes import (
    CheckpointLoaderSimple,
    CLIPLoader,
    DualCLIPLoader,
    VAEDecode,
    VAELoader,
)
from graphengine_nodes.diffusion.nodes.split_loader_nodes import QuadrupleCLIPLoader, TripleCLIPLoader, UNETLoader
from graphengine_nodes.diffusion.sampling.ksampler import sample
from graphengine_nodes.diffusion.text.text_encode import TextEncoder

from . import tiny_transformer_files


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> NodeContext:
    return tiny_transformer_files.folder(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def complete(context: NodeContext, tmp_path_factory: pytest.TempPathFactory) -> NodeContext:
    """The same models, and vocabularies for Llama and Gemma."""
    return tiny_transformer_files.with_vocabularies(context, tmp_path_factory.mktemp("tokenizers"))


def unet(context: NodeContext, name: str, dtype: str = "default") -> DiffusionModel:
    return UNETLoader().load(unet_name=f"{name}.safetensors", weight_dtype=dtype, context=context)[0]


def clip(context: NodeContext, kind: str, *names: str) -> TextEncoder:
    files = [f"{name}.safetensors" for name in names]
    match files:
        case [only]:
            return CLIPLoader().load(clip_name=only, type=kind, context=context)[0]
        case [first, second]:
            return DualCLIPLoader().load(clip_name1=first, clip_name2=second, type=kind, context=context)[0]
        case [first, second, third]:
            return TripleCLIPLoader().load(clip_name1=first, clip_name2=second, clip_name3=third, context=context)[
                0
            ]
    raise AssertionError(files)


def picture(
    context: NodeContext, model: DiffusionModel, positive: Conditioning, latent: Tensor, vae: str
) -> Tensor:
    sampled = sample(
        model,
        seed=1,
        steps=2,
        cfg=1.0,
        sampler_name="euler",
        scheduler="simple",
        positive=positive,
        negative=positive,
        latent={"samples": latent},
    )
    (loaded,) = VAELoader().load(vae_name=f"{vae}.safetensors", context=context)
    image: Tensor = VAEDecode().decode(samples=sampled, vae=loaded, context=context)[0]
    assert image.isfinite().all()
    return image


FLOWS: dict[str, Any] = {
    "flux": ("flux", ("t5", "l"), (1, 16, 4, 6), "flux", (1, 32, 48, 3)),
    "sd3": ("sd3", ("g", "t5", "l"), (1, 16, 4, 4), "flux", (1, 32, 32, 3)),
    "qwen": ("qwen_image", ("qwen",), (1, 16, 4, 4), "wan", (1, 32, 32, 3)),
    "wan": ("wan", ("umt5",), (1, 16, 2, 4, 4), "wan", (5, 32, 32, 3)),
    "wan22_5b": ("wan", ("umt5",), (1, 48, 2, 2, 2), "wan22", (5, 32, 32, 3)),
    "z_image": ("lumina2", ("qwen3",), (1, 16, 4, 4), "flux", (1, 32, 32, 3)),
    "chroma": ("chroma", ("t5",), (1, 16, 4, 4), "flux", (1, 32, 32, 3)),
}
WITH_VOCABULARIES: dict[str, Any] = {
    "lumina2": ("lumina2", ("gemma",), (1, 16, 4, 4), "flux", (1, 32, 32, 3)),
    "hunyuan": ("hunyuan_video", ("llama", "l"), (1, 16, 2, 4, 4), "hunyuan", (5, 32, 32, 3)),
}


@pytest.mark.parametrize("name", FLOWS)
def test_split_files_make_a_picture(name: str, context: NodeContext) -> None:
    kind, encoders, latent, vae, shape = FLOWS[name]
    (positive,) = CLIPTextEncode().encode(text="a (red:1.2) cat", clip=clip(context, kind, *encoders))
    image = picture(context, unet(context, name), positive, torch.zeros(latent), vae)
    assert image.shape == shape


@pytest.mark.parametrize("name", WITH_VOCABULARIES)
def test_files_whose_vocabulary_was_put_in_place_make_a_picture(name: str, complete: NodeContext) -> None:
    kind, encoders, latent, vae, shape = WITH_VOCABULARIES[name]
    (positive,) = CLIPTextEncode().encode(text="a cat", clip=clip(complete, kind, *encoders))
    assert picture(complete, unet(complete, name), positive, torch.zeros(latent), vae).shape == shape


def test_hidream_makes_a_picture_of_four_prompts(complete: NodeContext) -> None:
    names = {f"clip_name{number}": f"{n}.safetensors" for number, n in enumerate(("l", "g", "t5", "llama"), 1)}
    (encoder,) = QuadrupleCLIPLoader().load(**names, context=complete)
    (positive,) = CLIPTextEncodeHiDream().encode(clip=encoder, clip_l="a", clip_g="b", t5xxl="c", llama="d")
    assert positive[0][1]["conditioning_llama3"].shape == (1, 3, 128, 64)
    image = picture(complete, unet(complete, "hidream"), positive, torch.zeros(1, 16, 4, 4), "flux")
    assert image.shape == (1, 32, 32, 3)


@pytest.mark.parametrize("name", ["flux", "sd3"])
def test_a_whole_checkpoint_gives_the_same_as_its_parts(name: str, context: NodeContext) -> None:
    model, encoder, vae = CheckpointLoaderSimple().load(ckpt_name=f"{name}.safetensors", context=context)
    assert vae is not None
    assert encoder is not None
    assert model.network.family == name
    (positive,) = CLIPTextEncode().encode(text="cat", clip=encoder)
    image = picture(context, model, positive, torch.zeros(1, 16, 4, 4), "flux")
    assert image.shape == (1, 32, 32, 3)


def test_a_type_of_clip_tells_which_files_it_is_made_of(context: NodeContext) -> None:
    with pytest.raises(ModelError, match=r"made of CLIP-L and T5-XXL; given were CLIP-L \(l.safetensors\)"):
        clip(context, "flux", "l", "g")
    with pytest.raises(ModelError, match="looks like a VAE"):
        clip(context, "wan", "vae")
    with pytest.raises(ModelError, match="the vocabulary of 'llama3' is missing"):
        clip(context, "hunyuan_video", "llama", "l")


@pytest.mark.parametrize(
    ("dtype", "rounded"), [("fp8_e4m3fn", torch.float8_e4m3fn), ("fp8_e5m2", torch.float8_e5m2)]
)
def test_a_weight_dtype_rounds_the_weights(dtype: str, rounded: torch.dtype, context: NodeContext) -> None:
    name = "x_embedder.weight"
    plain = unet(context, "flux").network.component.weight(name)
    assert torch.equal(unet(context, "flux", dtype).network.component.weight(name), plain.to(rounded).float())


def test_each_tower_of_flux_gets_its_own_prompt(context: NodeContext) -> None:
    encoder = clip(context, "flux", "l", "t5")
    (given,) = CLIPTextEncodeFlux().encode(clip=encoder, clip_l="cat", t5xxl="a long story", guidance=2.0)
    (cat,), (story,) = (CLIPTextEncode().encode(text=text, clip=encoder)[0] for text in ("cat", "a long story"))
    assert torch.equal(given[0][0], story[0])
    assert torch.equal(given[0][1]["pooled_output"], cat[1]["pooled_output"])
    assert given[0][1]["guidance"] == 2.0
    assert given[0][0].shape == (1, 256, tiny_transformer_files.T5)


def test_an_empty_prompt_of_sd3_has_no_states(context: NodeContext) -> None:
    encoder = clip(context, "sd3", "l", "g", "t5")

    def states(empty_padding: str, **texts: str) -> Tensor:
        prompts = {"clip_l": "", "clip_g": "", "t5xxl": "", **texts}
        (conditioning,) = CLIPTextEncodeSD3().encode(clip=encoder, empty_padding=empty_padding, **prompts)
        return conditioning[0][0]

    assert states("empty_prompt", clip_l="cat").shape == (1, 154, 256)
    assert states("none", clip_l="cat").shape == (1, 77, 256)
    assert states("none", t5xxl="cat").shape == (1, 77, 256)
    assert not states("none", clip_l="cat")[..., 64:192].any()
    assert torch.equal(states("none", clip_l="cat")[..., :64], states("empty_prompt", clip_l="cat")[:, :77, :64])


def test_the_two_clip_towers_of_sd3_get_as_many_chunks(context: NodeContext) -> None:
    encoder = clip(context, "sd3", "l", "g", "t5")
    (conditioning,) = CLIPTextEncodeSD3().encode(
        clip=encoder, clip_l="cat " * 100, clip_g="cat", t5xxl="cat", empty_padding="none"
    )
    assert conditioning[0][0].shape == (1, 154 + 77, 256)


def test_prompts_for_other_towers_are_refused(context: NodeContext) -> None:
    encoder = clip(context, "sd3", "l", "g", "t5")
    with pytest.raises(GraphEngineError, match="there is no prompt for 'g'"):
        CLIPTextEncodeFlux().encode(clip=encoder, clip_l="a", t5xxl="b", guidance=1.0)


def test_t5_prompts_are_filled_up_as_asked(context: NodeContext) -> None:
    encoder = clip(context, "flux", "l", "t5")
    (short,) = T5TokenizerOptions().set_options(clip=encoder, min_padding=1, min_length=0)
    (conditioning,) = CLIPTextEncode().encode(text="cat", clip=short)
    assert conditioning[0][0].shape[1] == 3
    assert CLIPTextEncode().encode(text="cat", clip=encoder)[0][0][0].shape[1] == 256


def test_prompts_with_more_than_a_text(context: NodeContext) -> None:
    encoder = clip(context, "qwen_image", "qwen")
    (sized,) = CLIPTextEncodePixArtAlpha().encode(width=64, height=32, text="cat", clip=encoder)
    assert (sized[0][1]["width"], sized[0][1]["height"]) == (64, 32)
    (led,) = CLIPTextEncodeLumina2().encode(system_prompt="superior", user_prompt="cat", clip=encoder)
    assert led[0][0].shape[1] > sized[0][0].shape[1]
    with pytest.raises(GraphEngineError, match="there is no prompt for 'qwen25_7b'"):
        CLIPTextEncodeHiDream().encode(clip=encoder, clip_l="", clip_g="", t5xxl="", llama="")


def test_qwen_image_edits_pictures_that_it_is_given(context: NodeContext) -> None:
    encoder = clip(context, "qwen_image", "qwen")
    (vae,) = VAELoader().load(vae_name="wan.safetensors", context=context)
    small = torch.rand(1, 8, 8, 3)

    class Small:
        """The VAE, on a picture of 16 pixels in place of a million."""

        def encode(self, pixels: Tensor, check: Any) -> Tensor:
            assert pixels.shape == (1, 1024, 1024, 3)
            return vae.encode(pixels[:, :16, :16], check)

    edit: Any = {"clip": encoder, "prompt": "make it red", "vae": Small(), "context": context}
    (one,) = TextEncodeQwenImageEdit().encode(**edit, image=small)
    (two,) = TextEncodeQwenImageEditPlus().encode(**edit, image1=small, image3=small)
    (none,) = TextEncodeQwenImageEdit().encode(**{**edit, "vae": None}, image=small)
    assert [len(given[0][1].get("reference_latents", ())) for given in (one, two, none)] == [1, 2, 0]
    image = picture(context, unet(context, "qwen"), two, torch.zeros(1, 16, 4, 4), "wan")
    assert image.shape == (1, 32, 32, 3)


def test_hidream_needs_llama_from_a_file_of_its_own(context: NodeContext) -> None:
    names = {
        f"clip_name{number}": f"{name}.safetensors" for number, name in enumerate(("l", "g", "t5", "qwen"), 1)
    }
    with pytest.raises(ModelError, match=r"CLIP-L and CLIP-G and T5-XXL and Llama 3 \(or some of them\)"):
        QuadrupleCLIPLoader().load(**names, context=context)
