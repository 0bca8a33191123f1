"""Each family of transformers against diffusers' own module, converter and pipeline functions."""

import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.families.families import load_model
from graphengine_nodes.diffusion.model.model import DiffusionModel, Job, NetworkCall, Residuals
from graphengine_nodes.diffusion.sampling.ksampler import sample
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import tiny_dit
from .diffusers_oracle import converted, module, randn
from .ldm_layout import Shapes

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import FluxPipeline, QwenImagePipeline


def loaded(folder: Path, shapes: Shapes, prefix: str = "") -> DiffusionModel:
    return load_model(open_checkpoint(tiny_dit.write(folder / "m.safetensors", shapes, prefix=prefix)), "cpu")


def asked(model: DiffusionModel, x: Tensor, sigma: float, context: Tensor, **options: Any) -> Tensor:
    """The raw output for a conditioning with these options."""
    job = Job(tuple(x.shape), latent_format=model.latent_format)
    extras = model.network.extras(options, job)
    inputs = {**extras.values, **extras.spatial}
    extra = {name: value.expand(len(x), *value.shape[1:]) for name, value in inputs.items()}
    timestep = model.sampling.timestep(torch.full((len(x),), sigma))
    return model.network(NetworkCall(x, timestep, context, extra))


def close(ours: Tensor, reference: Tensor) -> bool:
    return bool((ours - reference).abs().max() <= 1e-4 * reference.abs().max())


@pytest.mark.parametrize(("dual", "norm"), [(0, False), (2, True)])
def test_sd3_computes_what_diffusers_computes(dual: int, norm: bool, tmp_path: Path) -> None:
    shapes = tiny_dit.sd3(dual=dual, norm=norm)
    model = loaded(tmp_path, shapes, tiny_dit.PREFIX)
    state = converted("convert_sd3_transformer_checkpoint_to_diffusers", tiny_dit.random_weights(shapes))
    reference = module(
        "SD3Transformer2DModel",
        state,
        num_layers=3,
        num_attention_heads=2,
        joint_attention_dim=64,
        caption_projection_dim=128,
        pooled_projection_dim=96,
        pos_embed_max_size=16,
        dual_attention_layers=tuple(range(dual)),
        qk_norm="rms_norm" if norm else None,
    )
    x, context, pooled = randn(2, 16, 8, 12), randn(2, 7, 64, seed=4), randn(1, 96, seed=5)
    with torch.no_grad():
        expected = reference(x, context, pooled.expand(2, -1), torch.full((2,), 700.0)).sample
    assert close(asked(model, x, 0.7, context, pooled_output=pooled), expected)
    assert model.network.family == "sd3"


FLUX_SIZES = {"inner_dim = 3072": "inner_dim = 64"}


def flux_reference(shapes: Shapes, **config: Any) -> Any:
    state = converted(
        "convert_flux_transformer_checkpoint_to_diffusers", tiny_dit.random_weights(shapes), FLUX_SIZES
    )
    sizes = {"num_layers": 2, "num_single_layers": 2, "attention_head_dim": 32, "num_attention_heads": 2}
    return module(
        "FluxTransformer2DModel",
        state,
        **sizes,
        joint_attention_dim=48,
        pooled_projection_dim=40,
        axes_dims_rope=(4, 14, 14),
        **config,
    )


@pytest.mark.parametrize("guided", [True, False])
def test_flux_computes_what_the_pipeline_of_diffusers_computes(guided: bool, tmp_path: Path) -> None:
    shapes = tiny_dit.flux(guided=guided)
    model = loaded(tmp_path, shapes)
    reference = flux_reference(shapes, guidance_embeds=guided)
    x, context, pooled = randn(2, 16, 8, 12), randn(2, 7, 48, seed=4), randn(1, 40, seed=5)
    with torch.no_grad():
        tokens = reference(
            FluxPipeline._pack_latents(x, 2, 16, 8, 12),
            context,
            pooled.expand(2, -1),
            torch.full((2,), 0.7),
            FluxPipeline._prepare_latent_image_ids(2, 4, 6, "cpu", torch.float32),
            torch.zeros(7, 3),
            torch.full((2,), 2.5) if guided else None,
        ).sample
    expected = FluxPipeline._unpack_latents(tokens, 64, 96, 8)
    assert close(asked(model, x, 0.7, context, pooled_output=pooled, guidance=2.5), expected)
    assert model.sampling.percent_to_sigma(0.5) == pytest.approx(0.7595 if guided else 0.5, abs=1e-4)


