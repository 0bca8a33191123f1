"""The nodes of ControlNet and of pictures as conditionings, from files to sampled latents."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphengine.errors import FileRefused
from graphengine.node.api import NodeContext
from graphengine.node.folders import Folders
from graphengine_nodes.diffusion.control.applying import masked_picture
from graphengine_nodes.diffusion.control.control import Control
from graphengine_nodes.diffusion.model.model import Conditioning
from graphengine_nodes.diffusion.nodes.clip_nodes import CLIPTextEncode
from graphengine_nodes.diffusion.nodes.control_nodes import (
    CLIPTextEncodeControlnet,
    ControlNetApply,
    ControlNetApplyAdvanced,
    ControlNetApplySD3,
    ControlNetInpaintingAliMamaApply,
    ControlNetLoader,
    DiffControlNetLoader,
    SetUnionControlNetType,
)
from graphengine_nodes.diffusion.nodes.loader_nodes import CheckpointLoaderSimple
from graphengine_nodes.diffusion.nodes.vision_nodes import (
    CLIPVisionEncode,
    CLIPVisionLoader,
    ImageOnlyCheckpointLoader,
    unCLIPCheckpointLoader,
)
from graphengine_nodes.diffusion.sampling.ksampler import sample

from . import control_cases as cases
from . import ldm_layout

TEXT = torch.randn(1, 5, cases.CONTEXT, generator=torch.Generator().manual_seed(2))
IMAGE = torch.rand(1, 16, 16, 3, generator=torch.Generator().manual_seed(1))
VISUAL = "cond_stage_model.model.visual."


def visual_tower(prefix: str, width: int = 32, projection: int = 64) -> dict[str, Tensor]:
    """CLIP's vision tower of one layer in the layout of OpenCLIP; pictures of 4 x 4 pixels."""
    shapes = {
        "class_embedding": (width,),
        "positional_embedding": (5, width),
        "proj": (width, projection),
        "conv1.weight": (width, 3, 2, 2),
        "transformer.resblocks.0.attn.in_proj_weight": (3 * width, width),
        "transformer.resblocks.0.attn.in_proj_bias": (3 * width,),
        "transformer.resblocks.0.attn.out_proj.weight": (width, width),
        "transformer.resblocks.0.attn.out_proj.bias": (width,),
        "transformer.resblocks.0.mlp.c_fc.weight": (48, width),
        "transformer.resblocks.0.mlp.c_fc.bias": (48,),
        "transformer.resblocks.0.mlp.c_proj.weight": (width, 48),
        "transformer.resblocks.0.mlp.c_proj.bias": (width,),
    }
    for norm in ("ln_pre", "ln_post", "transformer.resblocks.0.ln_1", "transformer.resblocks.0.ln_2"):
        shapes |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    return ldm_layout.random_weights({f"{prefix}{name}": shape for name, shape in shapes.items()})


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> NodeContext:
    root = tmp_path_factory.mktemp("models")
    for kind in ("checkpoints", "controlnet", "clip_vision"):
        (root / kind).mkdir()
    save_file(cases.weights(cases.control_shapes()), root / "controlnet/canny.safetensors")
    save_file(visual_tower("visual."), root / "clip_vision/tower.safetensors")
    camera = {"cc_projection.weight": torch.randn(64, 68) * 0.1, "cc_projection.bias": torch.zeros(64)}
    checkpoint = {**visual_tower(VISUAL), **camera}
    ldm_layout.write(root / "checkpoints/pictures.safetensors", ldm_layout.narrow(), checkpoint)
    kinds = ("checkpoints", "controlnet", "clip_vision")
    return NodeContext(folders=Folders(models={kind: (root / kind,) for kind in kinds}))


@pytest.fixture(scope="module")
def control(context: NodeContext) -> Control:
    return ControlNetLoader().load(control_net_name="canny.safetensors", context=context)[0]


def test_a_missing_file_is_refused_by_its_name(context: NodeContext) -> None:
    with pytest.raises(FileRefused, match=r"'none\.safetensors'"):
        ControlNetLoader().load(control_net_name="none.safetensors", context=context)


def test_the_loader_for_differences_takes_whole_files_too(context: NodeContext, tmp_path: Path) -> None:
    model = cases.model(tmp_path)
    (loaded,) = DiffControlNetLoader().load(model=model, control_net_name="canny.safetensors", context=context)
    assert isinstance(loaded, Control)


def test_the_old_node_controls_both_sides(control: Control) -> None:
    ((entry,),) = ControlNetApply().apply([(TEXT, {"guidance": 2})], control, IMAGE, 0.4)
    made = entry[1]["control"]
    assert (made.strength, made.timestep_percent_range, entry[1]["control_apply_to_uncond"]) == (
        0.4,
        (0.0, 1.0),
        True,
    )
    assert made.cond_hint_original.shape == (1, 3, 16, 16)
    assert entry[1]["guidance"] == 2


