import pytest
from pydantic import JsonValue

from graphengine.errors import Problem, ValidationFailed
from graphengine.graph.graph import build_graph
from graphengine.graph.validate import validate
from graphengine.graph.values import coerce
from graphengine.node.definition import InputSpec, NodeDefinition
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode
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


@pytest.mark.parametrize("value", [[1, 2, 3], [], ["4"], ["4", "0"], [4, 0, 1]])
def test_a_list_where_a_number_belongs_is_a_bad_link(
    value: list[JsonValue], registry: NodeRegistry, folders: Folders
) -> None:
    nodes = {
        NodeId("1"): WorkflowNode("Number", {"value": value}),
        NodeId("2"): WorkflowNode("Show", {"value": Link(NodeId("1"), 0)}),
    }
    (problem,) = validate(Workflow(nodes), registry, folders)
    assert (problem.code, problem.input_name) == ("bad_link", "value")
    assert problem.message.endswith(f"takes a whole number, is the list {value!r}, which is no link")
    assert problem.hint == 'a link is written as [node id, output number], for example ["4", 0]'


def test_a_list_may_be_the_value_of_a_type_that_nobody_knows(folders: Folders) -> None:
    curve = NodeDefinition("Curve", {"points": InputSpec("points", "CURVE")}, (), is_output=True)
    node = WorkflowNode("Curve", {"points": [0, 1, 2]})
    assert validate(Workflow({NodeId("1"): node}), {"Curve": curve}, folders) == []


def test_where_several_choices_can_be_made_each_one_counts(folders: Folders) -> None:
    spec = InputSpec("tags", "COMBO", choices=("a", "b"), options={"multi_select": True})
    tags = NodeDefinition("Tags", {"tags": spec}, (), is_output=True)

    def found(value: object) -> list[str]:
        node = WorkflowNode("Tags", {"tags": value})  # type: ignore[dict-item]  # JSON
        return codes(validate(Workflow({NodeId("1"): node}), {"Tags": tags}, folders))

    assert [found(value) for value in (["a", "b"], [], "a", ["a", "c"])] == [[], [], [], ["not_in_list"]]


@pytest.mark.parametrize("output", [-1, 1, 10**9])
def test_an_output_that_is_not_there_is_missing(output: int, registry: NodeRegistry, folders: Folders) -> None:
    wrong = workflow({"1": NUMBER, "2": ("Show", {"value": ["1", output]})})
    assert codes(validate(wrong, registry, folders)) == ["missing_output"]


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


@pytest.mark.parametrize(
    ("type_", "value", "converted"),
    [
        ("INT", "5", 5),
        ("INT", 5.9, 5),
        ("INT", True, 1),
        ("FLOAT", "0.5", 0.5),
        ("FLOAT", 3, 3.0),
        ("STRING", 5, "5"),
        ("STRING", None, "None"),
        ("BOOLEAN", 0, False),
        ("BOOLEAN", "no", True),
        ("CURVE", [1, 2], [1, 2]),
    ],
)
def test_conversion_is_python_s_own(type_: str, value: JsonValue, converted: JsonValue) -> None:
    found = coerce(InputSpec("x", type_), value)
    assert found == converted
    assert type(found) is type(converted)


def test_validation_changes_nothing(registry: NodeRegistry, folders: Folders) -> None:
    given = workflow({"1": ("Number", {"value": "5"}), "2": ("Show", {"value": ["1", 0]})})
    before = repr(given)
    validate(given, registry, folders)
    assert repr(given) == before


def test_the_nearest_name_is_looked_for_only_some_hundred_times(registry: NodeRegistry, folders: Folders) -> None:
    unknown: dict[str, tuple[str, dict[str, object]]] = {str(n): (f"Number{n:04}", {}) for n in range(1_000)}
    hints = [problem.hint for problem in validate(workflow(unknown), registry, folders, [NodeId("1")])]
    assert hints[0] == "did you mean 'Number'?"
    assert hints[999] == "install the node pack that defines it into custom_nodes"
    choices = {str(n): ("Choose", {"mode": f"fast{n}", "strength": 1.0, "ckpt_name": "a"}) for n in range(1_000)}
    found = [problem for problem in validate(workflow(choices), registry, folders) if problem.input_name == "mode"]
    assert (found[0].hint, found[999].hint) == ("did you mean 'fast'?", "choose one of 'fast', 'slow'")


def test_ten_thousand_nodes_in_a_row_are_no_matter_of_recursion(registry: NodeRegistry, folders: Folders) -> None:
    nodes: dict[str, tuple[str, dict[str, object]]] = {"0": NUMBER}  # type: ignore[dict-item]  # narrower
    for index in range(1, 10_000):
        nodes[str(index)] = ("Add", {"a": [str(index - 1), 0], "b": 1})
    nodes["end"] = ("Show", {"value": ["9999", 0]})
    assert validate(workflow(nodes), registry, folders) == []
