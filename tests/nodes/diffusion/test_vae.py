import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor

from graphengine.errors import GraphEngineError, ModelError, RunCancelled
from graphengine_nodes.diffusion.vae.vae import VAE, crop, encode_for_inpaint, load_vae, load_vae_file, require_vae
from graphengine_nodes.diffusion.weights.build import kl_module, taesd_module
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, open_checkpoint
from graphengine_nodes.diffusion.weights.detect import KLConfig, TaesdConfig

from . import ldm_layout

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import AutoencoderKL, AutoencoderTiny
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

KL = ldm_layout.kl((32, 32, 64, 64), 1)
TAESD = ldm_layout.taesd(16)


def saved(folder: Path, shapes: ldm_layout.Shapes, prefix: str = ldm_layout.VAE, **more: Tensor) -> Checkpoint:
    shapes = {prefix + name: shape for name, shape in shapes.items()}
    return open_checkpoint(ldm_layout.write(folder / "vae.safetensors", shapes, more))


@pytest.fixture(scope="module")
def kl(tmp_path_factory: pytest.TempPathFactory) -> VAE:
    return require_vae(load_vae(saved(tmp_path_factory.mktemp("kl"), KL), "cpu"))


@pytest.fixture(scope="module")
def taesd(tmp_path_factory: pytest.TempPathFactory) -> VAE:
    return load_vae_file(saved(tmp_path_factory.mktemp("taesd"), TAESD, prefix=""), "cpu")


def pictures(count: int = 1, height: int = 32, width: int = 24) -> Tensor:
    return torch.rand(count, height, width, 3, generator=torch.Generator().manual_seed(3))


def latents(count: int = 1) -> Tensor:
    return torch.randn(count, 4, 4, 3, generator=torch.Generator().manual_seed(4))


