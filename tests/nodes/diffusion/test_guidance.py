from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import Conditioning, Extras, Job, NetworkCall, PlainNetwork, Residuals
from graphengine_nodes.diffusion.model.model_sampling import ModelSampling
from graphengine_nodes.diffusion.model.regions import prepare_conditions, resize_mask, resize_noise_mask
from graphengine_nodes.diffusion.sampling.guidance import GuidedDenoiser, Inpainting
from graphengine_nodes.diffusion.sampling.guiders import ClassifierFree

from .sampling_cases import MODEL_SAMPLINGS, RecordingNetwork, text, tiny_model

SAMPLING = MODEL_SAMPLINGS["eps"]
X = torch.linspace(-3, 3, 2 * 4 * 16 * 16).reshape(2, 4, 16, 16)
SIGMA = SAMPLING.sigmas[500]


def denoiser(
    positive: Conditioning, negative: Conditioning, cfg: float = 1.0, network: RecordingNetwork | None = None
) -> GuidedDenoiser:
    model, job = tiny_model(network), Job(tuple(X.shape))
    cond, uncond = (prepare_conditions(side, model, job) for side in (positive, negative))
    return GuidedDenoiser(model, {"positive": cond, "negative": uncond}, ClassifierFree(cfg))


def expected(value: float) -> Tensor:
    """What the recording network denoises X to for a text of this value."""
    return X - SIGMA * torch.tanh(X / (SIGMA**2 + 1).sqrt()) * value


def test_guidance_goes_from_the_negative_prediction_past_the_positive() -> None:
    denoised = denoiser([text(0.5)], [text(0.1)], cfg=7.0)(X, SIGMA)
    torch.testing.assert_close(denoised, expected(0.1) + 7 * (expected(0.5) - expected(0.1)))


def test_at_cfg_one_the_negative_side_is_not_asked() -> None:
    network = RecordingNetwork()
    denoised = denoiser([text(0.5)], [text(0.1)], network=network)(X, SIGMA)
    assert [context.mean().item() for _, _, context in network.seen] == [0.5]
    torch.testing.assert_close(denoised, expected(0.5))


def test_the_guided_prediction_names_the_negative_one_even_at_cfg_one() -> None:
    guided = denoiser([text(0.5)], [text(0.1)]).guided(X, SIGMA)
    torch.testing.assert_close(guided.uncond, expected(0.1))
    torch.testing.assert_close(guided.denoised, expected(0.5))


def test_texts_of_one_length_share_a_batch() -> None:
    network = RecordingNetwork()
    denoiser([text(0.5)], [text(0.1)], cfg=2.0, network=network)(X, SIGMA)
    [(x, timestep, context)] = network.seen
    assert x.shape == (4, 4, 16, 16)
    assert timestep.tolist() == [500.0] * 4
    assert context.shape == (4, 3, 2)


def test_texts_of_different_lengths_count_as_if_alone() -> None:
    network = RecordingNetwork()
    denoised = denoiser([text(0.5, tokens=154)], [text(0.1, tokens=77)], cfg=2.0, network=network)(X, SIGMA)
    assert len(network.seen) == 2
    torch.testing.assert_close(denoised, 2 * expected(0.5) - expected(0.1))


def test_several_texts_are_averaged_by_their_strength() -> None:
    denoised = denoiser([text(0.2, strength=1.0), text(0.8, strength=3.0)], [])(X, SIGMA)
    torch.testing.assert_close(denoised, (expected(0.2) + 3 * expected(0.8)) / 4)


def test_a_text_counts_only_within_its_range_of_the_schedule() -> None:
    first, second = text(0.2, start_percent=0.0, end_percent=0.4), text(0.8, start_percent=0.4, end_percent=1.0)
    model = denoiser([first, second], [])
    torch.testing.assert_close(model(X, SAMPLING.sigmas[900])[0, 0, 0, 0], at(900, 0.2))
    torch.testing.assert_close(model(X, SAMPLING.sigmas[100])[0, 0, 0, 0], at(100, 0.8))


