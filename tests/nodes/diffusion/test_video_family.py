"""Stable Video Diffusion: files in its authors' layout against diffusers' own modules."""

import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from graphengine.errors import GraphEngineError, ModelError
from graphengine.node.api import NodeContext
from graphengine.node.folders import Folders
from graphengine_nodes.diffusion.families.families import find_family, load_model
from graphengine_nodes.diffusion.model.model import DiffusionModel, Job, NetworkCall
from graphengine_nodes.diffusion.nodes.vision_conditioning_nodes import SVD_img2vid_Conditioning
from graphengine_nodes.diffusion.nodes.vision_nodes import ImageOnlyCheckpointLoader
from graphengine_nodes.diffusion.sampling.ksampler import sample
from graphengine_nodes.diffusion.vae.vae import load_vae_file
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from .test_control_nodes import visual_tower

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import diffusers

SIZES: dict[str, Any] = {
    "block_out_channels": (32, 64, 64),
    "down_block_types": (*["CrossAttnDownBlockSpatioTemporal"] * 2, "DownBlockSpatioTemporal"),
    "up_block_types": ("UpBlockSpatioTemporal", *["CrossAttnUpBlockSpatioTemporal"] * 2),
    "cross_attention_dim": 64,
    "num_attention_heads": (1, 1, 1),
    "layers_per_block": 2,
}
BLOCKS, LEVELS = 2, 3
VISUAL = "conditioner.embedders.0.open_clip.model.visual."
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_TOP = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def random(module: nn.Module) -> Any:
    generator = torch.Generator().manual_seed(6)
    for name, parameter in module.named_parameters():
        values = torch.randn(parameter.shape, generator=generator)
        scale = 0.05 if parameter.ndim < 2 else 0.6 * parameter[0].numel() ** -0.5
        one = 1 if parameter.ndim == 1 and name.endswith("weight") else 0
        parameter.data = values * scale + one
    return module.eval().requires_grad_(False)


def in_authors_names(name: str) -> str:
    """A parameter of diffusers' video UNet under the name that it has in a file of Stability AI."""
    for new, old in _TOP.items():
        if name.startswith(f"{new}."):
            return name.replace(new, old, 1)
    if found := re.fullmatch(r"down_blocks\.(\d)\.(resnets|attentions)\.(\d)\.(.+)", name):
        number = 1 + int(found[1]) * (BLOCKS + 1) + int(found[3])
        return f"input_blocks.{number}.{int(found[2] == 'attentions')}.{within(found[4])}"
    if found := re.fullmatch(r"down_blocks\.(\d)\.downsamplers\.0\.conv\.(.+)", name):
        return f"input_blocks.{(int(found[1]) + 1) * (BLOCKS + 1)}.0.op.{found[2]}"
    if found := re.fullmatch(r"up_blocks\.(\d)\.(resnets|attentions)\.(\d)\.(.+)", name):
        number = int(found[1]) * (BLOCKS + 1) + int(found[3])
        return f"output_blocks.{number}.{int(found[2] == 'attentions')}.{within(found[4])}"
    if found := re.fullmatch(r"up_blocks\.(\d)\.upsamplers\.0\.(.+)", name):
        attended = int(found[1]) > 0  # the level of the lowest resolution has no attention
        return f"output_blocks.{int(found[1]) * (BLOCKS + 1) + BLOCKS}.{2 if attended else 1}.{found[2]}"
    found = re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)", name)
    assert found is not None, name
    return f"middle_block.{1 if found[1] == 'attentions' else 2 * int(found[2])}.{within(found[3])}"


def within(rest: str) -> str:
    rest = rest.replace("temporal_transformer_blocks.", "time_stack.")
    rest = rest.replace("time_pos_embed.linear_1.", "time_pos_embed.0.")
    rest = rest.replace("time_pos_embed.linear_2.", "time_pos_embed.2.")
    if not (found := re.fullmatch(r"(spatial|temporal)_res_block\.(\w+)\.(.+)", rest)):
        return rest
    return f"{'time_stack.' if found[1] == 'temporal' else ''}{_RESNET[found[2]]}.{found[3]}"


@pytest.fixture(scope="module")
def oracle() -> Any:
    return random(diffusers.UNetSpatioTemporalConditionModel(**SIZES))


