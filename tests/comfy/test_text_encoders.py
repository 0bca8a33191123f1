"""Text encoders and prompts as node packs handle them: with ComfyUI's functions and types, on values of ours."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from graphengine.errors import ModelError
from graphengine_comfy.comfy import sd, sd1_clip, sdxl_clip
from graphengine_nodes.diffusion.model.model_sampling import DiscreteSampling
from tests.nodes.diffusion import tiny_models


def test_packs_take_prompts_apart() -> None:
    escaped = sd1_clip.escape_important(r"a (red:1.2) \(cat\)")
    pieces = sd1_clip.token_weights(escaped, 0.5)
    assert [sd1_clip.unescape_important(text) for text, _ in pieces] == ["a ", "red", " (cat)"]
    assert [weight for _, weight in pieces] == [0.5, 1.2, 0.5]


def test_packs_load_the_clip_of_a_type_from_files(tmp_path: Path) -> None:
    small = str(tiny_models.clip_l_file(tmp_path / "l.safetensors"))
    large = str(tiny_models.clip_g_file(tmp_path / "g.safetensors"))
    (tmp_path / "embeddings").mkdir()
    save_file({"emb_params": torch.ones(2, 64)}, tmp_path / "embeddings/mine.safetensors")
    one = sd.load_clip([small], embedding_directory=str(tmp_path / "embeddings"))
    both = sd.load_clip(ckpt_paths=[large, small])
    assert isinstance(one.cond_stage_model, sd1_clip.SD1ClipModel)
    assert not isinstance(one.cond_stage_model, sdxl_clip.SDXLClipModel)
    assert isinstance(both.cond_stage_model, sdxl_clip.SDXLClipModel)
    assert not isinstance(both, (sdxl_clip.SDXLRefinerClipModel, sdxl_clip.SDXLClipG))
    assert not isinstance(None, sdxl_clip.SDXLClipModel)
    tokens = one.tokenize("embedding:mine")["l"][0]
    assert [isinstance(token, torch.Tensor) for token, _ in tokens[:4]] == [False, True, True, False]
    with pytest.raises(ModelError, match="type 'stable_audio'"):
        sd.load_clip([small], clip_type=sd.CLIPType.STABLE_AUDIO)


def test_packs_load_checkpoints_by_a_configuration_and_diffusion_models_alone(tmp_path: Path) -> None:
    path = str(tiny_models.sd2_checkpoint(tmp_path / "sd2.safetensors"))
    model, clip, vae = sd.load_checkpoint("configs/v2-inference-v.yaml", path, output_vae=False)
    assert isinstance(model.sampling, DiscreteSampling)
    assert model.sampling.prediction == "v"
    assert list(clip.towers) == ["h"]
    assert vae is None
    assert sd.load_diffusion_model(path).network.family == "sd2"
    with pytest.raises(ValueError, match="no ckpt_path"):
        sd.load_checkpoint()
