import pytest
import torch
from torch import Tensor

from graphengine.errors import GraphEngineError
from graphengine.node.api import NodeContext
from graphengine_nodes.explaining.mlp_vae import MLPVAE, Likelihood
from graphengine_nodes.explaining.mlp_vae_nodes import (
    ExplainMLPVAELatentGrid,
    ExplainMLPVAEReconstruct,
    ExplainMLPVAESample,
    ExplainTrainMLPVAE,
    ExplainVariations,
)


def _pictures() -> Tensor:
    picture = torch.ones(1, 8, 8, 3)
    picture[0, 2:5, 2:5] = torch.tensor([1.0, 0.0, 0.0])
    return ExplainVariations().vary(picture, 6, 0.2, 0.1, 10.0, 1)[0]


def _train(latents: int = 2, likelihood: Likelihood = "bernoulli") -> tuple[MLPVAE, Tensor, float, str]:
    return ExplainTrainMLPVAE().train(_pictures(), 6, 10, latents, likelihood, 20, 4, 0.01, 1, NodeContext())


def test_training_gives_plain_tensors_a_curve_and_a_table() -> None:
    vae, curve, elbo, table = _train()
    assert {type(value) for value in vae["weights"].values()} == {Tensor}
    assert curve.shape == (1, 360, 560, 3)
    assert elbo < 0
    assert [line.split()[0] for line in table.splitlines()[:3]] == ["step", "1", "3"]


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_restored_pictures_come_with_the_bound_and_the_evidence(likelihood: Likelihood) -> None:
    vae, *_ = _train(likelihood=likelihood)
    restored, sheet, elbo, evidence, table = ExplainMLPVAEReconstruct().reconstruct(vae, _pictures(), 50, 1)
    assert (restored.shape, sheet.ndim) == ((6, 6, 6, 3), 4)
    assert len(table.splitlines()) == 7
    assert elbo < evidence + 5


def test_samples_at_temperature_zero_are_all_the_same() -> None:
    vae, *_ = _train()
    cold, _ = ExplainMLPVAESample().sample(vae, 3, 0.0, 1)
    warm, sheet = ExplainMLPVAESample().sample(vae, 3, 1.0, 1)
    assert torch.allclose(cold[0], cold[1], atol=1e-6)
    assert not torch.allclose(warm[0], warm[1], atol=1e-3)
    assert sheet.shape[0] == 1


def test_a_plane_is_walked_row_by_row() -> None:
    grid, pictures = ExplainMLPVAELatentGrid().walk(_train()[0], 3, 2)
    assert (grid.ndim, pictures.shape) == (4, (6, 6, 6, 3))


def test_a_latent_space_that_is_no_plane_is_named() -> None:
    with pytest.raises(GraphEngineError, match="the latent space has 3 dimensions, a plane has 2"):
        ExplainMLPVAELatentGrid().walk(_train(3)[0], 3, 2)
