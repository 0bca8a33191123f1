"""ControlNets of other kinds than the first: for SDXL, unions, differences, low ranks, and T2I-Adapters."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.control.applying import of_kind
from graphengine_nodes.diffusion.control.control import Control, T2IAdapter, applied
from graphengine_nodes.diffusion.control.loading import load_control
from graphengine_nodes.diffusion.model.model import DiffusionModel, Job, NetworkCall, Residuals
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import control_cases as cases

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import diffusers

SDXL: dict[str, Any] = {
    "block_out_channels": (32, 64, 64),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "transformer_layers_per_block": (1, 1, 2),
    "cross_attention_dim": 48,
    "attention_head_dim": (1, 1, 1),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 6 * 8 + 16,
}
PICTURE = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1))
X = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
TEXT = torch.randn(1, 5, 48, generator=torch.Generator().manual_seed(3))
POOLED, SIZES = (
    torch.randn(1, 16, generator=torch.Generator().manual_seed(4)),
    torch.tensor([[8.0, 8, 0, 0, 8, 8]]),
)


def random(module: nn.Module) -> Any:
    """The module with random weights everywhere, the zero convolutions too."""
    generator = torch.Generator().manual_seed(6)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    return module.eval().requires_grad_(False)


def load(folder: Path, tensors: dict[str, Tensor], model: DiffusionModel | None = None) -> Control:
    path = folder / "control.safetensors"
    save_file(tensors, path)
    return load_control(open_checkpoint(path), "cpu", model)


def call(**extra: Tensor) -> NetworkCall:
    return NetworkCall(X, torch.tensor([300.0]), TEXT, extra=extra)


def residuals(control: Control, asked: NetworkCall, model: DiffusionModel | None = None) -> Residuals:
    sampling = cases.MODEL_SAMPLING
    job = Job(tuple(asked.x.shape), network=None if model is None else model.network)
    found = applied(control, PICTURE, 1.0, (0, 1)).prepared(job, sampling).residuals(asked.x, torch.ones(1), asked)
    assert found is not None
    return found


def vector(module: Any) -> Tensor:
    """SDXL's y: the pooled text and sinusoids of the sizes."""
    sizes = module.add_time_proj(SIZES.flatten()).reshape(1, -1)
    return torch.cat([POOLED, sizes], dim=1)


