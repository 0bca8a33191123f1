"""How the parts of a node's key differ between two runs, each part by its name.

`class`, `code:PATH`, `package:NAME`, `device`, `input:NAME` (a literal), `link:NAME` (where it comes from),
`file:NAME` and `path:NAME` (the bytes of the file that an input names, by its choice or its path),
`embedding:NAME` (the bytes of an embedding that a text names), `embeddings` (of all), `IS_CHANGED`, `node_id`,
`always` (why it runs every time), `deterministic`, `float32_precision`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from pydantic import JsonValue

from graphengine.provenance.record import Snapshot
from graphengine.workflow.models import Link, NodeId

_LONG = 200  # characters of a literal, beyond which its hash stands for it


@dataclass(frozen=True, slots=True)
class Change:
    """One part of a key, before and now; None when it was not there. A link is `[node id, output]`."""

    part: str
    old: JsonValue
    new: JsonValue


def named_parts(snapshot: Snapshot, node_id: str) -> dict[str, str]:
    """All parts of a node's key by name, as short texts."""
    node, record = snapshot.nodes[NodeId(node_id)], snapshot.record
    parts = {"class": node.class_type}
    kind = snapshot.class_of(node_id)
    if kind is not None:
        code = record.codes[kind.code] if kind.code < len(record.codes) else {}
        parts |= {f"code:{path}": digest for path, digest in code.items()} or {"code": kind.version}
        parts |= record.environments[kind.environment] if kind.environment < len(record.environments) else {}
    for name, value in snapshot.shown_inputs(node_id).items():
        if type(value) is Link:
            parts[f"link:{name}"] = f"node {value.source}, output {value.output}"
        else:
            parts[f"input:{name}"] = _short(value)  # type: ignore[arg-type]  # no link: JSON
    paths = record.paths.get(node_id, {})
    for name, fact in record.facts.get(node_id, {}).items():
        path = paths.get(name.partition(":")[2]) if name.startswith(("file:", "path:")) else None
        if not name.startswith("link:"):
            parts[name] = f"{path} {fact}" if path else str(fact)
    return parts


def _short(value: JsonValue) -> str:
    text = _canonical(value)
    return text if len(text) <= _LONG else f"sha256:{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=repr)


@dataclass(slots=True)
class Comparison:
    """Compares nodes of two snapshots; what many nodes share is compared once."""

    now: Snapshot
    then: Snapshot
    _classes: dict[str, tuple[Change, ...]] = field(default_factory=dict)

    def changes(self, node_id: NodeId) -> list[Change]:
        """What differs in the node's own parts; what it reads is compared by where it comes from."""
        new, old = self.now.nodes[node_id], self.then.nodes[node_id]
        if new.class_type != old.class_type:
            return [Change("class", old.class_type, new.class_type)]
        inputs = list(self._inputs(node_id))
        changed = {change.part.partition(":")[2] for change in inputs}
        facts = [change for change in self._facts(node_id) if change.part.partition(":")[2] not in changed]
        return [*inputs, *facts, *self._shared(new.class_type)]

    def _inputs(self, node_id: NodeId) -> Iterator[Change]:
        new, old = self.now.shown_inputs(node_id), self.then.shown_inputs(node_id)
        for name in {**old, **new}:
            is_there, was_there = name in new, name in old
            value, before = new.get(name), old.get(name)
            if type(value) is Link and type(before) is Link:
                if not self._same_source(value, before):
                    yield Change(f"link:{name}", [before.source, before.output], [value.source, value.output])
            elif is_there != was_there or not same_value(value, before):
                kind = "link" if Link in (type(value), type(before)) else "input"
                yield Change(f"{kind}:{name}", _written(before), _written(value))

    def _same_source(self, link: Link, before: Link) -> bool:
        """Whether two links lead to the same node, or to nodes with the same key."""
        if link.output != before.output:
            return False
        key = self.now.key(link.source)
        return link.source == before.source or (key is not None and key == self.then.key(before.source))

    def _facts(self, node_id: NodeId) -> Iterator[Change]:
        new, old = self.now.record.facts.get(node_id, {}), self.then.record.facts.get(node_id, {})
        for name in {**old, **new}:
            if not name.startswith("link:") and new.get(name) != old.get(name):
                yield Change(name, old.get(name), new.get(name))

    def _shared(self, class_type: str) -> tuple[Change, ...]:
        if class_type not in self._classes:
            self._classes[class_type] = tuple(self._of_class(class_type))
        return self._classes[class_type]

    def _of_class(self, class_type: str) -> Iterator[Change]:
        new, old = self.now.record.classes.get(class_type), self.then.record.classes.get(class_type)
        if new is None or old is None:
            return
        if new.version != old.version:
            paths = list(
                _differences("code:", _at(self.then.record.codes, old.code), _at(self.now.record.codes, new.code))
            )
            yield from paths or [Change("code", old.version, new.version)]
        yield from _differences(
            "",
            _at(self.then.record.environments, old.environment),
            _at(self.now.record.environments, new.environment),
        )


def _at(texts: list[dict[str, str]], index: int) -> Mapping[str, str]:
    return texts[index] if 0 <= index < len(texts) else {}


def _differences(prefix: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in {**old, **new}:
        if old.get(name) != new.get(name):
            yield Change(f"{prefix}{name}", old.get(name), new.get(name))


def _written(value: object) -> JsonValue:
    return [value.source, value.output] if isinstance(value, Link) else value  # type: ignore[return-value]  # JSON


def same_value(one: object, other: object) -> bool:
    """Whether two literals are the same to a key: `True`, `1` and `1.0` differ."""
    if type(one) is not type(other):
        return False
    if type(one) in (dict, list, float):
        return _canonical(one) == _canonical(other)
    return one == other
