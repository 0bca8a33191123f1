"""The samplers by name, each with the kind of noise that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

from graphengine_nodes.image.scaling import resize

from .adams import sample_deis, sample_ipndm, sample_ipndm_v, sample_lms
from .ancestral import (
    sample_dpm_2_ancestral,
    sample_dpmpp_2s_ancestral,
    sample_dpmpp_2s_ancestral_cfg_pp,
    sample_euler_ancestral,
    sample_euler_ancestral_cfg_pp,
    sample_euler_cfg_pp,
    sample_euler_cfg_pp_alternative,
)
from .dpm_solver import sample_dpm_adaptive, sample_dpm_fast
from .multistep import (
    sample_dpmpp_2m,
    sample_dpmpp_2m_cfg_pp,
    sample_gradient_estimation,
    sample_gradient_estimation_cfg_pp,
    sample_res_multistep,
    sample_res_multistep_ancestral,
    sample_res_multistep_ancestral_cfg_pp,
    sample_res_multistep_cfg_pp,
)
from .sa_solver import sample_sa_solver, sample_sa_solver_pece
from .sampling import (
    SamplerFunction,
    sample_ddpm,
    sample_dpm_2,
    sample_euler,
    sample_heun,
    sample_heunpp2,
    sample_lcm,
    sample_lcm_upscale,
)
from .sde import sample_dpmpp_2m_sde, sample_dpmpp_2m_sde_heun, sample_dpmpp_3m_sde, sample_dpmpp_sde
from .seeds import reverse_time_scale, sample_er_sde, sample_seeds_2, sample_seeds_3
from .unipc import sample_uni_pc, sample_uni_pc_bh2


@dataclass(frozen=True, slots=True)
class Sampler:
    """The SAMPLER value: a sampler function and what a run has to give it.

    noise: independent draws per step ("ancestral") or increments of a Brownian motion ("brownian").
    drops_second_last: the schedule gets one step more, and its lowest level above 0 is left out.
    needs_negative: it calls `Denoiser.guided` (CFG++).
    """

    name: str
    function: SamplerFunction
    noise: Literal["ancestral", "brownian"] = "ancestral"
    drops_second_last: bool = False
    needs_negative: bool = False


_SAMPLERS = (
    Sampler("euler", sample_euler),
    Sampler("euler_cfg_pp", sample_euler_cfg_pp, needs_negative=True),
    Sampler("euler_ancestral", sample_euler_ancestral),
    Sampler("euler_ancestral_cfg_pp", sample_euler_ancestral_cfg_pp, needs_negative=True),
    Sampler("heun", sample_heun),
    Sampler("heunpp2", sample_heunpp2),
    Sampler("dpm_2", sample_dpm_2, drops_second_last=True),
    Sampler("dpm_2_ancestral", sample_dpm_2_ancestral, drops_second_last=True),
    Sampler("lms", sample_lms),
    Sampler("dpm_fast", sample_dpm_fast),
    Sampler("dpm_adaptive", sample_dpm_adaptive),
    Sampler("dpmpp_2s_ancestral", sample_dpmpp_2s_ancestral),
    Sampler("dpmpp_2s_ancestral_cfg_pp", sample_dpmpp_2s_ancestral_cfg_pp, needs_negative=True),
    Sampler("dpmpp_sde", sample_dpmpp_sde, "brownian"),
    Sampler("dpmpp_sde_gpu", sample_dpmpp_sde, "brownian"),
    Sampler("dpmpp_2m", sample_dpmpp_2m),
    Sampler("dpmpp_2m_cfg_pp", sample_dpmpp_2m_cfg_pp, needs_negative=True),
    Sampler("dpmpp_2m_sde", sample_dpmpp_2m_sde, "brownian"),
    Sampler("dpmpp_2m_sde_gpu", sample_dpmpp_2m_sde, "brownian"),
    Sampler("dpmpp_2m_sde_heun", sample_dpmpp_2m_sde_heun, "brownian"),
    Sampler("dpmpp_2m_sde_heun_gpu", sample_dpmpp_2m_sde_heun, "brownian"),
    Sampler("dpmpp_3m_sde", sample_dpmpp_3m_sde, "brownian"),
    Sampler("dpmpp_3m_sde_gpu", sample_dpmpp_3m_sde, "brownian"),
    Sampler("ddpm", sample_ddpm),
    Sampler("lcm", sample_lcm),
    Sampler("ipndm", sample_ipndm),
    Sampler("ipndm_v", sample_ipndm_v),
    Sampler("deis", sample_deis),
    Sampler("res_multistep", sample_res_multistep),
    Sampler("res_multistep_cfg_pp", sample_res_multistep_cfg_pp, needs_negative=True),
    Sampler("res_multistep_ancestral", sample_res_multistep_ancestral),
    Sampler("res_multistep_ancestral_cfg_pp", sample_res_multistep_ancestral_cfg_pp, needs_negative=True),
    Sampler("gradient_estimation", sample_gradient_estimation),
    Sampler("gradient_estimation_cfg_pp", sample_gradient_estimation_cfg_pp, needs_negative=True),
    Sampler("er_sde", sample_er_sde),
    Sampler("seeds_2", sample_seeds_2),
    Sampler("seeds_3", sample_seeds_3),
    Sampler("sa_solver", sample_sa_solver),
    Sampler("sa_solver_pece", sample_sa_solver_pece),
    Sampler("ddim", sample_euler),
    Sampler("uni_pc", sample_uni_pc, drops_second_last=True),
    Sampler("uni_pc_bh2", sample_uni_pc_bh2, drops_second_last=True),
)

SAMPLER_FUNCTIONS: Mapping[str, Sampler] = MappingProxyType({sampler.name: sampler for sampler in _SAMPLERS})
"""Every sampler, in the order of KSampler's list. The names ending in "_gpu" are the same as those without:
noise is always drawn on the CPU, so that a seed means the same on every device."""


def find_sampler(name: str) -> Sampler:
    """The sampler of this name.

    Raises:
        ValueError: there is none.
    """
    try:
        return SAMPLER_FUNCTIONS[name]
    except KeyError:
        raise ValueError(f"unknown sampler {name!r}; known: {', '.join(SAMPLER_FUNCTIONS)}") from None


# Any: each sampler function has options of its own.
def with_options(name: str, **options: Any) -> Sampler:
    """The sampler of this name with keyword arguments of its function set."""
    sampler = find_sampler(name)
    return replace(sampler, function=partial(sampler.function, **options))


def alternative_euler_cfg_pp() -> Sampler:
    """The other form of "euler_cfg_pp"; see `sample_euler_cfg_pp_alternative`."""
    return replace(find_sampler("euler_cfg_pp"), function=sample_euler_cfg_pp_alternative)


def lcm_upscale(scale_ratio: float, scale_steps: int, upscale_method: str) -> Sampler:
    """ "lcm" that enlarges the latent over its first steps, half of all where scale_steps is below 0."""
    scale = partial(resize, method=upscale_method)
    steps = None if scale_steps < 0 else scale_steps
    function = partial(sample_lcm_upscale, scale=scale, scale_ratio=scale_ratio, scale_steps=steps)
    return replace(find_sampler("lcm"), function=function)


def er_sde(solver_type: str, max_stage: int, eta: float, s_noise: float) -> Sampler:
    """ "er_sde" as "ER-SDE", "Reverse-time SDE" (with noise eta) or "ODE"; Cui et al. (2023), table 1."""
    if solver_type == "ER-SDE":
        return with_options("er_sde", max_stage=max_stage, s_noise=s_noise)
    eta = eta if solver_type == "Reverse-time SDE" else 0.0
    scale = partial(reverse_time_scale, eta=eta)
    return with_options("er_sde", max_stage=max_stage, s_noise=s_noise if eta else 0.0, scale=scale)
