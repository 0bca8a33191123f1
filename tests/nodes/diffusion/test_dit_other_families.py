"""More families of transformers against diffusers' own modules, converters and pipeline conventions."""

import inspect
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.dit.cosmos_sampling import CosmosSampling
from graphengine_nodes.diffusion.families.families import load_model
from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.sampling.ksampler import sample
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import tiny_dit, tiny_dit_others
from .diffusers_oracle import converted, module, randn
from .ldm_layout import Shapes
from .test_dit_families import asked, close

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import FluxPipeline, LTXConditionPipeline, LTXPipeline


def loaded(folder: Path, shapes: Shapes, prefix: str = "") -> DiffusionModel:
    return load_model(open_checkpoint(tiny_dit.write(folder / "m.safetensors", shapes, prefix=prefix)), "cpu")


SIGMA = 0.7
CONTEXT, POOLED = randn(2, 7, 48, seed=4), randn(1, 40, seed=5)


def times(value: float) -> Tensor:
    return torch.full((2,), value)


@torch.no_grad()
def test_chroma_computes_what_diffusers_computes(tmp_path: Path) -> None:
    shapes = tiny_dit_others.chroma()
    state = converted(
        "convert_chroma_transformer_checkpoint_to_diffusers",
        tiny_dit.random_weights(shapes),
        {"inner_dim = 3072": "inner_dim = 64"},
    )
    reference = module(
        "ChromaTransformer2DModel",
        state,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=48,
        axes_dims_rope=(4, 14, 14),
        approximator_hidden_dim=40,
        approximator_layers=2,
    )
    x = randn(2, 16, 8, 12)
    tokens = reference(
        FluxPipeline._pack_latents(x, 2, 16, 8, 12),
        CONTEXT,
        times(SIGMA),
        FluxPipeline._prepare_latent_image_ids(2, 4, 6, "cpu", torch.float32),
        torch.zeros(7, 3),
    ).sample
    expected = FluxPipeline._unpack_latents(tokens, 64, 96, 8)
    assert close(asked(loaded(tmp_path, shapes), x, SIGMA, CONTEXT), expected)


@torch.no_grad()
def test_lumina2_computes_what_diffusers_computes(tmp_path: Path) -> None:
    shapes = tiny_dit_others.lumina2()
    weights = tiny_dit.random_weights(shapes)
    state = converted(
        "convert_lumina2_to_diffusers", weights, {"q_dim = 2304": "q_dim = 96", "v_dim = 768": "v_dim = 48"}
    )
    reference = module(
        "Lumina2Transformer2DModel",
        state,
        hidden_size=96,
        num_layers=2,
        num_refiner_layers=1,
        num_attention_heads=2,
        num_kv_heads=1,
        multiple_of=80,
        ffn_dim_multiplier=80 / 384,
        axes_dim_rope=(16, 16, 16),
        cap_feat_dim=48,
    )
    x = randn(2, 16, 8, 12)
    expected = -reference(x, times(1 - SIGMA), CONTEXT, torch.ones(2, 7, dtype=torch.bool)).sample
    assert close(asked(loaded(tmp_path, shapes), x, SIGMA, CONTEXT), expected)


@torch.no_grad()
def test_z_image_computes_what_diffusers_computes(tmp_path: Path) -> None:
    shapes = tiny_dit_others.z_image()
    state = converted("convert_z_image_transformer_checkpoint_to_diffusers", tiny_dit.random_weights(shapes))
    reference = module(
        "ZImageTransformer2DModel",
        state,
        dim=64,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=48,
        axes_dims=[8, 12, 12],
    )
    x = randn(2, 16, 8, 12)
    output = reference(list(x[:, :, None]), times(1 - SIGMA), list(CONTEXT), return_dict=False)[0]
    expected = -torch.stack(output)[:, :, 0]
    assert close(asked(loaded(tmp_path, shapes), x, SIGMA, CONTEXT), expected)


