"""comfy.utils, comfy.model_management, attention and formulas against numbers of their own."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphengine.node.api import ModelError, NodeContext
from graphengine_comfy.comfy import conds, latent_formats, model_management, utils
from graphengine_comfy.comfy.k_diffusion import sampling
from graphengine_comfy.comfy.ldm.modules.attention import optimized_attention
from graphengine_comfy.comfy_extras.nodes_mask import composite
from graphengine_comfy.comfy_extras.nodes_post_processing import gaussian_kernel
from tests.comfy.conftest import Called


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_tensors_are_read_back(tmp_path: Path, name: str) -> None:
    tensors = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}
    path = tmp_path / name
    if name.endswith(".pt"):
        torch.save({"state_dict": tensors}, path)
    else:
        utils.save_torch_file(tensors, path, metadata={"format": "pt"})
    found, metadata = utils.load_torch_file(path, return_metadata=True)
    assert {key: value.tolist() for key, value in found.items()} == {k: v.tolist() for k, v in tensors.items()}
    assert metadata == ({"format": "pt"} if name.endswith(".safetensors") else None)
    assert [file.name for file in tmp_path.iterdir()] == [name]


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1 + 1",)


def test_what_would_run_in_a_file_is_left_out_whatever_the_pack_says(tmp_path: Path) -> None:
    torch.save({"state": _Evil(), "w": torch.ones(1)}, tmp_path / "evil.ckpt")
    assert utils.load_torch_file(tmp_path / "evil.ckpt", safe_load=False) == {"w": torch.ones(1)}
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(ModelError, match="cannot be read"):
        utils.load_torch_file(tmp_path / "cut.safetensors")
    with pytest.raises(ModelError, match="there is no model file"):
        utils.load_torch_file(tmp_path / "missing.pt")


def test_names_of_tensors_are_changed_in_place_or_picked_out() -> None:
    table = {"model.a": 1, "model.b": 2, "other": 3}
    assert utils.state_dict_prefix_replace(dict(table), {"model.": "m."}) == {"m.a": 1, "m.b": 2, "other": 3}
    assert utils.state_dict_prefix_replace(dict(table), {"model.": ""}, filter_keys=True) == {"a": 1, "b": 2}
    assert utils.state_dict_key_replace(dict(table), {"other": "x", "none": "y"}) == {
        "model.a": 1,
        "model.b": 2,
        "x": 3,
    }


def test_parameters_are_counted_and_the_most_frequent_type_is_told() -> None:
    table = {"a.x": torch.zeros(2, 3), "a.y": torch.zeros(10, dtype=torch.float16), "b": torch.zeros(100)}
    assert (utils.calculate_parameters(table), utils.calculate_parameters(table, "a.")) == (116, 16)
    assert utils.weight_dtype(table, "a.") is torch.float16
    assert utils.weight_dtype(table, "c") is None


def test_attributes_are_reached_by_names_with_dots() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 2))
    before = utils.set_attr_param(net, "0.weight", torch.zeros(2, 2))
    assert isinstance(before, torch.nn.Parameter)
    utils.copy_to_param(net, "0.weight", torch.ones(2, 2))
    assert utils.get_attr(net, "0.weight").tolist() == [[1, 1], [1, 1]]
    assert not net[0].weight.requires_grad


@given(st.integers(1, 7), st.integers(1, 20))
def test_a_batch_is_repeated_in_turn_and_cut(present: int, wanted: int) -> None:
    batch = torch.arange(present).reshape(present, 1)
    expected = [[index % present] for index in range(wanted)]
    assert utils.repeat_to_batch_size(batch, wanted).tolist() == expected
    assert utils.repeat_to_batch_size(batch.T, wanted, dim=1).T.tolist() == expected


def test_a_batch_is_spread_over_another_size() -> None:
    batch = torch.arange(5)
    assert utils.resize_to_batch_size(batch, 3).tolist() == [0, 2, 4]
    assert utils.resize_to_batch_size(batch, 10).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_frames_of_a_video_are_scaled_one_by_one() -> None:
    video = torch.rand(2, 3, 4, 6, 8)
    scaled = utils.common_upscale(video, 4, 3, "bilinear", "disabled")
    assert scaled.shape == (2, 3, 4, 3, 4)
    assert torch.equal(scaled[:, :, 2], utils.common_upscale(video[:, :, 2], 4, 3, "bilinear", "disabled"))


def test_lanczos_keeps_one_colour_and_bislerp_keeps_the_length() -> None:
    assert torch.allclose(utils.lanczos(torch.full((1, 3, 4, 4), 0.6), 7, 9), torch.full((1, 3, 9, 7), 0.6))
    latent = torch.nn.functional.normalize(torch.randn(1, 4, 4, 4), dim=1)
    assert torch.allclose(utils.bislerp(latent, 9, 9).norm(dim=1), torch.ones(1, 9, 9), atol=1e-4)


@given(st.integers(8, 40), st.integers(8, 40), st.integers(0, 4))
def test_tiles_of_a_function_that_sees_no_neighbours_make_the_whole(width: int, height: int, overlap: int) -> None:
    calls = []

    def double(tile: torch.Tensor) -> torch.Tensor:
        calls.append(tuple(tile.shape))
        return torch.nn.functional.interpolate(tile * 3, scale_factor=2, mode="nearest")

    picture = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    progress = utils.ProgressBar(100)
    made = utils.tiled_scale(picture, double, 16, 12, overlap, upscale_amount=2, pbar=progress)
    assert torch.allclose(made, double(picture), atol=1e-5)
    assert len(calls) - 1 == 2 * utils.get_tiled_scale_steps(width, height, 16, 12, overlap) == progress.current


def test_a_mask_gets_the_shape_of_a_latent() -> None:
    mask = utils.reshape_mask(torch.ones(16, 16), (2, 4, 8, 8))
    assert torch.equal(mask, torch.ones(2, 4, 8, 8))


def test_devices_are_those_of_the_call(called: Called) -> None:
    with called(NodeContext(choose_device=lambda: "meta")):
        assert model_management.get_torch_device() == model_management.vae_device() == torch.device("meta")
        assert model_management.unet_offload_device() == torch.device("cpu")
    assert model_management.get_autocast_device(torch.device("cpu")) == "cpu"
    assert model_management.get_torch_device_name(torch.device("cpu")) == "cpu"
    assert not model_management.is_device_mps(torch.device("cpu"))


def test_the_cpu_computes_in_full_precision() -> None:
    cpu = torch.device("cpu")
    assert not model_management.should_use_fp16(cpu)
    assert model_management.unet_dtype(cpu, supported_dtypes=[torch.float16, torch.float32]) is torch.float32
    assert model_management.unet_manual_cast(torch.float16, cpu) is torch.float32
    assert model_management.unet_manual_cast(torch.float32, cpu) is None
    assert model_management.vae_dtype(cpu, [torch.bfloat16]) is torch.float32


def test_memory_is_told_in_bytes() -> None:
    free, total = model_management.get_free_memory(torch.device("cpu")), model_management.get_total_memory("cpu")
    assert 1 << 20 < free < total
    assert model_management.module_size(torch.nn.Linear(3, 2)) == (3 * 2 + 2) * 4
    assert model_management.dtype_size(torch.float16) == 2


def test_attention_weighs_values_by_the_softmax_of_products() -> None:
    q, k, v = (torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(seed)) for seed in (2, 3, 4))
    parts = []
    for head in (slice(0, 4), slice(4, 8)):
        scores = q[..., head] @ k[..., head].transpose(1, 2) / math.sqrt(4)
        parts.append(scores.softmax(-1) @ v[..., head])
    assert torch.allclose(optimized_attention(q, k, v, 2), torch.cat(parts, -1), atol=1e-5)
    only_first = torch.tensor([[True, False, False, False, False]]).expand(5, 5)
    masked = optimized_attention(q, k, v, 2, mask=only_first)
    assert torch.allclose(masked, v[:, :1].expand(2, 5, 8), atol=1e-6)


def test_levels_of_karras_follow_the_paper() -> None:
    levels = sampling.get_sigmas_karras(4, 0.1, 10.0, rho=7.0)
    expected = [(10 ** (1 / 7) + i / 3 * (0.1 ** (1 / 7) - 10 ** (1 / 7))) ** 7 for i in range(4)]
    assert levels.tolist() == pytest.approx([*expected, 0.0], rel=1e-5)
    exponential = sampling.get_sigmas_exponential(3, 0.1, 10.0)
    assert exponential.tolist() == pytest.approx([10, 1, 0.1, 0], rel=1e-5)


@given(st.floats(0.1, 10), st.floats(0.1, 1), st.floats(0.0, 1.0))
def test_an_ancestral_step_keeps_the_variance(sigma_from: float, part: float, eta: float) -> None:
    sigma_to = sigma_from * part
    down, up = sampling.get_ancestral_step(sigma_from, sigma_to, eta)
    assert down**2 + up**2 == pytest.approx(sigma_to**2, abs=1e-9)


def test_noise_of_one_seed_is_the_same_and_of_variance_one() -> None:
    x = torch.zeros(1, 4, 64, 64)
    makers: list[Callable[[int], Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]] = [
        lambda seed: sampling.default_noise_sampler(x, seed),
        lambda seed: sampling.BrownianTreeNoiseSampler(x, torch.tensor(0.1), torch.tensor(10.0), seed),
    ]
    for make in makers:
        draws = [make(seed)(torch.tensor(5.0), torch.tensor(2.0)) for seed in (3, 3, 4)]
        assert torch.equal(draws[0], draws[1])
        assert not torch.equal(draws[0], draws[2])
        assert draws[0].std().item() == pytest.approx(1, abs=0.05)


def test_latents_of_a_family_go_to_the_model_and_back() -> None:
    latent = torch.tensor([1.0, -2.0])
    flux = latent_formats.Flux()
    assert flux.process_in(latent).tolist() == pytest.approx([(1 - 0.1159) * 0.3611, (-2 - 0.1159) * 0.3611])
    assert torch.allclose(flux.process_out(flux.process_in(latent)), latent)


def test_conditions_are_repeated_for_the_batch_and_joined() -> None:
    texts = conds.CONDCrossAttn(torch.zeros(1, 77, 8)), conds.CONDCrossAttn(torch.ones(1, 154, 8))
    assert texts[0].can_concat(texts[1])
    assert texts[0].concat([texts[1]]).shape == (2, 154, 8)
    assert conds.CONDRegular(torch.ones(1, 2)).process_cond(3).size() == [3, 2]
    assert not conds.CONDConstant(1).can_concat(conds.CONDConstant(2))


def test_a_picture_is_laid_on_another() -> None:
    made = composite(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 2, 2), 1, 2, multiplier=1)
    assert made[0, 0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0]]


def test_the_weights_of_a_blur_add_up_and_fall_from_the_centre() -> None:
    weights = gaussian_kernel(5, 0.5)
    assert weights.sum().item() == pytest.approx(1)
    assert (weights[2, 1] / weights[2, 2]).item() == pytest.approx(math.exp(-(0.5**2) / (2 * 0.5**2)))
