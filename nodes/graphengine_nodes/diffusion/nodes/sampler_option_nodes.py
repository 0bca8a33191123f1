"""The nodes that make a SAMPLER: one by its name, and one per sampler that has options.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs. `noise_device` changes nothing: noise is always drawn on the CPU, so that a seed means the same
on every device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine_nodes.diffusion.sampling.names import SAMPLERS

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import DiffusionModel
    from graphengine_nodes.diffusion.sampling.samplers import Sampler

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


def _real(default: float, high: float = 100.0) -> tuple[str, dict[str, Any]]:
    """A number from 0 that is not rounded."""
    return ("FLOAT", {"default": default, "min": 0.0, "max": high, "step": 0.01, "round": False})


def _noise_device() -> tuple[list[str]]:
    return (["gpu", "cpu"],)


class _SamplerNode:
    CATEGORY = "sampling/custom_sampling/samplers"
    RETURN_TYPES = ("SAMPLER",)
    FUNCTION = "get_sampler"
    RESOURCES = ()


class KSamplerSelect(_SamplerNode):
    """A sampler by its name."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"sampler_name": (list(SAMPLERS),)}}

    def get_sampler(self, sampler_name: str) -> tuple[Sampler]:
        """SAMPLER."""
        from graphengine_nodes.diffusion.sampling.samplers import find_sampler  # brings torch

        return (find_sampler(sampler_name),)


class SamplerEulerAncestral(_SamplerNode):
    """Ancestral Euler steps."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"eta": _real(1.0), "s_noise": _real(1.0)}}

    def get_sampler(self, eta: float, s_noise: float) -> tuple[Sampler]:
        """SAMPLER."""
        from graphengine_nodes.diffusion.sampling.samplers import with_options  # brings torch

        return (with_options("euler_ancestral", eta=eta, s_noise=s_noise),)


class SamplerEulerAncestralCFGPP(_SamplerNode):
    """Ancestral Euler steps with CFG++."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"eta": _real(1.0, 1.0), "s_noise": _real(1.0, 10.0)}}

    def get_sampler(self, eta: float, s_noise: float) -> tuple[Sampler]:
        """SAMPLER."""
        from graphengine_nodes.diffusion.sampling.samplers import with_options  # brings torch

        return (with_options("euler_ancestral_cfg_pp", eta=eta, s_noise=s_noise),)


class SamplerEulerCFGpp(_SamplerNode):
    """Euler steps with CFG++, or with another use of the unconditional prediction."""

    CATEGORY = "_for_testing"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        version = ("COMBO", {"multiselect": False, "options": ["regular", "alternative"]})
        return {"required": {"version": version}}

    def get_sampler(self, version: str) -> tuple[Sampler]:
        """SAMPLER."""
        from graphengine_nodes.diffusion.sampling.samplers import (
            alternative_euler_cfg_pp,
            find_sampler,
        )  # brings torch

        return (alternative_euler_cfg_pp() if version == "alternative" else find_sampler("euler_cfg_pp"),)


class SamplerLMS(_SamplerNode):
    """Linear multistep."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"order": ("INT", {"default": 4, "min": 1, "max": 100})}}

    def get_sampler(self, order: int) -> tuple[Sampler]:
        """SAMPLER."""
        from graphengine_nodes.diffusion.sampling.samplers import with_options  # brings torch

        return (with_options("lms", order=order),)


class SamplerDPMPP_2S_Ancestral(_SamplerNode):
    """Ancestral DPM-Solver++(2S)."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"eta": _real(1.0), "s_noise": _real(1.0)}}

    def get_sampler(self, eta: float, s_noise: float) -> tuple[Sampler]:
        """SAMPLER."""
        from graphengine_nodes.diffusion.sampling.samplers import with_options  # brings torch

        return (with_options("dpmpp_2s_ancestral", eta=eta, s_noise=s_noise),)


class SamplerDPMPP_SDE(_SamplerNode):
    """Stochastic DPM-Solver++."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        eta, s_noise, r = _real(1.0), _real(1.0), _real(0.5)
        return {"required": {"eta": eta, "s_noise": s_noise, "r": r, "noise_device": _noise_device()}}

    def get_sampler(self, eta: float, s_noise: float, r: float, noise_device: str) -> tuple[Sampler]:
        """SAMPLER."""
        from graphengine_nodes.diffusion.sampling.samplers import with_options  # brings torch

        if r <= 0:
            raise ValueError(f"r is {r:g}; the middle of a step must lie above 0")
        return (with_options("dpmpp_sde", eta=eta, s_noise=s_noise, r=r),)


class SamplerDPMPP_2M_SDE(_SamplerNode):
    """Stochastic DPM-Solver++(2M)."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "solver_type": (["midpoint", "heun"],),
                "eta": _real(1.0),
                "s_noise": _real(1.0),
                "noise_device": _noise_device(),
            }
        }

    def get_sampler(self, solver_type: str, eta: float, s_noise: float, noise_device: str) -> tuple[Sampler]:
        """SAMPLER."""
        from graphengine_nodes.diffusion.sampling.samplers import with_options  # brings torch

        return (with_options("dpmpp_2m_sde", eta=eta, s_noise=s_noise, heun=solver_type == "heun"),)


