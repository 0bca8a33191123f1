from pathlib import Path

import pytest

from graphengine.errors import SettingsError
from graphengine.execution.approximations import approximations
from graphengine.execution.model_budget import model_budget
from graphengine.execution.numerics import AS_IMPORTED, Numerics, read_numerics
from graphengine.node.processor import has_bfloat16


def test_every_approximation_that_a_device_gets_is_listed() -> None:
    assert any("TF32" in line for line in approximations("cuda:0"))
    assert not any("TF32" in line for line in approximations("cpu"))
    assert any("TF32" in line for line in approximations(None))
    assert approximations("mps") == ["nothing on mps"]


@pytest.mark.parametrize(
    ("flags", "expected"), [("fpu avx2 avx512_bf16", True), ("fpu amx_bf16", True), ("fpu avx2 avx512f", False)]
)
def test_a_processor_is_known_to_have_bfloat16_by_its_flags(flags: str, expected: bool, tmp_path: Path) -> None:
    table = tmp_path / "cpuinfo"
    table.write_text(f"processor\t: 0\nmodel name\t: x\nflags\t\t: {flags}\nbugs\t\t: none\n")
    assert has_bfloat16(table) is expected
    assert not has_bfloat16(tmp_path / "absent")


def test_computing_fast_is_chosen_by_an_option_or_the_environment_and_stands_in_keys() -> None:
    assert read_numerics({}, fast=True) == read_numerics({"GRAPHENGINE_FAST": "1"}) == Numerics(fast=True)
    assert Numerics(fast=True).parts() == {**AS_IMPORTED.parts(), "fast": "yes"}
    with pytest.raises(SettingsError, match="GRAPHENGINE_FAST is 'quick'"):
        read_numerics({"GRAPHENGINE_FAST": "quick"})


def test_computing_fast_sets_torch_and_the_next_call_sets_it_back() -> None:
    import torch

    try:
        Numerics(fast=True).apply()
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.benchmark
        Numerics(fast=True, deterministic=True).apply()
        assert not torch.backends.cudnn.benchmark
    finally:
        AS_IMPORTED.apply()
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.benchmark


def test_models_may_take_what_the_user_says_or_a_part_of_the_memory() -> None:
    assert model_budget(10**9)("cpu") == model_budget(10**9)("mps") == 10**9
    assert (model_budget(None)("cpu") or 0) > 2**28
    assert model_budget(None)("mps") is None
