"""What node packs have put into a MODEL's options, carried out around guidance, the network and the mask.

The names are ComfyUI's: "sampler_pre_cfg_function", "sampler_cfg_function", "sampler_post_cfg_function",
"sampler_calc_cond_batch_function", "model_function_wrapper", "denoise_mask_function",
"disable_cfg1_optimization". A function is called with one table of arguments, which hold tensors (B, C, …), sigma
(B,) under "sigma" and "timestep", the model as an `InnerModel` and the conditions as our sampler has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .combining import Guidance, Predictions, Run
from .pack_model import InnerModel
from .pack_wrappers import wrapped, wrappers_of

if TYPE_CHECKING:
    from .model import NetworkCall

# Any throughout: functions, options and arguments are the packs'.
Options = Mapping[str, Any]


def hooked(guidance: Guidance, options: Options) -> Guidance:
    """The guidance with what the packs do before, in place of and after it."""
    before = tuple(_Before(function) for function in options.get("sampler_pre_cfg_function", ()))
    after = tuple(_After(function) for function in options.get("sampler_post_cfg_function", ()))
    combine, always = options.get("sampler_cfg_function"), bool(options.get("disable_cfg1_optimization"))
    if not (before or after or combine or always):
        return guidance
    return replace(
        guidance,
        before=(*guidance.before, *before),
        combine=_Combine(combine) if combine else guidance.combine,
        after=(*guidance.after, *after),
        always_negative=guidance.always_negative or always,
    )


def _told(predictions: Predictions) -> dict[str, Any]:
    """What every function is told."""
    run, sigma = predictions.in_run, predictions.sigma
    return {
        "cond_scale": predictions.cfg,
        "input": predictions.x,
        "sigma": sigma,
        "timestep": sigma,
        "model": InnerModel(run.model, run),
        "model_options": run.model.model_options,
    }


def _conditions(predictions: Predictions) -> tuple[Any, Any]:
    """The conditions of both sides; None for a negative side that was not asked."""
    conditions = predictions.in_run.conditions
    negative = None if predictions.uncond is predictions.cond else conditions.get("negative")
    return conditions.get("positive"), negative


def _sides(predictions: Predictions) -> tuple[Tensor, Tensor]:
    """The two predictions; zeros for a negative side that was not asked, as packs expect."""
    asked = predictions.uncond is not predictions.cond
    return predictions.cond, predictions.uncond if asked else predictions.cond.new_zeros(predictions.cond.shape)


@dataclass(frozen=True, slots=True)
class _Before:
    function: Callable[[dict[str, Any]], Sequence[Tensor]]

    def __call__(self, predictions: Predictions) -> Predictions:
        cond, uncond = _sides(predictions)
        told = {**_told(predictions), "conds": [*_conditions(predictions)], "conds_out": [cond, uncond]}
        changed = self.function(told)
        if predictions.uncond is predictions.cond:
            return replace(predictions, cond=changed[0], uncond=changed[0])
        return replace(predictions, cond=changed[0], uncond=changed[1])


@dataclass(frozen=True, slots=True)
class _Combine:
    function: Callable[[dict[str, Any]], Tensor]

    def __call__(self, predictions: Predictions) -> Tensor:
        """x minus the noise that the function gives for the noise of both sides."""
        (cond, uncond), (positive, negative), x = _sides(predictions), _conditions(predictions), predictions.x
        told = {
            **_told(predictions),
            "cond": x - cond,
            "uncond": x - uncond,
            "cond_denoised": cond,
            "uncond_denoised": uncond,
            "input_cond": positive,
            "input_uncond": negative,
        }
        return x - self.function(told)


@dataclass(frozen=True, slots=True)
class _After:
    function: Callable[[dict[str, Any]], Tensor]

    def __call__(self, predictions: Predictions, denoised: Tensor) -> Tensor:
        (cond, uncond), (positive, negative) = _sides(predictions), _conditions(predictions)
        told = {
            **_told(predictions),
            "denoised": denoised,
            "cond": positive,
            "uncond": negative,
            "cond_denoised": cond,
            "uncond_denoised": uncond,
        }
        return self.function(told)


def answers(
    run: Run, sides: Sequence[Sequence[Any]], x: Tensor, sigma: Tensor, options: Options
) -> Sequence[Tensor]:
    """The denoised latent of each side, by the function of a pack if there is one."""
    function = options.get("sampler_calc_cond_batch_function")
    if function is None:
        return run.predict(sides, x, sigma, options)
    conds = [*sides, *[None] * (2 - len(sides))]  # a pack counts on two
    model = InnerModel(run.model, run)
    told = {"conds": conds, "input": x, "sigma": sigma, "model": model, "model_options": options}
    made: Sequence[Tensor] = function(told)
    return made[: len(sides)]


def wrapped_conditions(
    run: Run,
    predict: Callable[[Sequence[Sequence[Any]], Tensor, Tensor, Options], list[Tensor]],
    sides: Sequence[Sequence[Any]],
    x: Tensor,
    sigma: Tensor,
    options: Options,
) -> list[Tensor]:
    """What predict gives for the sides, through the wrappers of "calc_cond_batch"."""
    inner = options.get("transformer_options", {})
    if not wrappers_of("calc_cond_batch", inner):
        return predict(sides, x, sigma, options)

    def step(
        model: InnerModel, conds: Sequence[Any], x_in: Tensor, timestep: Tensor, model_options: Options
    ) -> list[Tensor]:
        return predict(conds, x_in, timestep, model_options)

    model = InnerModel(run.model, run)
    made: list[Tensor] = wrapped("calc_cond_batch", step, model, inner)(model, list(sides), x, sigma, options)
    return made


def guided(
    run: Run,
    conditions: tuple[Sequence[Any] | None, Sequence[Any]],
    x: Tensor,
    sigma: Tensor,
    cfg: float,
    options: Options,
) -> Tensor:
    """The guided prediction for (negative, positive) conditions, as a pack asks for it within a run."""
    negative, positive = conditions
    guidance = hooked(run.model.guidance, options)
    if negative is None or not guidance.asks_negative(cfg):
        [cond] = answers(run, [positive], x, sigma, options)
        return guidance(Predictions(x, sigma, cond, cond, cfg, run))
    cond, uncond = answers(run, [positive, negative], x, sigma, options)
    return guidance(Predictions(x, sigma, cond, uncond, cfg, run))


def is_wrapped(options: Options) -> bool:
    """Whether packs have put something around the network."""
    wrappers = options.get("transformer_options", {}).get("wrappers", {})
    return "model_function_wrapper" in options or bool(wrappers.get("apply_model"))


def wrapped_network(run: Run, x: Tensor, sigma: Tensor, call: NetworkCall, options: Options) -> Tensor:
    """The denoised latent for x (B, C, …) at sigma (B,), through what packs have put around the network."""
    extra = dict(call.extra)
    told: dict[str, Any] = {
        **({"c_concat": extra.pop("concat")} if "concat" in extra else {}),
        **extra,
        "c_crossattn": call.context,
        "transformer_options": dict(call.options),
        **({} if call.control is None else {"control": call.control}),
    }
    apply_model = InnerModel(run.model, run).apply_model
    wrapper = options.get("model_function_wrapper")
    if wrapper is None:
        return apply_model(x, sigma, **told)
    sides = call.options["cond_or_uncond"]
    result: Tensor = wrapper(apply_model, {"input": x, "timestep": sigma, "c": told, "cond_or_uncond": sides})
    return result


@dataclass(frozen=True, slots=True)
class SampledModel:
    """What a denoise mask function is told of the run under "model"."""

    inner_model: InnerModel
    sigmas: Tensor


def mask_at(run: Run, mask: Tensor, sigma: Tensor, sigmas: Tensor | None, options: Options) -> Tensor:
    """The mask (B, 1, …, H, W) at this noise level, as a pack changes it."""
    function = options.get("denoise_mask_function")
    if function is None:
        return mask
    levels = run.model.sampling.sigmas.flip(0) if sigmas is None else sigmas
    model = SampledModel(InnerModel(run.model, run), levels)
    changed: Tensor = function(sigma, mask, extra_options={"model": model, "sigmas": levels})
    return changed