def at(timestep: int, value: float) -> Tensor:
    sigma, x = SAMPLING.sigmas[timestep], X[0, 0, 0, 0]
    return x - sigma * torch.tanh(x / (sigma**2 + 1).sqrt()) * value


def test_an_area_limits_a_text_and_fades_at_its_inner_edges() -> None:
    area = text(0.8, area=(8, 8, 0, 0))
    denoised = denoiser([text(0.2), area], [])(X, SIGMA)
    outside, half, inside = denoised[..., 8:, 8:], denoised[..., :4, 7], denoised[..., :4, :6]
    torch.testing.assert_close(outside, expected(0.2)[..., 8:, 8:])
    torch.testing.assert_close(inside, ((expected(0.2) + expected(0.8)) / 2)[..., :4, :6])
    # two cells fade: weights 1/2 at the edge
    torch.testing.assert_close(half, ((expected(0.2) + 0.5 * expected(0.8)) / 1.5)[..., :4, 7])


def test_the_network_sees_only_the_area() -> None:
    network = RecordingNetwork()
    denoiser([text(0.8, area=(8, 4, 2, 3))], [], network=network)(X, SIGMA)
    assert [x.shape for x, _, _ in network.seen] == [(2, 4, 8, 4)]


def test_an_area_in_parts_of_the_picture_is_the_one_in_cells() -> None:
    parts = denoiser([text(0.2), text(0.8, area=("percentage", 0.5, 0.25, 0.5, 0.75))], [])(X, SIGMA)
    cells = denoiser([text(0.2), text(0.8, area=(8, 4, 8, 12))], [])(X, SIGMA)
    assert torch.equal(parts, cells)


def test_an_area_outside_the_latent_is_refused_by_its_numbers() -> None:
    with pytest.raises(ValueError, match=r"height 8, width 8, y 16, x 0, in latent cells\) lies outside"):
        denoiser([text(0.8, area=(8, 8, 16, 0))], [])


def test_a_mask_weighs_a_text_by_cell() -> None:
    mask = torch.zeros(1, 16, 16)
    mask[..., 8:] = 1.0
    denoised = denoiser([text(0.2), text(0.8, mask=mask, mask_strength=0.5)], [])(X, SIGMA)
    torch.testing.assert_close(denoised[..., :8], expected(0.2)[..., :8])
    torch.testing.assert_close(denoised[..., 8:], ((expected(0.2) + 0.5 * expected(0.8)) / 1.5)[..., 8:])


def test_a_text_may_be_shown_only_the_bounds_of_its_mask() -> None:
    network, mask = RecordingNetwork(), torch.zeros(1, 16, 16)
    mask[:, 3:13, 2:5] = 1.0
    denoiser([text(0.8, mask=mask, set_area_to_bounds=True)], [], network=network)(X, SIGMA)
    assert [x.shape for x, _, _ in network.seen] == [(2, 4, 10, 8)]


def test_where_no_text_counts_the_prediction_is_zero() -> None:
    assert torch.equal(denoiser([], [])(X, SIGMA), torch.zeros_like(X))


def test_an_option_that_cannot_be_sampled_is_named() -> None:
    with pytest.raises(
        ValueError, match="the conditioning holds 'hooks': conditioning hooks cannot be sampled yet"
    ):
        denoiser([(torch.ones(1, 3, 2), {"hooks": object()})], [])


def test_the_original_is_shown_at_the_noise_level_and_put_back() -> None:
    network = RecordingNetwork()
    mask = torch.zeros(2, 1, 16, 16)
    mask[..., 8:] = 1.0
    latent, noise = torch.full_like(X, 2.0), torch.full_like(X, 0.5)
    model = replace(denoiser([text(0.5)], [], network=network), inpainting=Inpainting(mask, latent, noise))
    denoised = model(X, SIGMA)
    assert torch.equal(denoised[..., :8], latent[..., :8])
    torch.testing.assert_close(denoised[..., 8:], expected(0.5)[..., 8:])
    shown = network.seen[0][0] * (SIGMA**2 + 1).sqrt()
    torch.testing.assert_close(shown[..., :8], (latent + noise * SIGMA)[..., :8])
    torch.testing.assert_close(shown[..., 8:], X[..., 8:])


