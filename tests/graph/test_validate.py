import pytest

from graphengine.errors import Problem, ValidationFailed
from graphengine.graph.graph import build_graph
from graphengine.graph.validate import validate
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.workflow.models import NodeId
from tests.workflows import workflow

NUMBER = ("Number", {"value": 3})


def codes(problems: list[Problem]) -> list[str]:
    return [problem.code for problem in problems]


def test_a_good_workflow_has_no_problem(registry: NodeRegistry, folders: Folders) -> None:
    good = workflow({"1": NUMBER, "2": ("Show", {"value": ["1", 0]})})
    assert validate(good, registry, folders) == []


def test_every_problem_is_reported_at_once(registry: NodeRegistry, folders: Folders) -> None:
    broken = workflow(
        {
            "1": ("Numbr", {"value": 3}),
            "2": ("Add", {"a": ["9", 0], "bb": 1}),
            "3": ("Show", {"value": ["2", 4]}),
            "4": ("Show", {"value": ["1", 0]}),
        }
    )
    assert validate(broken, registry, folders) == [
        Problem("unknown_node", "no node type 'Numbr'", "1", "Numbr", hint="did you mean 'Number'?"),
        Problem(
            "missing_node",
            "input 'a' is linked to node 9, which is not in the workflow",
            "2",
            "Add",
            "a",
            "connect the input again and save",
        ),
        Problem("missing_input", "input 'b' is not set", "2", "Add", "b", "is 'bb' meant to be 'b'?"),
        Problem(
            "missing_output",
            "input 'value' is linked to output 4 of node 2 (Add), which has 1",
            "3",
            "Show",
            "value",
            "connect the input again and save; the outputs of that node may have changed",
        ),
    ]


@pytest.mark.parametrize(
    ("inputs", "code", "words"),
    [
        ({"value": 101}, "too_large", "101, larger than its maximum 100"),
        ({"value": -1}, "too_small", "-1, smaller than its minimum 0"),
        ({"value": "many"}, "wrong_type", "takes a whole number, is 'many'"),
        ({"value": None}, "wrong_type", "takes a whole number, is None"),
        ({"value": float("inf")}, "wrong_type", "is inf"),
    ],
)
def test_a_number_outside_its_range_or_type(
    inputs: dict[str, object], code: str, words: str, registry: NodeRegistry, folders: Folders
) -> None:
    (problem,) = validate(
        workflow({"1": ("Number", inputs), "2": ("Show", {"value": ["1", 0]})}), registry, folders
    )
    assert problem.code == code
    assert words in problem.message
    assert problem.input_name == "value"


def test_choices_and_files_are_checked(registry: NodeRegistry, folders: Folders) -> None:
    (folders.models["checkpoints"][0] / "sd15.safetensors").write_bytes(b"x")
    inputs = {"mode": "fsat", "strength": float("nan"), "ckpt_name": "sd51.safetensors"}
    problems = validate(workflow({"1": ("Choose", inputs), "2": ("Show", {"value": ["1", 0]})}), registry, folders)
    assert [(p.code, p.input_name, p.hint) for p in problems] == [
        ("not_in_list", "mode", "did you mean 'fast'?"),
        ("wrong_type", "strength", "for example 1.0"),
        ("missing_model", "ckpt_name", "did you mean 'sd15.safetensors'?"),
    ]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "C:\\x.safetensors", "a/../../x", ""])
def test_a_file_name_that_leads_out_of_its_folder_is_refused(
    name: str, registry: NodeRegistry, folders: Folders
) -> None:
    inputs = {"mode": "fast", "strength": 1.0, "ckpt_name": name}
    (problem,) = validate(
        workflow({"1": ("Choose", inputs), "2": ("Show", {"value": ["1", 0]})}), registry, folders
    )
    assert (problem.code, problem.node_id, problem.input_name) == ("file_refused", "1", "ckpt_name")


