"""GLIGEN against diffusers' UNet with gated attention."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphengine.errors import ModelError
from graphengine.node.api import NodeContext
from graphengine.node.folders import Folders
from graphengine_nodes.diffusion.control.gligen import Box, Gligen, load_gligen
from graphengine_nodes.diffusion.model.model import DiffusionModel, NetworkCall
from graphengine_nodes.diffusion.nodes.clip_nodes import CLIPTextEncode
from graphengine_nodes.diffusion.nodes.gligen_nodes import GLIGENLoader, GLIGENTextBoxApply
from graphengine_nodes.diffusion.nodes.loader_nodes import CheckpointLoaderSimple
from graphengine_nodes.diffusion.sampling.ksampler import sample
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import control_cases as cases
from . import ldm_layout

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import diffusers

CONTEXT = 768  # by which SD1.x and its eight heads are known
TEXT = torch.randn(1, 5, CONTEXT, generator=torch.Generator().manual_seed(2))
POOLED = torch.randn(2, CONTEXT, generator=torch.Generator().manual_seed(3))
X = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
BOXES = [Box(POOLED[:1], 4, 2, 1, 3), Box(POOLED[1:], 8, 8, 0, 0)]
_KINDS = {"down_blocks": "input_blocks", "up_blocks": "output_blocks"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    return cases.model(tmp_path_factory.mktemp("unet"), context=CONTEXT)


@pytest.fixture(scope="module")
def oracle(model: DiffusionModel) -> Any:
    """The model's UNet with gated attention of random weights; its heads are those of SD1.x."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ups = ("UpBlock2D", *["CrossAttnUpBlock2D"] * 3)
        sizes = {**cases.SIZES, "cross_attention_dim": CONTEXT}
        module = diffusers.UNet2DConditionModel(**sizes, up_block_types=ups, attention_type="gated")
    generator = torch.Generator().manual_seed(6)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    module.load_state_dict(model.network.component.ready().state_dict(), strict=False)
    return module.eval().requires_grad_(False)