def test_a_mask_of_any_form_is_fitted_to_the_latent() -> None:
    shapes: list[tuple[int, ...]] = [(64, 64), (1, 64, 64), (2, 64, 64), (1, 1, 64, 64), (3, 1, 16, 16)]
    for shape in shapes:
        assert resize_mask(torch.ones(shape), (2, 4, 16, 16)).shape == (2, 1, 16, 16)


def test_cancellation_is_asked_before_each_evaluation() -> None:
    network = RecordingNetwork()
    model = denoiser([text(0.5, tokens=4)], [text(0.1)], cfg=2.0, network=network)
    asked: list[int] = []
    check: Callable[[], None] = lambda: asked.append(len(network.seen))  # noqa: E731 (one line says it)
    replace(model, check_cancelled=check)(X, SIGMA)
    assert asked == [0, 1]


def test_pooled_states_reach_the_network_for_each_latent() -> None:
    shapes: list[torch.Size] = []

    def network(call: NetworkCall) -> Tensor:
        shapes.append(call.extra["pooled_output"].shape)
        return call.x

    model = denoiser([text(0.5, pooled_output=torch.ones(1, 6))], [text(0.1, pooled_output=torch.ones(1, 6))], 2.0)
    replace(model, model=replace(model.model, network=PlainNetwork(network)))(X, SIGMA)
    assert shapes == [(4, 6)]


class Positioned(PlainNetwork):
    """A network that is told where in the picture it is."""

    def extras(self, options: Mapping[str, Any], job: Job) -> Extras:
        rows = torch.arange(job.shape[-2]).float().reshape(1, 1, -1, 1).expand(1, 1, *job.shape[-2:])
        return Extras({"strength": torch.tensor([[options["guidance"]]])}, {"rows": rows})


def test_what_a_network_asks_for_is_cut_to_the_area_and_repeated_for_the_batch() -> None:
    calls: list[NetworkCall] = []

    def network(call: NetworkCall) -> Tensor:
        calls.append(call)
        return call.x

    model = replace(tiny_model(), network=Positioned(network))
    condition = text(0.5, area=(4, 8, 6, 0), guidance=3.5)
    conditions = {"positive": prepare_conditions([condition], model, Job(tuple(X.shape))), "negative": []}
    GuidedDenoiser(model, conditions, ClassifierFree(1.0))(X, SIGMA)
    [call] = calls
    assert call.extra["strength"].tolist() == [[3.5], [3.5]]
    assert call.extra["rows"].shape == (2, 1, 4, 8)
    assert call.extra["rows"][1, 0, :, 0].tolist() == [6.0, 7.0, 8.0, 9.0]


@dataclass
class Steering:
    """A control that pushes the middle of a network, in the first half of the levels."""

    seen: list[tuple[int, ...]] = field(default_factory=list)
    times_prepared: int = 0

    def prepared(self, job: Job, sampling: ModelSampling) -> "Steering":
        self.times_prepared += 1
        return self

    def applies(self, sigma: float) -> bool:
        return sigma >= float(SIGMA)

    def residuals(self, x: Tensor, sigma: Tensor, call: NetworkCall) -> Residuals:
        self.seen.append(tuple(call.context.shape))
        return Residuals(middle=(torch.full_like(x, 2.0),))


def steered(call: NetworkCall) -> Tensor:
    [push] = call.control.middle if call.control else (None,)
    return torch.zeros_like(call.x) if push is None else push


def test_a_control_is_made_ready_once_asked_for_both_sides_at_once_and_only_in_its_range() -> None:
    control, model = Steering(), replace(tiny_model(), network=PlainNetwork(steered))
    job, sides = Job(tuple(X.shape)), [text(0.5, control=control), text(0.1, control=control)]
    cond, uncond = (prepare_conditions([side], model, job) for side in sides)
    denoise = GuidedDenoiser(model, {"positive": cond, "negative": uncond}, ClassifierFree(3.0))
    torch.testing.assert_close(denoise(X, SIGMA), X - 2 * SIGMA)
    assert torch.equal(denoise(X, SAMPLING.sigmas[400]), X)
    assert control.seen == [(4, 3, 2)]
    assert control.times_prepared == 1


