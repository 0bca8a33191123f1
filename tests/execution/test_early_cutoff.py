"""A node that ran again and gave the same leaves all after it cached; loaders do not run for nothing."""

from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphengine.cache.store import CacheStore, MemoryStore, Outputs, TieredStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.execution.result import RunResult
from graphengine.node.api import Files
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.workflow.models import NodeId
from tests.workflows import workflow

Inputs = dict[str, dict[str, tuple[Any, ...]]]
CALLS: list[str] = []


class _Node:
    """Notes that it was called."""

    FUNCTION = "run"
    RETURN_TYPES: tuple[str, ...] = ("INT",)
    REQUIRED: dict[str, tuple[Any, ...]] = {}  # noqa: RUF012 (as authors write it)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": cls.REQUIRED}

    def run(self, **inputs: Any) -> Any:
        CALLS.append(type(self).__name__)
        return cast(Any, self).result(**inputs)  # each class has one, with inputs of its own


class Half(_Node):
    """Half of a number, rounded down: two numbers give the same."""

    REQUIRED = {"value": ("INT", {})}  # noqa: RUF012

    def result(self, value: int) -> Any:
        return (value // 2,)


class Sum(_Node):
    """a + b."""

    REQUIRED = {"a": ("INT", {}), "b": ("INT", {})}  # noqa: RUF012

    def result(self, a: int, b: int) -> Any:
        return (a + b,)


class Model:
    """What a loader gives; no plain data."""

    def __init__(self, weight: int) -> None:
        self.weight = weight


class LoadModel(_Node):
    """A model from a file that holds a number."""

    REQUIRED = {"ckpt_name": (Files("checkpoints"),)}  # noqa: RUF012
    RETURN_TYPES = ("MODEL",)
    FOLDERS = Folders()

    def result(self, ckpt_name: str) -> Any:
        path = self.FOLDERS.find("checkpoints", ckpt_name)
        assert path is not None
        return (Model(int(path.read_text().split()[0])),)


class Patch(_Node):
    """The model with a number added."""

    REQUIRED = {"model": ("MODEL",), "by": ("INT", {})}  # noqa: RUF012
    RETURN_TYPES = ("MODEL",)

    def result(self, model: Model, by: int) -> Any:
        return (Model(model.weight + by),)


class Sample(_Node):
    """The weight times a number."""

    REQUIRED = {"model": ("MODEL",), "value": ("INT", {"forceInput": True})}  # noqa: RUF012

    def result(self, model: Model, value: int) -> Any:
        return (model.weight * value,)


class Show(_Node):
    """Shows a number."""

    REQUIRED = {"value": ("INT", {"forceInput": True})}  # noqa: RUF012
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def result(self, value: int) -> Any:
        return {"ui": {"value": [value]}}


KINDS = (Half, Sum, LoadModel, Patch, Sample, Show)


class PlainStore(MemoryStore):
    """What lasts beyond a process: it keeps no models."""

    def put(self, key: str, outputs: Outputs) -> bool:
        is_plain = not any(isinstance(item, Model) for items in outputs.slots for item in items)
        return is_plain and super().put(key, outputs)


@dataclass
class Bench:
    """Runs with one store; `versions` are those of the classes' code."""

    folders: Folders
    lasting: PlainStore = field(default_factory=PlainStore)
    store: CacheStore = field(init=False)
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Go on as a new process does."""
        self.store = TieredStore(MemoryStore(), self.lasting)

    def run(self, nodes: dict[str, Any]) -> RunResult:
        CALLS.clear()
        LoadModel.FOLDERS = self.folders
        registry = NodeRegistry(
            replace(define(kind.__name__, kind), given_version=self.versions.get(kind.__name__, "1"))
            for kind in KINDS
        )
        return Engine(registry, self.store, self.folders, LocalExecutor(), "cpu").run(workflow(nodes))


@pytest.fixture
def bench(folders: Folders) -> Bench:
    (folders.models["checkpoints"][0] / "m.safetensors").write_text("3")
    return Bench(folders)


CHAIN = {
    "1": ("Half", {"value": 6}),
    "2": ("Sum", {"a": ["1", 0], "b": 1}),
    "3": ("Show", {"value": ["2", 0]}),
}
SAMPLED = {
    "1": ("LoadModel", {"ckpt_name": "m.safetensors"}),
    "2": ("Patch", {"model": ["1", 0], "by": 1}),
    "3": ("Half", {"value": 6}),
    "4": ("Sample", {"model": ["2", 0], "value": ["3", 0]}),
    "5": ("Show", {"value": ["4", 0]}),
}


def test_a_node_that_gives_the_same_leaves_what_is_after_it_cached(bench: Bench) -> None:
    bench.run(CHAIN)
    result = bench.run({**CHAIN, "1": ("Half", {"value": 7})})
    assert CALLS == ["Half"]
    assert result.ui == {"3": {"value": [4]}}
    assert set(result.cached) == {"2", "3"}


def test_a_node_that_gives_something_else_reruns_what_is_after_it(bench: Bench) -> None:
    bench.run(CHAIN)
    assert bench.run({**CHAIN, "1": ("Half", {"value": 8})}).ui == {"3": {"value": [5]}}
    assert CALLS == ["Half", "Sum", "Show"]


def test_code_that_was_edited_and_gives_the_same_reruns_one_node(bench: Bench) -> None:
    bench.run(CHAIN)
    bench.versions["Half"] = "2"
    bench.run(CHAIN)
    assert CALLS == ["Half"]


def test_what_reads_an_equal_node_is_cut_off_as_well(bench: Bench) -> None:
    twice: dict[str, Any] = {
        "1": ("Half", {"value": 6}),
        "2": ("Half", {"value": 6}),
        "3": ("Sum", {"a": ["1", 0], "b": 1}),
        "4": ("Sum", {"a": ["2", 0], "b": 2}),
        "5": ("Sum", {"a": ["3", 0], "b": ["4", 0]}),
        "6": ("Show", {"value": ["5", 0]}),
    }
    bench.run(twice)
    assert bench.run({**twice, "1": ("Half", {"value": 7}), "2": ("Half", {"value": 7})}).ui == {
        "6": {"value": [9]}
    }
    assert CALLS == ["Half"]


def test_what_was_cut_off_once_is_found_by_its_recipe_the_next_time(bench: Bench) -> None:
    bench.run(CHAIN)
    bench.run({**CHAIN, "1": ("Half", {"value": 7})})
    assert list(bench.run({**CHAIN, "1": ("Half", {"value": 7})}).cached) == ["3"]
    assert CALLS == []


def test_a_loader_does_not_run_to_find_out_that_nothing_changed(bench: Bench) -> None:
    bench.run(SAMPLED)
    bench.restart()
    result = bench.run({**SAMPLED, "3": ("Half", {"value": 7})})
    assert CALLS == ["Half"]
    assert result.ui == {"5": {"value": [12]}}


def test_loaders_run_when_the_node_that_reads_them_must(bench: Bench) -> None:
    bench.run(SAMPLED)
    bench.restart()
    assert bench.run({**SAMPLED, "3": ("Half", {"value": 8})}).ui == {"5": {"value": [16]}}
    assert CALLS == ["Half", "LoadModel", "Patch", "Sample", "Show"]


def test_another_patch_of_a_model_is_another_model(bench: Bench) -> None:
    bench.run(SAMPLED)
    assert bench.run({**SAMPLED, "2": ("Patch", {"model": ["1", 0], "by": 2})}).ui == {"5": {"value": [15]}}
    assert CALLS == ["Patch", "Sample", "Show"]


def test_without_room_in_memory_a_loader_still_runs_once(bench: Bench) -> None:
    bench.store = MemoryStore(limit_bytes=0)
    nodes: dict[str, Any] = {**SAMPLED, "6": ("Sample", {"model": ["2", 0], "value": ["4", 0]})}
    nodes["7"] = ("Patch", {"model": ["1", 0], "by": ["6", 0]})
    nodes["8"] = ("Sample", {"model": ["7", 0], "value": ["3", 0]})
    nodes["5"] = ("Show", {"value": ["8", 0]})
    assert bench.run(nodes).ui == {"5": {"value": [(3 + 48) * 3]}}
    assert CALLS.count("LoadModel") == 1
    assert CALLS.count("Patch") == 2


def test_a_model_file_under_another_name_is_the_same_model(bench: Bench) -> None:
    bench.run(SAMPLED)
    folder = bench.folders.models["checkpoints"][0]
    (folder / "m.safetensors").rename(folder / "renamed.safetensors")
    bench.run({**SAMPLED, "1": ("LoadModel", {"ckpt_name": "renamed.safetensors"})})
    assert CALLS == []


def test_a_model_file_with_other_bytes_is_another_model(bench: Bench) -> None:
    bench.run(SAMPLED)
    (bench.folders.models["checkpoints"][0] / "m.safetensors").write_text("10")
    assert bench.run(SAMPLED).ui == {"5": {"value": [33]}}
    assert CALLS == ["LoadModel", "Patch", "Sample", "Show"]


# Mutations


@st.composite
def mutations(draw: st.DrawFn) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """A random graph over the kinds above, and what happens to it and its surroundings, one after the other."""
    size = draw(st.integers(1, 7))
    nodes: dict[str, Any] = {"m": ("LoadModel", {"ckpt_name": "m.safetensors"})}
    for n in range(size):
        link = st.integers(0, n - 1).map(lambda source: [str(source), 0]) if n else st.nothing()
        number = st.integers(0, 3) | link
        match draw(st.sampled_from(["Half", "Sum", "Sample"] if n else ["Half", "Sum"])):
            case "Half":
                nodes[str(n)] = ("Half", {"value": draw(number)})
            case "Sum":
                nodes[str(n)] = ("Sum", {"a": draw(number), "b": draw(number)})
            case _:
                nodes[f"p{n}"] = ("Patch", {"model": ["m", 0], "by": draw(number)})
                nodes[str(n)] = ("Sample", {"model": [f"p{n}", 0], "value": draw(link)})
    nodes["out"] = ("Show", {"value": [str(size - 1), 0]})
    changes = st.tuples(st.sampled_from(["literal", "link", "code", "model", "name"]), st.integers(0, 100))
    return nodes, draw(st.lists(changes, min_size=1, max_size=6))


def _mutate(bench: Bench, nodes: dict[str, Any], what: str, n: int) -> dict[str, Any]:
    folder = bench.folders.models["checkpoints"][0]
    match what:
        case "code":
            bench.versions[KINDS[n % len(KINDS)].__name__] = str(n)
        case "model":
            for file in folder.iterdir():
                file.write_text(f"{n % 4}{' ' * (n % 3)}")
        case "name":
            for file in folder.iterdir():
                file.rename(folder / f"m{n % 3}.safetensors")
            return {**nodes, "m": ("LoadModel", {"ckpt_name": f"m{n % 3}.safetensors"})}
        case _:
            places = [
                (node_id, name)
                for node_id, (_, inputs) in nodes.items()
                for name, value in inputs.items()
                if isinstance(value, int)
            ]
            if places:
                node_id, name = places[n % len(places)]
                kind, inputs = nodes[node_id]
                value = ["0", 0] if what == "link" and node_id.isdecimal() and int(node_id) > 0 else n % 4
                return {**nodes, node_id: (kind, {**inputs, name: value})}
    return nodes


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given=mutations())
def test_after_any_change_results_are_right_and_no_node_runs_with_inputs_it_had_before(
    given: tuple[dict[str, Any], list[tuple[str, int]]], folders: Folders
) -> None:
    folder = folders.models["checkpoints"][0]
    for file in folder.iterdir():
        file.unlink()
    (folder / "m.safetensors").write_text("3")
    nodes, changes = given
    bench, seen = Bench(folders), set[tuple[object, ...]]()
    for what, n in [("none", 0), *changes]:
        nodes = nodes if what == "none" else _mutate(bench, nodes, what, n)
        result = bench.run(nodes)
        assert result.ui["out"] == Bench(folders, versions=bench.versions).run(nodes).ui["out"]  # type: ignore[index]  # NodeId
        for node_id in result.executed:
            call = _what_it_was_called_with(bench, nodes, node_id)
            assert call not in seen
            seen.add(call)


def _what_it_was_called_with(bench: Bench, nodes: dict[str, Any], node_id: str) -> tuple[object, ...]:
    """Class, code, and the values of all inputs, worked out anew; a file counts by its bytes."""
    kind, inputs = nodes[node_id]
    folder = bench.folders.models["checkpoints"][0]
    values = [
        (name, _value(bench, nodes, value) if isinstance(value, list) else value)
        for name, value in sorted(inputs.items())
    ]
    content = [file.read_bytes() for file in folder.iterdir()] if kind == "LoadModel" else []
    return kind, bench.versions.get(kind, "1"), repr(values), repr(content)


def _value(bench: Bench, nodes: dict[str, Any], link: list[Any]) -> object:
    """What a link gives, by a run without a store; of a model how it is made."""
    if nodes[link[0]][0] in ("LoadModel", "Patch"):
        return _what_it_was_called_with(bench, nodes, link[0])
    others = {node_id: node for node_id, node in nodes.items() if node_id != "out"}
    fresh = Bench(bench.folders, versions=bench.versions)
    return fresh.run({**others, "probe": ("Show", {"value": link})}).ui[NodeId("probe")]["value"]


class ReadOnlyStore(MemoryStore):
    """A store that takes nothing any more once it is frozen."""

    is_frozen = False

    def put(self, key: str, outputs: Outputs) -> bool:
        return not self.is_frozen and super().put(key, outputs)

    def alias(self, key: str, existing: str) -> bool:
        return not self.is_frozen and super().alias(key, existing)


def test_a_store_that_cannot_be_written_still_gives_what_reads_the_same() -> None:
    store = ReadOnlyStore()

    def called(version: str) -> list[str]:
        CALLS.clear()
        registry = NodeRegistry([define("Half", Half, version=version), define("Sum", Sum, version="1")])
        nodes: dict[str, tuple[str, dict[str, Any]]] = {
            "1": ("Half", {"value": 8}),
            "2": ("Sum", {"a": ["1", 0], "b": 1}),
        }
        Engine(registry, store, Folders(), LocalExecutor(), "cpu").run(workflow(nodes), targets=[NodeId("2")])
        return list(CALLS)

    assert called("1") == ["Half", "Sum"]
    store.is_frozen = True
    assert called("2") == ["Half"]
