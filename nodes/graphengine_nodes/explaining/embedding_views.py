"""Vectors from what nodes hand on, and their similarities as numbers, tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.diffusion.model.model import Conditioning, Latent

from . import contrastive, tables
from .axes import Axis
from .canvas import to_image
from .charts import Chart, Series, draw
from .embeddings import ContrastivePair, Embeddings, HasImageEmbeds, embeddings, project
from .labels import lines

_MOST_SHOWN = 24


def text_embeddings(conditionings: Sequence[Conditioning], kind: str, labels: str) -> Embeddings:
    """One vector for each pair of each conditioning: "pooled", or the "mean of tokens".

    Raises:
        GraphEngineError: a conditioning has no pooled state, or the vectors differ in length.
    """
    vectors: list[Tensor] = []
    for states, options in (pair for conditioning in conditionings for pair in conditioning):
        if kind == "pooled":
            pooled = options.get("pooled_output")
            if pooled is None:
                raise GraphEngineError(
                    f"text {len(vectors) + 1} has no pooled state", hint="take the kind 'mean of tokens'"
                )
            vectors.append(pooled.reshape(-1))
        else:
            vectors.append(states.float().mean(dim=1).reshape(-1))
    return embeddings(_stacked(vectors, "texts"), lines(labels))


def latent_embeddings(latents: Sequence[Latent], labels: str) -> Embeddings:
    """One vector for each sample of each latent: its numbers in a row.

    Raises:
        GraphEngineError: the latents differ in size.
    """
    vectors = [sample.float().reshape(-1) for latent in latents for sample in latent["samples"]]
    return embeddings(_stacked(vectors, "latents"), lines(labels))


def vision_embeddings(output: HasImageEmbeds, labels: str) -> Embeddings:
    """The vectors of a vision tower, one for each picture.

    Raises:
        GraphEngineError: the tower gives none that texts can be compared with.
    """
    vectors = output.image_embeds
    if vectors is None or vectors.ndim != 2:
        found = "no vectors" if vectors is None else f"vectors of shape {list(vectors.shape)}"
        raise GraphEngineError(
            f"this vision tower gives {found}; one for each picture is needed, (B, D)",
            hint="load the vision tower of a CLIP with projection, such as CLIP-ViT-H or clip-vit-large",
        )
    return embeddings(vectors, lines(labels))


def _stacked(vectors: Sequence[Tensor], what: str) -> Tensor:
    lengths = sorted({len(vector) for vector in vectors})
    if len(lengths) != 1:
        raise GraphEngineError(
            f"the {what} give vectors of {lengths} numbers; they must all be of one length",
            hint="take texts of one text encoder, and latents of one size",
        )
    return torch.stack(list(vectors))


def pair_views(
    pair: ContrastivePair, pictures: Embeddings, texts: Embeddings, losses: Tensor
) -> tuple[Embeddings, Embeddings, Tensor, float]:
    """Both sides projected, the loss over the steps as IMAGE, and the last loss in nats."""
    sides = [
        Embeddings(vectors=project(side["vectors"], projection), labels=side["labels"])
        for side, projection in ((pictures, pair["pictures"]), (texts, pair["texts"]))
    ]
    chance = float(torch.tensor(float(len(texts["labels"]))).log())
    steps = [float(step + 1) for step in range(len(losses))]
    chart = Chart(
        "Training of a small CLIP",
        Axis("step", whole=True),
        Axis("contrastive loss (nats)", limits=(0.0, max(chance, float(losses.max())) * 1.06)),
        [
            Series("loss", steps, losses.tolist()),
            Series("guessing, log N", [steps[0], steps[-1]], [chance, chance]),
        ],
    )
    return sides[0], sides[1], to_image(draw(chart)), float(losses[-1])


def similarity_views(rows: Embeddings, columns: Embeddings, title: str) -> tuple[float, Tensor, str]:
    """The mean cosine of the pairs on the diagonal; the matrix as IMAGE and as text.

    Raises:
        ValueError: the vectors are not of one length.
    """
    values = contrastive.cosines(rows["vectors"], columns["vectors"])
    picture = _matrix(title, values, rows, columns, ("", ""), (-1.0, 1.0))
    return float(values.diagonal().mean()), picture, _table(values, rows, columns)


def contrast_views(
    pictures: Embeddings, texts: Embeddings, temperature: float, negatives: int, seed: int
) -> tuple[float, float, Tensor, str]:
    """The loss in nats, the share of right answers, the probabilities as IMAGE, and all numbers as text.

    Raises:
        ValueError: there are not as many pictures as texts, in one space, or the temperature is not above 0.
    """
    cosines = contrastive.cosines(pictures["vectors"], texts["vectors"])
    result = contrastive.contrast(cosines, temperature, negatives, seed)
    shares = contrastive.probabilities(cosines, temperature)
    title = f"Which text a picture is given, temperature {temperature:g}: loss {result.loss:.3f} nats"
    picture = _matrix(title, shares, pictures, texts, ("pictures", "texts"), (0.0, 1.0))
    numbers = [
        ["loss", f"{result.loss:.4f}"],
        ["picture to text", f"{result.picture_to_text:.4f}"],
        ["text to picture", f"{result.text_to_picture:.4f}"],
        ["guessing", f"{result.chance:.4f}"],
        ["accuracy", f"{result.accuracy:.3f}"],
    ]
    text = tables.as_text(("contrast", "nats"), numbers)
    return result.loss, result.accuracy, picture, f"{text}\n\n{_table(shares, pictures, texts)}"


def _matrix(
    title: str,
    values: Tensor,
    rows: Embeddings,
    columns: Embeddings,
    names: tuple[str, str],
    limits: tuple[float, float],
) -> Tensor:
    picture = tables.matrix_picture(
        title,
        values[:_MOST_SHOWN, :_MOST_SHOWN],
        rows["labels"][:_MOST_SHOWN],
        columns["labels"][:_MOST_SHOWN],
        rows_are=names[0],
        columns_are=names[1],
        limits=limits,
    )
    return to_image(picture)


def _table(values: Tensor, rows: Embeddings, columns: Embeddings) -> str:
    lines = [
        [label, *(f"{value:.3f}" for value in row)]
        for label, row in zip(rows["labels"], values.tolist(), strict=True)
    ]
    return tables.as_text(("", *columns["labels"]), lines)
