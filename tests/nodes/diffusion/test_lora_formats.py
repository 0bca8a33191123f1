"""Each format changes a weight as its formula says; the formulas are written out anew here."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.lora.formats import read_adapters

from .weight_cases import random

LINEAR, CONVOLUTION = random(6, 4, seed=1), random(6, 4, 3, 3, seed=2)


def changed(
    tensors: dict[str, Tensor], weight: Tensor, strength: float = 1.0, rows: slice | None = None
) -> Tensor:
    file = read_adapters("some.safetensors", {f"x.{ending}": tensor for ending, tensor in tensors.items()})
    assert not file.unknown
    (adapter,) = file.adapters["x"]
    if rows is None:
        assert adapter.size[0] == weight.shape[0]
        assert adapter.size[1] in (None, weight[0].numel())
    return adapter.changed(weight, strength, rows)


def close(given: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("up", "down"),
    [
        ("lora_up.weight", "lora_down.weight"),
        ("lora_B.weight", "lora_A.weight"),
        ("lora_B.default.weight", "lora_A.default.weight"),
        ("lora_B", "lora_A"),
        ("lora.up.weight", "lora.down.weight"),
        ("lora_linear_layer.up.weight", "lora_linear_layer.down.weight"),
    ],
)
def test_low_rank_adds_up_times_down_scaled_by_alpha_over_rank(up: str, down: str) -> None:
    a, b = random(6, 2, seed=3), random(2, 4, seed=4)
    tensors = {up: a, down: b, "alpha": torch.tensor(8.0)}
    close(changed(tensors, LINEAR, 0.5), LINEAR + 0.5 * (8 / 2) * (a @ b))


def test_low_rank_without_alpha_is_not_scaled_and_has_the_endings_of_old_diffusers() -> None:
    a, b = random(6, 2, seed=3), random(2, 4, seed=4)
    file = read_adapters("f", {"x.to_q_lora.up.weight": a, "x.to_q_lora.down.weight": b})
    close(next(iter(file.adapters["x.to_q"])).changed(LINEAR, 1.0, None), LINEAR + a @ b)


def test_low_rank_of_a_convolution_has_the_kernel_in_the_lower_factor() -> None:
    a, b = random(6, 2, 1, 1, seed=3), random(2, 4, 3, 3, seed=4)
    expected = CONVOLUTION + torch.einsum("or,rikl->oikl", a[:, :, 0, 0], b)
    close(changed({"lora_up.weight": a, "lora_down.weight": b}, CONVOLUTION), expected)


def test_locon_in_tucker_form_has_the_kernel_in_the_middle() -> None:
    up, middle, down = random(6, 2, 1, 1, seed=3), random(2, 3, 3, 3, seed=4), random(3, 4, 1, 1, seed=5)
    delta = torch.zeros_like(CONVOLUTION)
    for o, i, j, p in torch.cartesian_prod(*(torch.arange(n) for n in (6, 2, 3, 4))).tolist():
        delta[o, p] += up[o, i, 0, 0] * middle[i, j] * down[j, p, 0, 0]
    tensors = {
        "lora_up.weight": up,
        "lora_mid.weight": middle,
        "lora_down.weight": down,
        "alpha": torch.tensor(6.0),
    }
    close(changed(tensors, CONVOLUTION, -1.0), CONVOLUTION - 6 / 3 * delta)


def test_loha_is_the_elementwise_product_of_two_low_rank_matrices() -> None:
    a, b, c, d = random(6, 2, seed=3), random(2, 36, seed=4), random(6, 2, seed=5), random(2, 36, seed=6)
    tensors = dict(zip(("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"), (a, b, c, d), strict=True))
    expected = CONVOLUTION + 3 / 2 * ((a @ b) * (c @ d)).reshape(6, 4, 3, 3)
    close(changed({**tensors, "alpha": torch.tensor(3.0)}, CONVOLUTION), expected)


def test_loha_in_tucker_form_rebuilds_both_matrices_from_a_core() -> None:
    wa, wb, t = random(2, 6, seed=3), random(2, 4, seed=4), random(2, 2, 3, 3, seed=5)
    va, vb, s = random(2, 6, seed=6), random(2, 4, seed=7), random(2, 2, 3, 3, seed=8)
    first = torch.einsum("ijkl,io,jp->opkl", t, wa, wb)
    second = torch.einsum("ijkl,io,jp->opkl", s, va, vb)
    tensors = {"hada_w1_a": wa, "hada_w1_b": wb, "hada_t1": t, "hada_w2_a": va, "hada_w2_b": vb, "hada_t2": s}
    close(changed(tensors, CONVOLUTION, 2.0), CONVOLUTION + 2 * first * second)


def test_lokr_is_a_kronecker_product_and_whole_factors_ignore_alpha() -> None:
    first, second = random(2, 2, seed=3), random(3, 2, 3, 3, seed=4)
    delta = torch.zeros_like(CONVOLUTION)
    for a, b, c, d in torch.cartesian_prod(*(torch.arange(n) for n in (2, 2, 3, 2))).tolist():
        delta[3 * a + c, 2 * b + d] = first[a, b] * second[c, d]
    tensors = {"lokr_w1": first, "lokr_w2": second, "alpha": torch.tensor(1e10)}
    close(changed(tensors, CONVOLUTION), CONVOLUTION + delta)


def test_lokr_factors_may_be_products_themselves() -> None:
    w1, w2a, w2b = random(2, 2, seed=3), random(3, 1, seed=4), random(1, 2, 3, 3, seed=5)
    second = torch.einsum("cr,rdkl->cdkl", w2a, w2b)
    expected = CONVOLUTION + 4 * torch.kron(w1[:, :, None, None], second)
    tensors = {"lokr_w1": w1, "lokr_w2_a": w2a, "lokr_w2_b": w2b, "alpha": torch.tensor(4.0)}
    close(changed(tensors, CONVOLUTION), expected)
    w1a, w1b, flat = random(2, 1, seed=6), random(1, 2, seed=7), random(3, 2, seed=8)
    tensors = {"lokr_w1_a": w1a, "lokr_w1_b": w1b, "lokr_w2": flat, "alpha": torch.tensor(0.5)}
    close(changed(tensors, LINEAR), LINEAR + 0.5 * torch.kron(w1a @ w1b, flat))


def test_lokr_in_tucker_form_rebuilds_its_second_factor_from_a_core() -> None:
    w1, core, a, b = random(2, 2, seed=3), random(2, 2, 3, 3, seed=4), random(2, 3, seed=5), random(2, 2, seed=6)
    second = torch.einsum("ijkl,io,jp->opkl", core, a, b).contiguous()
    tensors = {"lokr_w1": w1, "lokr_t2": core, "lokr_w2_a": a, "lokr_w2_b": b, "alpha": torch.tensor(1.0)}
    close(changed(tensors, CONVOLUTION), CONVOLUTION + 0.5 * torch.kron(w1[:, :, None, None], second))


@pytest.mark.parametrize("ending", ["dora_scale", "lora_magnitude_vector", "lora_magnitude_vector.weight"])
@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_dora_gives_each_output_the_trained_length(ending: str, shape: tuple[int, ...]) -> None:
    up, down, lengths = random(6, 2, seed=3), random(2, 4, seed=4), random(*shape, seed=5).abs()
    tensors = {"lora_up.weight": up, "lora_down.weight": down, "alpha": torch.tensor(1.0), ending: lengths}
    full = changed(tensors, LINEAR)
    close(full.norm(dim=1), lengths.flatten())
    close(torch.nn.functional.normalize(full), torch.nn.functional.normalize(LINEAR + 0.5 * up @ down))
    close(changed(tensors, LINEAR, 0.25), LINEAR + 0.25 * (full - LINEAR))


def test_dora_of_older_files_gives_each_input_the_trained_length() -> None:
    up, down, lengths = random(6, 2, 1, 1, seed=3), random(2, 4, 3, 3, seed=4), random(1, 4, 1, 1, seed=5).abs()
    tensors = {"lora_up.weight": up, "lora_down.weight": down, "dora_scale": lengths}
    full = changed(tensors, CONVOLUTION)
    close(full.transpose(0, 1).flatten(1).norm(dim=1), lengths.flatten())


def test_dora_of_a_square_weight_is_told_by_the_shape_of_the_lengths() -> None:
    weight, lengths = random(4, 4, seed=1), random(4, seed=5).abs()
    tensors = {"lora_up.weight": random(4, 2, seed=3), "lora_down.weight": random(2, 4, seed=4)}
    close(changed({**tensors, "dora_scale": lengths[:, None]}, weight).norm(dim=1), lengths)
    close(changed({**tensors, "dora_scale": lengths[None]}, weight).norm(dim=0), lengths)


def test_differences_norms_and_replacements_are_taken_as_they_are() -> None:
    close(changed({"diff": CONVOLUTION}, CONVOLUTION, 0.5), CONVOLUTION * 1.5)
    close(
        changed({"w_norm": random(6, seed=3)}, random(6, seed=4), 2.0), random(6, seed=4) + 2 * random(6, seed=3)
    )
    assert torch.equal(changed({"set_weight": random(6, 4, seed=9)}, LINEAR, 0.3), random(6, 4, seed=9))


@pytest.mark.parametrize("ending", ["diff_b", "b_norm", "lora_B.bias"])
def test_differences_of_biases_are_for_the_bias(ending: str) -> None:
    file = read_adapters("f", {f"x.{ending}": random(6, seed=3)})
    (adapter,) = file.adapters["x"]
    assert adapter.target == "bias"
    close(adapter.changed(random(6), 0.5, None), random(6) + 0.5 * random(6, seed=3))


def test_glora_multiplies_the_weight_and_adds_to_it() -> None:
    a1, a2, b1, b2 = random(4, 2, seed=3), random(2, 4, seed=4), random(6, 2, seed=5), random(2, 4, seed=6)
    tensors = {"a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2, "alpha": torch.tensor(1.0)}
    close(changed(tensors, LINEAR, 2.0), LINEAR + 2 * 0.5 * (LINEAR @ a1 @ a2 + b1 @ b2))


def cayley(blocks: Tensor) -> Tensor:
    skew = blocks - blocks.mT
    identity = torch.eye(blocks.shape[-1])
    turn: Tensor = (identity + skew) @ torch.linalg.inv(identity - skew)
    return turn


def test_diag_oft_rotates_groups_of_outputs() -> None:
    blocks, rescale = random(3, 2, 2, seed=3), random(6, 1, seed=4)
    turn = torch.zeros(6, 6)
    for number, block in enumerate(cayley(blocks)):
        turn[2 * number : 2 * number + 2, 2 * number : 2 * number + 2] = block.mT
    close(changed({"oft_blocks": blocks, "alpha": torch.tensor(0.0)}, LINEAR), turn @ LINEAR)
    mixed = (0.5 * turn + 0.5 * torch.eye(6)) @ LINEAR
    close(changed({"oft_blocks": blocks}, LINEAR, 0.5), mixed)
    close(changed({"oft_blocks": blocks, "rescale": rescale}, LINEAR), turn @ LINEAR * rescale)


def test_diag_oft_keeps_the_lengths_of_columns_and_limits_how_far_it_turns() -> None:
    blocks = random(3, 2, 2, seed=3) * 5
    free = changed({"oft_blocks": blocks}, LINEAR)
    close(free.norm(dim=0), LINEAR.norm(dim=0))
    held = changed({"oft_blocks": blocks, "alpha": torch.tensor(1e-6)}, LINEAR)
    assert (held - LINEAR).norm() < 1e-4 < (free - LINEAR).norm()


def test_boft_is_orthogonal_and_its_layers_reach_over_several_blocks() -> None:
    weight, blocks = random(8, 3, seed=1), random(2, 2, 4, 4, seed=3)
    close(changed({"oft_blocks": blocks}, weight).norm(dim=0), weight.norm(dim=0))
    still = torch.zeros(2, 2, 4, 4)
    close(changed({"oft_blocks": still}, weight), weight)
    unit = changed({"oft_blocks": blocks}, torch.eye(8))
    assert (unit[:, 0].abs() > 1e-6).sum() > 4


@given(st.integers(1, 4), st.integers(0, 5), st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_a_part_of_the_rows_changes_as_it_would_in_the_whole(rank: int, start: int, count: int) -> None:
    rows = slice(start, min(start + count, 6))
    tensors = {"lora_up.weight": random(6, rank, seed=3), "lora_down.weight": random(rank, 4, seed=4)}
    for more in ({}, {"dora_scale": random(6, 1, seed=5)}):
        whole = changed({**tensors, **more}, LINEAR, 0.7)
        close(changed({**tensors, **more}, LINEAR[rows], 0.7, rows), whole[rows])


def test_a_wrong_rank_names_both_tensors_and_their_shapes() -> None:
    with pytest.raises(ModelError, match=r"'y.lora_up.weight' of \[6, 2\] and 'y.lora_down.weight' of \[3, 4\]"):
        read_adapters("bad", {"y.lora_up.weight": random(6, 2), "y.lora_down.weight": random(3, 4)})


def test_half_of_a_pair_is_named_as_missing() -> None:
    with pytest.raises(ModelError, match=r"'half' lacks a tensor of 'y': its 'down'"):
        read_adapters("half", {"y.lora_up.weight": random(6, 2)})


@pytest.mark.parametrize(
    "tensors",
    [
        {"lora_up.weight": random(6), "lora_down.weight": random(4)},
        {"lora_up.weight": random(6, 0), "lora_down.weight": random(0, 4)},
        {"lora_up.weight": random(6, 2, 3, 3), "lora_down.weight": random(2, 4)},
        {"lora_up.weight": random(6, 2), "lora_down.weight": random(2, 4), "lora_mid.weight": random(3, 3, 1, 1)},
        {f"hada_{name}": random(3, 3 + number) for number, name in enumerate(("w1_a", "w1_b", "w2_a", "w2_b"))},
        {"lokr_w1": random(2, 2), "lokr_w2_a": random(3, 2), "lokr_w2_b": random(1, 2)},
        {"lora_up.weight": random(6, 2), "lora_down.weight": random(2, 4), "dora_scale": random(5, 1)},
        {"lora_up.weight": random(6, 2), "lora_down.weight": random(2, 4), "dora_scale": random(1, 3)},
        {"oft_blocks": random(3, 2, 3)},
        {"oft_blocks": random(4, 1, 2, 2)},
        {"oft_blocks": random(3, 2, 2), "rescale": random(5)},
        {
            "a1.weight": random(4, 2),
            "a2.weight": random(3, 4),
            "b1.weight": random(6, 2),
            "b2.weight": random(2, 4),
        },
    ],
)
def test_tensors_that_no_formula_can_use_are_refused_before_any_sampling(tensors: dict[str, Tensor]) -> None:
    with pytest.raises(ModelError, match="is damaged: no formula fits"):
        read_adapters("bad", {f"x.{ending}": tensor for ending, tensor in tensors.items()})


def test_numbers_that_are_not_finite_are_named_when_they_are_used() -> None:
    up = random(6, 2).index_fill(0, torch.tensor([3]), float("nan"))
    with pytest.raises(ModelError, match=r"not finite, in 'x\.lora_up\.weight'"):
        changed({"lora_up.weight": up, "lora_down.weight": random(2, 4)}, LINEAR)


def test_names_that_say_nothing_known_are_kept_for_the_warning() -> None:
    file = read_adapters("f", {"bundle_emb.cat.string_to_param.*": random(1, 4), "x.diff": random(6, 4)})
    assert file.unknown == ["bundle_emb.cat.string_to_param.*"]
    assert [*file.adapters] == ["x"]


ENDINGS = (
    *(
        "lora_up.weight",
        "lora_down.weight",
        "lora_mid.weight",
        "alpha",
        "dora_scale",
        "diff",
        "diff_b",
        "set_weight",
    ),
    *("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2"),
    *("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"),
    *("oft_blocks", "rescale", "a1.weight", "a2.weight", "b1.weight", "b2.weight", "bm.weight"),
)
SIZES = st.lists(st.integers(0, 2), max_size=4).map(tuple)


@given(st.dictionaries(st.sampled_from(ENDINGS), SIZES, min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_whatever_shapes_a_file_has_it_is_refused_or_changes_weights_of_its_size(
    shapes: dict[str, tuple[int, ...]],
) -> None:
    try:
        file = read_adapters("any", {f"x.{ending}": random(*shape) for ending, shape in shapes.items()})
    except ModelError:
        return
    for adapter in file.adapters.get("x", ()):
        outputs, each = adapter.size
        weight = random(outputs, 4 if each is None else each)
        if "dora_scale" in shapes and not adapter.by_rows:
            continue
        assert adapter.changed(weight, 0.5, None).shape == weight.shape