class SamplerDPMPP_3M_SDE(_SamplerNode):
    """Stochastic DPM-Solver++(3M)."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"eta": _real(1.0), "s_noise": _real(1.0), "noise_device": _noise_device()}}

    def get_sampler(self, eta: float, s_noise: float, noise_device: str) -> tuple[Sampler]:
        """SAMPLER."""
        from graphengine_nodes.diffusion.sampling.samplers import with_options  # brings torch

        return (with_options("dpmpp_3m_sde", eta=eta, s_noise=s_noise),)


class SamplerDPMAdaptative(_SamplerNode):
    """DPM-Solver with a step size that follows from its error."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "order": ("INT", {"default": 3, "min": 2, "max": 3}),
                "rtol": _real(0.05),
                "atol": _real(0.0078),
                "h_init": _real(0.05),
                "pcoeff": _real(0.0),
                "icoeff": _real(1.0),
                "dcoeff": _real(0.0),
                "accept_safety": _real(0.81),
                "eta": _real(0.0),
                "s_noise": _real(1.0),
            }
        }

    def get_sampler(
        self,
        *,
        order: int,
        rtol: float,
        atol: float,
        h_init: float,
        pcoeff: float,
        icoeff: float,
        dcoeff: float,
        accept_safety: float,
        eta: float,
        s_noise: float,
    ) -> tuple[Sampler]:
        """SAMPLER."""
        from graphengine_nodes.diffusion.sampling.dpm_solver import StepControl
        from graphengine_nodes.diffusion.sampling.samplers import with_options  # brings torch

        control = StepControl(h_init, pcoeff, icoeff, dcoeff, accept_safety)
        tolerances = {"rtol": rtol, "atol": atol}
        return (
            with_options("dpm_adaptive", control=control, order=order, **tolerances, eta=eta, s_noise=s_noise),
        )


class SamplerER_SDE(_SamplerNode):
    """Extended reverse-time SDE."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "solver_type": ("COMBO", {"options": ["ER-SDE", "Reverse-time SDE", "ODE"]}),
                "max_stage": ("INT", {"default": 3, "min": 1, "max": 3}),
                "eta": _real(1.0),
                "s_noise": _real(1.0),
            }
        }

    def get_sampler(self, solver_type: str, max_stage: int, eta: float, s_noise: float) -> tuple[Sampler]:
        """SAMPLER. eta is the noise of the reverse-time SDE; the others have their own."""
        from graphengine_nodes.diffusion.sampling.samplers import er_sde  # brings torch

        return (er_sde(solver_type, max_stage, eta, s_noise),)


class SamplerSASolver(_SamplerNode):
    """A stochastic Adams predictor and corrector."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL", {}),
                "eta": _real(1.0, 10.0),
                "sde_start_percent": ("FLOAT", {"default": 0.2, "min": 0.0, "max": 1.0, "step": 0.001}),
                "sde_end_percent": ("FLOAT", {"default": 0.8, "min": 0.0, "max": 1.0, "step": 0.001}),
                "s_noise": _real(1.0),
                "predictor_order": ("INT", {"default": 3, "min": 1, "max": 6}),
                "corrector_order": ("INT", {"default": 4, "min": 0, "max": 6}),
                "use_pece": ("BOOLEAN", {}),
                "simple_order_2": ("BOOLEAN", {}),
            }
        }

    def get_sampler(
        self,
        *,
        model: DiffusionModel,
        eta: float,
        sde_start_percent: float,
        sde_end_percent: float,
        s_noise: float,
        predictor_order: int,
        corrector_order: int,
        use_pece: bool,
        simple_order_2: bool,
    ) -> tuple[Sampler]:
        """SAMPLER."""
        from graphengine_nodes.diffusion.sampling.samplers import with_options  # brings torch

        to_sigma = model.sampling.percent_to_sigma
        sampler = with_options(
            "sa_solver",
            eta=eta,
            noisy=(to_sigma(sde_start_percent), to_sigma(sde_end_percent)),
            s_noise=s_noise,
            predictor_order=predictor_order,
            corrector_order=corrector_order,
            evaluate_again=use_pece,
            simple_order_2=simple_order_2,
        )
        return (sampler,)


class SamplerLCMUpscale(_SamplerNode):
    """Consistency sampling that enlarges the latent on its way."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        methods = ["bislerp", "nearest-exact", "bilinear", "area", "bicubic"]
        return {
            "required": {
                "scale_ratio": ("FLOAT", {"default": 1.0, "min": 0.1, "max": 20.0, "step": 0.01}),
                "scale_steps": ("INT", {"default": -1, "min": -1, "max": 1000, "step": 1}),
                "upscale_method": ("COMBO", {"multiselect": False, "options": methods}),
            }
        }

    def get_sampler(self, scale_ratio: float, scale_steps: int, upscale_method: str) -> tuple[Sampler]:
        """SAMPLER."""
        from graphengine_nodes.diffusion.sampling.samplers import lcm_upscale  # brings torch

        return (lcm_upscale(scale_ratio, scale_steps, upscale_method),)


NODE_CLASS_MAPPINGS: dict[str, type[Any]] = {
    "KSamplerSelect": KSamplerSelect,
    "SamplerEulerAncestral": SamplerEulerAncestral,
    "SamplerEulerAncestralCFGPP": SamplerEulerAncestralCFGPP,
    "SamplerEulerCFGpp": SamplerEulerCFGpp,
    "SamplerLMS": SamplerLMS,
    "SamplerDPMPP_2S_Ancestral": SamplerDPMPP_2S_Ancestral,
    "SamplerDPMPP_SDE": SamplerDPMPP_SDE,
    "SamplerDPMPP_2M_SDE": SamplerDPMPP_2M_SDE,
    "SamplerDPMPP_3M_SDE": SamplerDPMPP_3M_SDE,
    "SamplerDPMAdaptative": SamplerDPMAdaptative,
    "SamplerER_SDE": SamplerER_SDE,
    "SamplerSASolver": SamplerSASolver,
    "SamplerLCMUpscale": SamplerLCMUpscale,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "SamplerEulerAncestralCFGPP": "SamplerEulerAncestralCFG++",
    "SamplerEulerCFGpp": "SamplerEulerCFG++",
}