def in_authors_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What GLIGEN adds, under the names of the original UNet."""
    found = {name: value for name, value in state.items() if name.startswith("position_net.")}
    for name, value in state.items():
        if ".fuser." not in name:
            continue
        kind, *rest = name.split(".")
        if kind == "mid_block":
            block = "middle_block.1"
        else:
            block = f"{_KINDS[kind]}.{int(rest[0]) * 3 + int(rest[2]) + (kind == 'down_blocks')}.1"
        found[f"{block}.transformer_blocks.0.fuser.{name.split('.fuser.')[1]}"] = value
    return found


@pytest.fixture(scope="module")
def gligen(oracle: Any, tmp_path_factory: pytest.TempPathFactory) -> Gligen:
    path = tmp_path_factory.mktemp("gligen") / "gligen.safetensors"
    more = {"input_blocks.0.0.weight": torch.zeros(1)}  # whole checkpoints are published too
    save_file({**in_authors_names(oracle.state_dict()), **more}, path)
    return load_gligen(open_checkpoint(path), "cpu")


def test_the_file_tells_the_transformers_that_it_is_for(gligen: Gligen) -> None:
    assert gligen.widths == (32, 32, 32, 32, 64, 64, 64, 64, 64, 64, 32, 32, 32, 32, 32, 32)
    assert gligen.context == CONTEXT


def test_boxes_change_the_prediction_as_in_diffusers(gligen: Gligen, oracle: Any, model: DiffusionModel) -> None:
    asked = NetworkCall(X, torch.tensor([300.0]), TEXT)
    ours = model.network(gligen.bound(BOXES, model.network)(asked))
    boxes, texts, masks = torch.zeros(1, 30, 4), torch.zeros(1, 30, CONTEXT), torch.zeros(1, 30)
    boxes[0, 0], boxes[0, 1] = torch.tensor([3 / 8, 1 / 8, 5 / 8, 5 / 8]), torch.tensor([0.0, 0, 1, 1])
    texts[0, :2], masks[0, :2] = POOLED, 1.0
    grounded = {"boxes": boxes, "positive_embeddings": texts, "masks": masks}
    theirs = oracle(X, asked.timestep, TEXT, cross_attention_kwargs={"gligen": grounded}, return_dict=False)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(ours, model.network(asked), atol=1e-2)


def test_patches_of_packs_stay_before_that_of_the_boxes(gligen: Gligen, model: DiffusionModel) -> None:
    def patch(n: Tensor, options: Any) -> Tensor:
        return n

    asked = NetworkCall(X, torch.tensor([300.0]), TEXT, options={"patches": {"middle_patch": [patch]}})
    changed = gligen.bound(BOXES, model.network)(asked)
    assert changed.options["patches"]["middle_patch"][0] is patch
    assert len(changed.options["patches"]["middle_patch"]) == 2
    assert asked.options["patches"]["middle_patch"] == [patch]


def test_a_run_is_given_the_boxes_on_both_sides(gligen: Gligen, model: DiffusionModel) -> None:
    entry = ("position", gligen, BOXES)

    def run(positive: dict[str, Any], negative: dict[str, Any]) -> Tensor:
        return sample(
            model,
            seed=5,
            steps=2,
            cfg=3.0,
            sampler_name="euler",
            scheduler="normal",
            positive=[(TEXT, positive)],
            negative=[(-TEXT, negative)],
            latent={"samples": torch.zeros(1, 4, 8, 8)},
        )["samples"]

    lent, spelled_out = run({"gligen": entry}, {}), run({"gligen": entry}, {"gligen": entry})
    torch.testing.assert_close(lent, spelled_out, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(lent, run({}, {}), atol=1e-2)


def test_boxes_are_added_through_the_nodes(gligen: Gligen, tmp_path: Path) -> None:
    for kind in ("checkpoints", "gligen"):
        (tmp_path / kind).mkdir()
    ldm_layout.write(tmp_path / "checkpoints/narrow.safetensors", ldm_layout.narrow())
    context = NodeContext(folders=Folders(models={k: (tmp_path / k,) for k in ("checkpoints", "gligen")}))
    _, clip, _ = CheckpointLoaderSimple().load(ckpt_name="narrow.safetensors", context=context)
    (conditioning,) = CLIPTextEncode().encode(text="a", clip=clip)
    for x in (0, 64):
        (conditioning,) = GLIGENTextBoxApply().apply(conditioning, clip, gligen, "cat", 96, 128, x, 24)
    kind, value, boxes = conditioning[0][1]["gligen"]
    assert (kind, value) == ("position", gligen)
    assert [box[1:] for box in boxes] == [(16, 12, 3, 0), (16, 12, 3, 8)]
    (tmp_path / "gligen/other.safetensors").write_bytes((tmp_path / "checkpoints/narrow.safetensors").read_bytes())
    with pytest.raises(ModelError, match=r"'other\.safetensors' holds no GLIGEN"):
        GLIGENLoader().load(gligen_name="other.safetensors", context=context)


def test_another_unet_too_many_boxes_and_other_texts_are_refused(
    gligen: Gligen, model: DiffusionModel, tmp_path: Path
) -> None:
    other = cases.model(tmp_path, (32, 64, 64, 64), CONTEXT)
    with pytest.raises(ModelError, match=r"was made for 16 transformers of the widths \[32, 64\]"):
        gligen.bound(BOXES, other.network)
    with pytest.raises(ValueError, match="31 text boxes"):
        gligen.bound(BOXES[:1] * 31, model.network)
    with pytest.raises(ValueError, match="takes texts of width 768, the CLIP gives 7"):
        gligen.bound([Box(torch.zeros(1, 7), 1, 1, 0, 0)], model.network)


def test_a_missing_tensor_is_named(oracle: Any, tmp_path: Path) -> None:
    tensors = in_authors_names(oracle.state_dict())
    del tensors["middle_block.1.transformer_blocks.0.fuser.norm2.bias"]
    save_file(tensors, tmp_path / "gligen.safetensors")
    with pytest.raises(ModelError, match=r"'gligen\.safetensors'.*fusers\.6\.norm2\.bias"):
        load_gligen(open_checkpoint(tmp_path / "gligen.safetensors"), "cpu")
