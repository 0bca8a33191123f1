"""A MODEL's inside as node packs know it: `model.model`, which their functions are also given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .pack_sampling import known
from .pack_wrappers import wrapped
from .unet_view import LdmUNet, is_unet

if TYPE_CHECKING:
    import torch

    from graphengine_nodes.diffusion.weights.weights import Component

    from .combining import Run
    from .model import DiffusionModel, LatentFormat, Residuals

# Any throughout: model_options and what packs put there are ComfyUI's open-ended form.


_TEXT = "attn2.to_k.weight"


class ModelType(Enum):
    """What a network predicts; ComfyUI's names and numbers."""

    EPS = 1
    V_PREDICTION = 2
    V_PREDICTION_EDM = 3
    STABLE_CASCADE = 4
    EDM = 5
    FLOW = 6
    V_PREDICTION_CONTINUOUS = 7
    FLUX = 8
    IMG_TO_IMG = 9
    FLOW_COSMOS = 10


@dataclass(frozen=True, slots=True, eq=False)
class ModelConfig:
    """What packs read of `model.model.model_config`: the family, the sizes of the network, its latents."""

    family: str
    unet_config: Mapping[str, Any]
    latent_format: LatentFormat
    sampling_settings: Mapping[str, Any]
    custom_operations: None = None
    scaled_fp8: None = None
    manual_cast_dtype: None = None

    @property
    def optimizations(self) -> Mapping[str, Any]:
        """None are on."""
        return {}


class InnerModel:
    """ComfyUI's BaseModel for a MODEL of ours: a view, made when it is asked for.

    Within a run it can answer for conditions, see `predict`.
    """

    memory_usage_factor = 1.0
    manual_cast_dtype = None

    def __init__(self, model: DiffusionModel, run: Run | None = None) -> None:
        self._model = model
        self._run = run

    def __getattr__(self, name: str) -> Any:
        """There is nothing else.

        Raises:
            AttributeError: always; it says that graphengine lacks the name.
        """
        raise AttributeError(f"graphengine's models have no model.{name}")

    @property
    def patcher(self) -> DiffusionModel:
        """The MODEL whose inside this is."""
        return self._model

    @property
    def family(self) -> str:
        """The kind of network: "sd1", "sdxl", …"""
        return self._model.network.family

    @property
    def component(self) -> Component:
        """The weights."""
        return self._model.network.component

    @property
    def inner_model(self) -> InnerModel:
        """The model itself: packs look for it below one or two wrappers."""
        return self

    @property
    def model_sampling(self) -> Any:
        """The noise levels."""
        return known(self._model.sampling)

    @property
    def latent_format(self) -> LatentFormat:
        """How latents are scaled."""
        return self._model.latent_format

    @property
    def diffusion_model(self) -> Any:
        """The network's module: a UNet under LDM's names, else one of diffusers, whose names are others."""
        module = self._model.network.component.ready()
        return LdmUNet(module, self._model.output) if is_unet(module) else module

    @property
    def device(self) -> str:
        """Where the network computes."""
        return self._model.device

    @property
    def model_options(self) -> dict[str, Any]:
        """The options of the MODEL."""
        return self._model.model_options

    @property
    def model_type(self) -> ModelType:
        """What the network predicts."""
        sampling = self._model.sampling
        if sampling.is_flow:
            return ModelType.FLUX if getattr(sampling, "exponential", False) else ModelType.FLOW
        kinds = {"v": ModelType.V_PREDICTION, "edm": ModelType.EDM, "img_to_img": ModelType.IMG_TO_IMG}
        return kinds.get(getattr(sampling, "prediction", ""), ModelType.EPS)

    @property
    def model_config(self) -> ModelConfig:
        """The sizes of the network as ComfyUI names them, as far as they show in its weights."""
        sampling, shapes = self._model.sampling, self._model.network.component.shapes()
        settings = {name: getattr(sampling, name) for name in ("shift", "multiplier") if hasattr(sampling, name)}
        sizes: dict[str, Any] = {}
        if "conv_in.weight" in shapes:
            sizes["model_channels"], sizes["in_channels"] = shapes["conv_in.weight"][:2]
            sizes["context_dim"] = next((shape[1] for name, shape in shapes.items() if name.endswith(_TEXT)), None)
            sizes["adm_in_channels"] = shapes.get("add_embedding.linear_1.weight", (0, None))[1]
        return ModelConfig(self.family, sizes, self._model.latent_format, settings)

    @property
    def run(self) -> Run:
        """The run that is going on.

        Raises:
            ValueError: there is none.
        """
        if self._run is None:
            raise ValueError("conditions can be asked for within a sampling run only")
        return self._run

    def get_dtype(self) -> torch.dtype:
        """What the network computes in."""
        return self._model.network.component.dtype

    def get_dtype_inference(self) -> torch.dtype:
        """What the network computes in."""
        return self.get_dtype()

    def process_latent_in(self, latent: Tensor) -> Tensor:
        """VAE scale to model scale."""
        return self._model.latent_format.process_in(latent)

    def process_latent_out(self, latent: Tensor) -> Tensor:
        """Model scale to VAE scale."""
        return self._model.latent_format.process_out(latent)

    def scale_latent_inpaint(self, sigma: Tensor, noise: Tensor, latent_image: Tensor, **more: Any) -> Tensor:
        """The latent with noise at level sigma, which the kept part of a picture is replaced by."""
        return self._model.sampling.noise_scaling(sigma, noise, latent_image, max_denoise=False)

    def apply_model(
        self,
        x: Tensor,
        t: Tensor,
        c_concat: Tensor | None = None,
        c_crossattn: Tensor | None = None,
        control: Residuals | None = None,
        transformer_options: Mapping[str, Any] | None = None,
        **extra: Any,
    ) -> Tensor:
        """The denoised latent for the unscaled x (B, C, …) at sigma t (B,), with the wrappers of packs around it.

        Raises:
            ValueError: there are no text states.
        """
        options = transformer_options or {}
        asked = (c_concat, c_crossattn, control, options)
        result: Tensor = wrapped("apply_model", self._apply, self, options)(x, t, *asked, **extra)
        return result

    def _apply(
        self,
        x: Tensor,
        t: Tensor,
        c_concat: Tensor | None,
        c_crossattn: Tensor | None,
        control: Residuals | None,
        transformer_options: Mapping[str, Any],
        **extra: Any,
    ) -> Tensor:
        if c_crossattn is None:
            raise ValueError("the network is asked without text states, 'c_crossattn'")
        inputs = {name: value for name, value in extra.items() if isinstance(value, Tensor)}
        if c_concat is not None:
            inputs["concat"] = c_concat
        call = self._model.call(x, t, c_crossattn, inputs, transformer_options, control=control)
        return self._model.denoised(x, t, call)

    def predict(
        self, sides: Sequence[Sequence[Any] | None], x: Tensor, sigma: Tensor, model_options: Mapping[str, Any]
    ) -> list[Tensor]:
        """The denoised latent for each side's conditions; zeros for a side that is None.

        Raises:
            ValueError: no run is going on.
        """
        given = [side for side in sides if side is not None]
        answers = iter(self.run.predict(given, x, sigma, model_options))
        return [x.new_zeros(x.shape) if side is None else next(answers) for side in sides]