@torch.no_grad()
def test_a_kl_vae_computes_what_diffusers_computes(kl: VAE) -> None:
    types = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    reference = AutoencoderKL(block_out_channels=(32, 32, 64, 64), layers_per_block=1, latent_channels=4, **types)
    weights = ldm_layout.random_weights({ldm_layout.VAE + name: shape for name, shape in KL.items()})
    state = convert_ldm_vae_checkpoint(weights, types)
    reference.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    x, z = pictures(), latents()
    mean = reference.encode(x.movedim(-1, 1) * 2 - 1).latent_dist.mean
    assert torch.allclose(kl.encode(x), mean, atol=1e-5)
    image = (reference.decode(z).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    assert torch.allclose(kl.decode(z), image, atol=1e-5)


@torch.no_grad()
def test_a_vae_without_convolutions_around_its_latent_computes_what_diffusers_computes(tmp_path: Path) -> None:
    shapes = {name: shape for name, shape in KL.items() if "quant_conv" not in name}
    loaded = load_vae_file(saved(tmp_path, shapes, prefix=""), "cpu")
    types = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    reference = AutoencoderKL(
        block_out_channels=(32, 32, 64, 64),
        layers_per_block=1,
        latent_channels=4,
        use_quant_conv=False,
        use_post_quant_conv=False,
        **types,
    )
    state = convert_ldm_vae_checkpoint(ldm_layout.random_weights(shapes), types)
    reference.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    x, z = pictures(), latents()
    posterior = reference.encode(x.movedim(-1, 1) * 2 - 1).latent_dist
    mean, log_variance = loaded.moments(x)
    assert torch.allclose(mean, posterior.mean, atol=1e-5)
    assert torch.allclose(log_variance, posterior.logvar, atol=1e-4)
    assert torch.allclose(loaded.encode(x), mean)
    image = (reference.decode(z).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    assert torch.allclose(loaded.decode(z), image, atol=1e-5)


@torch.no_grad()
def test_a_tiny_vae_computes_what_diffusers_computes(taesd: VAE) -> None:
    reference = AutoencoderTiny(encoder_block_out_channels=(16,) * 4, decoder_block_out_channels=(16,) * 4)
    state = {}
    for name, tensor in ldm_layout.random_weights(TAESD).items():
        part, number, rest = name.split(".", 2)
        layer = int(number) - 1 if part == "taesd_decoder" else int(number)
        state[f"{part.removeprefix('taesd_')}.layers.{layer}.{rest}"] = tensor.float()
    reference.load_state_dict(state)
    x, z = pictures(), latents()
    assert torch.allclose(taesd.encode(x), reference.encode(x.movedim(-1, 1) * 2 - 1).latents, atol=1e-5)
    image = (reference.decode(z).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    assert torch.allclose(taesd.decode(z), image, atol=1e-5)


@pytest.mark.parametrize("scale", [torch.tensor([0.5]), torch.tensor(0.5), torch.tensor([[0.5]]).half()])
def test_vae_scale_divides_encoded_and_multiplies_decoded_latents(
    scale: Tensor, taesd: VAE, tmp_path: Path
) -> None:
    checkpoint = saved(tmp_path, TAESD, prefix="", vae_scale=scale)
    scaled = load_vae_file(checkpoint, "cpu")
    assert torch.equal(scaled.decode(latents()), taesd.decode(latents() * 0.5))
    assert torch.equal(scaled.encode(pictures()), taesd.encode(pictures()) * 2)


@pytest.mark.parametrize("scale", [torch.tensor([0.0]), torch.tensor([1.0, 2.0]), torch.tensor([float("nan")])])
def test_a_useless_vae_scale_is_refused(scale: Tensor, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="useless vae_scale"):
        load_vae_file(saved(tmp_path, TAESD, prefix="", vae_scale=scale), "cpu")


def test_pictures_and_latents_have_their_shapes_and_range(kl: VAE) -> None:
    encoded = kl.encode(pictures(2))
    assert encoded.shape == (2, 4, 4, 3)
    decoded = kl.decode(50 * latents(2))
    assert decoded.shape == (2, 32, 24, 3)
    assert decoded.dtype == torch.float32
    assert decoded.min() == 0
    assert decoded.max() == 1
    assert decoded.is_contiguous()
    assert not decoded.is_inference()


def test_a_batch_is_the_same_as_its_samples(taesd: VAE) -> None:
    z = latents(2)
    assert torch.equal(taesd.decode(z), torch.cat([taesd.decode(z[:1]), taesd.decode(z[1:])]))


def test_odd_sides_are_cropped_in_the_middle(taesd: VAE) -> None:
    x = pictures(1, 35, 30)
    assert torch.equal(crop(x), x[:, 1:33, 3:27])
    assert torch.equal(taesd.encode(x), taesd.encode(x[:, 1:33, 3:27]))


def test_an_alpha_channel_is_ignored(taesd: VAE) -> None:
    x = torch.cat([pictures(), torch.rand(1, 32, 24, 1)], dim=-1)
    assert torch.equal(taesd.encode(x), taesd.encode(pictures()))


def test_wrong_shapes_are_refused_with_what_is_expected(taesd: VAE) -> None:
    with pytest.raises(GraphEngineError, match=r"decodes latents of shape \(B, 4, H, W\), not \[1, 16, 4, 4\]"):
        taesd.decode(torch.zeros(1, 16, 4, 4))
    with pytest.raises(GraphEngineError, match=r"\(B, H, W, 3\), not \[8, 8, 3\]"):
        taesd.encode(torch.zeros(8, 8, 3))
    with pytest.raises(GraphEngineError, match="a picture of 9x7 is too small to encode"):
        taesd.encode(torch.zeros(1, 7, 9, 3))


def test_cancelling_stops_between_pictures(taesd: VAE) -> None:
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise RunCancelled

    with pytest.raises(RunCancelled):
        taesd.decode(latents(3), check)
    assert len(calls) == 2
    calls.clear()
    with pytest.raises(RunCancelled):
        taesd.encode(pictures(3), check)


def square() -> Tensor:
    mask = torch.zeros(1, 32, 24)
    mask[:, 8:16, 8:16] = 1
    return mask


def test_inpainting_greys_out_the_mask_and_grows_it_for_the_noise(taesd: VAE) -> None:
    x = pictures()
    result = encode_for_inpaint(taesd, x, square(), 5)
    grey = x.clone()
    grey[:, 8:16, 8:16] = 0.5
    assert torch.allclose(result["samples"], taesd.encode(grey), atol=1e-6)
    expected = torch.zeros(1, 1, 32, 24)
    expected[..., 6:18, 6:18] = 1
    assert torch.equal(result["noise_mask"], expected)
    assert torch.equal(x, pictures())


def test_an_even_growth_reaches_further_down_and_right(taesd: VAE) -> None:
    mask = encode_for_inpaint(taesd, pictures(), square(), 6)["noise_mask"]
    rows = mask[0, 0].any(dim=1).nonzero().flatten()
    assert rows.tolist() == list(range(6, 19))


def test_without_growth_the_mask_is_only_rounded(taesd: VAE) -> None:
    soft = square() * 0.6
    result = encode_for_inpaint(taesd, pictures(), soft, 0)
    assert torch.equal(result["noise_mask"][:, 0], square())


def test_a_mask_of_another_size_is_fitted_and_cropped_with_the_picture(taesd: VAE) -> None:
    result = encode_for_inpaint(taesd, pictures(2, 35, 30), torch.ones(16, 16), 6)
    assert result["noise_mask"].shape == (1, 1, 32, 24)
    assert result["samples"].shape == (2, 4, 4, 3)


def test_a_vae_file_in_the_layout_of_diffusers_loads(kl: VAE, tmp_path: Path) -> None:
    shapes = {name: tuple(p.shape) for name, p in kl_module(KLConfig(3, 4, (32, 64), 1)).named_parameters()}
    loaded = load_vae_file(saved(tmp_path, shapes, prefix=""), "cpu")
    assert loaded.decode(latents()).shape == (1, 8, 6, 3)
    assert loaded.downscale == 2


def test_modules_are_built_without_memory() -> None:
    tiny = taesd_module(TaesdConfig(3, 4, (16,) * 4, (1, 3, 3, 3), (16,) * 4, (3, 3, 3, 1)))
    assert all(parameter.is_meta for parameter in tiny.parameters())


def test_a_file_without_vae_gives_none_and_the_node_says_so(tmp_path: Path) -> None:
    assert load_vae(saved(tmp_path, {"x": (1,)}, prefix="other."), "cpu") is None
    with pytest.raises(ModelError, match="holds no VAE"):
        require_vae(None)


def test_an_incomplete_vae_names_what_it_lacks(tmp_path: Path) -> None:
    shapes = {name: shape for name, shape in KL.items() if name != "post_quant_conv.bias"}
    with pytest.raises(ModelError, match=r"does not fit the VAE: it lacks tensor post_quant_conv\.bias"):
        load_vae(saved(tmp_path, shapes), "cpu")
