"""The nodes of the small variational autoencoder: thin classes over `mlp_vae` and `mlp_vae_training`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, NodeContext

from .posterior_nodes import SEED

if TYPE_CHECKING:
    from torch import Tensor

    from .mlp_vae import MLPVAE, Likelihood

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


def _share(default: float) -> tuple[str, dict[str, Any]]:
    return ("FLOAT", {"default": default, "min": 0.0, "max": 0.9, "step": 0.01})


class ExplainVariations:
    """Many pictures from a few: each moved, zoomed and turned at random."""

    CATEGORY = "explain/vae"
    DESCRIPTION = (
        "A set of pictures to learn from: copy i is picture i mod B, moved by up to `shift` of its size, zoomed "
        "by a factor in 1 - zoom .. 1 + zoom and turned by up to `turn` degrees, all uniform and from the seed."
    )
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "vary"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "images": ("IMAGE",),
                "count": ("INT", {"default": 64, "min": 1, "max": 4096}),
                "shift": _share(0.15),
                "zoom": _share(0.0),
                "turn": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 180.0, "step": 1.0}),
                "seed": SEED,
            },
        }

    def vary(self, images: Tensor, count: int, shift: float, zoom: float, turn: float, seed: int) -> tuple[Tensor]:
        """IMAGE (count, H, W, C)."""
        from .mlp_vae_training import variations  # brings torch

        return (variations(images, count, shift, zoom, turn, seed),)


class ExplainTrainMLPVAE:
    """Trains a small variational autoencoder on pictures."""

    CATEGORY = "explain/vae"
    DESCRIPTION = (
        "Auto-encoding variational Bayes (Kingma & Welling 2013, algorithm 1): encoder and decoder with one "
        "hidden layer of tanh units; q(z|x) = N(mu, exp(logvar)), p(z) = N(0, I), p(x|z) Bernoulli or Gaussian "
        "(appendix C). Maximises E log p(x|z) - KL(q(z|x) || p(z)) by Adam, one sample of z per picture. Pictures "
        "are made size x size first. On the CPU, all randomness from the seed."
    )
    RETURN_TYPES = ("VAE_MLP", "IMAGE", "FLOAT", "STRING")
    RETURN_NAMES = ("vae_mlp", "curve", "elbo", "table")
    FUNCTION = "train"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        rate = {"default": 0.001, "min": 0.00001, "max": 1.0, "step": 0.00001, "round": False}
        return {
            "required": {
                "images": ("IMAGE",),
                "size": ("INT", {"default": 16, "min": 2, "max": 64}),
                "hidden": ("INT", {"default": 200, "min": 1, "max": 2048}),
                "latents": ("INT", {"default": 2, "min": 1, "max": 256}),
                "likelihood": (["bernoulli", "gaussian"],),
                "steps": ("INT", {"default": 1000, "min": 1, "max": 100000}),
                "batch_size": ("INT", {"default": 32, "min": 1, "max": 4096}),
                "learning_rate": ("FLOAT", rate),
                "seed": SEED,
            },
            "hidden": {"context": CONTEXT},
        }

    def train(
        self,
        images: Tensor,
        size: int,
        hidden: int,
        latents: int,
        likelihood: Likelihood,
        steps: int,
        batch_size: int,
        learning_rate: float,
        seed: int,
        context: NodeContext,
    ) -> tuple[MLPVAE, Tensor, float, str]:
        """The autoencoder, its ELBO over the steps as IMAGE and as text, and the mean of the last tenth."""
        from .mlp_vae_training import Settings, train  # bring torch
        from .mlp_vae_views import curve_views

        settings = Settings(size, hidden, latents, likelihood, steps, batch_size, learning_rate, seed)
        trained = train(images, settings, context.progress)
        return (trained.vae, *curve_views(trained))


class ExplainMLPVAEReconstruct:
    """Pictures, and what a small autoencoder restores of them."""

    CATEGORY = "explain/vae"
    DESCRIPTION = (
        "The decoder's mean for one sample z = mu + exp(logvar / 2) * eps of each picture, the ELBO, and log p(x) "
        "~ log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x) by K importance samples (Burda et al. 2016, eq. 8), which is "
        "at least the ELBO in the mean."
    )
    RETURN_TYPES = ("IMAGE", "IMAGE", "FLOAT", "FLOAT", "STRING")
    RETURN_NAMES = ("reconstructions", "sheet", "elbo", "log_likelihood", "table")
    FUNCTION = "reconstruct"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "vae_mlp": ("VAE_MLP",),
                "images": ("IMAGE",),
                "importance_samples": ("INT", {"default": 64, "min": 1, "max": 4096}),
                "seed": SEED,
            },
        }

    def reconstruct(
        self, vae_mlp: MLPVAE, images: Tensor, importance_samples: int, seed: int
    ) -> tuple[Tensor, Tensor, float, float, str]:
        """IMAGE (B, size, size, 3); the first of them beside their originals; means in nats; a line for each."""
        from .mlp_vae_views import reconstruct_views  # brings torch

        return reconstruct_views(vae_mlp, images, importance_samples, seed)


class ExplainMLPVAESample:
    """New pictures from a small autoencoder's prior."""

    CATEGORY = "explain/vae"
    DESCRIPTION = (
        "Decoder means for z = T * eps, eps ~ N(0, I) from the seed. T is the temperature: 1 draws from the prior "
        "that was trained with, less stays near the mean picture, more goes where the decoder has seen nothing."
    )
    RETURN_TYPES = ("IMAGE", "IMAGE")
    RETURN_NAMES = ("samples", "sheet")
    FUNCTION = "sample"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "vae_mlp": ("VAE_MLP",),
                "count": ("INT", {"default": 8, "min": 1, "max": 1024}),
                "temperature": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 100.0, "step": 0.05}),
                "seed": SEED,
            },
        }

    def sample(self, vae_mlp: MLPVAE, count: int, temperature: float, seed: int) -> tuple[Tensor, Tensor]:
        """IMAGE (count, size, size, 3), and the same as one labelled picture."""
        from .mlp_vae_views import sample_views  # brings torch

        return sample_views(vae_mlp, count, temperature, seed)