def test_flux_fill_is_shown_the_picture_and_the_mask(tmp_path: Path) -> None:
    shapes = tiny_dit.flux(channels=96)
    model = loaded(tmp_path, shapes)
    reference = flux_reference(shapes, guidance_embeds=True, in_channels=384, out_channels=64)
    x, context, pooled = randn(1, 16, 4, 4), randn(1, 7, 48, seed=4), randn(1, 40, seed=5)
    picture, mask = randn(1, 16, 4, 4, seed=6), (randn(1, 1, 32, 32, seed=7) > 0).float()
    cells = mask[:, 0].view(1, 4, 8, 4, 8).permute(0, 2, 4, 1, 3).reshape(1, 64, 4, 4)
    shown = torch.cat([x, (picture - 0.1159) * 0.3611, cells], dim=1)
    with torch.no_grad():
        tokens = reference(
            FluxPipeline._pack_latents(shown, 1, 96, 4, 4),
            context,
            pooled,
            torch.tensor([0.7]),
            FluxPipeline._prepare_latent_image_ids(1, 2, 2, "cpu", torch.float32),
            torch.zeros(7, 3),
            torch.tensor([30.0]),
        ).sample
    expected = FluxPipeline._unpack_latents(tokens, 32, 32, 8)
    options = {"concat_latent_image": picture, "concat_mask": mask, "guidance": 30.0, "pooled_output": pooled}
    assert close(asked(model, x, 0.7, context, **options), expected)


def test_flux_kontext_sees_its_reference_beside_the_picture(tmp_path: Path) -> None:
    shapes = tiny_dit.flux()
    model = loaded(tmp_path, shapes)
    reference = flux_reference(shapes, guidance_embeds=True)
    x, context, pooled = randn(1, 16, 4, 4), randn(1, 7, 48, seed=4), randn(1, 40, seed=5)
    picture = randn(1, 16, 4, 8, seed=6)
    ids = FluxPipeline._prepare_latent_image_ids(1, 2, 4, "cpu", torch.float32)
    ids[..., 0] = 1
    with torch.no_grad():
        tokens = reference(
            torch.cat(
                [
                    FluxPipeline._pack_latents(x, 1, 16, 4, 4),
                    FluxPipeline._pack_latents((picture - 0.1159) * 0.3611, 1, 16, 4, 8),
                ],
                dim=1,
            ),
            context,
            pooled,
            torch.tensor([0.7]),
            torch.cat([FluxPipeline._prepare_latent_image_ids(1, 2, 2, "cpu", torch.float32), ids]),
            torch.zeros(7, 3),
            torch.tensor([3.5]),
        ).sample[:, :4]
    expected = FluxPipeline._unpack_latents(tokens, 32, 32, 8)
    assert close(asked(model, x, 0.7, context, pooled_output=pooled, reference_latents=[picture]), expected)


def test_qwen_image_computes_what_the_pipeline_of_diffusers_computes(tmp_path: Path) -> None:
    shapes = tiny_dit.qwen_image()
    model = loaded(tmp_path, shapes, tiny_dit.PREFIX)
    reference = module(
        "QwenImageTransformer2DModel",
        tiny_dit.random_weights(shapes),
        num_layers=2,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=48,
        axes_dims_rope=(4, 14, 14),
    )
    x, context, picture = randn(2, 16, 1, 8, 12), randn(2, 7, 48, seed=4), randn(1, 16, 1, 4, 8, seed=6)
    scaled = model.latent_format.process_in(picture).expand(2, -1, -1, -1, -1)
    with torch.no_grad():
        tokens = reference(
            torch.cat(
                [
                    QwenImagePipeline._pack_latents(x, 2, 16, 8, 12),
                    QwenImagePipeline._pack_latents(scaled.contiguous(), 2, 16, 4, 8),
                ],
                dim=1,
            ),
            context,
            torch.ones(2, 7),
            torch.full((2,), 0.7),
            [[(1, 4, 6), (1, 2, 4)]] * 2,
        ).sample[:, :24]
    expected = QwenImagePipeline._unpack_latents(tokens, 64, 96, 8)
    assert close(asked(model, x, 0.7, context, reference_latents=[picture]), expected)


