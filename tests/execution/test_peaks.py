"""How much memory a call takes, and that plans tell it."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from graphengine.execution.peaks import NOTHING, Peak, PeakGauge

MB = 2**20

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")


@pytest.fixture
def gauge() -> Iterator[PeakGauge]:
    made = PeakGauge()
    yield made
    made.close()


@on_linux
def test_the_peak_of_a_call_counts_although_the_memory_was_given_back(gauge: PeakGauge) -> None:
    gauge.begin()
    large = b"x" * (96 * MB)
    del large
    assert 90 * MB < gauge.end().process < 130 * MB


@on_linux
def test_what_an_earlier_call_took_is_not_counted_again(gauge: PeakGauge) -> None:
    gauge.begin()
    large = b"x" * (96 * MB)
    del large
    gauge.end()
    gauge.begin()
    assert gauge.end() == NOTHING


def test_without_a_way_to_measure_nothing_is_told(gauge: PeakGauge) -> None:
    gauge.close()
    gauge.begin()
    assert gauge.end().process == 0


class Cuda:
    """Two devices that are in use, as torch counts them."""

    def __init__(self) -> None:
        self.now, self.peak = [10 * MB, 20 * MB], [500 * MB, 20 * MB]

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return 2

    def reset_peak_memory_stats(self, device: int) -> None:
        self.peak[device] = self.now[device]

    def memory_allocated(self, device: int) -> int:
        return self.now[device]

    def max_memory_allocated(self, device: int) -> int:
        return self.peak[device]


def test_of_devices_what_torch_counts_is_told(gauge: PeakGauge, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda: Any = Cuda()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    gauge.begin()
    cuda.peak = [110 * MB, 25 * MB]
    assert gauge.end().device == 105 * MB


def test_of_several_calls_the_largest_counts() -> None:
    assert Peak(5, 1).joined(Peak(2, 7)) == Peak(5, 7)