def test_the_network_is_told_which_side_each_part_of_the_batch_belongs_to_and_what_packs_added() -> None:
    calls: list[NetworkCall] = []

    def network(call: NetworkCall) -> Tensor:
        calls.append(call)
        return call.x

    model = replace(tiny_model(), network=PlainNetwork(network)).clone()
    model.model_options["transformer_options"]["patches"] = {"middle_patch": []}
    cond, uncond = (prepare_conditions([text(v)], model, Job(tuple(X.shape))) for v in (0.5, 0.1))
    GuidedDenoiser(model, {"positive": cond, "negative": uncond}, ClassifierFree(3.0))(X, SIGMA)
    assert calls[0].options["cond_or_uncond"] == [0, 1]
    assert calls[0].options["sigmas"].tolist() == [pytest.approx(float(SIGMA))] * 4
    assert calls[0].options["patches"] == {"middle_patch": []}


def test_a_video_is_masked_and_bounded_frame_by_frame_alike() -> None:
    video, mask = X[:, :, None].repeat(1, 1, 3, 1, 1), torch.zeros(16, 16)
    mask[:8] = 1.0
    conditioning: Conditioning = [text(0.2, mask=mask), text(0.8, mask=1 - mask)]
    model = tiny_model()
    conditions = {"positive": prepare_conditions(conditioning, model, Job(tuple(video.shape))), "negative": []}
    denoised = GuidedDenoiser(model, conditions, ClassifierFree(1.0))(video, SIGMA)
    for frame in range(3):
        torch.testing.assert_close(denoised[:, :, frame, :8], expected(0.2)[:, :, :8])
        torch.testing.assert_close(denoised[:, :, frame, 8:], expected(0.8)[:, :, 8:])


def uneven(*sides: tuple[Tensor, Tensor]) -> Tensor:
    """Sum of weight times prediction over the sum of weights, both (B or 1, C or 1, H, W)."""
    weights = sum(weight for weight, _ in sides)
    return sum(weight * value for weight, value in sides) / weights  # type: ignore[return-value]


def test_areas_masks_strengths_and_ranges_are_one_weighted_mean_in_a_step() -> None:
    mask = torch.linspace(0, 1, 16).expand(1, 16, 16)
    network = RecordingNetwork()
    conditioning: Conditioning = [
        text(0.1, strength=0.5),
        text(0.9, area=(16, 8, 0, 8), strength=2.0),
        text(-0.4, mask=mask, mask_strength=0.7, strength=1.5),
        text(0.6, start_percent=0.0, end_percent=0.01),
        text(0.3, tokens=5, area=("percentage", 0.5, 1.0, 0.0, 0.0), strength=1.0),
    ]
    denoised = denoiser(conditioning, [], network=network)(X, SIGMA)
    everywhere = torch.ones(1, 1, 16, 16)
    right = torch.zeros(1, 1, 16, 16)
    right[..., 8:] = 2.0 * torch.tensor([0.5, 1, 1, 1, 1, 1, 1, 1])
    top = torch.zeros(1, 1, 16, 16)
    top[..., :8, :] = torch.tensor([1, 1, 1, 1, 1, 1, 1, 0.5])[:, None]
    torch.testing.assert_close(
        denoised,
        uneven(
            (0.5 * everywhere, expected(0.1)),
            (right, expected(0.9)),
            (1.5 * 0.7 * mask[:, None], expected(-0.4)),
            (top, expected(0.3)),
        ),
    )
    # Two share their shapes, the areas do not; the one out of its range is not asked.
    assert sorted(tuple(x.shape) for x, _, _ in network.seen) == [(2, 4, 8, 16), (2, 4, 16, 8), (4, 4, 16, 16)]


