import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from graphengine.errors import ModelError, RunCancelled
from graphengine.node.api import NodeContext, current_context
from graphengine.node.memory import DeviceMemory
from graphengine_nodes.diffusion.weights.build import assign_weights
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint
from graphengine_nodes.diffusion.weights.weights import Component, Place, plain_sources

from . import ldm_layout

NAMES = {"first.w": "0.weight", "first.b": "0.bias", "last.w": "1.weight", "last.b": "1.bias"}


def two_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 3, device="meta"), nn.Linear(3, 2, device="meta"))


@pytest.fixture
def component(tmp_path: Path) -> Component:
    return made(tmp_path / "m.safetensors")


SHAPES = {"first.w": (3, 3), "first.b": (3,), "last.w": (2, 3), "last.b": (2,)}


def made(path: Path) -> Component:
    return loaded(ldm_layout.write(path, SHAPES, dtype=torch.float16))


def loaded(path: Path) -> Component:
    checkpoint = open_checkpoint(path)
    part = {name: info for name, info in checkpoint.entries.items() if name in NAMES}
    module = assign_weights("two layers", checkpoint, part, NAMES, two_layers)
    return Component(module, checkpoint, device="cpu", sources=plain_sources(NAMES))


def plus(number: float) -> Callable[[Tensor], Tensor]:
    return lambda weight: weight + number


def weights(component: Component) -> dict[str, Tensor]:
    return dict(component.ready().named_parameters())


def test_a_patch_changes_its_weight_and_shares_all_others(component: Component) -> None:
    patched = component.patched({"1.weight": [plus(0.5)]})
    before, after = weights(component), weights(patched)
    assert torch.equal(after["1.weight"], before["1.weight"] + 0.5)
    assert all(after[name] is before[name] for name in ("0.weight", "0.bias", "1.bias"))
    assert patched.changed == {"1.weight"}


def test_patches_of_patches_come_in_turn(component: Component) -> None:
    doubled = component.patched({"0.bias": [plus(1.0)]}).patched(
        {"0.bias": [lambda w: w * 2], "1.bias": [plus(1)]}
    )
    assert torch.equal(weights(doubled)["0.bias"], (component.weight("0.bias") + 1) * 2)
    assert torch.equal(doubled.weight("1.bias"), component.weight("1.bias") + 1)


def test_changes_are_made_once_when_the_weights_are_first_used(component: Component) -> None:
    made: list[str] = []

    def change(weight: Tensor) -> Tensor:
        made.append("change")
        return weight

    patched = component.patched({"0.weight": [change]})
    assert made == []
    assert patched.ready() is patched.ready()
    assert made == ["change"]


def test_the_first_model_may_be_used_before_between_or_after(component: Component) -> None:
    x = torch.ones(1, 3)
    patched = component.patched({"0.weight": [plus(1.0)]})
    changed = patched.ready()(x)
    plain = component.ready()(x)
    again = component.patched({"0.weight": [plus(1.0)]})
    assert torch.equal(again.ready()(x), changed)
    assert torch.equal(component.ready()(x), plain)
    assert not torch.equal(changed, plain)


def test_a_weight_that_only_the_patched_model_needs_is_not_cast_for_the_first(component: Component) -> None:
    patched = component.patched({"0.weight": [plus(1.0)]})
    patched.ready()
    own = dict(component._module.named_parameters())
    assert {weight.dtype for weight in own.values()} == {torch.float16}


def test_a_patched_weight_is_rounded_as_the_others_are(component: Component) -> None:
    rounded = copy.copy(component)
    rounded._weights = replace(component._weights, rounded=torch.float16)
    patched = rounded.patched({"1.bias": [plus(1 / 3)]})
    expected = (component.weight("1.bias") + 1 / 3).half()
    assert torch.equal(weights(patched)["1.bias"], expected.float())
    assert torch.equal(patched.kept("1.bias"), expected)


def test_a_file_keeps_weights_as_they_were_until_one_is_changed(component: Component) -> None:
    assert component.kept("0.weight").dtype == torch.float16
    patched = component.patched({"1.bias": [plus(1 / 3)]})
    kept = {name: patched.kept(name) for name in component.shapes()}
    assert {tensor.dtype for tensor in kept.values()} == {torch.float32}
    assert all(torch.equal(tensor, weights(patched)[name]) for name, tensor in kept.items())
    assert component.checkpoint.path.name == "m.safetensors"


