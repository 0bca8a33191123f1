"""Samplers and schedulers: their names, their functions, and whole sampling runs."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from graphengine_comfy._placeholders import placeholders_of
from graphengine_nodes.diffusion.sampling.names import SAMPLERS, SCHEDULERS

if TYPE_CHECKING:
    from torch import Tensor

#: Names of samplers and schedulers. Packs add to them; what they add can be chosen in their nodes.
SAMPLER_NAMES = list(SAMPLERS)
KSAMPLER_NAMES = SAMPLER_NAMES
SCHEDULER_NAMES = list(SCHEDULERS)


class SchedulerHandler(NamedTuple):
    """How the levels of a scheduler are computed: of the model's sampling (`use_ms`), or of its ends."""

    handler: Callable[..., Any]
    use_ms: bool = True


# Any throughout: MODEL, CONDITIONING and the sampling of a model are what our sampler takes.
def _handler(scheduler: str) -> SchedulerHandler:
    def levels(model_sampling: Any, steps: int) -> "Tensor":
        from graphengine_nodes.diffusion.sampling.schedules import calculate_sigmas as calculate  # brings torch

        return calculate(model_sampling, scheduler, steps)

    return SchedulerHandler(levels)


#: Scheduler → its function. Packs add theirs.
SCHEDULER_HANDLERS = {name: _handler(name) for name in SCHEDULERS}


def calculate_sigmas(model_sampling: Any, scheduler_name: str, steps: int) -> "Tensor":
    """The noise levels of a run, falling to 0: (steps + 1,), or what a pack's own scheduler gives.

    Raises:
        ValueError: there is no such scheduler.
    """
    handler = SCHEDULER_HANDLERS.get(scheduler_name)
    if handler is None:
        raise ValueError(f"no scheduler {scheduler_name!r}; known: {', '.join(SCHEDULER_HANDLERS)}")
    if handler.use_ms:
        levels: Tensor = handler.handler(model_sampling, steps)
        return levels
    ends = {"sigma_min": float(model_sampling.sigmas[0]), "sigma_max": float(model_sampling.sigmas[-1])}
    made: Tensor = handler.handler(n=steps, **ends)
    return made


def sampler_object(name: str) -> Any:
    """The SAMPLER of that name.

    Raises:
        ValueError: there is none.
    """
    from graphengine_nodes.diffusion.sampling.samplers import find_sampler  # brings torch

    return find_sampler(name)


def ksampler(
    sampler_name: str, extra_options: Mapping[str, Any] | None = None, inpaint_options: Any = None
) -> Any:
    """The SAMPLER of that name, with options of its function.

    Raises:
        ValueError: there is none.
    """
    from graphengine_nodes.diffusion.sampling.samplers import with_options  # brings torch

    return with_options(sampler_name, **extra_options) if extra_options else sampler_object(sampler_name)


def KSAMPLER(
    sampler_function: Callable[..., Any],
    extra_options: Mapping[str, Any] | None = None,
    inpaint_options: Any = None,
) -> Any:
    """The SAMPLER for a function in the form of k-diffusion."""
    from graphengine_comfy._sampling import foreign  # brings torch
    from graphengine_nodes.diffusion.sampling.samplers import Sampler

    name = getattr(sampler_function, "__name__", "sampler of a pack")
    return Sampler(name, foreign(sampler_function, dict(extra_options or {})))