@pytest.fixture(scope="module")
def file(oracle: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("svd") / "svd.safetensors"
    tensors = {f"model.diffusion_model.{in_authors_names(n)}": v for n, v in oracle.state_dict().items()}
    save_file({**tensors, **in_vae_names(decoder_oracle()), **visual_tower(VISUAL)}, path)
    return path


@pytest.fixture(scope="module")
def model(file: Path) -> DiffusionModel:
    return load_model(open_checkpoint(file), "cpu")


def decoder_oracle() -> Any:
    levels = ("DownEncoderBlock2D",) * 2
    module = diffusers.AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 32), down_block_types=levels, layers_per_block=2
    )
    module = random(module)
    module.quant_conv = nn.Identity()
    return module


def in_vae_names(module: Any) -> dict[str, Tensor]:
    """The autoencoder under the names of its authors."""
    named = {}
    for name, value in module.state_dict().items():
        new = re.sub(r"^decoder\.time_conv_out\.", "decoder.conv_out.time_mix_conv.", name)
        new = re.sub(r"(en|de)coder\.conv_norm_out\.", r"\1coder.norm_out.", new)
        new = re.sub(r"\.mid_block\.resnets\.(\d)\.", lambda f: f".mid.block_{int(f[1]) + 1}.", new)
        new = re.sub(r"\.mid_block\.attentions\.0\.", ".mid.attn_1.", new)
        for theirs, ours in {
            "group_norm": "norm",
            "to_q": "q",
            "to_k": "k",
            "to_v": "v",
            "to_out.0": "proj_out",
        }.items():
            new = new.replace(f"attn_1.{theirs}.", f"attn_1.{ours}.")
        new = re.sub(r"\.down_blocks\.(\d)\.resnets\.(\d)\.", r".down.\1.block.\2.", new)
        new = re.sub(r"\.down_blocks\.(\d)\.downsamplers\.0\.", r".down.\1.downsample.", new)
        new = re.sub(r"\.up_blocks\.(\d)\.resnets\.(\d)\.", lambda f: f".up.{1 - int(f[1])}.block.{f[2]}.", new)
        new = re.sub(r"\.up_blocks\.(\d)\.upsamplers\.0\.", lambda f: f".up.{1 - int(f[1])}.upsample.", new)
        new = new.replace(".time_mixer.mix_factor", ".mix_factor").replace(".spatial_res_block.", ".")
        if found := re.fullmatch(r"(.+)\.temporal_res_block\.(\w+)\.(.+)", new):
            new = f"{found[1]}.time_stack.{_RESNET[found[2]]}.{found[3]}"
        new = new.replace(".conv_shortcut.", ".nin_shortcut.")
        if ".attn_1." in new and new.endswith("weight") and value.ndim == 2:
            value = value[..., None, None]  # 1x1 convolutions in the file
        named[f"first_stage_model.{new}"] = value.contiguous()
    return named


def test_the_family_is_known_by_its_layers_over_time(file: Path) -> None:
    assert find_family(open_checkpoint(file)).name == "svd"


def test_the_network_computes_what_diffusers_computes(model: DiffusionModel, oracle: Any) -> None:
    generator = torch.Generator().manual_seed(1)
    x, picture = torch.randn(6, 4, 8, 8, generator=generator), torch.randn(1, 4, 8, 8, generator=generator)
    seen = torch.randn(2, 1, 64, generator=generator)
    options = {"fps": 8, "motion_bucket_id": 90, "augmentation_level": 0.1, "concat_latent_image": picture}
    extras = model.network.extras(options, Job((3, 4, 8, 8)))
    assert extras.values["numbers"].tolist() == [[7.0, 90.0, pytest.approx(0.1), 3.0]]
    asked = NetworkCall(
        x,
        torch.full((6,), 0.4),
        seen.repeat_interleave(3, dim=0),
        {"numbers": extras.values["numbers"].expand(6, -1), "concat": extras.spatial["concat"].repeat(2, 1, 1, 1)},
        options={"cond_or_uncond": [0, 1]},
    )
    ours = model.network(asked)
    shown = torch.cat([x.reshape(2, 3, 4, 8, 8), picture.expand(2, 3, -1, -1, -1)], dim=2)
    numbers = torch.tensor([[7.0, 90.0, 0.1]]).expand(2, -1)
    theirs = oracle(shown, torch.full((2,), 0.4), seen, added_time_ids=numbers, return_dict=False)[0]
    torch.testing.assert_close(ours, theirs.flatten(0, 1), rtol=1e-4, atol=1e-5)
    with pytest.raises(GraphEngineError, match="all frames of a video at once"):
        model.network(replace(asked, x=x[:2], options={"cond_or_uncond": [0]}))