@pytest.mark.parametrize("node", [ControlNetApplyAdvanced, ControlNetApplySD3])
def test_both_sides_share_one_control(node: Any, control: Control) -> None:
    positive, negative = node().apply(
        positive=[(TEXT, {}), (TEXT, {})],
        negative=[(TEXT, {})],
        control_net=control,
        image=IMAGE,
        strength=1.0,
        start_percent=0.1,
        end_percent=0.8,
        vae=None,
    )
    made = positive[0][1]["control"]
    assert positive[1][1]["control"] is made
    assert negative[0][1]["control"] is made
    assert (made.timestep_percent_range, negative[0][1]["control_apply_to_uncond"]) == ((0.1, 0.8), False)


def test_a_second_control_follows_the_first_on_each_side(control: Control) -> None:
    node = ControlNetApplyAdvanced()
    first = node.apply([(TEXT, {})], [(TEXT, {})], control, IMAGE, 1.0, 0.0, 1.0)
    second = node.apply(*first, control, IMAGE, 0.5, 0.0, 1.0)
    made = second[0][0][1]["control"]
    assert made.previous_controlnet is first[0][0][1]["control"]
    assert second[1][0][1]["control"] is made


def test_no_strength_changes_nothing(control: Control) -> None:
    positive: Conditioning = [(TEXT, {})]
    negative: Conditioning = [(TEXT, {"a": 1})]
    made = ControlNetApplyAdvanced().apply(positive, negative, control, IMAGE, 0.0, 0.0, 1.0)
    assert made == (positive, negative)


def test_the_kind_of_a_picture_is_set_on_a_copy(control: Control) -> None:
    (told,) = SetUnionControlNetType().set_type(control, "depth")
    (untold,) = SetUnionControlNetType().set_type(told, "auto")
    assert [each.extra_args.get("control_type") for each in (control, told, untold)] == [None, [1], []]


def test_what_is_masked_is_black_and_the_rest_is_kept() -> None:
    mask = torch.zeros(1, 4, 4)
    mask[:, :2] = 1.0
    picture, kept = masked_picture(torch.ones(1, 8, 8, 3), mask)
    assert picture[0, :, 0, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert kept.shape == (1, 1, 4, 4)
    assert kept[0, 0, :, 0].tolist() == [0, 0, 1, 1]


def test_the_inpainting_node_leaves_the_picture_to_controls_without_a_mask(control: Control) -> None:
    node, mask = ControlNetInpaintingAliMamaApply(), torch.ones(1, 16, 16)
    vae: Any = object()
    plain, _ = node.apply([(TEXT, {})], [(TEXT, {})], control, vae, IMAGE, mask, 1.0, 0.0, 1.0)
    assert torch.equal(plain[0][1]["control"].cond_hint_original, IMAGE.movedim(-1, 1))
    masking = control.copy()
    masking.concat_mask = True
    masked, _ = node.apply([(TEXT, {})], [(TEXT, {})], masking, vae, IMAGE, mask, 1.0, 0.0, 1.0)
    assert not masked[0][1]["control"].cond_hint_original.any()
    assert torch.equal(masked[0][1]["control"].extra_concat_orig[0], torch.zeros(1, 1, 16, 16))


def test_controls_get_a_text_of_their_own(context: NodeContext) -> None:
    _, clip, _ = CheckpointLoaderSimple().load(ckpt_name="pictures.safetensors", context=context)
    (conditioning,) = CLIPTextEncode().encode(text="a", clip=clip)
    (changed,) = CLIPTextEncodeControlnet().encode(clip, conditioning, "b")
    ((other_states, _),) = CLIPTextEncode().encode(text="b", clip=clip)[0]
    assert torch.equal(changed[0][0], conditioning[0][0])
    assert torch.equal(changed[0][1]["cross_attn_controlnet"], other_states)


def test_a_picture_is_seen_through_the_nodes(context: NodeContext) -> None:
    (vision,) = CLIPVisionLoader().load(clip_name="tower.safetensors", context=context)
    wide = torch.rand(1, 8, 24, 3)
    cropped, squeezed = (CLIPVisionEncode().encode(vision, wide, crop)[0] for crop in ("center", "none"))
    assert cropped["image_embeds"].shape == (1, 64)
    assert not torch.allclose(cropped["image_embeds"], squeezed["image_embeds"])


def test_a_checkpoint_gives_its_image_encoder_too(context: NodeContext) -> None:
    model, clip, vae, vision = unCLIPCheckpointLoader().load(ckpt_name="pictures.safetensors", context=context)
    assert None not in (clip, vae, vision)
    assert model.network.family == "sd1"


def test_a_model_of_pictures_alone_reads_cameras(context: NodeContext) -> None:
    model, vision, vae = ImageOnlyCheckpointLoader().load(ckpt_name="pictures.safetensors", context=context)
    assert vision is not None
    assert vae is not None
    embeds = vision.encode_image(IMAGE)["image_embeds"][None]
    sampled = sample(
        model,
        seed=1,
        steps=2,
        cfg=2.0,
        sampler_name="euler",
        scheduler="normal",
        positive=[(torch.cat([embeds, torch.zeros(1, 1, 4)], dim=-1), {})],
        negative=[(torch.zeros_like(embeds), {})],
        latent={"samples": torch.zeros(1, 4, 4, 4)},
    )
    assert sampled["samples"].isfinite().all()
