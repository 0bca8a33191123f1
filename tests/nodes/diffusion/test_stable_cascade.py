"""Stable Cascade: files in its authors' layout against diffusers' own modules."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphengine.errors import GraphEngineError, ModelError
from graphengine_nodes.diffusion.control.control import applied
from graphengine_nodes.diffusion.control.loading import load_control
from graphengine_nodes.diffusion.families.families import find_family, load_checkpoint, load_model
from graphengine_nodes.diffusion.model.model import DiffusionModel, Job, NetworkCall, Residuals
from graphengine_nodes.diffusion.nodes.stable_cascade_nodes import (
    NODE_CLASS_MAPPINGS,
    StableCascade_StageC_VAEEncode,
    StableCascade_SuperResolutionControlnet,
)
from graphengine_nodes.diffusion.vae.cascade import stage_c_latents
from graphengine_nodes.diffusion.vae.vae import load_vae_file
from graphengine_nodes.diffusion.vision.efficient_net import DEVIATION, MEAN
from graphengine_nodes.diffusion.vision.loading import load_vision_of_checkpoint
from graphengine_nodes.diffusion.vision.vision import VisionOutput
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint
from tests.nodes.core.described import described

from . import tiny_cascade
from .diffusers_oracle import converted

TIMES = torch.tensor([0.9, 0.2])
POOLED = torch.randn(1, tiny_cascade.TEXT, generator=torch.Generator().manual_seed(1))
TEXT = torch.randn(2, 7, tiny_cascade.TEXT, generator=torch.Generator().manual_seed(2))


def noise(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def model(folder: Path, tensors: dict[str, Tensor]) -> DiffusionModel:
    save_file(tensors, folder / "stage.safetensors")
    return load_model(open_checkpoint(folder / "stage.safetensors"), "cpu")


def ask(stage: DiffusionModel, x: Tensor, control: Residuals | None = None, **options: Any) -> Tensor:
    extras = stage.network.extras({"pooled_output": POOLED, **options}, Job(tuple(x.shape)))
    extra = {name: value.expand(len(x), *value.shape[1:]) for name, value in extras.values.items()}
    return stage.network(NetworkCall(x, TIMES, TEXT, extra, control))


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("cascade")
    return {
        "c": tiny_cascade.stage_c_checkpoint(folder / "stage_c.safetensors"),
        "b": tiny_cascade.stage_b_checkpoint(folder / "stage_b.safetensors"),
    }


def test_files_are_written_as_the_converter_of_diffusers_reads_them() -> None:
    for oracle in (tiny_cascade.stage_c(), tiny_cascade.stage_b()):
        state = converted(
            "convert_stable_cascade_unet_single_file_to_diffusers", tiny_cascade.in_authors_names(oracle)
        )
        assert {name: value.shape for name, value in state.items()} == {
            name: value.shape for name, value in oracle.state_dict().items()
        }


def test_stage_c_computes_what_diffusers_computes(tmp_path: Path) -> None:
    oracle = tiny_cascade.stage_c()
    stage = model(tmp_path, tiny_cascade.in_authors_names(oracle))
    x, seen = noise(2, 16, 6, 5), [noise(1, tiny_cascade.SEEN, seed=number) for number in (4, 5)]
    pictures = [
        {"clip_vision_output": VisionOutput(image_embeds=embedding), "strength": strength}
        for embedding, strength in zip(seen, (1.0, 0.5), strict=True)
    ]
    for given, embeddings in (
        (pictures, torch.stack([seen[0], seen[1] * 0.5], dim=1)),
        ([], torch.zeros(1, 1, tiny_cascade.SEEN)),
    ):
        theirs = oracle(
            x,
            timestep_ratio=TIMES,
            clip_text_pooled=POOLED[:, None].expand(2, -1, -1),
            clip_text=TEXT,
            clip_img=embeddings.expand(2, -1, -1),
            return_dict=False,
        )[0]
        ours = ask(stage, x, unclip_conditioning=given)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_stage_b_computes_what_diffusers_computes(tmp_path: Path) -> None:
    oracle = tiny_cascade.stage_b()
    stage = model(tmp_path, tiny_cascade.in_authors_names(oracle))
    x, prior = noise(2, 4, 16, 12), noise(2, 16, 3, 2, seed=6)
    for given, effnet in ((prior, prior), (None, torch.zeros(2, 16, 1, 1))):
        theirs = oracle(
            x,
            timestep_ratio=TIMES,
            clip_text_pooled=POOLED[:, None].expand(2, -1, -1),
            effnet=effnet,
            return_dict=False,
        )[0]
        torch.testing.assert_close(ask(stage, x, stable_cascade_prior=given), theirs, rtol=1e-4, atol=1e-5)


def test_the_stages_have_their_own_noise_levels_and_latents(checkpoints: dict[str, Path]) -> None:
    c, b = (load_model(open_checkpoint(path), "cpu") for path in checkpoints.values())
    assert (c.latent_format.channels, b.latent_format.channels) == (16, 4)
    assert b.latent_format.process_in(torch.tensor(0.43)) == pytest.approx(1.0)
    # at half the time the signal is cos(0.508 / 1.008 * pi / 2)^2 = 0.49384, so sigma is 1.01240; C's is twice it
    assert float(b.sampling.sigma(torch.tensor(0.5))) == pytest.approx(1.01240, abs=2e-4)
    assert float(c.sampling.sigma(torch.tensor(0.5))) == pytest.approx(2.02480, abs=4e-4)


def test_a_control_adds_to_the_state_before_residual_blocks(tmp_path: Path) -> None:
    stage = model(tmp_path, tiny_cascade.in_authors_names(tiny_cascade.stage_c()))
    network: Any = stage.network.component.ready()
    blocks = [
        network.down_blocks[0][0],
        network.down_blocks[1][0],
        network.down_blocks[1][3],
        network.up_blocks[0][0],
    ]
    seen: list[Tensor] = []
    for block in blocks:
        block.depthwise.register_forward_pre_hook(lambda block, given: seen.append(given[0].clone()))
    x, added = noise(2, 16, 4, 4), torch.full((2, 64, 2, 2), 0.5)
    plain = ask(stage, x)
    steered = ask(stage, x, Residuals(input=(None, None, None, added)))
    assert torch.equal(seen[2], seen[6])
    torch.testing.assert_close(seen[7], seen[3] + 0.5)
    assert not torch.allclose(plain, steered)
    assert torch.equal(ask(stage, x), plain)


def test_a_control_sees_its_picture_through_an_efficient_net(tmp_path: Path) -> None:
    stage = model(tmp_path, tiny_cascade.in_authors_names(tiny_cascade.stage_c()))
    oracle, picture = tiny_cascade.control(), torch.rand(1, 96, 64, 3)
    save_file(oracle.state_dict(), tmp_path / "canny.safetensors")
    control = load_control(open_checkpoint(tmp_path / "canny.safetensors"), "cpu")
    ready = applied(control, picture, 0.5, (0, 1))
    chain = ready.prepared(Job((1, 16, 3, 2), network=stage.network), stage.sampling)
    call = NetworkCall(noise(1, 16, 3, 2), TIMES[:1], TEXT[:1])
    found = chain.residuals(call.x, torch.ones(1), call)
    assert found is not None
    seen = oracle.backbone(picture.movedim(-1, 1))
    assert [place for place, value in enumerate(found.input) if value is not None] == [0, 4]
    for place, projection in zip((0, 4), oracle.projections, strict=True):
        torch.testing.assert_close(found.input[place], projection(seen) * 0.5, rtol=1e-4, atol=1e-5)


def test_a_control_of_another_family_or_width_is_refused(tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    save_file(tiny_cascade.control().state_dict(), tmp_path / "canny.safetensors")
    control = load_control(open_checkpoint(tmp_path / "canny.safetensors"), "cpu")
    b = load_model(open_checkpoint(checkpoints["b"]), "cpu")
    with pytest.raises(ModelError, match="made for stage C of Stable Cascade, not for 'stable_cascade_b' models"):
        control.network.fitted(b.network)
    oracle = tiny_cascade.stage_c(block_out_channels=(32, 32))
    wide = model(tmp_path, tiny_cascade.in_authors_names(oracle))
    with pytest.raises(ModelError, match="has states of width 64, the model's have 32"):
        control.network.fitted(wide.network)


def test_latents_and_pictures_of_others_are_refused(tmp_path: Path) -> None:
    b = model(tmp_path, tiny_cascade.in_authors_names(tiny_cascade.stage_b()))
    with pytest.raises(ValueError, match="stage B takes a latent of stage C"):
        ask(b, noise(2, 4, 8, 8), stable_cascade_prior=noise(1, 4, 2, 2))
    c = model(tmp_path, tiny_cascade.in_authors_names(tiny_cascade.stage_c()))
    seen = [{"clip_vision_output": VisionOutput(image_embeds=noise(1, 9)), "strength": 1.0}]
    with pytest.raises(ValueError, match="the width 9, but stage C of Stable Cascade takes 64"):
        ask(c, noise(2, 16, 4, 4), unclip_conditioning=seen)


def test_a_block_of_an_unknown_kind_is_named(tmp_path: Path) -> None:
    tensors = tiny_cascade.in_authors_names(tiny_cascade.stage_c())
    del tensors["down_blocks.1.3.channelwise.0.weight"]
    with pytest.raises(ModelError, match=r"down_blocks\.1\.3 is no block of a kind that is known"):
        model(tmp_path, tensors)


def test_checkpoints_hold_encoders_of_texts_and_pictures_and_a_vae(
    checkpoints: dict[str, Path],
) -> None:
    c, b = (open_checkpoint(path) for path in checkpoints.values())
    assert (find_family(c).name, find_family(b).name) == ("stable_cascade_c", "stable_cascade_b")
    _, clip, vae = load_checkpoint(c, "cpu")
    assert clip is not None
    assert vae is not None
    encoded = clip.encode("a lion")
    assert encoded.pooled is not None
    assert (encoded.states.shape, encoded.pooled.shape) == ((1, 77, 128), (1, 128))
    assert (vae.latent_channels, vae.downscale) == (16, 32)
    vision = load_vision_of_checkpoint(c, "cpu")
    assert vision is not None
    assert vision.encode_image(torch.rand(1, 28, 28, 3)).image_embeds is not None
    _, no_clip, stage_a = load_checkpoint(b, "cpu")
    assert no_clip is None
    assert stage_a is not None
    assert load_vision_of_checkpoint(b, "cpu") is None


def test_text_states_are_those_of_the_last_layer_and_see_no_padding(
    checkpoints: dict[str, Path],
) -> None:
    _, clip, _ = load_checkpoint(open_checkpoint(checkpoints["c"]), "cpu")
    assert clip is not None
    module: Any = clip.towers["g"].component.ready()
    (chunk,) = clip.towers["g"].tokens("a lion")
    ids = torch.tensor([[token for token, _ in chunk]])
    end = ids[0].tolist().index(49407)
    seen = (torch.arange(77) <= end)[None].long()
    with torch.no_grad():
        theirs = module.text_model(input_ids=ids, attention_mask=seen, output_hidden_states=True)
    ours = clip.encode("a lion")
    torch.testing.assert_close(ours.states, theirs.hidden_states[-1], rtol=1e-4, atol=1e-4)


def test_stage_a_computes_what_diffusers_computes(tmp_path: Path) -> None:
    oracle = tiny_cascade.stage_a()
    save_file(tiny_cascade.stage_a_file(oracle), tmp_path / "a.safetensors")
    vae = load_vae_file(open_checkpoint(tmp_path / "a.safetensors"), "cpu")
    picture, latent = torch.rand(1, 16, 24, 3), noise(1, 4, 3, 5)
    torch.testing.assert_close(
        vae.encode(picture), oracle.encode(picture.movedim(-1, 1)).latents, rtol=1e-4, atol=1e-5
    )
    theirs = oracle.decode(latent).sample.clamp(0, 1).movedim(1, -1)
    torch.testing.assert_close(vae.decode(latent), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("alone", [False, True])
def test_the_encoder_of_stage_c_is_an_efficient_net(alone: bool, tmp_path: Path) -> None:
    oracle, preview = tiny_cascade.effnet_encoder(), tiny_cascade.previewer()
    tensors = (
        oracle.state_dict() if alone else {f"encoder.{name}": value for name, value in oracle.state_dict().items()}
    )
    if not alone:
        tensors |= {f"previewer.{name}": value for name, value in preview.state_dict().items()}
    save_file(tensors, tmp_path / "effnet.safetensors")
    vae = load_vae_file(open_checkpoint(tmp_path / "effnet.safetensors"), "cpu")
    picture = torch.rand(1, 64, 96, 3)
    normal = (picture - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    expected = oracle.mapper(oracle.backbone(normal.movedim(-1, 1)))
    assert expected.shape == (1, 16, 2, 3)
    torch.testing.assert_close(vae.encode(picture), expected, rtol=1e-4, atol=1e-5)
    if alone:
        with pytest.raises(ModelError, match="has no preview decoder"):
            vae.decode(noise(1, 16, 2, 2))
    else:
        small = preview.blocks(noise(1, 16, 2, 3)).clamp(0, 1).movedim(1, -1)
        torch.testing.assert_close(vae.decode(noise(1, 16, 2, 3)), small, rtol=1e-4, atol=1e-5)
        assert small.shape == (1, 16, 24, 3)


def test_a_picture_becomes_cells_of_the_compression_that_is_asked_for(checkpoints: dict[str, Path]) -> None:
    vae = load_checkpoint(open_checkpoint(checkpoints["c"]), "cpu")[2]
    assert vae is not None
    c, b = stage_c_latents(vae, torch.rand(2, 100, 130, 3), 32)
    assert (c.shape, b.shape) == ((2, 16, 3, 4), (2, 4, 24, 32))
    assert not b.any()
    with pytest.raises(GraphEngineError, match="smaller than a cell of 128x128"):
        stage_c_latents(vae, torch.rand(1, 100, 130, 3), 128)


def test_definitions_are_those_which_saved_workflows_were_made_with() -> None:
    expected = json.loads(Path(__file__).with_name("cascade_definitions.json").read_text())
    assert described(NODE_CLASS_MAPPINGS, {}) == expected


def test_the_nodes_start_both_stages_from_a_picture(checkpoints: dict[str, Path]) -> None:
    effnet, stage_a = (load_checkpoint(open_checkpoint(path), "cpu")[2] for path in checkpoints.values())
    image = torch.rand(1, 64, 96, 3)
    c, b = StableCascade_StageC_VAEEncode().generate(image, effnet, 32)
    assert (c["samples"].shape, b["samples"].shape) == ((1, 16, 2, 3), (1, 4, 16, 24))
    seen, c, b = StableCascade_SuperResolutionControlnet().generate(image, stage_a)
    assert (seen.shape, c["samples"].shape, b["samples"].shape) == ((1, 16, 24, 4), (1, 16, 4, 6), (1, 4, 32, 48))
    with pytest.raises(ModelError, match="holds no VAE"):
        StableCascade_StageC_VAEEncode().generate(image, None, 32)
