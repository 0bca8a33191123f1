from dataclasses import replace

import pytest

from graphengine.cache.hashing import FileStamp
from graphengine.execution import devices
from graphengine.execution.devices import device_class, known_device_class
from graphengine.execution.environment import Environment
from graphengine.execution.numerics import Numerics
from graphengine.node.definition import NodeDefinition, OutputSpec

PLAIN = NodeDefinition("Plain", {}, (OutputSpec("text", "STRING"),))


def never() -> str:
    raise AssertionError("nothing computes on a device")


def test_the_device_counts_for_nodes_that_compute_on_one() -> None:
    sampler = replace(PLAIN, resources=frozenset({"device"}))
    assert Environment(lambda: "cuda").of(sampler)["device"] == "cuda"
    assert Environment(never).of(PLAIN) == {}


def test_the_device_counts_for_every_node_of_a_custom_pack() -> None:
    assert Environment(lambda: "cuda").of(replace(PLAIN, module="custom_nodes.x"))["device"] == "cuda"


def test_versions_of_packages_count() -> None:
    scaled = replace(PLAIN, packages={"pillow": "11.0"})
    assert Environment(never).of(scaled) == {"package:pillow": "11.0"}


@pytest.mark.parametrize(("named", "kind"), [("cpu", "cpu"), ("cuda:1", "cuda"), ("mps", "mps")])
def test_the_kind_of_a_named_device(named: str, kind: str) -> None:
    assert device_class(named) == kind


class Memo:
    """Remembers in a dict."""

    def __init__(self) -> None:
        self.known: dict[FileStamp, str] = {}

    def recall(self, stamp: FileStamp) -> str | None:
        return self.known.get(stamp)

    def remember(self, stamp: FileStamp, fingerprint: str) -> None:
        self.known[stamp] = fingerprint


def test_torch_is_asked_once_where_an_accelerator_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask() -> str:
        asked.append("torch")
        return "cuda"

    monkeypatch.setattr(devices, "_DRIVERS", ("/",))
    monkeypatch.setattr(devices, "best_device", ask)
    memo = Memo()
    assert [device_class(None, memo) for _ in range(2)] == ["cuda", "cuda"]
    assert asked == ["torch"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    device_class(None, memo)
    assert len(asked) == 2


def test_what_is_known_without_torch_is_told_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_DRIVERS", ("/",))
    monkeypatch.setattr(devices, "best_device", lambda: "cuda")
    memo = Memo()
    assert known_device_class(None, memo) is None
    device_class(None, memo)
    assert known_device_class(None, memo) == "cuda"


def test_without_a_driver_torch_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_DRIVERS", ("/no/such/driver",))
    monkeypatch.setattr(devices, "best_device", never)
    monkeypatch.setattr("sys.platform", "linux")
    assert device_class(None) == "cpu"


def test_how_torch_computes_counts_for_nodes_that_are_built_on_it() -> None:
    strict = Environment(never, Numerics(deterministic=True, precision="high"))
    scaled = replace(PLAIN, packages={"torch": "2.13"})
    assert strict.of(scaled) == {"package:torch": "2.13", "deterministic": "yes", "float32_precision": "high"}
    assert strict.of(PLAIN) == {}
