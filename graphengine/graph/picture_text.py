"""Pictures as text for other programs to lay out: Mermaid and Graphviz."""

from collections.abc import Iterator

from graphengine.graph.colours import ERROR, WARNING, colour_of
from graphengine.graph.picture import Box, Picture


def to_mermaid(picture: Picture, title: str = "") -> str:
    """A Mermaid flowchart; wires bear their type, boxes with problems their messages."""
    return "\n".join([*(["---", f"title: {_quoted(title)}", "---"] if title else []), *_mermaid(picture)]) + "\n"


def _mermaid(picture: Picture) -> Iterator[str]:
    yield "flowchart LR"
    names = {key: f"n{index}" for index, key in enumerate(picture.boxes)}
    for key, box in picture.boxes.items():
        yield f'    {names[key]}["{"<br/>".join(_entities(line) for line in _lines(box))}"]'
    for wire in picture.wires:
        yield f'    {names[wire.source]} -->|"{_entities(wire.type)}"| {names[wire.target]}'
    for type_ in picture.types:
        numbers = ",".join(str(index) for index, wire in enumerate(picture.wires) if wire.type == type_)
        yield f"    linkStyle {numbers} stroke:{colour_of(type_)}"
    for style, severity, colour in (("error", "error", ERROR), ("warning", "warning", WARNING)):
        marked = [names[key] for key, box in picture.boxes.items() if box.severity == severity]
        if marked:
            yield f"    classDef {style} stroke:{colour},stroke-width:3px"
            yield f"    class {','.join(marked)} {style}"


def to_dot(picture: Picture, title: str = "") -> str:
    """A Graphviz digraph."""
    return "\n".join(_dot(picture, title)) + "\n"


def _dot(picture: Picture, title: str) -> Iterator[str]:
    yield "digraph workflow {"
    yield f"    graph [rankdir=LR, label={_quoted(title)}, labelloc=t, fontname=Helvetica]"
    yield '    node [shape=box, style="rounded", fontname=Helvetica, fontsize=11]'
    yield "    edge [fontname=Helvetica, fontsize=9]"
    names = {key: f"n{index}" for index, key in enumerate(picture.boxes)}
    for key, box in picture.boxes.items():
        severity = box.severity
        mark = f', color="{ERROR if severity == "error" else WARNING}", penwidth=2' if severity else ""
        yield f"    {names[key]} [label={_quoted(chr(10).join(_lines(box)))}{mark}]"
    for wire in picture.wires:
        style = f'label={_quoted(wire.type)}, color="{colour_of(wire.type)}"'
        yield f"    {names[wire.source]} -> {names[wire.target]} [{style}]"
    yield "}"


def _lines(box: Box) -> list[str]:
    """The title, the class and id, and a line for each problem."""
    place = f"{box.class_type} · {box.key}" if box.title != box.class_type else box.key
    return [box.title, place, *(f"{problem.severity}: {problem.message}" for problem in box.problems)]


def _entities(text: str) -> str:
    """The text with everything that Mermaid or HTML reads as code written as a character number."""
    return "".join(each if each.isalnum() or each in " .,:·-_'…" else f"#{ord(each)};" for each in text)


def _quoted(text: str) -> str:
    """The text in double quotes, as both languages read it; control characters become U+FFFD."""
    shown = "".join(each if each == "\n" or each.isprintable() else "\ufffd" for each in text)
    escaped = shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
