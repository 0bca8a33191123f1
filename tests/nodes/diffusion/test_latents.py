import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from graphengine.errors import FileRefused
from graphengine.node.api import NodeContext
from graphengine.node.folders import Folders
from graphengine_nodes.diffusion.conditioning.latents import encode_latent, read_latent
from graphengine_nodes.diffusion.model.model import Latent
from graphengine_nodes.diffusion.nodes import latent_nodes
from graphengine_nodes.diffusion.nodes.latent_nodes import (
    EmptyLatentImage,
    LatentUpscale,
    LatentUpscaleBy,
    LoadLatent,
    SaveLatent,
    SetLatentNoiseMask,
)
from tests.nodes.core.described import described


def _latent(height: int, width: int) -> Latent:
    return {"samples": torch.arange(4 * height * width, dtype=torch.float32).reshape(1, 4, height, width)}


def test_the_definitions_are_those_that_saved_workflows_were_made_with() -> None:
    expected = json.loads(Path(__file__).with_name("latent_definitions.json").read_text())
    mapped = described(latent_nodes.NODE_CLASS_MAPPINGS, latent_nodes.NODE_DISPLAY_NAME_MAPPINGS)
    assert mapped == expected


def test_an_empty_latent_is_an_eighth_of_the_picture() -> None:
    (latent,) = EmptyLatentImage().make(width=72, height=47, batch_size=2)
    assert latent.keys() == {"samples"}
    assert torch.equal(latent["samples"], torch.zeros(2, 4, 5, 9))


# Sizes


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [
        (128, 64, (8, 16)),
        (160, 0, (10, 20)),
        (0, 160, (20, 40)),
        (16, 16, (8, 8)),
        (16, 0, (8, 8)),
        (0, 0, (4, 8)),
    ],
)
def test_a_latent_is_scaled_to_a_size_of_picture_of_at_least_64(
    width: int, height: int, shape: tuple[int, int]
) -> None:
    (scaled,) = LatentUpscale().scale(_latent(4, 8), "nearest-exact", width, height, "disabled")
    assert scaled["samples"].shape == (1, 4, *shape)


def test_a_latent_is_scaled_by_a_factor() -> None:
    latent: Latent = {"samples": torch.tensor([[[[1.0, 2.0]]]]), "batch_index": [3]}
    (scaled,) = LatentUpscaleBy().scale(latent, "nearest-exact", 2.0)
    assert scaled["samples"].tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2]]]]
    assert scaled["batch_index"] == [3]
    assert latent["samples"].shape == (1, 1, 1, 2)


@pytest.mark.parametrize("method", latent_nodes.LatentUpscale.INPUT_TYPES()["required"]["upscale_method"][0])
def test_every_method_that_is_offered_works(method: str) -> None:
    (scaled,) = LatentUpscale().scale(_latent(2, 2), method, 64, 128, "center")
    assert scaled["samples"].shape == (1, 4, 16, 8)
    assert scaled["samples"].isfinite().all()


@pytest.mark.parametrize("shape", [(6, 7), (2, 6, 7), (2, 1, 6, 7)])
def test_a_mask_is_set_beside_the_samples(shape: tuple[int, ...]) -> None:
    latent = _latent(2, 2)
    (masked,) = SetLatentNoiseMask().set_mask(latent, torch.ones(shape))
    assert masked["noise_mask"].shape == (2 if len(shape) > 2 else 1, 1, 6, 7)
    assert masked["samples"] is latent["samples"]
    assert "noise_mask" not in latent


# Files


def test_a_saved_latent_loads_as_it_was(folders: Folders) -> None:
    context = NodeContext(folders=folders)
    latent = _latent(2, 3)
    shown = SaveLatent().save(
        latent, "latents/x", context, prompt={"1": {}}, extra_pnginfo={"workflow": {"nodes": []}}
    )
    assert shown == {
        "ui": {"latents": [{"filename": "x_00001_.latent", "subfolder": "latents", "type": "output"}]}
    }
    (loaded,) = LoadLatent().load("latents/x_00001_.latent [output]", context)
    assert torch.equal(loaded["samples"], latent["samples"])
    with safe_open(folders.output / "latents/x_00001_.latent", framework="pt") as file:
        assert file.metadata() == {"prompt": '{"1": {}}', "workflow": '{"nodes": []}'}


def test_a_latent_is_written_with_the_same_bytes_each_time() -> None:
    metadata = {"prompt": '{"1": "é"}', "workflow": "w", "graphengine": "g", "a": "b"}
    written = {encode_latent(torch.ones(1, 4, 2, 2), metadata) for _ in range(20)}
    assert len(written) == 1
    header = written.pop()[8:].split(b"}}")[0]
    assert [header.index(f'"{name}"'.encode()) for name in metadata] == sorted(
        header.index(f'"{name}"'.encode()) for name in metadata
    )


def test_a_part_of_a_larger_tensor_is_saved(folders: Folders) -> None:
    context = NodeContext(folders=folders)
    part: Latent = {"samples": _latent(4, 4)["samples"].transpose(-1, -2)[..., 1:3]}
    SaveLatent().save(part, "x", context)
    assert torch.equal(LoadLatent().load("x_00001_.latent [output]", context)[0]["samples"], part["samples"])


def test_a_latent_of_the_old_form_is_brought_to_the_scale_of_the_vae(tmp_path: Path) -> None:
    save_file({"latent_tensor": torch.full((1, 4, 1, 1), 0.18215, dtype=torch.float16)}, tmp_path / "old.latent")
    samples = read_latent(tmp_path / "old.latent", "old.latent")["samples"]
    assert samples.dtype == torch.float32
    assert samples.flatten().tolist() == pytest.approx([1.0] * 4, rel=1e-3)


@pytest.mark.parametrize("content", [b"", b"a text", (1 << 40).to_bytes(8, "little") + b"{}"])
def test_a_damaged_latent_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.latent").write_bytes(content)
    with pytest.raises(FileRefused, match=r"file 'dir/x\.latent' cannot be read as a latent"):
        read_latent(tmp_path / "x.latent", "dir/x.latent")


def test_a_latent_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    save_file({"latent_tensor": torch.zeros(1, 4, 8, 8)}, tmp_path / "x.latent")
    whole = (tmp_path / "x.latent").read_bytes()
    (tmp_path / "x.latent").write_bytes(whole[:-100])
    with pytest.raises(FileRefused, match="cannot be read as a latent"):
        read_latent(tmp_path / "x.latent", "x.latent")


@pytest.mark.parametrize(
    "tensors",
    [
        {"other": torch.zeros(1, 4, 8, 8)},
        {"latent_tensor": torch.zeros(4, 8, 8)},
        {"latent_tensor": torch.zeros(1, 4, 8, 8, dtype=torch.int64)},
    ],
)
def test_a_file_of_other_tensors_is_refused(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, tmp_path / "x.latent")
    with pytest.raises(FileRefused, match=r"file 'x\.latent' holds no latent") as refused:
        read_latent(tmp_path / "x.latent", "x.latent")
    assert "SaveLatent" in str(refused.value.hint)


@pytest.mark.parametrize("name", ["../x.latent", "/x.latent"])
def test_a_latent_outside_of_the_input_folder_is_refused(folders: Folders, name: str) -> None:
    with pytest.raises(FileRefused, match="leads out of its folder"):
        LoadLatent().load(name, NodeContext(folders=folders))