class ExplainMLPVAELatentGrid:
    """A walk over the plane of a 2-d latent space."""

    CATEGORY = "explain/vae"
    DESCRIPTION = (
        "Decoder means on a grid over a 2-d latent space whose coordinates are equally spaced quantiles of N(0, "
        "1), so that equal shares of the prior lie between them (Kingma & Welling 2013, figure 4)."
    )
    RETURN_TYPES = ("IMAGE", "IMAGE")
    RETURN_NAMES = ("grid", "pictures")
    FUNCTION = "walk"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        count = ("INT", {"default": 9, "min": 1, "max": 32})
        return {"required": {"vae_mlp": ("VAE_MLP",), "columns": count, "rows": count}}

    def walk(self, vae_mlp: MLPVAE, columns: int, rows: int) -> tuple[Tensor, Tensor]:
        """The grid as one picture, and IMAGE (rows * columns, size, size, 3), row by row."""
        from .mlp_vae_views import grid_views  # brings torch

        return grid_views(vae_mlp, columns, rows)


NODE_CLASS_MAPPINGS: dict[str, type[Any]] = {
    "ExplainVariations": ExplainVariations,
    "ExplainTrainMLPVAE": ExplainTrainMLPVAE,
    "ExplainMLPVAEReconstruct": ExplainMLPVAEReconstruct,
    "ExplainMLPVAESample": ExplainMLPVAESample,
    "ExplainMLPVAELatentGrid": ExplainMLPVAELatentGrid,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "ExplainVariations": "Random Variations",
    "ExplainTrainMLPVAE": "Train Small VAE",
    "ExplainMLPVAEReconstruct": "Small VAE Reconstruct",
    "ExplainMLPVAESample": "Small VAE Sample",
    "ExplainMLPVAELatentGrid": "Small VAE Latent Grid",
}
