import math
from types import SimpleNamespace

import pytest
import torch

from graphengine.errors import GraphEngineError
from graphengine.node.api import NodeContext
from graphengine_nodes.diffusion.model.model import Conditioning
from graphengine_nodes.explaining.contrastive import contrast, cosines
from graphengine_nodes.explaining.embedding_nodes import (
    ExplainContrastiveLoss,
    ExplainPictureEmbeddings,
    ExplainProject,
    ExplainSimilarity,
    ExplainTextEmbeddings,
    ExplainTextLines,
    ExplainTrainContrastivePair,
    ExplainVisionEmbeddings,
)
from graphengine_nodes.explaining.embeddings import Embeddings, embeddings, train_pair
from graphengine_nodes.explaining.gaussians import standard_noise
from tests.nodes.diffusion.sampling_cases import text


def _ignore(step: int, total: int) -> None:
    """Nobody listens."""


def test_lines_of_a_text_are_taken_one_by_one() -> None:
    assert ExplainTextLines().split("a fox\n\n  two cats \n") == (["a fox", "two cats"], 2)


def test_text_vectors_are_pooled_states_or_means_of_tokens() -> None:
    conditionings: list[Conditioning] = [
        [text(1.0, pooled_output=torch.tensor([[1.0, 2.0]]))],
        [text(3.0, pooled_output=torch.ones(1, 2))],
    ]
    node = ExplainTextEmbeddings()
    (pooled,) = node.collect(conditionings, ["pooled"], ["one"])
    assert pooled["vectors"].tolist() == [[1.0, 2.0], [1.0, 1.0]]
    assert pooled["labels"] == ["one", "2"]
    assert node.collect(conditionings, ["mean of tokens"], [""])[0]["vectors"].tolist() == [[1.0, 1.0], [3.0, 3.0]]


def test_a_text_without_a_pooled_state_is_named() -> None:
    with pytest.raises(GraphEngineError, match="text 1 has no pooled state"):
        ExplainTextEmbeddings().collect([[text(1.0)]], ["pooled"], [""])


def test_picture_vectors_are_latents_in_a_row_and_must_be_of_one_size() -> None:
    node = ExplainPictureEmbeddings()
    (found,) = node.collect(
        [{"samples": torch.zeros(2, 4, 1, 1)}, {"samples": torch.ones(1, 4, 1, 1)}], ["a\nb\nc"]
    )
    assert (found["vectors"].shape, found["labels"]) == ((3, 4), ["a", "b", "c"])
    with pytest.raises(GraphEngineError, match=r"vectors of \[4, 8\] numbers"):
        node.collect([{"samples": torch.zeros(1, 4, 1, 1)}, {"samples": torch.ones(1, 4, 1, 2)}], [""])


def test_a_vision_tower_needs_no_more_than_its_projected_vectors() -> None:
    tower = SimpleNamespace(image_embeds=torch.ones(2, 3))
    (found,) = ExplainVisionEmbeddings().collect(tower, "apple")
    assert (found["vectors"].shape, found["labels"]) == ((2, 3), ["apple", "2"])


@pytest.mark.parametrize("vectors", [None, torch.ones(1, 5, 3)])
def test_a_vision_tower_without_projection_is_refused(vectors: torch.Tensor | None) -> None:
    with pytest.raises(GraphEngineError, match="one for each picture is needed"):
        ExplainVisionEmbeddings().collect(SimpleNamespace(image_embeds=vectors), "")


def test_a_trained_pair_tells_its_pairs_apart() -> None:
    pictures, texts = standard_noise((6, 10), 1), standard_noise((6, 4), 2)
    pair, losses = train_pair(
        pictures, texts, dimensions=8, temperature=0.1, steps=150, learning_rate=0.02, seed=3, progress=_ignore
    )
    assert losses[0] > math.log(6) / 2
    assert losses[-1] < 0.1
    project = ExplainProject().project
    sides = [
        project(pair, embeddings(vectors, []), side)[0]["vectors"]
        for vectors, side in ((pictures, "pictures"), (texts, "texts"))
    ]
    assert contrast(cosines(*sides), 0.1).accuracy == 1.0


