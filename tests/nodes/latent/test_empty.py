import pytest
import torch

from graphengine_nodes.latent.empty import (
    empty_ace_step_15_sound,
    empty_ace_step_sound,
    empty_shape,
    empty_stable_audio,
)
from graphengine_nodes.latent.empty_nodes import NODE_CLASS_MAPPINGS


@pytest.mark.parametrize(
    ("node", "inputs", "shape"),
    [
        ("EmptySD3LatentImage", {"width": 1024, "height": 520}, (2, 16, 65, 128)),
        ("EmptyHunyuanImageLatent", {"width": 2048, "height": 96}, (2, 64, 3, 64)),
        ("EmptyChromaRadianceLatentImage", {"width": 32, "height": 16}, (2, 3, 16, 32)),
        ("EmptyHunyuanLatentVideo", {"width": 848, "height": 480, "length": 25}, (2, 16, 7, 60, 106)),
        ("EmptyHunyuanLatentVideo", {"width": 16, "height": 16, "length": 1}, (2, 16, 1, 2, 2)),
        ("EmptyMochiLatentVideo", {"width": 848, "height": 480, "length": 25}, (2, 12, 5, 60, 106)),
        ("EmptyCosmosLatentVideo", {"width": 64, "height": 48, "length": 121}, (2, 16, 16, 6, 8)),
        ("EmptyLTXVLatentVideo", {"width": 768, "height": 512, "length": 97}, (2, 128, 13, 16, 24)),
        ("EmptyFlux2LatentImage", {"width": 1024, "height": 48}, (2, 128, 3, 64)),
        ("EmptyHunyuanVideo15Latent", {"width": 1280, "height": 720, "length": 121}, (2, 32, 31, 45, 80)),
    ],
)
def test_a_latent_has_the_layout_of_its_family(node: str, inputs: dict[str, int], shape: tuple[int, ...]) -> None:
    node_class = NODE_CLASS_MAPPINGS[node]
    (latent,) = node_class().make(**inputs, batch_size=2)
    assert latent["samples"].shape == shape
    assert not latent["samples"].any()


def test_stable_cascade_starts_with_two_latents() -> None:
    node = NODE_CLASS_MAPPINGS["StableCascade_EmptyLatentImage"]
    first, second = node().make(width=1024, height=512, compression=42, batch_size=3)
    assert first["samples"].shape == (3, 16, 12, 24)
    assert second["samples"].shape == (3, 4, 128, 256)


def test_sounds_say_that_they_are_none() -> None:
    assert empty_ace_step_sound(120.0, 2)["samples"].shape == (2, 8, 16, 1291)
    assert empty_stable_audio(47.6, 2)["samples"].shape == (2, 64, 1024)
    assert empty_stable_audio(1.0, 1)["samples"].shape == (1, 64, 22)
    assert empty_stable_audio(1.0, 1)["type"] == "audio"
    assert empty_ace_step_15_sound(120.0, 2)["samples"].shape == (2, 64, 3000)
    assert empty_ace_step_15_sound(1.0, 1)["type"] == "audio"


def test_a_shape_has_one_axis() -> None:
    latent = empty_shape(3072, 2)
    assert latent["samples"].shape == (2, 64, 3072)
    assert latent["samples"].dtype == torch.float32
    assert latent["type"] == "hunyuan3dv2"
