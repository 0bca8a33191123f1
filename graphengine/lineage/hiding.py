"""Secrets that must not be shown, also where something else wrote them: foreign pictures, addresses of packs."""

from collections.abc import Mapping

from pydantic import JsonValue

from graphengine.execution.open_documents import OpenDocuments
from graphengine.node.definition import NodeDefinition
from graphengine.node.secrets import is_secret_name, without_secret, without_tokens
from graphengine.workflow.models import Workflow


def without_secrets(workflow: Workflow, definitions: Mapping[str, NodeDefinition]) -> Workflow:
    """The nodes of a workflow with what is a secret replaced, without the editor's document."""
    return Workflow(OpenDocuments(Workflow(workflow.nodes), definitions.get).nodes)


def open_values(values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Values by "NODE.INPUT", those of inputs named as secrets and what looks like a token replaced."""
    return {place: _open(place.rpartition(".")[2], value) for place, value in values.items()}


def _open(name: str, value: JsonValue) -> JsonValue:
    if is_secret_name(name):
        return without_secret(value)  # type: ignore[no-any-return]  # JSON
    return without_tokens(value) if isinstance(value, str) else value