def test_training_a_pair_follows_from_its_seed_and_works_where_gradients_are_off() -> None:
    def train(seed: int) -> list[float]:
        with torch.inference_mode():
            pictures, texts = standard_noise((3, 5), 1), standard_noise((3, 4), 2)
            losses = train_pair(
                pictures,
                texts,
                dimensions=2,
                temperature=0.5,
                steps=5,
                learning_rate=0.02,
                seed=seed,
                progress=_ignore,
            )[1]
        values: list[float] = losses.tolist()
        return values

    assert train(1) == train(1) != train(2)


def test_a_feature_that_is_the_same_everywhere_says_nothing() -> None:
    pictures = torch.tensor([[1.0, 7.0], [-1.0, 7.0]])
    pair, losses = train_pair(
        pictures, pictures, dimensions=2, temperature=0.5, steps=3, learning_rate=0.01, seed=0, progress=_ignore
    )
    assert losses.isfinite().all()
    project = ExplainProject().project
    one, other = (
        project(pair, embeddings(torch.tensor([[1.0, c]]), []), "pictures")[0]["vectors"] for c in (7.0, 99.0)
    )
    assert torch.equal(one, other)


def test_pairs_must_be_pairs_and_vectors_those_that_were_trained() -> None:
    with pytest.raises(ValueError, match="3 pictures and 2 texts"):
        train_pair(
            torch.ones(3, 2), torch.ones(2, 2), dimensions=2, temperature=1.0, steps=1, learning_rate=0.1, seed=0,
            progress=_ignore,
        )  # fmt: skip
    pair, _ = train_pair(
        torch.eye(2),
        torch.eye(2),
        dimensions=2,
        temperature=1.0,
        steps=1,
        learning_rate=0.1,
        seed=0,
        progress=_ignore,
    )
    with pytest.raises(ValueError, match="made for vectors of 2 numbers, these have 3"):
        ExplainProject().project(pair, embeddings(torch.ones(1, 3), []), "texts")
    with pytest.raises(ValueError, match="one vector for each of N things"):
        embeddings(torch.ones(3), [])


def _three() -> Embeddings:
    return embeddings(torch.eye(3), ["a", "b", "c"])


def test_similarities_are_shown_as_numbers_and_as_a_picture() -> None:
    mean, picture, table = ExplainSimilarity().compare(_three(), _three(), "Alike")
    assert mean == 1.0
    assert table.splitlines()[1].split() == ["a", "1.000", "0.000", "0.000"]
    assert (picture.ndim, picture.shape[-1]) == (4, 3)


def test_the_loss_is_shown_beside_that_of_guessing() -> None:
    loss, accuracy, _, table = ExplainContrastiveLoss().measure(_three(), _three(), 1.0, 0, 0)
    assert loss == pytest.approx(-math.log(math.e / (math.e + 2)))
    assert accuracy == 1.0
    assert table.splitlines()[4].split() == ["guessing", "1.0986"]


def test_the_node_trains_and_shows_its_curve() -> None:
    steps: list[int] = []
    context = NodeContext(on_progress=lambda value, total: steps.append(value))
    pair, pictures, texts, curve, loss = ExplainTrainContrastivePair().train(
        _three(), _three(), 2, 0.5, 4, 0.01, 0, context
    )
    assert steps == [1, 2, 3, 4]
    assert pictures["vectors"].norm(dim=1).tolist() == pytest.approx([1.0] * 3, abs=1e-5)
    assert texts["labels"] == ["a", "b", "c"]
    assert pair["texts"]["weight"].shape == (2, 3)
    assert curve.shape == (1, 360, 560, 3)
    assert loss > 0
