"""Upscaling models of random weights in all layouts, against a forward pass written out by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from graphengine.errors import GraphEngineError, ModelError, RunCancelled
from graphengine.node.api import Folders, NodeContext
from graphengine_nodes.diffusion.nodes import upscale_nodes
from graphengine_nodes.diffusion.upscaling.networks import Compact
from graphengine_nodes.diffusion.upscaling.upscale import UpscaleModel, load_upscale_model, upscale_pictures
from tests.nodes.core.described import described

State = dict[str, Tensor]

WIDTH, GROWTH, BLOCKS = 6, 4, 2


def conv(state: State, name: str, outputs: int, inputs: int) -> None:
    generator = torch.Generator().manual_seed(len(state))
    state[f"{name}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=generator) * (inputs * 9) ** -0.5
    state[f"{name}.bias"] = 0.1 * torch.randn(outputs, generator=generator)


def rrdb(doublings: int = 2, unshuffle: int = 1) -> State:
    """A small RRDBNet under the names of Real-ESRGAN."""
    state: State = {}
    conv(state, "conv_first", WIDTH, 3 * unshuffle**2)
    for block in range(BLOCKS):
        for dense in (1, 2, 3):
            for number in range(1, 6):
                outputs = WIDTH if number == 5 else GROWTH
                conv(state, f"body.{block}.rdb{dense}.conv{number}", outputs, WIDTH + GROWTH * (number - 1))
    conv(state, "conv_body", WIDTH, WIDTH)
    for number in range(1, doublings + 1):
        conv(state, f"conv_up{number}", WIDTH, WIDTH)
    conv(state, "conv_hr", WIDTH, WIDTH)
    conv(state, "conv_last", 3, WIDTH)
    return state


def rrdb_forward(state: State, x: Tensor, doublings: int, unshuffle: int) -> Tensor:
    """The same network, step by step."""

    def at(name: str, values: Tensor) -> Tensor:
        return F.conv2d(values, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    first = at("conv_first", F.pixel_unshuffle(x, unshuffle))
    trunk = first
    for block in range(BLOCKS):
        start = trunk
        for dense in (1, 2, 3):
            results = [trunk]
            for number in range(1, 6):
                made = at(f"body.{block}.rdb{dense}.conv{number}", torch.cat(results, 1))
                results.append(F.leaky_relu(made, 0.2) if number < 5 else made)
            trunk = trunk + 0.2 * results[-1]
        trunk = start + 0.2 * trunk
    values = first + at("conv_body", trunk)
    for number in range(1, doublings + 1):
        values = values.repeat_interleave(2, -1).repeat_interleave(2, -2)
        values = F.leaky_relu(at(f"conv_up{number}", values), 0.2)
    return at("conv_last", F.leaky_relu(at("conv_hr", values), 0.2))


def first_release(state: State) -> State:
    """The names of the first release of ESRGAN."""
    names = {
        "body.": "RRDB_trunk.",
        "rdb": "RDB",
        "conv_body": "trunk_conv",
        "conv_up": "upconv",
        "conv_hr": "HRconv",
    }
    renamed = {}
    for name, value in state.items():
        for new, old in names.items():
            name = name.replace(new, old)
        renamed[name] = value
    return renamed


def sequence(state: State) -> State:
    """The names of the time before: numbers of one sequence."""
    doublings = sum(name.startswith("conv_up") and name.endswith("weight") for name in state)
    last = 2 + 3 * doublings
    tops = {"conv_first": "model.0", "conv_body": f"model.1.sub.{BLOCKS}"}
    tops |= {f"conv_up{number}": f"model.{3 * number}" for number in range(1, doublings + 1)}
    tops |= {"conv_hr": f"model.{last}", "conv_last": f"model.{last + 2}"}
    renamed = {}
    for name, value in state.items():
        layer, kind = name.rsplit(".", 1)
        if layer.startswith("body."):
            _, block, dense, number = layer.split(".")
            renamed[f"model.1.sub.{block}.{dense.upper()}.{number}.0.{kind}"] = value
        else:
            renamed[f"{tops[layer]}.{kind}"] = value
    return renamed


def compact(scale: int = 2) -> State:
    state: State = {}
    conv(state, "body.0", 5, 3)
    for number in (1, 3, 5):
        state[f"body.{number}.weight"] = torch.full((5,), 0.1 * number)
    conv(state, "body.2", 5, 5)
    conv(state, "body.4", 5, 5)
    conv(state, "body.6", 3 * scale**2, 5)
    return state


def write(folder: Path, state: State, name: str = "model.safetensors") -> Path:
    save_file(state, folder / name)
    return folder / name


def pictures(batch: int = 1, height: int = 8, width: int = 12) -> Tensor:
    return torch.rand(batch, height, width, 3, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("layout", [dict, first_release, sequence])
@pytest.mark.parametrize("doublings", [1, 2])
def test_every_layout_of_esrgan_computes_the_same(
    layout: Callable[[State], State], doublings: int, tmp_path: Path
) -> None:
    state = rrdb(doublings)
    model = load_upscale_model(write(tmp_path, layout(state)))
    x = pictures(2).movedim(-1, 1)
    assert (model.scale, model.channels, model.architecture) == (2**doublings, 3, "RRDBNet")
    assert torch.allclose(model(x), rrdb_forward(state, x, doublings, 1), atol=1e-5)


@pytest.mark.parametrize(("unshuffle", "scale"), [(2, 2), (4, 1)])
def test_smaller_factors_come_from_an_unshuffled_picture(unshuffle: int, scale: int, tmp_path: Path) -> None:
    state = rrdb(2, unshuffle)
    model = load_upscale_model(write(tmp_path, state))
    x = pictures().movedim(-1, 1)
    assert model.scale == scale
    assert torch.allclose(model(x), rrdb_forward(state, x, 2, unshuffle), atol=1e-5)
    assert model(x[..., :5, :7]).shape == (1, 3, 5 * scale, 7 * scale)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_compact_adds_to_the_nearest_pixels(scale: int, tmp_path: Path) -> None:
    state = compact(scale)
    model = load_upscale_model(write(tmp_path, state))
    x = pictures().movedim(-1, 1)
    values = x
    for number in (0, 2, 4):
        values = F.conv2d(values, state[f"body.{number}.weight"], state[f"body.{number}.bias"], padding=1)
        values = torch.where(values > 0, values, values * state[f"body.{number + 1}.weight"][:, None, None])
    values = F.conv2d(values, state["body.6.weight"], state["body.6.bias"], padding=1)
    expected = F.pixel_shuffle(values, scale) + x.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
    assert model.architecture == "Compact"
    assert torch.allclose(model(x), expected, atol=1e-5)


@pytest.mark.parametrize("wrapper", ["params_ema", "params", "state_dict"])
def test_old_files_are_read_out_of_what_trainers_put_around_them(wrapper: str, tmp_path: Path) -> None:
    state = compact()
    torch.save({wrapper: {f"module.{name}": value.half() for name, value in state.items()}}, tmp_path / "m.pth")
    model = load_upscale_model(tmp_path / "m.pth")
    assert next(model.network.parameters()).dtype == torch.float32
    assert model(pictures().movedim(-1, 1)).shape == (1, 3, 16, 24)


class Evil:
    """Would run code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1 + 1",)