def test_a_default_fills_what_the_others_leave() -> None:
    left = torch.zeros(1, 16, 16)
    left[..., :10] = 0.75
    half = text(0.8, area=(16, 8, 0, 0), strength=1.0)
    denoised = denoiser([half, text(0.4, mask=left), text(0.1, default=True, strength=9.0)], [])(X, SIGMA)
    weight = torch.zeros(1, 1, 16, 16)
    weight[..., :8] = torch.tensor([1, 1, 1, 1, 1, 1, 1, 0.5])
    rest = (1 - weight - left[:, None]).clamp(min=0)
    assert rest[0, 0, 0].tolist() == [0] * 8 + [0.25] * 2 + [1] * 6
    torch.testing.assert_close(
        denoised,
        uneven((weight, expected(0.8)), (left[:, None], expected(0.4)), (rest, expected(0.1))),
    )


def test_a_default_is_not_asked_where_nothing_is_left() -> None:
    network = RecordingNetwork()
    denoised = denoiser([text(0.5), text(0.1, default=True)], [], network=network)(X, SIGMA)
    assert [context.mean().item() for _, _, context in network.seen] == [0.5]
    torch.testing.assert_close(denoised, expected(0.5))


def test_a_default_alone_is_the_prediction() -> None:
    torch.testing.assert_close(denoiser([text(0.2, default=True)], [])(X, SIGMA), expected(0.2))


def test_an_area_of_a_video_limits_its_frames() -> None:
    model, x = tiny_model(), torch.linspace(-1, 1, 4 * 12 * 8 * 8).reshape(1, 4, 12, 8, 8)
    job = Job(tuple(x.shape))
    relative = text(0.9, area=("percentage", 0.5, 0.5, 1.0, 0.25, 0.0, 0.0))
    (cut,) = prepare_conditions([relative], model, job)
    assert cut.area is not None
    assert (cut.area.frames, cut.area.z, cut.area.height, cut.area.width) == (6, 3, 4, 8)
    assert torch.equal(cut.crop(x), x[:, :, 3:9, :4, :8])
    assert cut.weight(x).shape == (1, 1, 6, 4, 8)
    assert cut.weight(x)[0, 0, :, 0, 0].tolist() == [1.0] * 6
    (plane,) = prepare_conditions([text(0.9, area=(4, 8, 0, 0))], model, job)
    assert torch.equal(plane.crop(x), x[..., :4, :8])
    (picture,) = prepare_conditions([relative], model, Job(tuple(X.shape)))
    assert torch.equal(picture.crop(X), X[..., :8, :])


def test_an_area_after_the_last_frame_is_refused() -> None:
    model, job = tiny_model(), Job((1, 4, 3, 8, 8))
    with pytest.raises(ValueError, match=r"\(2 latent frames from 3 on\) lies outside the latent of 3 frames"):
        prepare_conditions([text(0.9, area=("percentage", 0.5, 1.0, 1.0, 1.0, 0.0, 0.0))], model, job)


def test_masks_of_a_video_are_those_of_its_frames() -> None:
    frames = torch.zeros(4, 8, 8)
    frames[2:] = 1
    assert resize_noise_mask(frames, (1, 16, 4, 8, 8))[0, 0, :, 0, 0].tolist() == [0, 0, 1, 1]
    assert resize_noise_mask(frames, (2, 16, 2, 4, 4)).shape == (2, 1, 2, 4, 4)
    whole = resize_noise_mask(torch.ones(1, 16, 16), (2, 16, 3, 8, 8))
    assert torch.equal(whole, torch.ones(2, 1, 3, 8, 8))
    kept = torch.rand(1, 1, 3, 8, 8)
    assert torch.equal(resize_noise_mask(kept, (2, 16, 3, 8, 8)), kept.repeat(2, 1, 1, 1, 1))
    assert resize_noise_mask(frames, (2, 4, 8, 8)).shape == (2, 1, 8, 8)


def test_what_is_kept_can_be_shown_without_noise() -> None:
    mask, latent = torch.full((1, 1, 2, 2), 0.25), torch.full((1, 4, 2, 2), 4.0)
    x = torch.full((1, 4, 2, 2), 8.0)
    seen = Inpainting(mask, latent, None).noised(x, torch.tensor(5.0), tiny_model().sampling)
    assert torch.equal(seen, torch.full((1, 4, 2, 2), 5.0))
