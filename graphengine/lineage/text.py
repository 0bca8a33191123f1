"""A lineage as text: the output, the run, its graph as a tree, then models, inputs, packs and packages by name."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from graphengine.lineage.parts import Licence, Lineage, Making, PackPart, UsedInput, UsedModel
from graphengine.provenance.history.past_run import Machine
from graphengine.workflow.json_text import one_line
from graphengine.workflow.models import Link, NodeId, Workflow

_LONGEST = 160  # characters of a value
_DEEPEST = 24  # levels that are indented


def text_lines(lineage: Lineage) -> Iterator[str]:
    """The lineage as lines without their ends."""
    subject = lineage.subject
    yield subject.name
    size = f", {subject.bytes:,} bytes" if subject.bytes is not None else ""
    yield f"  sha256 {subject.sha256}{size}, {subject.state}"
    for note in lineage.notes:
        yield f"  note: {note}"
    for making in lineage.makings:
        yield ""
        yield from _making(making, subject.name)


def _making(making: Making, subject: str) -> Iterator[str]:
    what = making.output or subject
    if making.run is None:
        yield f"{what}, as it says itself"
    else:
        yield f"{what}, made by run {making.run}"
        yield from (f"  {line}" for line in _facts(making))
    yield "  graph:"
    yield from (f"    {line}" for line in tree_lines(making))
    sections = (
        ("models", [_model(each) for each in making.models]),
        ("input files", [_input(each) for each in making.inputs]),
        ("packs", [_pack(each) for each in making.packs]),
        ("packages", [_named(f"{p.name} {p.version or '(version not recorded)'}", p.licence, p.why)
                      for p in making.packages]),
    )  # fmt: skip
    for name, lines in sections:
        if lines:
            yield f"  {name}:"
            yield from (f"    {line}" for line in lines)


def _facts(making: Making) -> Iterator[str]:
    if making.started is not None:
        moment = datetime.fromtimestamp(making.started, UTC)
        took = f", {making.seconds:.1f} s" if making.seconds is not None else ""
        yield f"when: {moment:%Y-%m-%d %H:%M:%S} UTC{took}"
    if not making.is_new:
        yield "the file was there already: an earlier run had written it, and its node came from the cache"
    if making.replay_of is not None:
        yield f"repeats run {making.replay_of}"
    yield f"workflow: {making.file or 'of no file'}, sha256 {making.workflow_digest}"
    if making.git is not None:
        state = "all files as committed" if making.git.is_clean else "with changes that were not committed"
        yield f"git: commit {making.git.commit}{_on(making.git.branch)}, {state}"
    if making.lock is not None:
        yield f"lock: sha256 {making.lock}"
    if making.machine is not None:
        yield f"engine: {_machine(making.machine)}"
    yield from _values("seeds", making.seeds)
    yield from _values("set for this run", making.parameters)
    yield from _values("computed with", making.environment)


def _on(branch: str | None) -> str:
    return f" on {branch}" if branch else ""


def _machine(machine: Machine) -> str:
    parts = [f"graphengine {machine.graphengine}", f"Python {machine.python}"]
    parts += [f"torch {machine.torch}"] if machine.torch is not None else []
    return ", ".join([*parts, f"device {machine.device}", machine.platform])


# Values are literals of a record: JSON.
def _values(name: str, values: Mapping[str, object]) -> Iterator[str]:
    if values:
        shown = (
            f"{place} = {value if isinstance(value, str) else _short(value)}" for place, value in values.items()
        )
        yield f"{name}: {', '.join(shown)}"


def _short(value: object) -> str:
    text = one_line(value)  # type: ignore[arg-type]  # JSON
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def tree_lines(making: Making) -> Iterator[str]:
    """The graph from the node that saved the output to what it reads; a node that is read twice stands once."""
    workflow = making.workflow
    read = {link.source for node in workflow.nodes.values() for link in node.inputs.values() if type(link) is Link}
    roots = [making.node_id] if making.node_id is not None else [key for key in workflow.nodes if key not in read]
    told: set[NodeId] = set()
    stack = [(key, "", 0) for key in reversed(roots)]
    while stack:
        key, name, depth = stack.pop()
        indent = "  " * min(depth, _DEEPEST)
        before = f"{indent}{name} ← " if name else indent
        if key not in workflow.nodes:
            yield f"{before}{key}, which is not there"
            continue
        yield f"{before}{_node(key, workflow)}{' (above)' if key in told else ''}"
        if key in told:
            continue
        told.add(key)
        inputs = workflow.nodes[key].inputs.items()
        yield from (
            f"{indent}  {given}: {_short(value)}" for given, value in inputs if not isinstance(value, Link)
        )
        links = [(link.source, given, depth + 1) for given, link in inputs if isinstance(link, Link)]
        stack.extend(reversed(links))


def _node(key: NodeId, workflow: Workflow) -> str:
    node = workflow.nodes[key]
    return f"{key} {node.class_type}" + (
        f" {node.title!r}" if node.title and node.title != node.class_type else ""
    )


def licence_text(licence: Licence | None) -> str:
    """A licence and who says so."""
    return "licence not known" if licence is None else f"{licence.text} ({licence.where})"


def _named(text: str, licence: Licence | None, why: str = "") -> str:
    return ", ".join(part for part in (text, licence_text(licence), why) if part)


def _model(model: UsedModel) -> str:
    size = f"{model.bytes:,} bytes" if model.bytes is not None else "size not known"
    digest = f"sha256 {model.sha256}" if model.sha256 else "digest not known"
    at = f"for {', '.join(model.inputs)}"
    return f"{model.kind}/{model.name}: {digest}, {size}, {licence_text(model.licence)}, {model.state}, {at}"


def _input(file: UsedInput) -> str:
    digest = f"sha256 {file.sha256}" if file.sha256 else "digest not known"
    made = f", made by run {file.made_by}" if file.made_by else ""
    return f"{file.name}: {digest}, {file.state}, for {', '.join(file.inputs)}{made}"


def _pack(pack: PackPart) -> str:
    version = f" {pack.version}" if pack.version else ""
    parts = [f"{pack.name}{version}"]
    parts += [f"code {pack.code}"] if pack.code else []
    parts += [f"commit {pack.commit}"] if pack.commit else []
    parts += [f"from {pack.source}"] if pack.source else []
    nodes = f"for {', '.join(pack.class_types)}" if pack.class_types else ""
    return _named(", ".join(parts), pack.licence, nodes)