def assert_same(ours: Residuals, down: Sequence[Tensor | None], middle: Tensor | None) -> None:
    for a, b in zip([*ours.output, *ours.middle], [*down, middle], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_vector_of_sdxl_reaches_its_control(tmp_path: Path) -> None:
    oracle = random(diffusers.ControlNetModel(**SDXL))
    control = load(tmp_path, oracle.state_dict())
    added = {"text_embeds": POOLED, "time_ids": SIZES}
    down, middle = oracle(
        X, torch.tensor([300.0]), TEXT, PICTURE.movedim(-1, 1), added_cond_kwargs=added, return_dict=False
    )
    assert_same(residuals(control, call(y=vector(oracle))), down, middle)


def test_a_control_for_sdxl_misses_the_vector_that_other_models_do_not_have(tmp_path: Path) -> None:
    control = load(tmp_path, random(diffusers.ControlNetModel(**SDXL)).state_dict())
    with pytest.raises(ValueError, match=r"'control\.safetensors' reads a vector of 64 numbers.*SDXL"):
        residuals(control, call())


@pytest.fixture(scope="module")
def union() -> Any:
    module = diffusers.ControlNetUnionModel(
        **{**SDXL, "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 6 * 256 + 16},
        conditioning_embedding_out_channels=(16, 32, 96, 256),
        num_trans_channel=32,
        num_proj_channel=32,
        num_control_type=6,
        num_trans_layer=2,
    )
    return random(module)


@pytest.mark.parametrize(("kind", "number"), [("openpose", 0), ("canny/lineart/anime_lineart/mlsd", 3)])
def test_a_union_control_is_told_the_kind_of_its_picture(
    kind: str, number: int, union: Any, tmp_path: Path
) -> None:
    control = of_kind(load(tmp_path, union.state_dict()), kind)
    chosen = torch.zeros(1, 6)
    chosen[0, number] = 1.0
    down, middle = union(
        X,
        torch.tensor([300.0]),
        TEXT,
        [PICTURE.movedim(-1, 1)],
        chosen,
        [number],
        added_cond_kwargs={"text_embeds": POOLED, "time_ids": SIZES},
        return_dict=False,
    )
    assert_same(residuals(control, call(y=vector(union))), down, middle)


def test_a_union_control_that_is_told_nothing_reads_the_picture_plainly(union: Any, tmp_path: Path) -> None:
    control = load(tmp_path, union.state_dict())
    asked = call(y=vector(union))
    plain, auto = (residuals(each, asked).output[0] for each in (control, of_kind(control, "auto")))
    told = residuals(of_kind(control, "depth"), asked).output[0]
    torch.testing.assert_close(plain, auto, rtol=0, atol=0)
    assert told is not None
    assert plain is not None
    assert not torch.allclose(told, plain, atol=1e-3)


def test_a_kind_that_only_promax_knows_is_refused(union: Any, tmp_path: Path) -> None:
    control = of_kind(load(tmp_path, union.state_dict()), "tile")
    with pytest.raises(ValueError, match=r"knows 6 kinds of pictures.*number 6"):
        residuals(control, call(y=vector(union)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    return cases.model(tmp_path_factory.mktemp("unet"))


@pytest.fixture(scope="module")
def base() -> dict[str, Tensor]:
    """The weights of the UNet, in the original layout."""
    return cases.unet_weights()


ENCODER = re.compile(r"(time_embed|input_blocks|middle_block)\.")


def test_differences_are_added_to_the_weights_of_a_model(
    model: DiffusionModel, base: dict[str, Tensor], tmp_path: Path
) -> None:
    whole = cases.weights(cases.control_shapes(), seed=8)
    differences = {
        name: value - base[name] if ENCODER.match(name) else value.clone() for name, value in whole.items()
    }
    control = load(tmp_path, {**differences, "difference": torch.zeros(1)}, model)
    (tmp_path / "whole").mkdir()
    ours, theirs = (residuals(each, call(), model) for each in (control, load(tmp_path / "whole", whole)))
    assert_same(ours, theirs.output, theirs.middle[0])


def test_differences_without_a_model_name_the_node_that_takes_one(tmp_path: Path) -> None:
    tensors = {**cases.weights(cases.control_shapes()), "difference": torch.zeros(1)}
    with pytest.raises(ModelError, match="differences to the weights") as error:
        load(tmp_path, tensors)
    assert "DiffControlNetLoader" in str(error.value.hint)


def lora_and_whole(base: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A control-LoRA, and the ControlNet that it stands for."""
    generator = torch.Generator().manual_seed(11)
    file: dict[str, Tensor] = {"lora_controlnet": torch.zeros(1)}
    whole = cases.weights(cases.control_shapes(), seed=8)
    for name, value in whole.items():
        if not ENCODER.match(name):
            file[name] = value
        elif name.endswith("weight") and value.ndim > 1:
            up, down = (
                torch.randn(shape, generator=generator) * 0.1
                for shape in ((value.shape[0], 2), (2, value[0].numel()))
            )
            stem = name.removesuffix(".weight")
            file[f"{stem}.up"], file[f"{stem}.down"] = up, down.reshape(2, *value.shape[1:])
            whole[name] = base[name] + (up @ down).reshape(value.shape)
        elif name.endswith("bias"):
            file[name] = value
        else:  # norms stay those of the model
            whole[name] = base[name]
    return file, whole


def test_changes_of_low_rank_are_made_to_the_weights_of_the_model_that_is_sampled(
    model: DiffusionModel, base: dict[str, Tensor], tmp_path: Path
) -> None:
    file, whole = lora_and_whole(base)
    control = load(tmp_path, file)
    (tmp_path / "whole").mkdir()
    ours, theirs = (residuals(each, call(), model) for each in (control, load(tmp_path / "whole", whole)))
    assert_same(ours, theirs.output, theirs.middle[0])


def test_changes_of_low_rank_follow_a_patched_model(
    model: DiffusionModel, base: dict[str, Tensor], tmp_path: Path
) -> None:
    control = load(tmp_path, lora_and_whole(base)[0])
    patched = model.patched({"conv_in.weight": [lambda weight: weight * 2]})
    plain, changed, again = (residuals(control, call(), each).output[0] for each in (model, patched, model))
    assert plain is not None
    assert changed is not None
    assert not torch.allclose(plain, changed, atol=1e-3)
    torch.testing.assert_close(plain, again, rtol=0, atol=0)


def test_changes_of_low_rank_need_the_model(base: dict[str, Tensor], tmp_path: Path) -> None:
    control = load(tmp_path, lora_and_whole(base)[0])
    with pytest.raises(ModelError, match="was given no model"):
        residuals(control, call())


def adapter(kind: str, **sizes: Any) -> Any:
    return random(diffusers.T2IAdapter(adapter_type=kind, **sizes))


def original_layout(state: dict[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """diffusers' full adapter under its authors' names: residual blocks are numbered through all levels."""
    names = {}
    for name in state:
        short = name.removeprefix("adapter.")
        if found := re.fullmatch(r"body\.(\d+)\.resnets\.(\d+)\.(.+)", short):
            short = f"body.{int(found[1]) * blocks + int(found[2])}.{found[3]}"
        elif found := re.fullmatch(r"body\.(\d+)\.in_conv\.(.+)", short):
            short = f"body.{int(found[1]) * blocks}.in_conv.{found[2]}"
        names[name] = short
    return {names[name]: value for name, value in state.items()}


@pytest.mark.parametrize("layout", ["diffusers", "original"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_full_adapter_adds_to_the_last_block_of_each_level(layout: str, channels: int, tmp_path: Path) -> None:
    module = adapter("full_adapter", in_channels=channels, channels=[32, 32, 64, 64], num_res_blocks=2)
    state = module.state_dict()
    control = load(tmp_path, state if layout == "diffusers" else original_layout(state, 2))
    assert isinstance(control, T2IAdapter)
    picture = PICTURE.movedim(-1, 1)
    expected = module(picture.mean(1, keepdim=True) if channels == 1 else picture)
    found = residuals(control, call())
    assert [place for place, value in enumerate(found.input) if value is not None] == [2, 5, 8, 11]
    for ours, theirs in zip([value for value in found.input if value is not None], expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_light_adapter_is_read_in_its_authors_layout(tmp_path: Path) -> None:
    module = adapter("light_adapter", in_channels=3, channels=[32, 32, 64], num_res_blocks=4)
    state = {
        re.sub(r"\.resnets\.", ".body.", name.removeprefix("adapter.")): value
        for name, value in module.state_dict().items()
    }
    found = residuals(load(tmp_path, state), call())
    for place, theirs in zip((2, 5, 8, 11), module(PICTURE.movedim(-1, 1)), strict=True):
        torch.testing.assert_close(found.input[place], theirs, rtol=1e-4, atol=1e-5)


def test_the_adapter_of_sdxl_adds_to_its_middle_too(tmp_path: Path) -> None:
    module = adapter(
        "full_adapter_xl", in_channels=3, channels=[32, 64, 64, 64], num_res_blocks=2, downscale_factor=16
    )
    control = load(tmp_path, module.state_dict())
    found = residuals(control, call())
    expected = module(PICTURE.movedim(-1, 1))
    assert [place for place, value in enumerate(found.input) if value is not None] == [3, 5, 8]
    torch.testing.assert_close(found.input[8], expected[2], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.middle[0], expected[3], rtol=1e-4, atol=1e-5)


def test_an_adapter_runs_in_a_unet_as_in_diffusers(model: DiffusionModel, tmp_path: Path) -> None:
    module = adapter("full_adapter", in_channels=3, channels=[32, 32, 64, 64], num_res_blocks=2)
    asked = call()
    found = residuals(load(tmp_path, module.state_dict()), asked, model)
    ours = model.network(replace(asked, control=found))
    unet = model.network.component.ready()
    features = list(module(PICTURE.movedim(-1, 1)))
    with torch.no_grad():
        theirs = unet(X, asked.timestep, TEXT, down_intrablock_additional_residuals=features, return_dict=False)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_odd_sizes_are_rounded_up_as_in_the_unet(model: DiffusionModel, tmp_path: Path) -> None:
    module = adapter("full_adapter", in_channels=3, channels=[32, 32, 64, 64], num_res_blocks=2)
    asked = NetworkCall(torch.randn(1, 4, 9, 11), torch.tensor([300.0]), TEXT)
    found = residuals(load(tmp_path, module.state_dict()), asked, model)
    sizes = [tuple(value.shape[-2:]) for value in found.input if value is not None]
    assert sizes == [(9, 11), (5, 6), (3, 3), (2, 2)]


def test_an_adapter_of_another_width_is_refused(model: DiffusionModel, tmp_path: Path) -> None:
    module = adapter("full_adapter", in_channels=3, channels=[32, 64, 64, 64], num_res_blocks=2)
    with pytest.raises(ModelError, match=r"\[32, 64, 64, 64\].*\[32, 32, 64, 64\]"):
        residuals(load(tmp_path, module.state_dict()), call(), model)


def test_an_incomplete_adapter_is_named(tmp_path: Path) -> None:
    state = adapter("full_adapter", in_channels=3, channels=[32, 32, 64, 64], num_res_blocks=2).state_dict()
    del state["adapter.body.2.resnets.1.block2.bias"]
    with pytest.raises(ModelError, match=r"control\.safetensors.*lacks"):
        load(tmp_path, state)