def test_a_file_without_tensors_is_refused_and_nothing_in_it_runs(tmp_path: Path) -> None:
    torch.save({"params": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match=r"'evil.pth' holds no tensors"):
        load_upscale_model(tmp_path / "evil.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ModelError, match=r"'list.pth' holds no tensors"):
        load_upscale_model(tmp_path / "list.pth")


def test_an_incomplete_model_names_what_it_lacks(tmp_path: Path) -> None:
    state = rrdb()
    del state["body.1.rdb2.conv3.bias"]
    with pytest.raises(ModelError, match=r"do not fit each other: .*body\.1\.rdb2\.conv3\.bias"):
        load_upscale_model(write(tmp_path, state))


@pytest.mark.parametrize(
    ("name", "seems"),
    [("layers.0.residual_group.blocks.0.norm1.weight", "of the architecture SwinIR"), ("x", "of an unknown")],
)
def test_another_architecture_is_named_and_what_reads_it(
    name: str, seems: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(ModelError, match=seems) as error:
        load_upscale_model(write(tmp_path, {name: torch.ones(2)}))
    assert "install spandrel" in str(error.value.hint)


def test_spandrel_reads_what_is_not_built_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Loader:
        def load_from_state_dict(self, state: State) -> Any:
            if "bad" in state:
                raise ValueError("unsupported")

            class Described:
                model = nn.Conv2d(3, 3, 1)
                scale, input_channels, output_channels = 3, 3, 3
                architecture = SimpleNamespace(name="SwinIR")

                def __call__(self, x: Tensor) -> Tensor:
                    return F.interpolate(x, scale_factor=3.0)

            return Described()

    module = ModuleType("spandrel")
    module.ModelLoader = Loader  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spandrel", module)
    model = load_upscale_model(write(tmp_path, {"x": torch.ones(2)}))
    assert (model.scale, model.architecture) == (3, "SwinIR")
    assert model.to("cpu").eval().cpu().device == torch.device("cpu")
    x = pictures(1, 2, 2).movedim(-1, 1)
    assert torch.equal(model(x), x.repeat_interleave(3, -1).repeat_interleave(3, -2))
    with pytest.raises(ModelError, match="refused by spandrel: unsupported"):
        load_upscale_model(write(tmp_path, {"bad": torch.ones(2)}))


class Doubling(nn.Module):
    """Each pixel four times, twice as bright; fails above a number of pixels."""

    def __init__(self, limit: int = 10**9) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.limit, self.seen = limit, list[tuple[int, ...]]()

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(tuple(x.shape[2:]))
        if x[0, 0].numel() > self.limit:
            raise torch.OutOfMemoryError
        return F.interpolate(2 * x, scale_factor=2.0)


def upscaled(network: Doubling, pixels: Tensor, progress: Callable[[int, int], None] | None = None) -> Tensor:
    model = UpscaleModel(network, 2, "Doubling")
    return upscale_pictures(model, pixels, "cpu", progress or (lambda done, total: None))


def expected(pixels: Tensor) -> Tensor:
    return (2 * pixels[..., :3]).clamp(0, 1).repeat_interleave(2, 1).repeat_interleave(2, 2)


@pytest.mark.parametrize("shape", [(2, 3, 5, 3), (1, 600, 40, 4), (1, 1, 1, 3)])
def test_pictures_are_enlarged_in_tiles_and_limited(shape: tuple[int, ...]) -> None:
    pixels = torch.rand(shape)
    network = Doubling()
    reported: list[tuple[int, int]] = []
    result = upscaled(network, pixels, lambda done, total: reported.append((done, total)))
    assert torch.allclose(result, expected(pixels), atol=1e-6)
    assert reported == [(number, len(network.seen)) for number in range(1, len(network.seen) + 1)]


def test_tiles_are_halved_while_memory_is_short() -> None:
    pixels = torch.rand(1, 300, 300, 3)
    network = Doubling(limit=128 * 128)
    assert torch.allclose(upscaled(network, pixels), expected(pixels), atol=1e-6)
    assert network.seen[:3] == [(300, 300), (256, 256), (128, 128)]
    with pytest.raises(GraphEngineError, match=r"cannot enlarge a picture of 300x300 in tiles of 128x128"):
        upscaled(Doubling(limit=10), pixels)


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (1, 8, 8, 1), (8, 8, 3)])
def test_what_is_no_picture_is_refused_with_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(GraphEngineError, match=r"\(B, H, W, 3\), not \["):
        upscaled(Doubling(), torch.zeros(shape))


def test_the_nodes_load_and_enlarge(tmp_path: Path) -> None:
    write(tmp_path, compact())
    context = NodeContext(folders=Folders(models={"upscale_models": (tmp_path,)}))
    (model,) = upscale_nodes.UpscaleModelLoader().load_model("model.safetensors", context)
    assert isinstance(model.model, Compact)
    (result,) = upscale_nodes.ImageUpscaleWithModel().upscale(model, pictures(), context)
    assert torch.equal(result, model(pictures().movedim(-1, 1)).clamp(0, 1).movedim(1, -1))
    cancelled = NodeContext(is_cancelled=lambda: True)
    with pytest.raises(RunCancelled):
        upscale_nodes.ImageUpscaleWithModel().upscale(model, pictures(), cancelled)


def test_the_definitions_are_those_of_saved_workflows() -> None:
    found = described(upscale_nodes.NODE_CLASS_MAPPINGS, upscale_nodes.NODE_DISPLAY_NAME_MAPPINGS)
    loader, upscaler = found["UpscaleModelLoader"], found["ImageUpscaleWithModel"]
    assert loader["input"] == {"required": [["model_name", []]]}
    assert (loader["output"], loader["category"], loader["display_name"]) == (
        ["UPSCALE_MODEL"],
        "loaders",
        "Load Upscale Model",
    )
    assert upscaler["input"] == {"required": [["upscale_model", "UPSCALE_MODEL"], ["image", "IMAGE"]]}
    assert (upscaler["output"], upscaler["category"], upscaler["display_name"]) == (
        ["IMAGE"],
        "image/upscaling",
        "Upscale Image (using Model)",
    )
