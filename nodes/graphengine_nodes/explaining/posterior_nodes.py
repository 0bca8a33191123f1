"""The nodes about a VAE as a probabilistic model: thin classes over `posterior` and `gaussians`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import Latent
    from graphengine_nodes.diffusion.vae.vae import VAE

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.

SEED = ("INT", {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF, "control_after_generate": True})
_FIXED_DEVIATION = (
    "FLOAT",
    {
        "default": 0.0,
        "min": 0.0,
        "max": 10.0,
        "step": 0.01,
        "tooltip": "For a VAE whose encoder gives no variance (TAESD): the deviation that you state for it. "
        "At 0 such a VAE is refused.",
    },
)
_DEVIATION = (
    "FLOAT",
    {
        "default": 0.1,
        "min": 0.001,
        "max": 10.0,
        "step": 0.001,
        "tooltip": "Standard deviation of the decoder's normal distribution, for pictures in 0..1.",
    },
)


class ExplainVAEPosterior:
    """What a VAE's encoder says of pictures: mean, log-variance and a sample."""

    CATEGORY = "explain/vae"
    DESCRIPTION = (
        "The posterior q(z|x) = N(mu, diag(exp(logvar))) of a VAE, and the reparameterised sample z = mu + T * "
        "exp(logvar / 2) * eps with eps ~ N(0, I) from the seed (Kingma & Welling 2013, section 2.4). T is the "
        "temperature: 1 samples the posterior, 0 gives mu, which is what VAEEncode gives. Values are in the scale "
        "of LATENT, before the model's own factor."
    )
    RETURN_TYPES = ("LATENT", "LATENT", "LATENT", "FLOAT", "STRING")
    RETURN_NAMES = ("sample", "mean", "log_variance", "kl", "table")
    FUNCTION = "encode"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "vae": ("VAE",),
                "pixels": ("IMAGE",),
                "seed": SEED,
                "temperature": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 100.0, "step": 0.05}),
                "fixed_deviation": _FIXED_DEVIATION,
            },
            "hidden": {"context": CONTEXT},
        }

    def encode(
        self,
        vae: VAE | None,
        pixels: Tensor,
        seed: int,
        temperature: float,
        fixed_deviation: float,
        context: NodeContext,
    ) -> tuple[Latent, Latent, Latent, float, str]:
        """LATENTs (B, C, h, w); the KL divergence to N(0, I) in nats per picture; both moments in a table."""
        from graphengine_nodes.diffusion.vae.vae import require_vae  # brings torch

        from . import posterior, posterior_views  # bring torch

        given = posterior.posterior(require_vae(vae), pixels, fixed_deviation, context.check_cancelled)
        kl, table = posterior_views.posterior_table(given)
        sample = given.sample(seed, temperature)
        return {"samples": sample}, {"samples": given.mean}, {"samples": given.log_variance}, kl, table


class ExplainReconstruction:
    """How far pictures are from what was made of them."""

    CATEGORY = "explain/vae"
    DESCRIPTION = (
        "Reconstruction error: MSE = mean((x - y)^2) over all numbers, PSNR = 10 log10(1 / MSE) dB, and the "
        "Gaussian log-likelihood log N(x; y, s^2 I) = -n MSE / (2 s^2) - n log s - n/2 log(2 pi) in nats, the "
        "first term of the ELBO (Kingma & Welling 2013, eq. 7). s is the deviation. Larger originals are cropped "
        "in the middle."
    )
    RETURN_TYPES = ("FLOAT", "FLOAT", "FLOAT", "STRING", "IMAGE")
    RETURN_NAMES = ("mse", "psnr", "log_likelihood", "table", "picture")
    FUNCTION = "compare"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {"original": ("IMAGE",), "reconstruction": ("IMAGE",), "deviation": _DEVIATION},
        }

    def compare(
        self, original: Tensor, reconstruction: Tensor, deviation: float
    ) -> tuple[float, float, float, str, Tensor]:
        """The means over the pictures, a line for each of them, and a picture of where they differ."""
        from .posterior_views import reconstruction_views  # brings torch

        return reconstruction_views(original, reconstruction, deviation)


