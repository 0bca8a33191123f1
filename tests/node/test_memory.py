import gc
from dataclasses import dataclass, field

from graphengine.node.memory import DeviceMemory


@dataclass(eq=False)
class Model:
    device: str = "cuda:0"
    unloads: list[str] = field(default_factory=list)

    def unload(self) -> None:
        self.unloads.append("unload")


def loaded(memory: DeviceMemory, *sizes: int) -> list[Model]:
    models = [Model() for _ in sizes]
    for model, size in zip(models, sizes, strict=True):
        memory.reserve(model, size)
    return models


def gone(models: list[Model]) -> list[bool]:
    return [bool(model.unloads) for model in models]


def test_the_model_that_was_used_longest_ago_makes_room() -> None:
    memory = DeviceMemory(lambda device: 100)
    models = loaded(memory, 40, 40)
    memory.touch(models[0])
    models += loaded(memory, 50)
    assert gone(models) == [False, True, False]
    assert memory.used("cuda:0") == 90


def test_a_model_that_is_larger_than_the_budget_is_loaded_alone() -> None:
    memory = DeviceMemory(lambda device: 100)
    models = loaded(memory, 40, 300)
    assert gone(models) == [True, False]


def test_without_a_budget_everything_stays() -> None:
    assert gone(loaded(DeviceMemory(), 10**12, 10**12)) == [False, False]


def test_each_device_has_its_own_budget() -> None:
    memory = DeviceMemory({"cuda:0": 100, "cpu": None}.get)
    on_cpu = Model("cpu")
    memory.reserve(on_cpu, 500)
    assert gone([*loaded(memory, 60, 60), on_cpu]) == [True, False, False]


def test_models_that_nobody_refers_to_take_no_room() -> None:
    memory = DeviceMemory(lambda device: 100)
    kept, lost = loaded(memory, 40, 40)
    del lost
    gc.collect()
    assert gone([kept, *loaded(memory, 50)]) == [False, False]


def test_all_but_one_can_be_asked_to_go() -> None:
    memory = DeviceMemory()
    first, second = loaded(memory, 10, 20)
    assert memory.unload(keep=second) == 10
    assert gone([first, second]) == [True, False]
    assert memory.unload(keep=second) == 0
