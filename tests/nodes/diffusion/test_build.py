import socket
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from graphengine.errors import ModelError
from graphengine.node.api import NodeContext, current_context
from graphengine_nodes.diffusion.families.families import load_model
from graphengine_nodes.diffusion.model.model import NetworkCall
from graphengine_nodes.diffusion.text.towers import ClipText
from graphengine_nodes.diffusion.weights import build
from graphengine_nodes.diffusion.weights.build import Component, assign_weights, compute_dtype
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, open_checkpoint
from graphengine_nodes.diffusion.weights.detect import ClipConfig

from . import ldm_layout

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

UNET = ldm_layout.unet((32, 64, 96), (1, 1, 1), (True, True, False), 64)


def with_prefix(shapes: ldm_layout.Shapes) -> ldm_layout.Shapes:
    return {ldm_layout.UNET + name: shape for name, shape in shapes.items()}


def saved(folder: Path, shapes: ldm_layout.Shapes, dtype: torch.dtype = torch.float16) -> Checkpoint:
    return open_checkpoint(ldm_layout.write(folder / "m.safetensors", with_prefix(shapes), dtype=dtype))


def inputs(context: int = 64) -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 4, 8, 8, generator=generator)
    return x, torch.tensor([3.0, 901.0]), torch.randn(2, 77, context, generator=generator), {}


def test_the_model_computes_what_diffusers_computes(tmp_path: Path) -> None:
    model = load_model(saved(tmp_path, UNET), "cpu")
    reference = UNet2DConditionModel(
        block_out_channels=(32, 64, 96),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=64,
        attention_head_dim=8,
    )
    weights = ldm_layout.random_weights(with_prefix(UNET))
    state = convert_ldm_unet_checkpoint(weights, {"layers_per_block": 1})
    reference.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    x, timestep, context, extra = inputs()
    with torch.no_grad():
        expected = reference(x, timestep, context).sample
    torch.testing.assert_close(
        model.network(NetworkCall(x, timestep, context, extra)), expected, rtol=1e-5, atol=2e-6
    )
    assert model.latent_format.scale_factor == 0.18215
    assert len(model.sampling.sigmas) == 1000


@pytest.mark.parametrize(
    ("shapes", "context"),
    [
        (ldm_layout.unet((32, 64), (1, 2), (False, True), 128, depth=2, linear=True), 128),
        (ldm_layout.unet((64,), (2,), (True,), 64), 64),
    ],
)
def test_other_sizes_of_the_family_run(shapes: ldm_layout.Shapes, context: int, tmp_path: Path) -> None:
    model = load_model(saved(tmp_path, shapes), "cpu")
    result = model.network(NetworkCall(*inputs(context)))
    assert result.shape == (2, 4, 8, 8)
    assert result.isfinite().all()


def test_weights_stay_mapped_until_the_first_use_and_are_cast_once(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path, {"a.weight": (64, 64), "a.bias": (64,)})
    names = {"a.weight": "weight", "a.bias": "bias"}
    module = assign_weights("a layer", checkpoint, checkpoint.part(ldm_layout.UNET), names, meta_layer)
    component = Component(module, checkpoint, device="cpu")
    assert module.weight.dtype == torch.float16
    ready = component.ready()
    weight = ready.weight
    assert weight.dtype == torch.float32
    assert not weight.requires_grad
    assert component.ready().weight is weight


def meta_layer() -> nn.Module:
    return nn.Linear(64, 64, device="meta")


def test_weights_are_ordinary_tensors_even_when_made_ready_in_inference_mode(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path, {"weight": (8, 8), "bias": (8,)}, torch.float32)
    part = checkpoint.part(ldm_layout.UNET)
    layer = assign_weights(
        "a layer", checkpoint, part, {n: n for n in part}, lambda: nn.Linear(8, 8, device="meta")
    )
    with torch.inference_mode():
        ready = Component(layer, checkpoint, device="cpu", stored=torch.float16).ready()
    assert not any(parameter.is_inference() for parameter in ready.parameters())
    assert all(torch.equal(weight, weight.half().float()) for weight in ready.parameters())


def test_half_precision_is_for_cuda_only() -> None:
    assert compute_dtype("cpu", torch.float16) == torch.float32
    assert compute_dtype("cuda:0", torch.float16) == torch.float16
    assert compute_dtype("cuda", torch.bfloat16) == torch.bfloat16
    assert compute_dtype("cuda", torch.float32) == torch.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"out.2.bias": None}, "lacks tensor conv_out.bias"),
        ({"surprise.weight": (1,)}, "has the unknown tensor surprise.weight"),
        ({"out.0.weight": (31,)}, "has in another shape tensor conv_norm_out.weight"),
        (
            dict.fromkeys([f"middle_block.{n}.in_layers.2.{k}" for n in (0, 2) for k in ("weight", "bias")])
            | {"time_embed.0.bias": None},
            "lacks tensors mid_block.resnets.0.conv1.bias, mid_block.resnets.0.conv1.weight, "
            "mid_block.resnets.1.conv1.bias, mid_block.resnets.1.conv1.weight and 1 more",
        ),
    ],
)
def test_a_unet_that_does_not_fit_names_its_tensors(
    change: dict[str, tuple[int, ...] | None], message: str, tmp_path: Path
) -> None:
    shapes = {name: shape for name, shape in (UNET | change).items() if shape is not None}
    with pytest.raises(ModelError) as error:
        load_model(saved(tmp_path, shapes), "cpu")
    assert "model file 'm.safetensors' does not fit the UNet of SD1.x: it" in error.value.message
    assert message in error.value.message


def test_a_buffer_without_values_is_not_let_through(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path, {"weight": (8, 8), "bias": (8,)})
    part = checkpoint.part(ldm_layout.UNET)

    def make() -> nn.Module:
        layer = nn.Linear(8, 8, device="meta")
        layer.register_buffer("table", torch.zeros(3, device="meta"), persistent=False)
        return layer

    with pytest.raises(RuntimeError, match="left without values: table"):
        assign_weights("a layer", checkpoint, part, {name: name for name in part}, make)


def test_sizes_that_a_library_refuses_name_the_file(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path, {"weight": (8, 8)})

    def refuse() -> nn.Module:
        raise ValueError("eleven heads")

    with pytest.raises(ModelError, match=r"'m.safetensors' describes a layer that cannot be built: eleven heads"):
        assign_weights("a layer", checkpoint, {}, {}, refuse)


def test_no_network_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    load_model(saved(tmp_path, UNET), "cpu").network.load()
    with torch.device("meta"):
        assert ClipText(ClipConfig(49408, 77, 64, 256, 1), "gelu", projection=None, transposed=False) is not None


def test_a_user_who_asks_for_speed_gets_bfloat16_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = current_context.set(NodeContext(fast=True))
    try:
        monkeypatch.setattr(build, "has_bfloat16", lambda: True)
        assert compute_dtype("cpu", torch.float16) == torch.bfloat16
        monkeypatch.setattr(build, "has_bfloat16", lambda: False)
        assert compute_dtype("cpu", torch.float16) == torch.float32
    finally:
        current_context.reset(token)
    assert compute_dtype("cpu", torch.float16) == torch.float32