def test_frames_are_decoded_together(file: Path) -> None:
    vae = load_vae_file(open_checkpoint(file), "cpu")
    latents = torch.randn(3, 4, 4, 4, generator=torch.Generator().manual_seed(2))
    ours = vae.decode(latents)
    theirs = ((decoder_oracle().decode(latents, num_frames=3).sample + 1) / 2).clamp(0, 1).movedim(1, -1)
    assert ours.shape == (3, 8, 8, 3)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    alone = torch.cat([vae.decode(latents[n : n + 1]) for n in range(3)])
    assert not torch.allclose(ours, alone, atol=1e-3)


def test_pictures_are_encoded_one_by_one(file: Path) -> None:
    vae = load_vae_file(open_checkpoint(file), "cpu")
    pictures = torch.rand(2, 8, 8, 3, generator=torch.Generator().manual_seed(2))
    moments = decoder_oracle().encoder(pictures.movedim(-1, 1) * 2 - 1)
    torch.testing.assert_close(vae.encode(pictures), moments[:, :4], rtol=1e-4, atol=1e-4)


def test_a_picture_becomes_a_video_through_the_nodes(file: Path) -> None:
    context = NodeContext(folders=Folders(models={"checkpoints": (file.parent,)}))
    model, vision, vae = ImageOnlyCheckpointLoader().load(ckpt_name=file.name, context=context)
    assert vae is not None
    positive, negative, latent = SVD_img2vid_Conditioning().encode(
        vision, torch.rand(1, 16, 16, 3), vae, 64, 64, 3, motion_bucket_id=127, fps=6, augmentation_level=0.0
    )
    sampled = sample(
        model,
        seed=1,
        steps=2,
        cfg=2.5,
        sampler_name="euler",
        scheduler="karras",
        positive=positive,
        negative=negative,
        latent=latent,
    )
    frames = vae.decode(sampled["samples"])
    assert frames.shape == (3, 16, 16, 3)  # this VAE has two levels
    assert frames.isfinite().all()


def test_a_text_is_no_conditioning_of_a_video(model: DiffusionModel) -> None:
    with pytest.raises(ValueError, match="SVD_img2vid_Conditioning"):
        sample(
            model,
            seed=1,
            steps=1,
            cfg=1.0,
            sampler_name="euler",
            scheduler="karras",
            positive=[(torch.zeros(1, 5, 48), {})],
            negative=[],
            latent={"samples": torch.zeros(2, 4, 8, 8)},
        )


def test_a_relative_with_another_vector_is_named(oracle: Any, tmp_path: Path) -> None:
    tensors = {f"model.diffusion_model.{in_authors_names(n)}": v for n, v in oracle.state_dict().items()}
    name = "model.diffusion_model.label_emb.0.0.weight"
    save_file({**tensors, name: tensors[name][:, :256].contiguous()}, tmp_path / "sv3d.safetensors")
    with pytest.raises(ModelError, match=r"'sv3d\.safetensors' is a relative of Stable Video Diffusion"):
        load_model(open_checkpoint(tmp_path / "sv3d.safetensors"), "cpu")


def test_a_missing_layer_over_time_is_named(oracle: Any, tmp_path: Path) -> None:
    tensors = {f"model.diffusion_model.{in_authors_names(n)}": v for n, v in oracle.state_dict().items()}
    del tensors["model.diffusion_model.middle_block.1.time_mixer.mix_factor"]
    save_file(tensors, tmp_path / "svd.safetensors")
    with pytest.raises(ModelError, match=r"mid_block\.attentions\.0\.time_mixer\.mix_factor"):
        load_model(open_checkpoint(tmp_path / "svd.safetensors"), "cpu")