@pytest.mark.parametrize(("channels", "image"), [(16, 0), (36, 80)])
def test_wan_computes_what_diffusers_computes(channels: int, image: int, tmp_path: Path) -> None:
    shapes = tiny_dit.wan(channels=channels, image=image)
    model = loaded(tmp_path, shapes)
    state = converted("convert_wan_transformer_to_diffusers", tiny_dit.random_weights(shapes))
    reference = module(
        "WanTransformer3DModel",
        state,
        num_attention_heads=1,
        in_channels=channels,
        text_dim=48,
        ffn_dim=256,
        num_layers=2,
        image_dim=image or None,
        added_kv_proj_dim=128 if image else None,
    )
    x, context = randn(1, 16, 3, 4, 6), randn(1, 512, 48, seed=4)
    picture, seen = randn(1, 16, 3, 4, 6, seed=5), randn(1, 257, 80, seed=6)
    mask = torch.ones(1, 1, 3, 4, 6)
    mask[:, :, 0] = 0  # the first frame is given
    shown = torch.cat([x, (1 - mask).expand(-1, 4, -1, -1, -1), model.latent_format.process_in(picture)], dim=1)
    with torch.no_grad():
        expected = reference(
            shown if image else x,
            torch.tensor([700.0]),
            context,
            seen if image else None,
        ).sample
    options = {
        "concat_latent_image": picture,
        "concat_mask": mask,
        "clip_vision_output": SimpleNamespace(penultimate_hidden_states=seen),
    }
    assert close(asked(model, x, 0.7, context, **(options if image else {})), expected)


