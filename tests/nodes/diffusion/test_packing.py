from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint
from graphengine_nodes.diffusion.weights.packing import PackedConv2d, PackedLinear, can_pack, pack
from graphengine_nodes.diffusion.weights.weights import Component

from . import ldm_layout

pytestmark = pytest.mark.skipif(
    not can_pack("cpu", torch.float32), reason="this build of torch has no oneDNN to pack weights for"
)


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(8, 16, 3, padding=1), nn.Conv2d(16, 16, 3, stride=2, padding=1), nn.Conv2d(16, 8, 1)
    ).requires_grad_(False)


def pictures(batch: int, size: int) -> Tensor:
    return torch.randn(batch, 8, size, size, generator=torch.Generator().manual_seed(1))


def test_packed_layers_compute_the_same_for_sizes_that_change_and_take_turns() -> None:
    plain, packed = layers(), layers()
    pack(packed, lambda name: lambda parameter: None)
    for batch, size in [(2, 16), (2, 16), (1, 16), (2, 8), (1, 16), (3, 12), (3, 12), (3, 12), (3, 12), (3, 12)]:
        x = pictures(batch, size)
        torch.testing.assert_close(packed(x), plain(x), rtol=1e-4, atol=1e-5)
    assert all(isinstance(layer, PackedConv2d) and layer.weight.is_mkldnn for layer in packed)


def test_results_do_not_depend_on_the_size_that_came_first() -> None:
    small_first, large_first = layers(), layers()
    for packed, sizes in [(small_first, (4, 32)), (large_first, (32, 4))]:
        pack(packed, lambda name: lambda parameter: None)
        for size in sizes:
            packed(pictures(2, size))
    for size in (4, 12, 32):
        assert torch.equal(small_first(pictures(2, size)), large_first(pictures(2, size)))


def test_a_single_row_gives_the_same_whatever_number_of_rows_came_first() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(64, 64).requires_grad_(False)
    one_first, two_first = (nn.Sequential(nn.Linear(64, 64)).requires_grad_(False) for _ in range(2))
    for packed, rows in [(one_first, 1), (two_first, 2)]:
        packed[0].load_state_dict(layer.state_dict())
        pack(packed, lambda name: lambda parameter: None)
        packed(torch.randn(rows, 64))
    for rows in (1, 2, 5):
        x = torch.randn(rows, 64)
        assert torch.equal(one_first(x), two_first(x))


def test_linear_layers_take_any_number_of_dimensions() -> None:
    plain, packed = (nn.Sequential(nn.Linear(16, 32)).requires_grad_(False) for _ in range(2))
    packed.load_state_dict(plain.state_dict())
    pack(packed, lambda name: lambda parameter: None)
    assert isinstance(packed[0], PackedLinear)
    for shape in [(2, 77, 16), (5, 16), (2, 3, 4, 16)]:
        x = torch.randn(shape)
        torch.testing.assert_close(packed(x), plain(x), rtol=1e-4, atol=1e-5)


def test_sizes_that_take_turns_do_not_pack_the_weights_anew_each_time() -> None:
    told: list[str] = []
    packed = layers()[:1]
    pack(packed, lambda name: lambda parameter: told.append(name))
    for _ in range(6):
        packed(pictures(2, 16))
        packed(pictures(1, 16))
    assert told == ["0.weight"]
    for _ in range(3):
        packed(pictures(1, 16))
    assert told == ["0.weight", "0.weight"]


def test_layers_that_the_packed_form_does_not_know_stay_as_they_are() -> None:
    odd = nn.Sequential(
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(8, 8, 3, padding="same"),
        nn.GroupNorm(4, 8),
    )
    kinds = [type(layer) for layer in odd]
    pack(odd, lambda name: lambda parameter: None)
    assert [type(layer) for layer in odd] == kinds


def test_a_patched_network_shares_the_packed_weights_that_it_leaves_alone(tmp_path: Path) -> None:
    shapes = {f"{place}.{kind}": tuple(value.shape) for place, kind, value in parameters(layers())}
    checkpoint = open_checkpoint(ldm_layout.write(tmp_path / "m.safetensors", shapes, dtype=torch.float16))
    module = layers()
    for place, kind, _ in parameters(module):
        mapped = checkpoint.tensor(checkpoint.entries[f"{place}.{kind}"])
        setattr(module[int(place)], kind, nn.Parameter(mapped, requires_grad=False))
    first = Component(module, checkpoint, device="cpu", packs=True)
    x = pictures(2, 16)
    made = first.ready()(x)
    patched = first.patched({"2.weight": [lambda weight: weight * 2]})
    doubled = patched.ready()
    torch.testing.assert_close(doubled(x), (made - bias(first)) * 2 + bias(first), rtol=1e-4, atol=1e-4)
    own, others = dict(doubled.named_parameters()), dict(first.ready().named_parameters())
    assert own["0.weight"] is others["0.weight"]
    assert own["2.weight"] is not others["2.weight"]


def parameters(module: nn.Module) -> list[tuple[str, str, Tensor]]:
    return [(*name.split("."), value) for name, value in module.named_parameters()]  # type: ignore[misc]


def bias(component: Component) -> Tensor:
    return component.weight("2.bias").reshape(1, -1, 1, 1)