@torch.no_grad()
@pytest.mark.parametrize("width", [8, 12])
def test_hidream_computes_what_diffusers_computes(width: int, tmp_path: Path) -> None:
    shapes = tiny_dit_others.hidream()
    reference = module(
        "HiDreamImageTransformer2DModel",
        tiny_dit.random_weights(shapes),
        patch_size=2,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        num_attention_heads=1,
        caption_channels=[48, 32],
        text_emb_dim=192,
        axes_dims_rope=(64, 32, 32),
        llama_layers=[0, 1],
    )
    x, llama, pooled = randn(2, 16, 8, width), randn(1, 3, 5, 32, seed=6), randn(1, 192, seed=7)
    layers = llama.movedim(1, 0).expand(-1, 2, -1, -1)
    expected = -reference(x, times(1000 * SIGMA), CONTEXT, layers, pooled.expand(2, -1)).sample
    options = {"conditioning_llama3": llama, "pooled_output": pooled}
    model = loaded(tmp_path, shapes)
    assert close(asked(model, x, SIGMA, CONTEXT, **options), expected)
    with pytest.raises(ValueError, match="needs the states of Llama"):
        asked(model, x, SIGMA, CONTEXT)


@torch.no_grad()
@pytest.mark.parametrize("guided", [True, False])
def test_hunyuan_video_computes_what_diffusers_computes(guided: bool, tmp_path: Path) -> None:
    shapes = tiny_dit_others.hunyuan_video(guided=guided)
    weights = tiny_dit.random_weights(shapes)
    state = converted(
        "convert_hunyuan_video_transformer_to_diffusers", weights, {"hidden_size = 3072": "hidden_size = 64"}
    )
    reference = module(
        "HunyuanVideoTransformer3DModel",
        state,
        num_attention_heads=2,
        attention_head_dim=32,
        num_layers=2,
        num_single_layers=2,
        text_embed_dim=48,
        pooled_projection_dim=40,
        rope_axes_dim=(4, 14, 14),
        guidance_embeds=guided,
    )
    x, mask = randn(2, 16, 3, 4, 6), torch.ones(2, 7)
    guidance = times(6000.0) if guided else None
    expected = reference(x, times(1000 * SIGMA), CONTEXT, mask, POOLED.expand(2, -1), guidance).sample
    assert close(asked(loaded(tmp_path, shapes), x, SIGMA, CONTEXT, pooled_output=POOLED), expected)


@pytest.mark.filterwarnings("ignore:In CPU autocast")  # of diffusers' own module
@torch.no_grad()
def test_mochi_computes_what_diffusers_computes(tmp_path: Path) -> None:
    shapes = tiny_dit_others.mochi()
    weights = tiny_dit.random_weights(shapes)
    state = converted(
        "convert_mochi_transformer_checkpoint_to_diffusers", weights, {"num_layers = 48": "num_layers = 2"}
    )
    reference = module(
        "MochiTransformer3DModel",
        state,
        num_attention_heads=2,
        attention_head_dim=32,
        num_layers=2,
        pooled_projection_dim=24,
        text_embed_dim=48,
    )
    x, mask = randn(2, 12, 3, 4, 6), torch.tensor([[1.0] * 5 + [0.0] * 2])
    expected = -reference(x, CONTEXT, times(1000 * (1 - SIGMA)), mask.expand(2, -1).bool()).sample
    assert close(asked(loaded(tmp_path, shapes), x, SIGMA, CONTEXT, attention_mask=mask), expected)


@torch.no_grad()
def test_ltx_video_computes_what_the_pipeline_of_diffusers_computes(tmp_path: Path) -> None:
    shapes = tiny_dit_others.ltx_video()
    state = converted("convert_ltx_transformer_checkpoint_to_diffusers", tiny_dit.random_weights(shapes))
    reference = module(
        "LTXVideoTransformer3DModel",
        state,
        attention_head_dim=2,
        cross_attention_dim=64,
        num_layers=2,
        caption_channels=48,
    )
    x, mask = randn(2, 128, 3, 2, 4), torch.tensor([[1.0] * 5 + [0.0] * 2])
    tokens = reference(
        LTXPipeline._pack_latents(x),
        CONTEXT,
        times(1000 * SIGMA),
        mask.expand(2, -1),
        num_frames=3,
        height=2,
        width=4,
        rope_interpolation_scale=(8 / 25, 32, 32),
    ).sample
    expected = LTXPipeline._unpack_latents(tokens, 3, 2, 4)
    assert close(asked(loaded(tmp_path, shapes), x, SIGMA, CONTEXT, attention_mask=mask), expected)


