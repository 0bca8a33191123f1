"""The nodes that compare pictures and texts: thin classes over `embeddings` and `contrastive`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, NodeContext

from .labels import lines
from .posterior_nodes import SEED

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import Conditioning, Latent

    from .embeddings import ContrastivePair, Embeddings, HasImageEmbeds

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.

_LABELS = ("STRING", {"default": "", "multiline": True, "tooltip": "A name for each of them, one per line."})
_TEMPERATURE = (
    "FLOAT",
    {
        "default": 0.07,
        "min": 0.001,
        "max": 100.0,
        "step": 0.001,
        "round": False,
        "tooltip": "Similarities are divided by it. CLIP starts at 0.07 and learns 0.01.",
    },
)


class ExplainTextLines:
    """The lines of a text, one after the other: what reads them is called once for each."""

    CATEGORY = "explain/contrast"
    DESCRIPTION = "A list of the lines of a text that are not empty."
    RETURN_TYPES = ("STRING", "INT")
    RETURN_NAMES = ("line", "count")
    OUTPUT_IS_LIST = (True, False)
    FUNCTION = "split"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"text": ("STRING", {"default": "", "multiline": True})}}

    def split(self, text: str) -> tuple[list[str], int]:
        """The lines, without the spaces around them, and how many they are."""
        found = lines(text)
        return found, len(found)


class ExplainTextEmbeddings:
    """One vector for each conditioning of a list."""

    CATEGORY = "explain/contrast"
    DESCRIPTION = (
        "Text vectors: the pooled state (the text tower's state at the end token, through its projection where it "
        "has one), or the mean of all token states. CLIP's own text vector is the pooled one of a text tower with "
        "projection; only that lies in one space with CLIP's picture vectors."
    )
    RETURN_TYPES = ("EMBEDDINGS",)
    FUNCTION = "collect"
    INPUT_IS_LIST = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        kind = (["pooled", "mean of tokens"],)
        return {"required": {"conditioning": ("CONDITIONING",), "kind": kind, "labels": _LABELS}}

    def collect(self, conditioning: list[Conditioning], kind: list[str], labels: list[str]) -> tuple[Embeddings]:
        """EMBEDDINGS (N, D), one for each pair of each conditioning."""
        from .embedding_views import text_embeddings  # brings torch

        return (text_embeddings(conditioning, kind[0], labels[0]),)


class ExplainPictureEmbeddings:
    """One vector for each picture of a list of latents."""

    CATEGORY = "explain/contrast"
    DESCRIPTION = (
        "Picture vectors without a vision tower: the numbers of each latent in a row. They have nothing in common "
        "with text vectors until ExplainTrainContrastivePair projects both into one space."
    )
    RETURN_TYPES = ("EMBEDDINGS",)
    FUNCTION = "collect"
    INPUT_IS_LIST = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"samples": ("LATENT",), "labels": _LABELS}}

    def collect(self, samples: list[Latent], labels: list[str]) -> tuple[Embeddings]:
        """EMBEDDINGS (N, C * h * w), one for each sample of each latent."""
        from .embedding_views import latent_embeddings  # brings torch

        return (latent_embeddings(samples, labels[0]),)


class ExplainVisionEmbeddings:
    """The vectors that a CLIP vision tower gives for pictures."""

    CATEGORY = "explain/contrast"
    DESCRIPTION = (
        "The projected picture vectors of CLIPVisionEncode, to be compared with the pooled states of the text "
        "tower of the same CLIP, with its projection."
    )
    RETURN_TYPES = ("EMBEDDINGS",)
    FUNCTION = "collect"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"clip_vision_output": ("CLIP_VISION_OUTPUT",), "labels": _LABELS}}

    def collect(self, clip_vision_output: HasImageEmbeds, labels: str) -> tuple[Embeddings]:
        """EMBEDDINGS (B, D)."""
        from .embedding_views import vision_embeddings  # brings torch

        return (vision_embeddings(clip_vision_output, labels),)


class ExplainTrainContrastivePair:
    """Trains a small CLIP: two projections that bring pictures and their texts together."""

    CATEGORY = "explain/contrast"
    DESCRIPTION = (
        "Linear projections of picture and text vectors that minimise CLIP's symmetric contrastive loss over the "
        "pairs: 1/2 mean_i [-log softmax_j(s_ij / t)_ii - log softmax_j(s_ji / t)_ii], s the cosines, t the "
        "temperature, all other pairs negatives (Radford et al. 2021, figure 3; van den Oord et al. 2018, eq. 4). "
        "A few pairs are learned by heart: test it with other pictures, through ExplainProject."
    )
    RETURN_TYPES = ("CONTRASTIVE_PAIR", "EMBEDDINGS", "EMBEDDINGS", "IMAGE", "FLOAT")
    RETURN_NAMES = ("pair", "pictures", "texts", "curve", "loss")
    FUNCTION = "train"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        rate = {"default": 0.01, "min": 0.00001, "max": 1.0, "step": 0.00001, "round": False}
        return {
            "required": {
                "pictures": ("EMBEDDINGS",),
                "texts": ("EMBEDDINGS",),
                "dimensions": ("INT", {"default": 16, "min": 1, "max": 1024}),
                "temperature": _TEMPERATURE,
                "steps": ("INT", {"default": 200, "min": 1, "max": 100000}),
                "learning_rate": ("FLOAT", rate),
                "seed": SEED,
            },
            "hidden": {"context": CONTEXT},
        }

    def train(
        self,
        pictures: Embeddings,
        texts: Embeddings,
        dimensions: int,
        temperature: float,
        steps: int,
        learning_rate: float,
        seed: int,
        context: NodeContext,
    ) -> tuple[ContrastivePair, Embeddings, Embeddings, Tensor, float]:
        """The projections, both sides projected, the loss over the steps, and the last loss in nats."""
        from .embedding_views import pair_views  # brings torch
        from .embeddings import train_pair

        pair, losses = train_pair(
            pictures["vectors"],
            texts["vectors"],
            dimensions=dimensions,
            temperature=temperature,
            steps=steps,
            learning_rate=learning_rate,
            seed=seed,
            progress=context.progress,
        )
        return (pair, *pair_views(pair, pictures, texts, losses))


class ExplainProject:
    """Vectors of one side in the common space of a trained pair."""

    CATEGORY = "explain/contrast"
    DESCRIPTION = "weight @ ((vector - mean) / scale), brought to length 1."
    RETURN_TYPES = ("EMBEDDINGS",)
    FUNCTION = "project"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "pair": ("CONTRASTIVE_PAIR",),
                "embeddings": ("EMBEDDINGS",),
                "side": (["pictures", "texts"],),
            },
        }

    def project(self, pair: ContrastivePair, embeddings: Embeddings, side: str) -> tuple[Embeddings]:
        """EMBEDDINGS (N, dimensions)."""
        from .embeddings import project  # brings torch

        projection = pair["pictures"] if side == "pictures" else pair["texts"]
        return ({"vectors": project(embeddings["vectors"], projection), "labels": embeddings["labels"]},)


class ExplainSimilarity:
    """How alike pictures and texts, or texts and texts, are."""

    CATEGORY = "explain/contrast"
    DESCRIPTION = (
        "The cosine u.v / (|u| |v|) of every row with every column, -1..1. CLIP score: of a picture with its text."
    )
    RETURN_TYPES = ("FLOAT", "IMAGE", "STRING")
    RETURN_NAMES = ("mean_of_pairs", "matrix", "table")
    FUNCTION = "compare"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        title = ("STRING", {"default": "Cosine similarity"})
        return {"required": {"rows": ("EMBEDDINGS",), "columns": ("EMBEDDINGS",), "title": title}}

    def compare(self, rows: Embeddings, columns: Embeddings, title: str) -> tuple[float, Tensor, str]:
        """The mean of the diagonal; the matrix as IMAGE and as text."""
        from .embedding_views import similarity_views  # brings torch

        return similarity_views(rows, columns, title)


class ExplainContrastiveLoss:
    """How well pictures find their texts among others, and texts their pictures."""

    CATEGORY = "explain/contrast"
    DESCRIPTION = (
        "InfoNCE: -log(exp(s_ii / t) / sum_j exp(s_ij / t)), the mean over all pairs and both directions (van den "
        "Oord et al. 2018, eq. 4; Radford et al. 2021, figure 3). s: cosines; t: temperature, small ones tell "
        "near things apart, large ones make all equal; negatives: how many others take part, 0 for all. Guessing "
        "costs log(negatives + 1) nats. The matrix shows softmax_j(s_ij / t)."
    )
    RETURN_TYPES = ("FLOAT", "FLOAT", "IMAGE", "STRING")
    RETURN_NAMES = ("loss", "accuracy", "matrix", "table")
    FUNCTION = "measure"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "pictures": ("EMBEDDINGS",),
                "texts": ("EMBEDDINGS",),
                "temperature": _TEMPERATURE,
                "negatives": ("INT", {"default": 0, "min": 0, "max": 100000}),
                "seed": SEED,
            },
        }

    def measure(
        self, pictures: Embeddings, texts: Embeddings, temperature: float, negatives: int, seed: int
    ) -> tuple[float, float, Tensor, str]:
        """The loss in nats, the share of right answers, the probabilities as IMAGE, and all numbers as text."""
        from .embedding_views import contrast_views  # brings torch

        return contrast_views(pictures, texts, temperature, negatives, seed)


NODE_CLASS_MAPPINGS: dict[str, type[Any]] = {
    "ExplainTextLines": ExplainTextLines,
    "ExplainTextEmbeddings": ExplainTextEmbeddings,
    "ExplainPictureEmbeddings": ExplainPictureEmbeddings,
    "ExplainVisionEmbeddings": ExplainVisionEmbeddings,
    "ExplainTrainContrastivePair": ExplainTrainContrastivePair,
    "ExplainProject": ExplainProject,
    "ExplainSimilarity": ExplainSimilarity,
    "ExplainContrastiveLoss": ExplainContrastiveLoss,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "ExplainTextLines": "Lines of a Text",
    "ExplainTextEmbeddings": "Text Vectors",
    "ExplainPictureEmbeddings": "Picture Vectors (latents)",
    "ExplainVisionEmbeddings": "Picture Vectors (CLIP vision)",
    "ExplainTrainContrastivePair": "Train Small CLIP",
    "ExplainProject": "Project Vectors",
    "ExplainSimilarity": "Similarity Matrix",
    "ExplainContrastiveLoss": "Contrastive Loss",
}
