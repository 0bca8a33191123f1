"""HunyuanVideo from a picture: beside the latent, or in place of its first frame."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError, NodeContext
from graphengine_nodes.diffusion.families.families import load_model
from graphengine_nodes.diffusion.model.model import Conditioning, DiffusionModel, Job, Latent, NetworkCall
from graphengine_nodes.diffusion.nodes.hunyuan_nodes import HunyuanImageToVideo
from graphengine_nodes.diffusion.sampling.ksampler import sample
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import tiny_dit, tiny_dit_others
from .diffusers_oracle import converted, module, randn

POOLED = randn(1, 40, seed=5)
TEXT: Conditioning = [(randn(1, 7, 48), {"pooled_output": POOLED})]
X = randn(1, 16, 3, 4, 6)


class Encoder:
    """A VAE that gives ones."""

    latent_channels, downscale, frames = 16, 8, 4

    def encode(self, pixels: Tensor, check: Any) -> Tensor:
        assert pixels.shape == (1, 32, 48, 3)
        return torch.ones(1, 16, 1, 4, 6)


def begun(kind: str, start: Tensor | None = None) -> tuple[Conditioning, Latent]:
    encoder: Any = Encoder()
    return HunyuanImageToVideo().encode(
        positive=TEXT,
        vae=encoder,
        width=48,
        height=32,
        length=9,
        batch_size=1,
        guidance_type=kind,
        context=NodeContext(),
        start_image=start,
    )


def loaded(folder: Path, channels: int = 16) -> DiffusionModel:
    shapes = tiny_dit_others.hunyuan_video(channels=channels)
    return load_model(open_checkpoint(tiny_dit.write(folder / "m.safetensors", shapes)), "cpu")


def reference(channels: int, kind: str | None) -> Any:
    weights = tiny_dit.random_weights(tiny_dit_others.hunyuan_video(channels=channels))
    state = converted(
        "convert_hunyuan_video_transformer_to_diffusers", weights, {"hidden_size = 3072": "hidden_size = 64"}
    )
    return module(
        "HunyuanVideoTransformer3DModel",
        state,
        in_channels=channels,
        out_channels=16,
        num_attention_heads=2,
        attention_head_dim=32,
        num_layers=2,
        num_single_layers=2,
        text_embed_dim=48,
        pooled_projection_dim=40,
        rope_axes_dim=(4, 14, 14),
        guidance_embeds=True,
        image_condition_type=kind,
    )


def expected(module: Any, x: Tensor) -> Tensor:
    told = torch.tensor([700.0]), TEXT[0][0], torch.ones(1, 7), POOLED, torch.tensor([6000.0])
    result: Tensor = module(x, *told).sample
    return result


def answered(model: DiffusionModel, options: dict[str, Any], latent: Tensor | None = None) -> Tensor:
    job = Job(tuple(X.shape), latent_format=model.latent_format, latent=latent)
    extras = model.network.extras(options, job)
    call = NetworkCall(X, torch.tensor([700.0]), TEXT[0][0], {**extras.values, **extras.spatial})
    return model.network(call)


def close(ours: Tensor, theirs: Tensor) -> bool:
    return bool((ours - theirs).abs().max() <= 1e-4 * theirs.abs().max())


def test_a_picture_is_shown_beside_the_latent() -> None:
    positive, latent = begun("v1 (concat)", torch.rand(1, 20, 20, 3))
    told = positive[0][1]
    assert torch.equal(told["concat_latent_image"], torch.ones(1, 16, 1, 4, 6))
    assert told["concat_mask"][0, 0, :, 0, 0].tolist() == [0, 1, 1]
    assert latent.keys() == {"samples"}
    assert not latent["samples"].any()


def test_a_picture_takes_the_place_of_the_first_frame(tmp_path: Path) -> None:
    positive, latent = begun("v2 (replace)", torch.rand(1, 20, 20, 3))
    assert positive[0][1]["guiding_frame_index"] == 0
    assert latent["samples"][0, 0, :, 0, 0].tolist() == [1, 0, 0]
    assert latent["noise_mask"][0, 0, :, 0, 0].tolist() == [0, 1, 1]
    result = sample(
        loaded(tmp_path),
        seed=1,
        steps=2,
        cfg=1.0,
        sampler_name="euler",
        scheduler="simple",
        positive=positive,
        negative=positive,
        latent=latent,
    )["samples"]
    assert torch.allclose(result[:, :, 0], torch.ones(1, 16, 4, 6), atol=1e-5)
    assert result.isfinite().all()


def test_without_a_picture_the_text_alone_counts() -> None:
    positive, latent = begun("v1 (concat)")
    assert positive is TEXT
    assert latent["samples"].shape == (1, 16, 3, 4, 6)


def test_a_kind_of_model_that_is_not_built_in_is_refused() -> None:
    with pytest.raises(GraphEngineError, match="'guidance_type' is 'custom'"):
        begun("custom", torch.rand(1, 20, 20, 3))


@torch.no_grad()
def test_the_first_model_sees_picture_and_mask_as_in_diffusers(tmp_path: Path) -> None:
    positive, _ = begun("v1 (concat)", torch.rand(1, 20, 20, 3))
    shown, mask = torch.zeros(1, 16, 3, 4, 6), torch.zeros(1, 1, 3, 4, 6)
    shown[:, :, 0], mask[:, :, 0] = 0.476986, 1.0  # as the pipeline scales the latent
    theirs = expected(reference(33, "latent_concat"), torch.cat([X, shown, mask], dim=1))
    assert close(answered(loaded(tmp_path, 33), dict(positive[0][1])), theirs)


@torch.no_grad()
def test_the_second_model_is_told_a_time_of_zero_for_the_first_frame_as_in_diffusers(tmp_path: Path) -> None:
    model, clean = loaded(tmp_path), randn(*X.shape, seed=9)
    theirs = expected(reference(16, "token_replace"), torch.cat([clean[:, :, :1], X[:, :, 1:]], dim=2))
    plain = answered(model, {"pooled_output": POOLED}, clean)
    assert close(answered(model, {"pooled_output": POOLED, "guiding_frame_index": 0}, clean), theirs)
    assert close(plain, expected(reference(16, None), X))
    assert torch.equal(answered(model, {"pooled_output": POOLED}, clean), plain)  # nothing of it is left


def test_a_given_frame_other_than_the_first_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="guiding_frame_index is 2"):
        answered(loaded(tmp_path), {"guiding_frame_index": 2}, X)
