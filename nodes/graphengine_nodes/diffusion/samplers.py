"""The samplers by name, each with the kind of noise that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from .sampling import (
    SamplerFunction,
    sample_ddpm,
    sample_dpm_2,
    sample_euler,
    sample_heun,
    sample_heunpp2,
    sample_lcm,
)
from .sampling_adams import sample_deis, sample_ipndm, sample_ipndm_v, sample_lms
from .sampling_ancestral import (
    sample_dpm_2_ancestral,
    sample_dpmpp_2s_ancestral,
    sample_dpmpp_2s_ancestral_cfg_pp,
    sample_euler_ancestral,
    sample_euler_ancestral_cfg_pp,
    sample_euler_cfg_pp,
)
from .sampling_dpm_solver import sample_dpm_adaptive, sample_dpm_fast
from .sampling_multistep import (
    sample_dpmpp_2m,
    sample_dpmpp_2m_cfg_pp,
    sample_gradient_estimation,
    sample_gradient_estimation_cfg_pp,
    sample_res_multistep,
    sample_res_multistep_ancestral,
    sample_res_multistep_ancestral_cfg_pp,
    sample_res_multistep_cfg_pp,
)
from .sampling_sa_solver import sample_sa_solver, sample_sa_solver_pece
from .sampling_sde import (
    sample_dpmpp_2m_sde,
    sample_dpmpp_2m_sde_heun,
    sample_dpmpp_3m_sde,
    sample_dpmpp_sde,
)
from .sampling_seeds import sample_er_sde, sample_seeds_2, sample_seeds_3
from .sampling_unipc import sample_uni_pc, sample_uni_pc_bh2


@dataclass(frozen=True, slots=True)
class Sampler:
    """A sampler function and what a run has to give it.

    noise: independent draws per step ("ancestral") or increments of a Brownian motion ("brownian").
    drops_second_last: the schedule gets one step more, and its lowest level above 0 is left out.
    """

    function: SamplerFunction
    noise: Literal["ancestral", "brownian"] = "ancestral"
    drops_second_last: bool = False


SAMPLER_FUNCTIONS: Mapping[str, Sampler] = MappingProxyType(
    {
        "euler": Sampler(sample_euler),
        "euler_cfg_pp": Sampler(sample_euler_cfg_pp),
        "euler_ancestral": Sampler(sample_euler_ancestral),
        "euler_ancestral_cfg_pp": Sampler(sample_euler_ancestral_cfg_pp),
        "heun": Sampler(sample_heun),
        "heunpp2": Sampler(sample_heunpp2),
        "dpm_2": Sampler(sample_dpm_2, drops_second_last=True),
        "dpm_2_ancestral": Sampler(sample_dpm_2_ancestral, drops_second_last=True),
        "lms": Sampler(sample_lms),
        "dpm_fast": Sampler(sample_dpm_fast),
        "dpm_adaptive": Sampler(sample_dpm_adaptive),
        "dpmpp_2s_ancestral": Sampler(sample_dpmpp_2s_ancestral),
        "dpmpp_2s_ancestral_cfg_pp": Sampler(sample_dpmpp_2s_ancestral_cfg_pp),
        "dpmpp_sde": Sampler(sample_dpmpp_sde, "brownian"),
        "dpmpp_sde_gpu": Sampler(sample_dpmpp_sde, "brownian"),
        "dpmpp_2m": Sampler(sample_dpmpp_2m),
        "dpmpp_2m_cfg_pp": Sampler(sample_dpmpp_2m_cfg_pp),
        "dpmpp_2m_sde": Sampler(sample_dpmpp_2m_sde, "brownian"),
        "dpmpp_2m_sde_gpu": Sampler(sample_dpmpp_2m_sde, "brownian"),
        "dpmpp_2m_sde_heun": Sampler(sample_dpmpp_2m_sde_heun, "brownian"),
        "dpmpp_2m_sde_heun_gpu": Sampler(sample_dpmpp_2m_sde_heun, "brownian"),
        "dpmpp_3m_sde": Sampler(sample_dpmpp_3m_sde, "brownian"),
        "dpmpp_3m_sde_gpu": Sampler(sample_dpmpp_3m_sde, "brownian"),
        "ddpm": Sampler(sample_ddpm),
        "lcm": Sampler(sample_lcm),
        "ipndm": Sampler(sample_ipndm),
        "ipndm_v": Sampler(sample_ipndm_v),
        "deis": Sampler(sample_deis),
        "res_multistep": Sampler(sample_res_multistep),
        "res_multistep_cfg_pp": Sampler(sample_res_multistep_cfg_pp),
        "res_multistep_ancestral": Sampler(sample_res_multistep_ancestral),
        "res_multistep_ancestral_cfg_pp": Sampler(sample_res_multistep_ancestral_cfg_pp),
        "gradient_estimation": Sampler(sample_gradient_estimation),
        "gradient_estimation_cfg_pp": Sampler(sample_gradient_estimation_cfg_pp),
        "er_sde": Sampler(sample_er_sde),
        "seeds_2": Sampler(sample_seeds_2),
        "seeds_3": Sampler(sample_seeds_3),
        "sa_solver": Sampler(sample_sa_solver),
        "sa_solver_pece": Sampler(sample_sa_solver_pece),
        "ddim": Sampler(sample_euler),
        "uni_pc": Sampler(sample_uni_pc, drops_second_last=True),
        "uni_pc_bh2": Sampler(sample_uni_pc_bh2, drops_second_last=True),
    }
)
"""Every sampler, in the order of KSampler's list. The names ending in "_gpu" are the same as those without:
noise is always drawn on the CPU, so that a seed means the same on every device."""
