"""ControlNets of SD3 and Flux against diffusers' own modules."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.control.applying import of_kind
from graphengine_nodes.diffusion.control.control import Control, ControlNet, applied
from graphengine_nodes.diffusion.control.loading import load_control
from graphengine_nodes.diffusion.dit.latent_formats import FLUX, SD3
from graphengine_nodes.diffusion.dit.packing import packed, positions
from graphengine_nodes.diffusion.families.families import load_model
from graphengine_nodes.diffusion.model.model import DiffusionModel, Job, NetworkCall, Residuals
from graphengine_nodes.diffusion.vae.autoencoder import VAE
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import tiny_dit

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import diffusers

SD3_SIZES: dict[str, Any] = {
    "sample_size": 16,
    "pos_embed_max_size": 16,
    "num_layers": 2,
    "num_attention_heads": 2,
    "joint_attention_dim": 64,
    "caption_projection_dim": 128,
    "pooled_projection_dim": 96,
}
FLUX_SIZES: dict[str, Any] = {
    "in_channels": 64,
    "num_layers": 1,
    "num_single_layers": 1,
    "attention_head_dim": 32,
    "num_attention_heads": 2,
    "joint_attention_dim": 48,
    "pooled_projection_dim": 40,
    "guidance_embeds": True,
    "axes_dims_rope": [4, 14, 14],
}
IMAGE = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1))
X = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(2))
PROBE = torch.randn(16, 3, generator=torch.Generator().manual_seed(9))


@dataclass
class Means:
    """A VAE of 16 channels whose latents are mixtures of the means of squares of 8 x 8 pixels."""

    def encode(self, pixels: Tensor) -> Tensor:
        means = torch.nn.functional.avg_pool2d(pixels.movedim(-1, 1), 8)
        return torch.einsum("oc,bchw->bohw", PROBE, means)


DECODER = cast("VAE", Means())


def flux_control(**sizes: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # diffusers warns of its own use of an old name
        return diffusers.FluxControlNetModel(**sizes)


def random(module: nn.Module) -> Any:
    generator = torch.Generator().manual_seed(6)
    for name, parameter in module.named_parameters():
        values = torch.randn(parameter.shape, generator=generator) * 0.1
        parameter.data = values + (1 if name.endswith(("norm_q.weight", "norm_k.weight")) else 0)
    return module.eval().requires_grad_(False)


def load(folder: Path, tensors: dict[str, Tensor]) -> Control:
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "control.safetensors")
    return load_control(open_checkpoint(folder / "control.safetensors"), "cpu")


def model(folder: Path, family: str) -> DiffusionModel:
    shapes = tiny_dit.sd3(blocks=4) if family == "sd3" else tiny_dit.flux(double=2, single=3)
    return load_model(open_checkpoint(tiny_dit.write(folder / "model.safetensors", shapes)), "cpu")


def residuals(control: Control, asked: NetworkCall, steered: DiffusionModel) -> Residuals:
    ready = applied(control, IMAGE, 1.0, (0, 1), vae=DECODER)
    chain = ready.prepared(Job(tuple(asked.x.shape), network=steered.network), steered.sampling)
    found = chain.residuals(asked.x, torch.ones(2), asked)
    assert found is not None
    return found


def call(text: int, pooled: int, time: float, **extra: Tensor) -> NetworkCall:
    generator = torch.Generator().manual_seed(3)
    states, y = torch.randn(2, 5, text, generator=generator), torch.randn(2, pooled, generator=generator)
    return NetworkCall(X, torch.full((2,), time), states, extra={"y": y, **extra})


def test_a_control_of_sd3_adds_to_all_blocks_in_turn(tmp_path: Path) -> None:
    oracle = random(diffusers.SD3ControlNetModel(**SD3_SIZES))
    control, steered, asked = load(tmp_path, oracle.state_dict()), model(tmp_path, "sd3"), call(64, 96, 700.0)
    assert isinstance(control, ControlNet)
    hint = DECODER.encode(IMAGE).expand(2, -1, -1, -1) * SD3.scale_factor
    (samples,) = oracle(X, hint, 1.0, asked.context, asked.extra["y"], asked.timestep, return_dict=False)
    found = residuals(control, asked, steered)
    assert len(found.output) == 4
    for block, ours in enumerate(found.output):
        torch.testing.assert_close(ours, samples[block // 2], rtol=1e-4, atol=1e-5)
    plain, changed = (steered.network(each) for each in (asked, replace(asked, control=found)))
    module: Any = steered.network.component.ready()
    theirs = module(X, asked.context, asked.extra["y"], asked.timestep, list(samples), return_dict=False)[0]
    torch.testing.assert_close(changed, theirs, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(plain, changed, atol=1e-3)


@pytest.mark.parametrize("kinds", [None, 4])
def test_a_control_of_flux_adds_to_double_and_single_blocks(kinds: int | None, tmp_path: Path) -> None:
    oracle = random(flux_control(**FLUX_SIZES, num_mode=kinds))
    control, steered = load(tmp_path, oracle.state_dict()), model(tmp_path, "flux")
    asked = call(48, 40, 0.7, guidance=torch.full((2,), 3.5))
    hint = FLUX.process_in(DECODER.encode(IMAGE)).expand(2, -1, -1, -1)
    double, single = oracle(
        packed(X),
        packed(hint),
        controlnet_mode=None if kinds is None else torch.tensor([[1]]).expand(2, -1),
        encoder_hidden_states=asked.context,
        pooled_projections=asked.extra["y"],
        timestep=asked.timestep,
        img_ids=positions(4, 4),
        txt_ids=torch.zeros(5, 3),
        guidance=asked.extra["guidance"],
        return_dict=False,
    )
    found = residuals(control if kinds is None else of_kind(control, "depth"), asked, steered)
    assert len(found.output) == 5
    for ours, theirs in zip(found.output, [*double * 2, *single * 3], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    plain, changed = (steered.network(each) for each in (asked, replace(asked, control=found)))
    assert not torch.allclose(plain, changed, atol=1e-4)


def test_a_union_of_flux_works_without_a_kind_and_refuses_unknown_ones(tmp_path: Path) -> None:
    oracle = random(flux_control(**FLUX_SIZES, num_mode=4))
    control, steered = load(tmp_path, oracle.state_dict()), model(tmp_path, "flux")
    asked = call(48, 40, 0.7, guidance=torch.full((2,), 3.5))
    untold, told = (residuals(each, asked, steered).output[0] for each in (control, of_kind(control, "depth")))
    assert untold is not None
    assert told is not None
    assert not torch.allclose(untold, told, atol=1e-5)
    with pytest.raises(ValueError, match="knows 4 kinds of pictures, not number 6"):
        residuals(of_kind(control, "tile"), asked, steered)


@pytest.mark.parametrize("family", ["sd3", "flux"])
def test_a_control_that_fills_in_sees_the_mask_too(family: str, tmp_path: Path) -> None:
    if family == "sd3":
        module = random(diffusers.SD3ControlNetModel(**SD3_SIZES, extra_conditioning_channels=1))
        asked = call(64, 96, 700.0)
    else:
        module = flux_control(**FLUX_SIZES)
        module.controlnet_x_embedder = nn.Linear(17 * 4, 64)
        module, asked = random(module), call(48, 40, 0.7, guidance=torch.full((2,), 3.5))
    control, steered = load(tmp_path, module.state_dict()), model(tmp_path, family)
    assert control.concat_mask
    kept = torch.zeros(1, 1, 64, 64)
    job = Job(tuple(X.shape), network=steered.network)
    found = []
    for concat in ([], [torch.ones(1, 1, 8, 8)], [kept]):
        ready = applied(control, IMAGE, 1.0, (0, 1), vae=DECODER, extra_concat=concat)
        added = ready.prepared(job, steered.sampling).residuals(X, torch.ones(2), asked)
        assert added is not None
        found.append(added.output[0])
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
    assert not torch.allclose(cast("Tensor", found[0]), cast("Tensor", found[2]), atol=1e-5)


def test_a_control_of_a_transformer_needs_a_vae_and_its_family(tmp_path: Path) -> None:
    control = load(tmp_path, random(diffusers.SD3ControlNetModel(**SD3_SIZES)).state_dict())
    steered = model(tmp_path, "sd3")
    with pytest.raises(ValueError, match=r"'control\.safetensors' works on latents: connect a VAE"):
        applied(control, IMAGE, 1.0, (0, 1)).prepared(
            Job((1, 16, 8, 8), network=steered.network), steered.sampling
        )
    with pytest.raises(ModelError, match="was made for SD3, not for 'flux' models"):
        residuals(control, call(48, 40, 0.7), model(tmp_path, "flux"))


def test_a_control_of_another_width_is_refused(tmp_path: Path) -> None:
    sizes = {**SD3_SIZES, "num_attention_heads": 1, "caption_projection_dim": 64}
    control = load(tmp_path, random(diffusers.SD3ControlNetModel(**sizes)).state_dict())
    with pytest.raises(ModelError, match="states of width 64, the model's have 128"):
        residuals(control, call(64, 96, 700.0), model(tmp_path, "sd3"))


def test_odd_latents_are_padded_as_the_network_pads_them(tmp_path: Path) -> None:
    control = load(tmp_path, random(diffusers.SD3ControlNetModel(**SD3_SIZES)).state_dict())
    steered, asked = model(tmp_path, "sd3"), call(64, 96, 700.0)
    odd = replace(asked, x=X[..., :7, :5])
    found = residuals(control, odd, steered)
    assert [value.shape[1] for value in found.output if value is not None] == [12] * 4
    assert steered.network(replace(odd, control=found)).shape == (2, 16, 7, 5)


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    state = dict(random(flux_control(**FLUX_SIZES)).state_dict())
    del state["controlnet_blocks.0.bias"]
    with pytest.raises(ModelError, match=r"'control\.safetensors'.*controlnet_blocks\.0\.bias"):
        load(tmp_path, state)