def test_a_link_of_the_wrong_type_names_the_right_output(registry: NodeRegistry, folders: Folders) -> None:
    (folders.models["checkpoints"][0] / "m.safetensors").write_bytes(b"x")
    choose = ("Choose", {"mode": "fast", "strength": 1.0, "ckpt_name": "m.safetensors"})
    wrong = workflow({"1": choose, "2": ("Add", {"a": ["1", 1], "b": 1}), "3": ("Show", {"value": ["2", 0]})})
    (problem,) = validate(wrong, registry, folders)
    assert problem.message == "input 'a' takes INT, is given MODEL"
    assert problem.hint == "node 1 (Choose) has no INT output"


def test_a_cycle_names_its_path(registry: NodeRegistry, folders: Folders) -> None:
    circle = workflow(
        {
            "1": ("Add", {"a": ["2", 0], "b": 1}),
            "2": ("Add", {"a": ["1", 0], "b": 1}),
            "3": ("Show", {"value": ["1", 0]}),
        }
    )
    with pytest.raises(ValidationFailed) as caught:
        build_graph(circle, registry, folders)
    (problem,) = caught.value.problems
    assert problem.code == "cycle"
    assert problem.message.endswith("1 -> 2 -> 1")


def test_a_node_that_feeds_itself_is_a_cycle(registry: NodeRegistry, folders: Folders) -> None:
    circle = workflow({"1": ("Add", {"a": ["1", 0], "b": 1}), "2": ("Show", {"value": ["1", 0]})})
    assert codes(validate(circle, registry, folders)) == ["cycle"]


def test_a_workflow_that_shows_nothing_has_no_output_node(registry: NodeRegistry, folders: Folders) -> None:
    assert codes(validate(workflow({"1": NUMBER}), registry, folders)) == ["no_output_node"]
    assert codes(validate(workflow({}), registry, folders)) == ["no_output_node"]


def test_what_no_output_needs_is_only_a_warning(registry: NodeRegistry, folders: Folders) -> None:
    loose = workflow({"1": NUMBER, "2": ("Show", {"value": ["1", 0]}), "3": ("Nowhere", {})})
    (problem,) = validate(loose, registry, folders)
    assert (problem.code, problem.severity) == ("unknown_node", "warning")
    assert set(build_graph(loose, registry, folders).nodes) == {"1", "2"}


def test_a_target_that_is_no_node_is_named(registry: NodeRegistry, folders: Folders) -> None:
    problems = validate(workflow({"12": NUMBER}), registry, folders, targets=[NodeId("13")])
    assert [(p.code, p.node_id) for p in problems] == [("missing_node", "13")]


def test_a_node_that_checks_its_input_itself_is_left_to_it(registry: NodeRegistry, folders: Folders) -> None:
    own = workflow({"1": ("Picky", {"value": 12}), "2": ("Show", {"value": ["1", 0]})})
    assert validate(own, registry, folders) == []


def test_literals_are_converted_to_the_declared_type(registry: NodeRegistry, folders: Folders) -> None:
    graph = build_graph(
        workflow({"1": ("Number", {"value": "5", "junk": 1}), "2": ("Show", {"value": ["1", 0]})}),
        registry,
        folders,
    )
    assert dict(graph.nodes[next(iter(graph.nodes))].inputs) == {"value": 5}


def test_validation_changes_nothing(registry: NodeRegistry, folders: Folders) -> None:
    given = workflow({"1": ("Number", {"value": "5"}), "2": ("Show", {"value": ["1", 0]})})
    before = repr(given)
    validate(given, registry, folders)
    assert repr(given) == before


def test_ten_thousand_nodes_in_a_row_are_no_matter_of_recursion(registry: NodeRegistry, folders: Folders) -> None:
    nodes: dict[str, tuple[str, dict[str, object]]] = {"0": NUMBER}  # type: ignore[dict-item]  # narrower
    for index in range(1, 10_000):
        nodes[str(index)] = ("Add", {"a": [str(index - 1), 0], "b": 1})
    nodes["end"] = ("Show", {"value": ["9999", 0]})
    assert validate(workflow(nodes), registry, folders) == []
