"""After any change all that runs is foreseen, and the causes name what was changed and nothing more."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphengine.node.folders import Folders
from tests.provenance.bench import Bench, fates, running

_NUMBERS = st.integers(0, 3)


@dataclass
class Case:
    """A graph, and what happens to it and its surroundings, one after the other."""

    nodes: dict[str, Any]
    changes: list[tuple[str, int]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    size = draw(st.integers(1, 7))
    nodes: dict[str, Any] = {"m": ("LoadModel", {"ckpt_name": "m.safetensors"})}
    for n in range(size):
        link = st.integers(0, n - 1).map(lambda source: [str(source), 0])
        number = _NUMBERS | link if n else _NUMBERS
        match draw(st.sampled_from(["Half", "Sum", "Sample", "Either"])):
            case "Half":
                nodes[str(n)] = ("Half", {"value": draw(number)})
            case "Sum":
                nodes[str(n)] = ("Sum", {"a": draw(number), "b": draw(number)})
            case "Either":
                inputs = {"first": draw(number), "second": draw(number), "take": draw(_NUMBERS)}
                nodes[str(n)] = ("Either", inputs)
            case _:
                nodes[str(n)] = ("Sample", {"model": ["m", 0], "value": draw(number)})
        nodes[f"s{n}"] = ("Show", {"value": [str(n), 0]})
    kinds = st.sampled_from(["literal", "link", "code", "file", "package", "device"])
    return Case(nodes, draw(st.lists(st.tuples(kinds, st.integers(0, 1000)), min_size=1, max_size=4)))


def _mutate(
    bench: Bench, nodes: dict[str, Any], what: str, n: int
) -> tuple[dict[str, Any], tuple[str, str] | None]:
    """Change one thing; gives the nodes and, where that changed something, the part of a key and the place."""
    match what:
        case "code":
            kind = ["Half", "Sum", "Sample", "Show", "Either", "LoadModel"][n % 6]
            bench.code[kind] = f"{bench.code.get(kind, '1')}+"
            return nodes, (f"code:{kind.lower()}.py", "")
        case "file":
            file = bench.folders.models["checkpoints"][0] / "m.safetensors"
            file.write_text(f"{int(file.read_text()) + 1}")
            return nodes, ("file:ckpt_name", "m")
        case "package":
            bench.packages = {"torch": f"{bench.packages['torch']}.1"}
            return nodes, ("package:torch", "")
        case "device":
            bench.device = "cuda" if bench.device == "cpu" else "cpu"
            return nodes, ("device", "")
        case _:
            return _mutate_input(nodes, what, n)


def _mutate_input(nodes: dict[str, Any], what: str, n: int) -> tuple[dict[str, Any], tuple[str, str] | None]:
    inputs_of = {node_id: inputs for node_id, (_, inputs) in nodes.items() if node_id.isdecimal()}
    places = [(each, name) for each, inputs in inputs_of.items() for name in inputs if name != "model"]
    node_id, name = places[n % len(places)]
    kind, inputs = nodes[node_id]
    old = inputs[name]
    if what == "literal" and not isinstance(old, list):
        new: Any = old + 1
    elif what == "link" and int(node_id) > 0:
        new = [str(n % int(node_id)), 0]
    else:
        return nodes, None
    if new == old or (name == "take" and isinstance(new, list)):
        return nodes, None
    is_link = isinstance(new, list) or isinstance(old, list)
    return {**nodes, node_id: (kind, {**inputs, name: new})}, (f"{'link' if is_link else 'input'}:{name}", node_id)


def _bench(folders: Folders, root: Path) -> Bench:
    for file in root.glob("runs/*/*/*"):
        file.unlink()
    (folders.models["checkpoints"][0] / "m.safetensors").write_text("3")
    return Bench(folders, root)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_what_runs_is_foreseen_and_its_cause_is_named_exactly(
    case: Case, folders: Folders, tmp_path: Path
) -> None:
    bench = _bench(folders, tmp_path)
    nodes = case.nodes
    assert set(fates(bench.foresee(nodes)).values()) <= {"runs", "perhaps", "cached"}
    bench.run(nodes)
    assert not running(bench.foresee(nodes))
    for what, n in case.changes:
        nodes, mutated = _mutate(bench, nodes, what, n)
        foresight = bench.foresee(nodes)
        starts = running(foresight)
        causes = {(cause.part, cause.nodes if cause.part.startswith(("input", "link", "file")) else ())
                  for cause in foresight.causes.of(starts)}  # fmt: skip
        expected = set() if mutated is None or not starts else {(mutated[0], (mutated[1],) if mutated[1] else ())}
        executed = set(bench.run(nodes).executed)
        assert executed <= set(starts)
        assert causes == expected
        last = bench.foresee(nodes).last_run()
        assert last is not None
        assert {cause.part for cause in last.of(sorted(executed))} <= {part for part, _ in expected}


def test_a_lazy_input_that_comes_from_another_node_with_the_same_value_is_not_promised(
    folders: Folders, tmp_path: Path
) -> None:
    bench = _bench(folders, tmp_path)
    either: dict[str, Any] = {"first": 0, "second": ["1", 0], "take": 0}
    nodes: dict[str, Any] = {
        "0": ("Half", {"value": 0}),
        "1": ("Half", {"value": 1}),
        "2": ("Either", either),
        "s0": ("Show", {"value": ["0", 0]}),
        "s1": ("Show", {"value": ["1", 0]}),
        "s2": ("Show", {"value": ["2", 0]}),
    }
    bench.run(nodes)
    nodes["2"] = ("Either", {**either, "second": ["0", 0]})
    starts = set(running(bench.foresee(nodes)))
    assert set(bench.run(nodes).executed) <= starts


def test_a_lazy_input_whose_source_gives_the_same_by_another_way_has_that_way_as_its_cause(
    folders: Folders, tmp_path: Path
) -> None:
    bench = _bench(folders, tmp_path)
    nodes: dict[str, Any] = {
        "0": ("Sum", {"a": 0, "b": 0}),
        "1": ("Sum", {"a": 0, "b": 0}),
        "2": ("Either", {"first": 0, "second": ["1", 0], "take": 0}),
        "3": ("Sum", {"a": 0, "b": ["0", 0]}),
        "s1": ("Show", {"value": ["1", 0]}),
        "s2": ("Show", {"value": ["2", 0]}),
        "s3": ("Show", {"value": ["3", 0]}),
    }
    bench.run(nodes)
    nodes["1"] = ("Sum", {"a": 0, "b": ["0", 0]})
    foresight = bench.foresee(nodes)
    assert running(foresight) == ["2", "s2"]
    causes = foresight.causes.of(running(foresight))
    assert [(cause.part, cause.nodes) for cause in causes] == [("link:b", ("1",))]
