"""The difference of two workflows as a page: both graphs side by side, and the list of changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from graphengine.cli.report_diff import Compared, text_lines
from graphengine.graph.xml_text import escaped
from graphengine.node.definition import NodeDefinition
from graphengine.workflow.difference.changes import compare
from graphengine.workflow.difference.sheets import sheets_of_workflow
from graphengine.workflow.models import Workflow

_STYLE = (
    "body{font:14px Helvetica,Arial,sans-serif;margin:16px;color:#1d2129}"
    ".s{display:flex;gap:12px}.s>div{flex:1;overflow:auto;max-height:75vh;border:1px solid #c3c8d0}"
    "pre{background:#f5f6f8;padding:10px;overflow:auto;white-space:pre-wrap}"
    ".a{color:#2c7a2c}.r{color:#b3261e}.c{color:#a05a00}"
)
_CLASSES = {"+": "a", "-": "r", "~": "c"}


@dataclass(frozen=True, slots=True)
class Shown:
    """A comparison, and both workflows as they run; None for one that cannot be converted."""

    compared: Compared
    old: Workflow | None
    new: Workflow | None


def html_page(shown: Iterable[Shown], definitions: Mapping[str, NodeDefinition]) -> str:
    """A page that stands alone: no scripts, nothing loaded. Changed nodes are coloured."""
    parts = [
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Differences of workflows</title>'
        f"<style>{_STYLE}</style></head><body>"
    ]
    for each in shown:
        lines = list(text_lines(each.compared))
        parts.append(f"<h2>{escaped(lines[0][1])}</h2>")
        rows = (
            f'<span class="{_CLASSES.get(sign, "")}">{sign} {escaped(text)}</span>' for sign, text in lines[1:]
        )
        parts.append("<pre>" + "\n".join(rows) + "</pre>")
        parts.append(_pictures(each, definitions))
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _pictures(shown: Shown, definitions: Mapping[str, NodeDefinition]) -> str:
    # the picture brings networkx (0.2 s), which a comparison as text does not need
    from graphengine.graph.picture import make_picture
    from graphengine.graph.picture_svg import to_svg

    old, new = shown.old or Workflow({}), shown.new or Workflow({})
    found = compare(sheets_of_workflow(old), sheets_of_workflow(new), titles_may_lack=True)
    before, after = dict[str, str](), dict[str, str]()
    for graph in found.graphs:
        for change in graph.nodes:
            if change.old is not None:
                before[change.old.id] = "removed" if change.new is None else "changed"
            if change.new is not None:
                after[change.new.id] = "added" if change.old is None else "changed"
    drawn = []
    for workflow, marks, title in ((old, before, shown.compared.old), (new, after, shown.compared.new)):
        picture = make_picture(workflow, definitions)
        boxes = {key: replace(box, mark=marks.get(str(key), "")) for key, box in picture.boxes.items()}
        drawn.append(f"<div>{to_svg(replace(picture, boxes=boxes), title)}</div>")
    return f'<div class="s">{"".join(drawn)}</div>'
