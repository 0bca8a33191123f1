"""A workflow as lines of text, a line for each node and input, so that git can compare them line by line."""

from collections.abc import Iterator

from graphengine.workflow.api_format import api_to_workflow
from graphengine.workflow.canonical import id_order
from graphengine.workflow.difference.sheets import BOUNDARY, Sheet, Source, sheets_of_ui, sheets_of_workflow
from graphengine.workflow.documents import Document
from graphengine.workflow.json_text import one_line


def outline(document: Document) -> Iterator[str]:
    """What a document says; where things are drawn is left out. Values without a name are numbered."""
    if document.ui is not None:
        sheets = sheets_of_ui(document.ui, {})
    else:
        assert document.api is not None
        sheets = sheets_of_workflow(api_to_workflow(document.api))
    for key in sorted(sheets):
        yield from _sheet_lines(sheets[key], {each.key: each.name for each in sheets.values() if each.key})


def _sheet_lines(sheet: Sheet, names: dict[str, str]) -> Iterator[str]:
    if sheet.kind:
        yield f"{sheet.kind} {one_line(sheet.name)}"
    for key in sorted(sheet.nodes, key=id_order):
        node = sheet.nodes[key]
        title = f" {one_line(node.title)}" if node.title else ""
        state = f" ({node.state})" if node.state != "runs" else ""
        yield node.type if key in BOUNDARY else f"node {key} {names.get(node.type, node.type)}{title}{state}"
        for name, given in node.inputs.items():
            if isinstance(given, Source):
                yield f"  {name} = [{given.node}, {given.output}]"
            elif isinstance(given, str) and "\n" in given:
                yield f"  {name} ="
                yield from (f"    {line}" for line in given.splitlines())
            else:
                yield f"  {name} = {one_line(given)}"