class KSampler:
    """A model with the steps of a run; `sample` runs it. Packs read the lists of names from the class."""

    SAMPLERS = SAMPLER_NAMES
    SCHEDULERS = SCHEDULER_NAMES
    DISCARD_PENULTIMATE_SIGMA_SAMPLERS = frozenset(("dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"))

    def __init__(
        self,
        model: Any,
        steps: int,
        device: Any = None,
        sampler: str = "euler",
        scheduler: str = "normal",
        denoise: float | None = None,
        model_options: Any = None,
    ) -> None:
        self.model, self.device = model, device
        self.sampler, self.scheduler = sampler, scheduler
        self.set_steps(steps, denoise)

    def set_steps(self, steps: int, denoise: float | None = None) -> None:
        """Choose the steps; with `denoise` below 1, the last of a longer schedule."""
        import torch

        self.steps, self.denoise = steps, denoise
        total = steps if denoise is None or denoise > 0.9999 else int(steps / denoise) if denoise > 0 else 0
        drops = bool(sampler_object(self.sampler).drops_second_last)
        if not total:
            self.sigmas = torch.empty(0)
            return
        levels = calculate_sigmas(self.model.sampling, self.scheduler, total + drops)
        if drops:
            levels = torch.cat([levels[:-2], levels[-1:]])
        self.sigmas = levels[-(steps + 1) :]

    def sample(
        self,
        noise: "Tensor",
        positive: Any,
        negative: Any,
        cfg: float,
        latent_image: "Tensor | None" = None,
        start_step: int | None = None,
        last_step: int | None = None,
        force_full_denoise: bool = False,
        denoise_mask: "Tensor | None" = None,
        sigmas: "Tensor | None" = None,
        callback: Any = None,
        disable_pbar: bool = False,
        seed: int | None = None,
    ) -> "Tensor":
        """The samples (B, C, …) after the run, or the part of it between two steps.

        Raises:
            ValueError: latent and conditioning do not fit the model.
            RunCancelled: the run was asked to stop.
        """
        from graphengine_comfy._sampling import guided, run  # brings torch
        from graphengine_nodes.diffusion.sampling.ksampler import cut_sigmas

        clean = latent_image if latent_image is not None else noise.new_zeros(noise.shape)
        levels = self.sigmas if sigmas is None else sigmas
        levels = cut_sigmas(levels, start_step, last_step, force_full_denoise=force_full_denoise)
        if len(levels) < 2:
            return clean
        guider = guided(self.model, positive, negative, cfg)
        chosen = sampler_object(self.sampler)
        return run(guider, noise, clean, chosen, levels, mask=denoise_mask, callback=callback, seed=seed)


def sample(
    model: Any,
    noise: "Tensor",
    positive: Any,
    negative: Any,
    cfg: float,
    device: Any,
    sampler: Any,
    sigmas: "Tensor",
    model_options: Any = None,
    latent_image: "Tensor | None" = None,
    denoise_mask: "Tensor | None" = None,
    callback: Any = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> "Tensor":
    """The samples (B, C, …) after a run over the sigmas with a SAMPLER."""
    from graphengine_comfy._sampling import guided, run  # brings torch

    clean = latent_image if latent_image is not None else noise.new_zeros(noise.shape)
    guider = guided(model, positive, negative, cfg)
    return run(guider, noise, clean, sampler, sigmas, mask=denoise_mask, callback=callback, seed=seed)


def calc_cond_batch(
    model: Any, conds: list[Any], x_in: "Tensor", timestep: "Tensor", model_options: Any
) -> list["Tensor"]:
    """The denoised latent for each of the conditions that a function of a pack was given; zeros for None.

    Raises:
        ValueError: no sampling run is going on.
    """
    answers: list[Tensor] = model.predict(conds, x_in, timestep, model_options)
    return answers


def sampling_function(
    model: Any,
    x: "Tensor",
    timestep: "Tensor",
    uncond: Any,
    cond: Any,
    cond_scale: float,
    model_options: Any = None,
    seed: int | None = None,
) -> "Tensor":
    """The guided prediction for conditions that a function of a pack was given.

    Raises:
        ValueError: no sampling run is going on.
    """
    from graphengine_nodes.diffusion.model.pack_hooks import guided as guided_prediction  # brings torch

    options = model.model_options if model_options is None else model_options
    return guided_prediction(model.run, (uncond, cond), x, timestep, cond_scale, options)


_missing = placeholders_of(__name__)


def __getattr__(name: str) -> Any:
    """`CFGGuider` and `k_diffusion_sampling`, which bring torch; else a placeholder."""
    if name == "k_diffusion_sampling":
        from graphengine_comfy.comfy.k_diffusion import sampling

        return sampling
    if name == "CFGGuider":
        from graphengine_comfy._sampling import CFGGuider

        return CFGGuider
    return _missing(name)
