"""Progress and previews of sampling runs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from graphengine.node.api import current_context
from graphengine_comfy._node_classes import outside
from graphengine_comfy._placeholders import placeholders_of
from graphengine_comfy.comfy.utils import ProgressBar

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

MAX_PREVIEW_RESOLUTION = 512


# Any throughout: MODEL and latent formats are packs' or ours.
class LatentPreviewer:
    """Makes a picture of a latent; packs derive from it."""

    def decode_latent_to_preview(self, x0: "Tensor") -> Any:
        """The picture.

        Raises:
            NotImplementedError: the class does not say how.
        """
        raise NotImplementedError(f"{type(self).__name__} has no decode_latent_to_preview")

    def decode_latent_to_preview_image(self, preview_format: str, x0: "Tensor") -> tuple[str, Any, int]:
        """The picture with its format and its longest side."""
        return (preview_format, self.decode_latent_to_preview(x0), MAX_PREVIEW_RESOLUTION)


class Latent2RGBPreviewer(LatentPreviewer):
    """Makes a small picture by mixing the channels of a latent linearly."""

    def __init__(
        self, latent_rgb_factors: list[list[float]], latent_rgb_factors_bias: list[float] | None = None, *rest: Any
    ) -> None:
        self.latent_rgb_factors = latent_rgb_factors
        self.latent_rgb_factors_bias = latent_rgb_factors_bias

    def decode_latent_to_preview(self, x0: "Tensor") -> "Image":
        """The picture of the first latent (1, C, H, W), as large as it is."""
        import torch  # packs of plain Python import this module too
        from PIL import Image

        factors = torch.tensor(self.latent_rgb_factors, dtype=torch.float32)
        values = x0[0].float().cpu().movedim(0, -1) @ factors
        if self.latent_rgb_factors_bias is not None:
            values += torch.tensor(self.latent_rgb_factors_bias)
        return Image.fromarray(((values + 1) / 2 * 255).clamp(0, 255).to(torch.uint8).numpy())


class _Painter(LatentPreviewer):
    """Shows latents as the samplers of the engine do."""

    def __init__(self, paint: Callable[["Tensor"], "Tensor"]) -> None:
        self._paint = paint

    def decode_latent_to_preview(self, x0: "Tensor") -> "Image":
        """The picture of the first latent of (B, C, H, W)."""
        from graphengine_nodes.diffusion.sampling.previews import as_image  # brings torch

        return as_image(self._paint(x0))


def get_previewer(device: Any, latent_format: Any) -> LatentPreviewer | None:
    """What shows latents of a format: None where nothing is known that could."""
    from graphengine_nodes.diffusion.model.model import LatentFormat  # brings torch
    from graphengine_nodes.diffusion.sampling.previews import find_painter

    factors = getattr(latent_format, "latent_rgb_factors", None)
    if factors is None:
        return None
    if not isinstance(latent_format, LatentFormat):
        return Latent2RGBPreviewer(factors, getattr(latent_format, "latent_rgb_factors_bias", None))
    paint = find_painter(latent_format, (current_context.get() or outside()).folders)
    return None if paint is None else _Painter(paint)


def prepare_callback(
    model: Any, steps: int, x0_output_dict: dict[str, Any] | None = None
) -> Callable[[int, "Tensor", "Tensor", int], None]:
    """A callback for a run: it reports and shows steps, and puts the denoised latent under `x0` of the table."""
    progress = ProgressBar(steps)
    show = _shown(model)

    def callback(step: int, x0: "Tensor", x: "Tensor", total_steps: int) -> None:
        if x0_output_dict is not None:
            x0_output_dict["x0"] = x0
        progress.update_absolute(step + 1, total_steps)
        if show is not None:
            show(x0)

    return callback


def _shown(model: Any) -> Callable[["Tensor"], None] | None:
    """What shows the steps of our models in the call that is going on; None elsewhere."""
    context = current_context.get()
    if context is None or not hasattr(model, "latent_format"):
        return None
    from graphengine_nodes.diffusion.sampling.previews import step_previews  # brings torch

    return step_previews(model.latent_format, context)


__getattr__ = placeholders_of(__name__)
