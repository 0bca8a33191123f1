"""Random documents of nested subgraphs, reroutes, muted and bypassed nodes against a plain model of their meaning.

The model follows links by recursion through copies of the definitions, one instance at a time, with none of the
memos, scopes and limits of the real conversion. All slots have one type, so that a bypassed node passes its input
of the same number on.
"""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.workflow.properties import THOROUGH
from tests.workflow.ui_documents import (
    converted,
    definition,
    definitions,
    document,
    everything,
    node,
    subgraph,
    with_subgraphs,
)

STEP = definitions(definition("Step", ("T", "T"), a="T", b="T", n="INT"))
IDS = [f"00000000-0000-0000-0000-00000000000{level}" for level in range(4)]
MODES = st.sampled_from([0, 0, 0, 0, 2, 4])
# a source as (node or boundary, output), None for no link
Source = tuple[int, int] | None


@dataclass
class Item:
    """A node of a random graph: what feeds its inputs, and for an instance which definition it stands for."""

    kind: str
    mode: int
    sources: list[Source]
    level: int = -1
    value: int | None = None


@dataclass
class Sketch:
    """A random graph with two inputs (unless it is the document itself) and two outputs."""

    items: list[Item] = field(default_factory=list)
    outputs: list[Source] = field(default_factory=list)


@st.composite
def sketches(draw: st.DrawFn, level: int) -> Sketch:
    """A graph whose nodes read only earlier ones, with instances of definitions of lower levels."""
    sketch = Sketch()
    kinds = ["Step", "Step", "Reroute"] + (["instance"] * 3 if level > 0 else [])
    origins: list[Source] = [None] if level == len(IDS) else [None, (-1, 0), (-1, 1)]
    for at in range(draw(st.integers(2, 4))):
        kind = draw(st.sampled_from(kinds))
        sources = [draw(st.sampled_from(origins)) for _ in range(1 if kind == "Reroute" else 2)]
        sketch.items.append(
            Item(
                kind,
                draw(MODES) if kind != "Reroute" else 0,
                sources,
                draw(st.sampled_from([level - 1, level - 1, 0])) if kind == "instance" else -1,
                draw(st.none() | st.integers(100, 105)),
            )
        )
        origins += [(at, 0)] if kind == "Reroute" else [(at, 0), (at, 1)]
    sketch.outputs = [draw(st.sampled_from(origins)) for _ in range(2)]
    return sketch


@st.composite
def families(draw: st.DrawFn) -> list[Sketch]:
    """Definitions of growing level; the last is the document itself."""
    return [draw(sketches(level)) for level in range(len(IDS) + 1)]


def graph_of(sketch: Sketch) -> tuple[list[dict[str, Any]], list[tuple[Any, ...]]]:
    """Nodes (ids from 1) and links of a sketch, as a document has them."""
    nodes: list[dict[str, Any]] = []
    links: list[tuple[Any, ...]] = []

    def link(source: Source, target: int, slot: int) -> int | None:
        if source is None:
            return None
        origin = -10 if source[0] == -1 else source[0] + 1
        links.append((len(links) + 1, origin, source[1], target, slot, "T"))
        return len(links)

    for at, item in enumerate(sketch.items):
        slots = [link(source, at + 1, slot) for slot, source in enumerate(item.sources)]
        # "n" of a Step is its widget; that of an instance is the input that feeds the widgets inside
        if item.kind == "Reroute":
            nodes.append(node(at + 1, "Reroute", inputs=[("", "T", slots[0])], outputs=["T"]))
        else:
            fed = (
                link((-1, 2), at + 1, 2) if item.value is None and sketch.outputs and item.kind == "Step" else None
            )
            inputs = [("a", "T", slots[0]), ("b", "T", slots[1]), ("n", "INT", fed, "widget")]
            kind = "Step" if item.kind == "Step" else IDS[item.level]
            values = [at + 1 if item.value is None and item.kind == "Step" else item.value]
            nodes.append(node(at + 1, kind, inputs=inputs, outputs=["T", "T"], values=values, mode=item.mode))
    for slot, source in enumerate(sketch.outputs):
        link(source, -20, slot)
    return nodes, links


def drawn(family: list[Sketch]) -> dict[str, Any]:
    """The document of a family."""
    *inner, root = [graph_of(sketch) for sketch in family]
    nodes, links = root
    at_home = [row for row in links if row[1] != -10 and row[3] != -20]
    for each in nodes:
        for slot in each["inputs"]:
            if slot["link"] not in {row[0] for row in at_home}:
                slot["link"] = None
    defined = [
        subgraph(id_, *graph, inputs=["a", "b", "n"], outputs=["T", "T"])
        for id_, graph in zip(IDS, inner, strict=True)
    ]
    return with_subgraphs(document(nodes, at_home), *defined)


@dataclass
class Model:
    """What a family means: by recursion, each instance for itself."""

    family: list[Sketch]

    def nodes(
        self, sketch: Sketch, prefix: str, around: "tuple[Model, Sketch, str, Item, Any] | None"
    ) -> dict[str, Any]:
        """The inputs of all nodes that run in a graph and inside of it."""
        found: dict[str, Any] = {}
        for at, item in enumerate(sketch.items):
            key = f"{prefix}{at + 1}"
            if item.mode or item.kind == "Reroute":
                continue
            if item.kind == "instance":
                inside = self.family[item.level]
                found |= self.nodes(inside, f"{key}:", (self, sketch, prefix, item, around))
                continue
            inputs: dict[str, Any] = {"n": at + 1 if item.value is None else item.value}
            if item.value is None and around is not None:
                inputs["n"] = self.told(self.family.index(sketch), around[3])
            for name, source in zip("ab", item.sources, strict=True):
                given = self.source(sketch, prefix, around, source)
                if given is not None:
                    inputs[name] = given
            found[key] = inputs
        return found

    def told(self, level: int, instance: Item) -> int:
        """The value that an instance gives its inside: its own, else that of the first widget there."""
        if instance.value is not None:
            return instance.value
        return next(
            at + 1
            for at, item in enumerate(self.family[level].items)
            if item.kind == "Step" and item.value is None
        )

    def source(
        self, sketch: Sketch, prefix: str, around: "tuple[Model, Sketch, str, Item, Any] | None", source: Source
    ) -> list[Any] | None:
        """Where a link really begins."""
        if source is None:
            return None
        at, output = source
        if at == -1:
            if around is None:
                return None
            _, outer, outer_prefix, instance, further = around
            return self.source(outer, outer_prefix, further, instance.sources[output])
        item = sketch.items[at]
        if item.kind == "Reroute":
            return self.source(sketch, prefix, around, item.sources[0])
        if item.mode == 2:
            return None
        if item.mode == 4:
            return self.source(sketch, prefix, around, item.sources[output])
        if item.kind == "instance":
            inside = self.family[item.level]
            inner_prefix = f"{prefix}{at + 1}:"
            return self.source(inside, inner_prefix, (self, sketch, prefix, item, around), inside.outputs[output])
        return [f"{prefix}{at + 1}", output]


@THOROUGH
@given(families())
def test_conversion_agrees_with_a_plain_recursive_model(family: list[Sketch]) -> None:
    conversion = converted(drawn(family), STEP)
    assert conversion.problems == ()
    assert everything(conversion) == Model(family).nodes(family[-1], "", None)
