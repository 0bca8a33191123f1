"""What is wrong with a merged workflow, and with neither of its sides."""

from collections.abc import Iterator, Mapping

from graphengine.errors import Problem
from graphengine.graph.check import NodeCheck
from graphengine.node.definition import NodeDefinition
from graphengine.node.folders import Folders
from graphengine.workflow.api_format import parse_api
from graphengine.workflow.canonical import Json, is_ui
from graphengine.workflow.documents import Document
from graphengine.workflow.formats import to_workflow
from graphengine.workflow.merging.circles import circle_problems
from graphengine.workflow.models import Workflow
from graphengine.workflow.ui_models import parse_ui

#: What counts as the same problem at a node that the merge gave a new id: messages may name other nodes by theirs.
_Kind = tuple[str, str | None, str | None]


def new_problems(merged: Json, sides: list[Json], definitions: Mapping[str, NodeDefinition]) -> list[Problem]:
    """The problems that a merge made: of its conversion, its nodes by their definitions, and its circles.

    Files that inputs name are not looked for: which of them are here is no matter of the merge.
    """
    known: set[Problem] = set()
    kinds: set[_Kind] = set()
    ids: set[str] = set()
    for side in sides:
        workflow, problems = _checked(side, definitions)
        known.update(problems)
        kinds.update(map(_kind, problems))
        ids.update(workflow.nodes)
    _, problems = _checked(merged, definitions)
    return [
        problem
        for problem in problems
        if problem not in known and (problem.node_id in ids or _kind(problem) not in kinds)
    ]


def _checked(raw: Json, definitions: Mapping[str, NodeDefinition]) -> tuple[Workflow, list[Problem]]:
    document = Document(ui=parse_ui(raw)) if is_ui(raw) else Document(api=parse_api(raw))
    conversion = to_workflow(document, definitions)
    workflow = conversion.workflow
    found = [*conversion.problems, *_of_nodes(workflow, definitions), *circle_problems(workflow)]
    return workflow, list(dict.fromkeys(found))


def _of_nodes(workflow: Workflow, definitions: Mapping[str, NodeDefinition]) -> Iterator[Problem]:
    check = NodeCheck(workflow, definitions, Folders())
    for node_id, node in workflow.nodes.items():
        if node.class_type in definitions:
            yield from check.node(node_id, node)


def _kind(problem: Problem) -> _Kind:
    return problem.code, problem.class_type, problem.input_name