FAMILIES = {
    "sd3": (tiny_dit.sd3(), (1, 16, 6, 6), 64, 96),
    "flux": (tiny_dit.flux(), (1, 16, 6, 6), 48, 40),
    "qwen_image": (tiny_dit.qwen_image(), (1, 16, 6, 6), 48, None),
    "wan": (tiny_dit.wan(), (1, 16, 2, 4, 4), 48, None),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_of_two_steps_ends_in_finite_numbers_of_the_same_shape(family: str, tmp_path: Path) -> None:
    shapes, size, text, pooled = FAMILIES[family]
    model = loaded(tmp_path, shapes)
    options = {} if pooled is None else {"pooled_output": randn(1, pooled)}
    result = sample(
        model,
        seed=1,
        steps=2,
        cfg=2.0,
        sampler_name="euler",
        scheduler="simple",
        positive=[(randn(1, 5, text), options)],
        negative=[(randn(1, 5, text, seed=9), options)],
        latent={"samples": torch.zeros(size)},
    )["samples"]
    assert model.network.family == family
    assert result.shape[-2:] == size[-2:]
    assert result.isfinite().all()


@pytest.mark.parametrize("family", FAMILIES)
def test_latents_of_odd_size_keep_it(family: str, tmp_path: Path) -> None:
    shapes, size, text, _ = FAMILIES[family]
    x = randn(*size[:-2], 5, 7)
    assert asked(loaded(tmp_path, shapes), x, 0.5, randn(1, 4, text)).shape == x.shape


@pytest.mark.parametrize("family", FAMILIES)
def test_every_tensor_of_the_file_is_a_source_of_weights(family: str, tmp_path: Path) -> None:
    shapes = FAMILIES[family][0]
    component = loaded(tmp_path, shapes, tiny_dit.PREFIX).network.component
    assert set(component.sources) == set(shapes)
    assert {place.name for places in component.sources.values() for place in places} == set(component.shapes())


def test_rows_of_a_fused_weight_are_shared_with_the_file(tmp_path: Path) -> None:
    component = loaded(tmp_path, tiny_dit.flux()).network.component
    places = component.sources["single_blocks.0.linear1.weight"]
    assert [place.name.removeprefix("single_transformer_blocks.0.") for place in places] == [
        "attn.to_q.weight",
        "attn.to_k.weight",
        "attn.to_v.weight",
        "proj_mlp.weight",
    ]
    assert [place.rows for place in places] == [slice(0, 64), slice(64, 128), slice(128, 192), slice(192, 448)]


@pytest.mark.parametrize("family", ["sd3", "flux", "qwen_image"])
def test_residuals_are_added_and_blocks_can_be_left_out(family: str, tmp_path: Path) -> None:
    shapes, size, text, _ = FAMILIES[family]
    model = loaded(tmp_path, shapes)
    x = randn(*size)
    width = {"sd3": 128, "flux": 64, "qwen_image": 64}[family]
    extras = model.network.extras({}, Job(size, latent_format=model.latent_format))
    call = NetworkCall(x, model.sampling.timestep(torch.tensor([0.5])), randn(1, 4, text), extras.values)
    plain = model.network(call)

    def with_options(patch: Any) -> Tensor:
        options = {"patches_replace": {"dit": {("double_block", 1): patch}}}
        return model.network(NetworkCall(x, call.timestep, call.context, call.extra, options=options))

    control = Residuals(output=(None, randn(1, 9, width)))
    controlled = model.network(NetworkCall(x, call.timestep, call.context, call.extra, control))
    assert not torch.allclose(controlled, plain)
    assert not torch.allclose(with_options(lambda state, _: state), plain)
    assert torch.allclose(with_options(lambda state, block: block["original_block"](state)), plain)
    assert torch.equal(model.network(call), plain)


@pytest.mark.parametrize("family", ["sd3", "flux", "qwen_image"])
def test_a_run_beside_one_that_patches_blocks_is_not_patched(family: str, tmp_path: Path) -> None:
    shapes, size, text, _ = FAMILIES[family]
    model = loaded(tmp_path, shapes)
    extras = model.network.extras({}, Job(size, latent_format=model.latent_format))
    call = NetworkCall(
        randn(*size), model.sampling.timestep(torch.tensor([0.5])), randn(1, 4, text), extras.values
    )
    plain = model.network(call)
    beside: list[Tensor] = []

    def patch(state: Any, block: Any) -> Any:
        beside.append(model.network(call))
        return state

    patched = replace(call, options={"patches_replace": {"dit": {("double_block", 0): patch}}})
    assert not torch.allclose(model.network(patched), plain)
    assert len(beside) == 1
    assert torch.equal(beside[0], plain)


def test_a_text_of_another_width_names_both(tmp_path: Path) -> None:
    model = loaded(tmp_path, tiny_dit.flux())
    with pytest.raises(ValueError, match="width 64, but a Flux model takes 48"):
        asked(model, randn(1, 16, 4, 4), 0.5, randn(1, 4, 64))
    with pytest.raises(ValueError, match="pooled_output has the width 7, but a Flux model takes 40"):
        asked(model, randn(1, 16, 4, 4), 0.5, randn(1, 4, 48), pooled_output=randn(1, 7))


def test_qwen_image_makes_one_frame(tmp_path: Path) -> None:
    model = loaded(tmp_path, tiny_dit.qwen_image())
    with pytest.raises(ValueError, match="has 3 frames, but a Qwen-Image model makes one picture"):
        asked(model, randn(1, 16, 3, 4, 4), 0.5, randn(1, 4, 48))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"proj_out.bias": None}, "does not fit a Qwen-Image model: it lacks tensor proj_out.bias"),
        ({"odd.weight": (3, 3)}, "has the unknown tensor odd.weight"),
        ({"norm_out.linear.bias": (5,)}, r"has in another shape tensor norm_out.linear.bias \[5\]"),
        ({"txt_in.weight": None}, "lacks tensor 'txt_in.weight'"),
        ({"img_in.weight": (65, 64)}, "the width 65 is no multiple of the head size 32"),
    ],
)
def test_a_file_that_does_not_fit_names_its_tensors(
    change: dict[str, tuple[int, ...] | None], message: str, tmp_path: Path
) -> None:
    shapes = {name: shape for name, shape in (tiny_dit.qwen_image() | change).items() if shape is not None}
    with pytest.raises(ModelError, match=message):
        loaded(tmp_path, shapes)
