"""Batches of latents: joined, taken apart, repeated. Noise masks and places in the batch go along."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from graphengine_nodes.diffusion.model.model import Latent
from graphengine_nodes.image.batches import repeat_to_batch
from graphengine_nodes.image.scaling import resize


def fitted(samples: Tensor, shape: torch.Size, *, repeat: bool = True) -> Tensor:
    """(B, C, H, W) scaled (bilinear, centre) to the size of `shape`, and repeated or cut to its batch."""
    if samples.shape[1:] != shape[1:]:
        samples = scaled(samples, shape[-1], shape[-2], "bilinear")
    return repeat_to_batch(samples, shape[0]) if repeat else samples


def scaled(samples: Tensor, width: int, height: int, method: str) -> Tensor:
    """(B, C, H, W) or (B, C, T, H, W) in another height and width; the proportions are cut to fit first."""
    if samples.ndim < 5:
        return resize(samples, width, height, method, "center")
    frames = samples.movedim(2, 1).flatten(0, 1)
    changed = resize(frames, width, height, method, "center")
    return changed.reshape(samples.shape[0], samples.shape[2], *changed.shape[1:]).movedim(1, 2)


def with_samples(latent: Latent, samples: Tensor) -> Latent:
    """The latent with other samples, all else as it is."""
    changed = latent.copy()
    changed["samples"] = samples
    return changed


def join_latents(first: Latent, second: Latent) -> Latent:
    """Both batches as one, in the size of the first, with the noise mask of the first."""
    samples, more = first["samples"], second["samples"]
    joined = with_samples(first, torch.cat((samples, fitted(more, samples.shape, repeat=False))))
    joined["batch_index"] = _places(first) + _places(second)
    return joined


def _places(latent: Latent) -> list[int]:
    return list(latent.get("batch_index", range(len(latent["samples"]))))


def latents_from_batch(latent: Latent, index: int, length: int) -> Latent:
    """Up to `length` latents from `index` on, at least the last; they keep their places, and so their noise."""
    count = len(latent["samples"])
    start = min(index, count - 1)
    part = slice(start, min(count, start + length))
    picked = with_samples(latent, latent["samples"][part].clone())
    if "noise_mask" in latent:
        mask = _as_batch(latent["noise_mask"])
        picked["noise_mask"] = mask.clone() if len(mask) == 1 else repeat_to_batch(mask, count)[part].clone()
    picked["batch_index"] = _places(latent)[part]
    return picked


def repeat_latents(latent: Latent, amount: int) -> Latent:
    """The batch again and again; with places, each repetition gets places of its own, behind the others."""
    samples = latent["samples"]
    repeated = with_samples(latent, samples.repeat(amount, *[1] * (samples.ndim - 1)))
    if "noise_mask" in latent:
        mask = _as_batch(latent["noise_mask"])
        if len(mask) > 1:
            repeated["noise_mask"] = repeat_to_batch(mask, len(samples)).repeat(amount, *[1] * (mask.ndim - 1))
    if "batch_index" in latent:
        places = latent["batch_index"]
        span = max(places) - min(places) + 1
        repeated["batch_index"] = [place + span * turn for turn in range(amount) for place in places]
    return repeated


def _as_batch(mask: Tensor) -> Tensor:
    return mask[None] if mask.ndim == 2 else mask


def with_seed_behavior(latent: Latent, behavior: str) -> Latent:
    """The latent whose samples get noises of their own ("random"), or all the noise of the first ("fixed")."""
    changed = latent.copy()
    if behavior == "fixed":
        changed["batch_index"] = [latent.get("batch_index", [0])[0]] * len(latent["samples"])
    else:
        changed.pop("batch_index", None)
    return changed


def rebatch_latents(latents: Iterable[Latent], size: int) -> list[Latent]:
    """The latents in batches of up to `size` of one shape, in their order, each with its place and its noise mask.

    A batch without any noise mask stays without one; otherwise missing masks are 1 everywhere.
    """
    batches: list[list[Latent]] = []
    for latent in _single(latents):
        last = batches[-1] if batches else []
        if not last or len(last) == size or last[0]["samples"].shape != latent["samples"].shape:
            batches.append([])
        batches[-1].append(latent)
    return [_together(batch) for batch in batches]


def _single(latents: Iterable[Latent]) -> Iterator[Latent]:
    """Each latent by itself, with its place and, where there is one, its mask (1, 1, 8 H, 8 W)."""
    before = 0
    for latent in latents:
        samples = latent["samples"]
        places = latent.get("batch_index", range(before, before + len(samples)))
        mask = repeat_to_batch(_pixel_mask(latent), len(samples)) if "noise_mask" in latent else None
        for number, place in enumerate(places):
            part: Latent = {"samples": samples[number : number + 1], "batch_index": [place]}
            if mask is not None:
                part["noise_mask"] = mask[number : number + 1]
            yield part
        before += len(samples)


def _pixel_mask(latent: Latent) -> Tensor:
    """The noise mask as (B, 1, 8 H, 8 W)."""
    mask, (height, width) = latent["noise_mask"], latent["samples"].shape[-2:]
    flat = mask.reshape(-1, 1, *mask.shape[-2:])
    if flat.shape[-2:] == (8 * height, 8 * width):
        return flat
    return functional.interpolate(flat, size=(8 * height, 8 * width), mode="bilinear")


def _together(latents: list[Latent]) -> Latent:
    batch: Latent = {
        "samples": torch.cat([latent["samples"] for latent in latents]),
        "batch_index": [place for latent in latents for place in latent["batch_index"]],
    }
    masks = [latent.get("noise_mask") for latent in latents]
    known = next((mask for mask in masks if mask is not None), None)
    if known is not None:
        batch["noise_mask"] = torch.cat([torch.ones_like(known) if mask is None else mask for mask in masks])
    return batch
