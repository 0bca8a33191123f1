import json
import pickle
import sys
from pathlib import Path
from subprocess import run

import pytest
import torch

from graphengine.errors import FileRefused, ModelError, RunCancelled
from graphengine.node.api import NodeContext
from graphengine.node.folders import Folders
from graphengine_nodes.diffusion.nodes import loader_nodes
from graphengine_nodes.diffusion.nodes.clip_nodes import CLIPSetLastLayer, CLIPTextEncode
from graphengine_nodes.diffusion.nodes.loader_nodes import (
    CheckpointLoaderSimple,
    VAEDecode,
    VAEEncode,
    VAEEncodeForInpaint,
    VAELoader,
)
from graphengine_nodes.diffusion.sampling.ksampler import sample
from tests.nodes.core.described import described

from . import ldm_layout


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> NodeContext:
    """Checkpoints with either kind of VAE, one without CLIP and VAE, and a VAE alone."""
    root = tmp_path_factory.mktemp("models")
    (root / "checkpoints").mkdir()
    (root / "vae").mkdir()
    tiny = ldm_layout.taesd(16)
    ldm_layout.write(root / "checkpoints/kl.safetensors", ldm_layout.narrow())
    ldm_layout.write(
        root / "checkpoints/taesd.safetensors",
        ldm_layout.narrow(tiny),
        {f"{ldm_layout.VAE}vae_scale": torch.tensor([0.18215])},
    )
    unet = {name: shape for name, shape in ldm_layout.narrow().items() if name.startswith(ldm_layout.UNET)}
    ldm_layout.write(root / "checkpoints/unet.safetensors", unet)
    ldm_layout.write(root / "vae/taesd.safetensors", tiny)
    (root / "checkpoints/old.ckpt").write_bytes(pickle.dumps({}))
    return NodeContext(folders=Folders(models={kind: (root / kind,) for kind in ("checkpoints", "vae")}))


def test_the_definitions_are_those_that_saved_workflows_were_made_with() -> None:
    expected = json.loads(Path(__file__).with_name("loader_definitions.json").read_text())
    titles = loader_nodes.NODE_DISPLAY_NAME_MAPPINGS
    assert described(loader_nodes.NODE_CLASS_MAPPINGS, titles) == expected


def test_listing_the_nodes_imports_no_torch() -> None:
    code = f"import sys, {loader_nodes.__name__} as n; n.VAELoader.INPUT_TYPES(); sys.exit('torch' in sys.modules)"
    roots = [str(Path(loader_nodes.__file__).parents[2]), str(Path(__file__).parents[3])]
    assert run([sys.executable, "-c", f"import sys; sys.path[:0] = {roots}; {code}"], check=False).returncode == 0


@pytest.mark.parametrize("name", ["kl.safetensors", "taesd.safetensors"])
def test_image_to_image_runs_through_the_nodes(name: str, context: NodeContext) -> None:
    model, clip, vae = CheckpointLoaderSimple().load(ckpt_name=name, context=context)
    (positive,) = CLIPTextEncode().encode(text="a (red:1.2) cat", clip=clip)
    (negative,) = CLIPTextEncode().encode(text="", clip=clip)
    assert positive[0][1]["pooled_output"].shape == (1, 64)
    (latent,) = VAEEncode().encode(pixels=torch.rand(1, 32, 32, 3), vae=vae, context=context)
    latent = sample(
        model,
        seed=1,
        steps=2,
        cfg=2.0,
        sampler_name="euler",
        scheduler="normal",
        positive=positive,
        negative=negative,
        latent=latent,
        denoise=0.6,
    )
    (image,) = VAEDecode().decode(samples=latent, vae=vae, context=context)
    assert image.shape == (1, 32, 32, 3)
    assert image.isfinite().all()


def test_a_vae_of_its_own_file_encodes_for_inpainting(context: NodeContext) -> None:
    (vae,) = VAELoader().load(vae_name="taesd.safetensors", context=context)
    (latent,) = VAEEncodeForInpaint().encode(
        pixels=torch.rand(1, 16, 16, 3), vae=vae, mask=torch.ones(1, 16, 16), grow_mask_by=6, context=context
    )
    assert latent["samples"].shape == (1, 4, 2, 2)
    assert latent["noise_mask"].min() == 1


def test_the_last_layer_is_set_on_a_copy(context: NodeContext) -> None:
    _, clip, _ = CheckpointLoaderSimple().load(ckpt_name="kl.safetensors", context=context)
    assert clip is not None
    (changed,) = CLIPSetLastLayer().set_last_layer(clip=clip, stop_at_clip_layer=-2)
    assert (clip.layer_idx, changed.layer_idx) == (None, -2)


def test_a_checkpoint_without_clip_and_vae_gives_its_model(context: NodeContext) -> None:
    model, clip, vae = CheckpointLoaderSimple().load(ckpt_name="unet.safetensors", context=context)
    assert model.device == "cpu"
    with pytest.raises(ModelError, match="no text encoder"):
        CLIPTextEncode().encode(text="a", clip=clip)
    with pytest.raises(ModelError, match="no VAE") as error:
        VAEDecode().decode(samples={"samples": torch.zeros(1, 4, 2, 2)}, vae=vae, context=context)
    assert "VAELoader" in str(error.value.hint)


def test_a_missing_file_and_a_pickle_are_refused(context: NodeContext) -> None:
    with pytest.raises(FileRefused, match=r"'none\.safetensors'"):
        CheckpointLoaderSimple().load(ckpt_name="none.safetensors", context=context)
    with pytest.raises(ModelError, match=r"'old\.ckpt' is a pickle"):
        CheckpointLoaderSimple().load(ckpt_name="old.ckpt", context=context)


def test_decoding_stops_when_the_run_is_cancelled(context: NodeContext) -> None:
    (vae,) = VAELoader().load(vae_name="taesd.safetensors", context=context)
    cancelled = NodeContext(folders=context.folders, is_cancelled=lambda: True)
    with pytest.raises(RunCancelled):
        VAEDecode().decode(samples={"samples": torch.zeros(1, 4, 2, 2)}, vae=vae, context=cancelled)
