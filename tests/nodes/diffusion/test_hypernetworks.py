from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from graphengine.errors import ModelError
from graphengine.node.api import Folders, NodeContext
from graphengine_nodes.diffusion.families.families import load_model
from graphengine_nodes.diffusion.model.model import DiffusionModel, NetworkCall
from graphengine_nodes.diffusion.nodes.lora_nodes import HypernetworkLoader
from graphengine_nodes.diffusion.unet.hypernetworks import Hypernetwork, read_hypernetwork
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import tiny_models
from .weight_cases import component, model, random


def tensors(width: int, inner: int, *, norm: bool = False) -> dict[str, Tensor]:
    """Two stacks of two linear layers each."""
    made = {}
    for side in (0, 1):
        made[f"{width}.{side}.linear.0.weight"] = random(inner, width, seed=side)
        made[f"{width}.{side}.linear.0.bias"] = random(inner, seed=side + 2)
        made[f"{width}.{side}.linear.3.weight"] = random(width, inner, seed=side + 4)
        made[f"{width}.{side}.linear.3.bias"] = random(width, seed=side + 6)
        if norm:
            made[f"{width}.{side}.linear.2.weight"] = random(inner, seed=side + 8)
            made[f"{width}.{side}.linear.2.bias"] = random(inner, seed=side + 10)
    return made


def read(folder: Path, given: dict[str, Tensor], **settings: str) -> Hypernetwork:
    path = folder / "h.safetensors"
    save_file(given, path, metadata=settings)
    return Hypernetwork(read_hypernetwork(open_checkpoint(path)), 0.5)


@pytest.mark.parametrize(
    ("settings", "norm", "activation"),
    [
        ({}, False, nn.Identity()),
        ({"activation_func": "relu"}, False, nn.ReLU()),
        ({"activation_func": "mish"}, True, nn.Mish()),
        ({"activation_func": "tanh", "activate_output": "True"}, True, nn.Tanh()),
    ],
)
def test_keys_and_values_are_moved_by_their_networks(
    settings: dict[str, str], norm: bool, activation: nn.Module, tmp_path: Path
) -> None:
    given, n, context, value = tensors(6, 9, norm=norm), random(1, 3, 8), random(1, 5, 6, seed=1), random(1, 5, 6)
    same, keys, values = read(tmp_path, given, **settings)(n, context, value, {})
    assert same is n
    for side, (x, result) in enumerate(((context, keys), (value, values))):
        inner = activation(x @ given[f"6.{side}.linear.0.weight"].T + given[f"6.{side}.linear.0.bias"])
        if norm:
            scale, shift = given[f"6.{side}.linear.2.weight"], given[f"6.{side}.linear.2.bias"]
            inner = nn.functional.layer_norm(inner, (9,), scale, shift)
        moved = inner @ given[f"6.{side}.linear.3.weight"].T + given[f"6.{side}.linear.3.bias"]
        moved = activation(moved) if "activate_output" in settings else moved
        torch.testing.assert_close(result, x + 0.5 * moved)


def test_states_of_another_width_stay_as_they_are(tmp_path: Path) -> None:
    context = random(1, 5, 7)
    _, keys, values = read(tmp_path, tensors(6, 9))(random(1, 3, 8), context, None, {})
    assert keys is values is context


def predicted(model: DiffusionModel) -> Tensor:
    call = NetworkCall(
        random(1, 4, 8, 8),
        torch.tensor([500.0]),
        random(1, 77, 64, seed=1),
        options=model.model_options["transformer_options"],
    )
    return model.network(call)


def test_a_hypernetwork_changes_what_its_model_predicts_and_not_what_the_first_one_does(tmp_path: Path) -> None:
    plain = load_model(open_checkpoint(tiny_models.sd1_checkpoint(tmp_path / "model.safetensors")), "cpu")
    before = predicted(plain)
    save_file(tensors(64, 8), tmp_path / "h.safetensors")
    context = NodeContext(folders=Folders(models={"hypernetworks": (tmp_path,)}))
    loader = HypernetworkLoader()
    (changed,) = loader.load_hypernetwork(plain, "h.safetensors", 1.0, context)
    (still,) = loader.load_hypernetwork(plain, "h.safetensors", 0.0, context)
    assert not torch.allclose(predicted(changed), before)
    torch.testing.assert_close(predicted(still), before)
    assert torch.equal(predicted(plain), before)


def test_files_as_the_web_ui_saves_them_are_read(tmp_path: Path) -> None:
    named = {**tensors(6, 12), **tensors(9, 18)}
    saved: dict[object, object] = {"step": 1000, "activation_func": "relu", "layer_structure": [1, 2, 1]}
    for width in (6, 9):
        prefixes = [f"{width}.{side}." for side in (0, 1)]
        saved[width] = [
            {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}
            for prefix in prefixes
        ]
    torch.save(saved, tmp_path / "h.pt")
    read = read_hypernetwork(open_checkpoint(tmp_path / "h.pt"))
    assert set(read) == {6, 9}
    assert read[6][0].activation == "relu"


def test_damaged_files_are_refused_and_so_are_models_without_attentions_to_change(tmp_path: Path) -> None:
    (tmp_path / "h.pt").write_bytes(b"PK\x03\x04 what torch.save writes")
    context = NodeContext(folders=Folders(models={"hypernetworks": (tmp_path,)}))
    weights = component(tmp_path, {"a.weight": (2, 2)})
    with pytest.raises(ModelError, match=r"'h\.pt' is not what torch\.save writes"):
        HypernetworkLoader().load_hypernetwork(model(weights), "h.pt", 1.0, context)
    with pytest.raises(ModelError, match="'flux' has no place for a hypernetwork"):
        HypernetworkLoader().load_hypernetwork(model(weights, "flux"), "h.pt", 1.0, context)


@pytest.mark.parametrize(
    ("given", "settings", "message"),
    [
        ({"a.weight": random(2)}, {}, "is no hypernetwork"),
        (tensors(6, 9), {"activation_func": "strange"}, "unknown activation 'strange'"),
        ({**tensors(6, 9), "6.0.linear.3.weight": random(6, 8)}, {}, "layers for the width 6 do not fit"),
        ({**tensors(6, 9), "6.1.linear.3.bias": random(5)}, {}, "layers for the width 6 do not fit"),
        (
            {"6.0.linear.0.weight": random(6), "6.0.linear.0.bias": random(6)},
            {},
            "layers for the width 6 do not fit",
        ),
    ],
)
def test_what_is_no_hypernetwork_is_refused(
    given: dict[str, Tensor], settings: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        read(tmp_path, given, **settings)