class ExplainKLDivergence:
    """How far a posterior is from the standard normal distribution."""

    CATEGORY = "explain/vae"
    DESCRIPTION = (
        "KL(N(mu, diag(exp(logvar))) || N(0, I)) = -1/2 sum(1 + logvar - mu^2 - exp(logvar)) in nats, the second "
        "term of the ELBO in its closed form (Kingma & Welling 2013, appendix B). At least 0, and 0 for mu = 0, "
        "logvar = 0."
    )
    RETURN_TYPES = ("FLOAT", "STRING", "IMAGE")
    RETURN_NAMES = ("kl", "table", "picture")
    FUNCTION = "measure"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"mean": ("LATENT",), "log_variance": ("LATENT",)}}

    def measure(self, mean: Latent, log_variance: Latent) -> tuple[float, str, Tensor]:
        """Nats per picture, a line for each channel, and a map of the first picture's latent cells."""
        from .posterior_views import kl_views  # brings torch

        return kl_views(mean["samples"], log_variance["samples"])


class ExplainELBO:
    """The evidence lower bound of a VAE for pictures, with both of its terms."""

    CATEGORY = "explain/vae"
    DESCRIPTION = (
        "ELBO = 1/L sum_l log p(x|z_l) - KL(q(z|x) || N(0, I)) <= log p(x), z_l = mu + exp(logvar / 2) * eps_l "
        "(Kingma & Welling 2013, eq. 7), with p(x|z) = N(decoder(z), s^2 I). L is samples, s the deviation. Bits "
        "per 8-bit number = 8 - ELBO / (n log 2). Of an encoder without variance it is the bound for the "
        "deviation that you state, not one that the model was trained for."
    )
    RETURN_TYPES = ("FLOAT", "FLOAT", "FLOAT", "STRING", "IMAGE")
    RETURN_NAMES = ("elbo", "log_likelihood", "kl", "table", "picture")
    FUNCTION = "bound"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "vae": ("VAE",),
                "pixels": ("IMAGE",),
                "seed": SEED,
                "samples": ("INT", {"default": 4, "min": 1, "max": 256}),
                "deviation": _DEVIATION,
                "fixed_deviation": _FIXED_DEVIATION,
            },
            "hidden": {"context": CONTEXT},
        }

    def bound(
        self,
        vae: VAE | None,
        pixels: Tensor,
        seed: int,
        samples: int,
        deviation: float,
        fixed_deviation: float,
        context: NodeContext,
    ) -> tuple[float, float, float, str, Tensor]:
        """The means over the pictures, in nats; a line for each of them, as text and as a picture."""
        from graphengine_nodes.diffusion.vae.vae import require_vae  # brings torch

        from . import posterior, posterior_views  # bring torch

        vae = require_vae(vae)
        given = posterior.posterior(vae, pixels, fixed_deviation, context.check_cancelled)
        both, _ = posterior.bound(
            vae,
            pixels,
            given,
            seed=seed,
            samples=samples,
            deviation=deviation,
            check=context.check_cancelled,
            progress=context.progress,
        )
        table, picture = posterior_views.bound_views(both, pixels, learned=given.learned)
        return float(both.elbo.mean()), float(both.log_likelihood.mean()), float(both.kl.mean()), table, picture


NODE_CLASS_MAPPINGS: dict[str, type[Any]] = {
    "ExplainVAEPosterior": ExplainVAEPosterior,
    "ExplainReconstruction": ExplainReconstruction,
    "ExplainKLDivergence": ExplainKLDivergence,
    "ExplainELBO": ExplainELBO,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "ExplainVAEPosterior": "VAE Posterior (mean, variance, sample)",
    "ExplainReconstruction": "Reconstruction Error",
    "ExplainKLDivergence": "KL Divergence to N(0, I)",
    "ExplainELBO": "Evidence Lower Bound (ELBO)",
}
