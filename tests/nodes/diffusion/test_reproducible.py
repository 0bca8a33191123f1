"""The same seed gives the same bits, whatever else happens at the same time or before."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

import graphengine_nodes.diffusion
from graphengine_nodes.diffusion.families import families
from graphengine_nodes.diffusion.model.model import Conditioning, DiffusionModel, Latent
from graphengine_nodes.diffusion.sampling import ksampler
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

MODELS = graphengine_nodes.diffusion.MODELS_DIRECTORY


def load() -> tuple[DiffusionModel, Conditioning, Conditioning]:
    [path] = (MODELS / "checkpoints").glob("*.safetensors")
    model, clip, _ = families.load_checkpoint(open_checkpoint(Path(path)), "cpu")
    assert clip is not None
    return model, clip.encode("a red apple").conditioning(), clip.encode("").conditioning()


@pytest.fixture(scope="module")
def loaded() -> tuple[DiffusionModel, Conditioning, Conditioning]:
    return load()


def sampled(
    loaded: tuple[DiffusionModel, Conditioning, Conditioning],
    count: int = 1,
    index: list[int] | None = None,
    *,
    size: int = 8,
    sampler: str = "euler",
) -> Tensor:
    model, positive, negative = loaded
    latent: Latent = {"samples": torch.zeros(count, 4, size, size)}
    if index is not None:
        latent["batch_index"] = index
    return ksampler.sample(
        model,
        seed=7,
        steps=3,
        cfg=2.5,
        sampler_name=sampler,
        scheduler="karras",
        positive=positive,
        negative=negative,
        latent=latent,
    )["samples"]


def test_a_batch_gives_what_its_samples_give_one_by_one(
    loaded: tuple[DiffusionModel, Conditioning, Conditioning],
) -> None:
    whole = sampled(loaded, 3)
    assert torch.equal(whole, torch.cat([sampled(loaded, 1, [index]) for index in range(3)]))


@pytest.mark.parametrize("sampler", ["euler_ancestral", "dpmpp_2m_sde"])
def test_runs_side_by_side_give_what_they_give_in_turn(
    loaded: tuple[DiffusionModel, Conditioning, Conditioning], sampler: str
) -> None:
    alone = sampled(loaded, sampler=sampler)
    with ThreadPoolExecutor(2) as threads:
        beside = list(threads.map(lambda size: sampled(loaded, size=size, sampler=sampler), [8, 16, 8, 16]))
    assert torch.equal(beside[0], alone)
    assert torch.equal(beside[2], alone)
    assert torch.equal(beside[1], beside[3])


def test_a_model_that_was_loaded_anew_or_used_for_another_size_gives_the_same(
    loaded: tuple[DiffusionModel, Conditioning, Conditioning],
) -> None:
    expected = sampled(loaded)
    anew = load()
    sampled(anew, size=16)
    assert torch.equal(sampled(anew), expected)
    anew[0].network.component.unload()
    assert torch.equal(sampled(anew), expected)