@torch.no_grad()
def test_newer_ltx_video_counts_the_first_frame_alone(tmp_path: Path) -> None:
    shapes = tiny_dit_others.ltx_video()
    weights = tiny_dit.random_weights(shapes)
    told = {"config": json.dumps({"transformer": {"causal_temporal_positioning": True}})}
    save_file(weights, tmp_path / "m.safetensors", told)
    state = converted("convert_ltx_transformer_checkpoint_to_diffusers", weights)
    sizes = {"attention_head_dim": 2, "cross_attention_dim": 64, "num_layers": 2, "caption_channels": 48}
    reference = module("LTXVideoTransformer3DModel", state, **sizes)
    x = randn(2, 128, 3, 2, 4)
    ids = LTXConditionPipeline._prepare_video_ids(2, 3, 2, 4, device=torch.device("cpu"))
    places = LTXConditionPipeline._scale_video_ids(ids, 32, 8, 0, device=torch.device("cpu")).float()
    places[:, 0] *= 1 / 24
    packed = LTXPipeline._pack_latents(x)
    tokens = reference(packed, CONTEXT, times(1000 * SIGMA), torch.ones(2, 7), video_coords=places).sample
    expected = LTXPipeline._unpack_latents(tokens, 3, 2, 4)
    model = load_model(open_checkpoint(tmp_path / "m.safetensors"), "cpu")
    assert close(asked(model, x, SIGMA, CONTEXT, frame_rate=24.0), expected)


def test_a_description_in_the_header_that_is_no_json_is_refused(tmp_path: Path) -> None:
    weights = tiny_dit.random_weights(tiny_dit_others.ltx_video())
    save_file(weights, tmp_path / "m.safetensors", {"config": "{"})
    with pytest.raises(ModelError, match="description of the model is not JSON"):
        load_model(open_checkpoint(tmp_path / "m.safetensors"), "cpu")


@torch.no_grad()
def test_aura_flow_computes_what_diffusers_computes(tmp_path: Path) -> None:
    shapes = tiny_dit_others.aura_flow()
    state = converted("convert_auraflow_transformer_checkpoint_to_diffusers", tiny_dit.random_weights(shapes))
    reference = module(
        "AuraFlowTransformer2DModel",
        state,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        num_attention_heads=1,
        joint_attention_dim=48,
        caption_projection_dim=256,
        pos_embed_max_size=64,
    )
    x = randn(2, 4, 8, 12)
    expected = reference(x, CONTEXT, times(SIGMA)).sample
    assert close(asked(loaded(tmp_path, shapes), x, SIGMA, CONTEXT), expected)


@torch.no_grad()
def test_cosmos_computes_what_the_pipeline_of_diffusers_computes(tmp_path: Path) -> None:
    shapes = tiny_dit_others.cosmos()
    state = converted("convert_cosmos_transformer_checkpoint_to_diffusers", tiny_dit.random_weights(shapes))
    reference = module(
        "CosmosTransformer3DModel",
        state,
        in_channels=17,  # with the channel of padding, which the pipeline adds
        num_attention_heads=2,
        attention_head_dim=32,
        num_layers=2,
        mlp_ratio=4.0,
        text_embed_dim=48,
        adaln_lora_dim=16,
        rope_scale=(1.0, 4.0, 4.0),
        concat_padding_mask=False,
        extra_pos_embed_type=None,
    )
    x, sigma = randn(2, 16, 1, 8, 12), 3.0
    model = loaded(tmp_path, {f"net.{name}": shape for name, shape in shapes.items()})
    time = sigma / (sigma + 1)
    shown = torch.cat([x * (1 - time), torch.zeros(2, 1, 1, 8, 12)], dim=1)
    expected = (1 - time) * x - time * reference(shown, times(time), CONTEXT).sample
    scaled = model.sampling.scale_input(times(sigma), x)
    output = asked(model, scaled, sigma, CONTEXT)
    assert close(model.sampling.denoised(times(sigma), output, x), expected)


