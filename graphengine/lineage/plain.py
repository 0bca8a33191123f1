"""A lineage as plain JSON, for programs."""

from dataclasses import fields, is_dataclass
from typing import Any

from graphengine.lineage.parts import Lineage
from graphengine.workflow.api_format import workflow_to_api
from graphengine.workflow.models import Workflow


# Any: JSON that is written.
def as_json(lineage: Lineage) -> dict[str, Any]:
    """The lineage with its fields by name; workflows are API documents."""
    return {each.name: _plain(getattr(lineage, each.name)) for each in fields(lineage)}


def _plain(value: Any) -> Any:
    """The value of a field; the classes nest as deep as they are written, values of a workflow are left alone."""
    if isinstance(value, Workflow):
        return workflow_to_api(value)
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
