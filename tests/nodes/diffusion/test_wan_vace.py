"""Wan VACE: what it is shown of a video to follow, and what its network makes of that."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine.errors import ModelError
from graphengine.node.api import NodeContext
from graphengine_nodes.diffusion.dit.latent_formats import WAN21
from graphengine_nodes.diffusion.families.families import load_model
from graphengine_nodes.diffusion.model.model import Conditioning, DiffusionModel, Job, NetworkCall
from graphengine_nodes.diffusion.nodes.wan_vace_nodes import WanVaceToVideo
from graphengine_nodes.diffusion.sampling.ksampler import sample
from graphengine_nodes.diffusion.vae.autoencoder import VAE
from graphengine_nodes.diffusion.vae.vae import load_vae_file
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import tiny_dit, tiny_vae
from .diffusers_oracle import converted, module, randn

TEXT: Conditioning = [(randn(1, 5, 48), {})]
SHAPES = tiny_dit.wan() | tiny_dit.wan_vace()
X = randn(1, 16, 3, 2, 4)


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> VAE:
    path = tmp_path_factory.mktemp("vae") / "wan.safetensors"
    return load_vae_file(open_checkpoint(tiny_dit.write(path, tiny_vae.wan())), "cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    path = tmp_path_factory.mktemp("vace") / "m.safetensors"
    return load_model(open_checkpoint(tiny_dit.write(path, SHAPES)), "cpu")


def shown(vae: VAE, **more: Any) -> tuple[Any, ...]:
    given: dict[str, Any] = {"positive": TEXT, "negative": TEXT, "vae": vae, "strength": 0.5, **more}
    return WanVaceToVideo().encode(**given, width=32, height=16, length=9, batch_size=1, context=NodeContext())


def test_what_stays_and_what_may_change_are_latents_of_their_own(vae: VAE) -> None:
    video, masks = torch.rand(5, 16, 32, 3), torch.zeros(5, 16, 32)
    masks[:, :, 16:] = 1.0
    positive, negative, latent, before = shown(vae, control_video=video, control_masks=masks)
    told = positive[0][1]
    stays, changes = torch.full((2, 9, 16, 32, 3), 0.5)
    stays[:5, :, :16], changes[:5, :, 16:] = video[:, :, :16], video[:, :, 16:]
    assert torch.allclose(told["vace_frames"][0], torch.cat([vae.encode(stays), vae.encode(changes)], dim=1))
    assert told["vace_mask"][0].shape == (1, 64, 3, 2, 4)
    assert told["vace_mask"][0][0, :, 0, 0].T[:, 0].tolist() == [0, 0, 1, 1]
    assert told["vace_mask"][0][:, :, 2].min() == 1  # behind the video everything may change
    assert told["vace_strength"] == [0.5]
    assert negative[0][1]["vace_frames"][0] is told["vace_frames"][0]
    assert (latent["samples"].shape, before) == ((1, 16, 3, 2, 4), 0)


def test_a_mask_has_the_pixels_of_a_cell_as_channels(vae: VAE) -> None:
    masks = torch.zeros(9, 16, 32)
    masks[:, 3, 8 + 5] = 1.0
    positive, *_ = shown(vae, control_masks=masks)
    mask = positive[0][1]["vace_mask"][0]
    assert mask.sum() == 3
    assert mask[0, 3 * 8 + 5, :, 0, 1].tolist() == [1, 1, 1]


def test_a_reference_is_a_frame_before_the_video(vae: VAE, model: DiffusionModel) -> None:
    picture = torch.rand(2, 16, 32, 3)
    positive, _, latent, before = shown(vae, reference_image=picture)
    told = positive[0][1]
    assert before == 1
    assert latent["samples"].shape == (1, 16, 4, 2, 4)
    assert torch.equal(told["vace_frames"][0][:, :16, :1], vae.encode(picture[:1]))
    assert WAN21.process_in(told["vace_frames"][0][:, 16:, :1]).abs().max() < 1e-6
    assert not told["vace_mask"][0][:, :, 0].any()
    result = sample(
        model,
        seed=1,
        steps=2,
        cfg=2.0,
        sampler_name="euler",
        scheduler="simple",
        positive=positive,
        negative=positive,
        latent=latent,
    )["samples"]
    assert result.shape == (1, 16, 4, 2, 4)
    assert result.isfinite().all()


def answered(model: DiffusionModel, options: dict[str, Any]) -> Tensor:
    extras = model.network.extras(options, Job(tuple(X.shape), latent_format=model.latent_format))
    call = NetworkCall(X, torch.tensor([700.0]), TEXT[0][0], {**extras.values, **extras.spatial})
    return model.network(call)


@torch.no_grad()
def test_the_network_follows_as_in_diffusers(model: DiffusionModel) -> None:
    state = converted("convert_wan_transformer_to_diffusers", tiny_dit.random_weights(SHAPES))
    sizes = {"num_attention_heads": 1, "text_dim": 48, "ffn_dim": 256, "num_layers": 2, "vace_layers": [0]}
    reference = module("WanVACETransformer3DModel", state, **sizes)
    frames, mask = randn(1, 32, 3, 2, 4, seed=5), randn(1, 64, 3, 2, 4, seed=6)
    control = torch.cat([*(WAN21.process_in(part) for part in frames.chunk(2, dim=1)), mask], dim=1)
    told = torch.tensor([700.0]), TEXT[0][0]
    expected = reference(
        X, *told, control_hidden_states=control, control_hidden_states_scale=torch.tensor([0.5])
    ).sample
    options = {"vace_frames": [frames], "vace_mask": [mask], "vace_strength": [0.5]}
    assert (answered(model, options) - expected).abs().max() <= 1e-4 * expected.abs().max()
    free = torch.cat([torch.zeros(1, 32, 3, 2, 4), torch.ones(1, 64, 3, 2, 4)], dim=1)
    expected = reference(X, *told, control_hidden_states=free).sample
    assert (answered(model, {}) - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_videos_that_do_not_fit_are_refused(model: DiffusionModel) -> None:
    frames, mask = randn(1, 32, 4, 2, 4), randn(1, 64, 4, 2, 4)
    with pytest.raises(ValueError, match="the latent needs"):
        answered(model, {"vace_frames": [frames], "vace_mask": [mask]})
    with pytest.raises(ValueError, match="holds 2 videos for VACE"):
        answered(model, {"vace_frames": [frames] * 2, "vace_mask": [mask] * 2})


def test_blocks_at_unequal_distances_are_refused(tmp_path: Path) -> None:
    path = tiny_dit.write(tmp_path / "m.safetensors", tiny_dit.wan(blocks=3) | tiny_dit.wan_vace(blocks=2))
    with pytest.raises(ModelError, match="2 blocks of VACE beside 3 of its own"):
        load_model(open_checkpoint(path), "cpu")