def test_a_patch_for_no_weight_and_one_that_changes_the_shape_are_named(component: Component) -> None:
    with pytest.raises(ModelError, match=r"no weight '2\.weight' to change"):
        component.patched({"2.weight": [plus(1.0)]})
    with pytest.raises(ModelError, match=r"weight '0\.bias' of shape \[3\] into \[1\]"):
        component.patched({"0.bias": [lambda weight: weight[:1]]}).ready()


def test_a_weight_with_two_names_is_changed_under_both(tmp_path: Path) -> None:
    def tied() -> nn.Module:
        first, second = nn.Linear(3, 3, bias=False, device="meta"), nn.Linear(3, 3, bias=False, device="meta")
        second.weight = first.weight
        return nn.Sequential(first, second)

    checkpoint = open_checkpoint(ldm_layout.write(tmp_path / "m.safetensors", {"w": (3, 3)}, dtype=torch.float16))
    weight = checkpoint.tensor(checkpoint.entries["w"])
    module = tied()
    module[0].weight = module[1].weight = nn.Parameter(weight, requires_grad=False)  # type: ignore[index]
    patched = Component(module, checkpoint, device="cpu").patched({"0.weight": [plus(1.0)]}).ready()
    first, second = (layer.weight for layer in patched.children())
    assert first is second
    assert torch.equal(first.detach(), weight.float() + 1)  # type: ignore[operator]


def test_a_source_tells_where_a_tensor_of_the_file_went(component: Component) -> None:
    assert component.sources["first.w"] == (Place("0.weight"),)
    assert component.shapes()["1.weight"] == (2, 3)


def test_an_unloaded_component_gives_its_weights_back_and_computes_the_same_again(component: Component) -> None:
    x = torch.ones(1, 3)
    patched = component.patched({"0.weight": [plus(1.0)]})
    module, before = patched.ready(), patched.ready()(x)
    patched.unload()
    assert torch.equal(module(x), before)  # who computes with it goes on
    assert {weight.dtype for weight in patched._module.parameters()} == {torch.float16}
    assert torch.equal(patched.ready()(x), before)


def test_models_share_a_budget_of_memory(tmp_path: Path) -> None:
    memory = DeviceMemory(lambda device: 130)
    token = current_context.set(NodeContext(memory=memory))
    try:
        first, second = (made(tmp_path / f"{number}.safetensors") for number in range(2))
    finally:
        current_context.reset(token)
    first.ready()
    assert memory.used("cpu") == 4 * (9 + 3 + 6 + 2)
    second.ready()
    assert memory.used("cpu") == 80
    assert not first._is_ready
    first.ready()
    assert not second._is_ready


def test_loaders_of_one_file_share_its_weights(tmp_path: Path) -> None:
    memory, path = DeviceMemory(), tmp_path / "m.safetensors"
    token = current_context.set(NodeContext(memory=memory))
    try:
        first = made(path)
        again = loaded(path)
        ldm_layout.write(path, {**SHAPES, "more": (1,)}, dtype=torch.float16)
        changed = loaded(path)
    finally:
        current_context.reset(token)
    own, others, later = weights(first), weights(again), weights(changed)
    assert all(own[name] is others[name] for name in own)
    assert not any(own[name] is later[name] for name in own)
    assert memory.used("cpu") == 2 * 80


def test_a_patched_model_takes_the_memory_of_its_changes_only(component: Component) -> None:
    component.ready()
    assert component.patched({"0.weight": [plus(1.0)]})._missing() == 4 * 9


def test_a_cancelled_run_stops_between_two_blocks(tmp_path: Path) -> None:
    calls: list[int] = []

    class Block(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            calls.append(1)
            return x

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([Block(), Block(), Block()])

        def forward(self, x: Tensor) -> Tensor:
            for block in self.blocks:
                x = block(x)
            return x

    checkpoint = open_checkpoint(ldm_layout.write(tmp_path / "m.safetensors", {"w": (1,)}, dtype=torch.float16))
    network = Component(Network(), checkpoint, device="cpu").ready()
    token = current_context.set(NodeContext(is_cancelled=lambda: len(calls) == 2))
    try:
        with pytest.raises(RunCancelled):
            network(torch.ones(1))
    finally:
        current_context.reset(token)
    assert len(calls) == 2