def test_the_noise_levels_of_cosmos_are_times_of_a_flow() -> None:
    sampling = CosmosSampling.trained()
    sigmas = torch.tensor([0.002, 1.0, 3.0, 80.0])
    assert torch.allclose(sampling.sigma(sampling.timestep(sigmas)), sigmas)
    assert float(sampling.sigma(torch.tensor(0.9999))) == 80.0
    assert (float(sampling.sigmas[0]), float(sampling.sigmas[-1])) == pytest.approx((0.002, 80.0))
    noise, latent = randn(1, 1, 2, 2), randn(1, 1, 2, 2, seed=2)
    sigma = torch.tensor([3.0])
    x = sampling.noise_scaling(sigma, noise, latent, max_denoise=True)
    assert torch.allclose(sampling.scale_input(sigma, x), 0.25 * latent + 0.75 * noise)
    assert torch.allclose(sampling.denoised(sigma, noise - latent, x), latent, atol=1e-6)


@pytest.mark.parametrize("make", [tiny_dit_others.lumina2, tiny_dit_others.z_image])
def test_a_text_may_be_longer_than_those_of_training(make: Callable[[], Shapes], tmp_path: Path) -> None:
    model = loaded(tmp_path, make())
    assert asked(model, randn(1, 16, 4, 4), SIGMA, randn(1, 1100, 48)).isfinite().all()


FAMILIES: dict[str, tuple[Callable[[], Shapes], tuple[int, ...]]] = {
    "chroma": (tiny_dit_others.chroma, (1, 16, 6, 5)),
    "lumina2": (tiny_dit_others.lumina2, (1, 16, 6, 5)),
    "z_image": (tiny_dit_others.z_image, (1, 16, 6, 5)),
    "hidream": (tiny_dit_others.hidream, (1, 16, 6, 6)),
    "hunyuan_video": (tiny_dit_others.hunyuan_video, (1, 16, 2, 4, 5)),
    "mochi": (tiny_dit_others.mochi, (1, 12, 2, 4, 5)),
    "ltxv": (tiny_dit_others.ltx_video, (1, 128, 2, 3, 3)),
    "aura_flow": (tiny_dit_others.aura_flow, (1, 4, 6, 5)),
    "cosmos": (tiny_dit_others.cosmos, (1, 16, 1, 6, 5)),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_of_two_steps_ends_in_finite_numbers_of_the_same_shape(family: str, tmp_path: Path) -> None:
    make, size = FAMILIES[family]
    model = loaded(tmp_path, make(), tiny_dit.PREFIX)
    options = {"conditioning_llama3": randn(1, 2, 5, 32)}
    text = randn(1, 5, 48)
    result = sample(
        model,
        seed=1,
        steps=2,
        cfg=2.0,
        sampler_name="euler",
        scheduler="simple",
        positive=[(text, options)],
        negative=[(text, options)],
        latent={"samples": torch.zeros(size)},
    )["samples"]
    assert model.network.family == family
    assert result.shape == size
    assert result.isfinite().all()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_has_a_source_in_the_file(family: str, tmp_path: Path) -> None:
    shapes = FAMILIES[family][0]()
    component = loaded(tmp_path, shapes).network.component
    assert set(component.sources) == set(shapes) - {"norm_final.weight"}
    assert {place.name for places in component.sources.values() for place in places} == set(component.shapes())


def test_the_oracle_notices_when_a_converter_has_changed() -> None:
    with pytest.raises(AssertionError, match="no longer says"):
        converted("convert_mochi_transformer_checkpoint_to_diffusers", {}, {"num_layers = 47": "2"})
    assert inspect.isfunction(tiny_dit_others.mochi)
