"""Node definitions on disk, per pack: what a pack's nodes take and give is known without importing it.

A record is a text of lines: a digest of all that follows, what holds for the pack, then one line of JSON per node,
so that only the nodes of a workflow are read. It counts only for the source it was made from (and this format and
Python): of another one, or a damaged one, nothing is used. A definition that JSON cannot hold is left to imports.
"""

import json
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from graphengine.node.definition import InputSpec, NodeDefinition, OutputSpec
from graphengine.node.files import FileNames, Files
from graphengine.node.types import compares_itself
from graphengine.packs.code import CodeOfPack, LazyTexts
from graphengine.packs.discover import Pack
from graphengine.packs.load import LoadedPack
from graphengine.packs.records import Records, record_name
from graphengine.packs.requirements import OURS, installed_versions, package_version
from graphengine.packs.source import PackSource, forget_removed

logger = logging.getLogger(__name__)

#: Raise it when the form of a record, or what a definition holds, changes.
FORMAT = 1

_Spec = TypeVar("_Spec", InputSpec, OutputSpec)
_NOT_INDEXED = frozenset({"load", "code", "packages"})
_ANY_PROBES = ("", "*", "INT", "IMAGE,MASK", "a type that no node has")
_MOST_VALUES = 100_000


class Fitting(str):
    """A type that is unlike no other, as the "any" types of packs are."""

    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__
    __eq__ = str.__eq__


@dataclass(frozen=True, slots=True)
class NodeCode:
    """Where a node's code is: the number of a group of files, and data files."""

    group: int
    data: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PackRecord:
    """What holds for a pack. `nodes` are in the order of their lines; `unread` are those only an import tells."""

    form: str
    version: str
    nodes: dict[str, NodeCode] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    models: str | None = None
    packages: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()

    def tells(self, class_types: Iterable[str]) -> bool:
        """Whether importing the pack would tell nothing more about these node types, as far as it is known."""
        return not set(self.unread).intersection(class_types)


_RECORD = TypeAdapter(PackRecord)


@dataclass(frozen=True)
class IndexedPack:
    """A pack as its record has it. `load` gives the class of a node type when it is called."""

    pack: Pack
    record: PackRecord
    code: CodeOfPack
    lines: tuple[bytes, ...]

    @property
    def models(self) -> Path | None:
        """The folder of models that it ships."""
        return None if self.record.models is None else Path(self.record.models)

    @cached_property
    def packages(self) -> Mapping[str, str]:
        """The versions of the packages that it is built on, as installed now."""
        return LazyTexts(lambda: installed_versions(self.record.packages))

    def definition(self, class_type: str, load: Callable[[], type[Any]]) -> NodeDefinition | None:
        """The definition of a node type, or None when there is none that can be read."""
        node = self.record.nodes.get(class_type)
        if node is None:
            return None
        line = self.lines[list(self.record.nodes).index(class_type)]
        try:
            read = _definitions().validate_json(line)
        except ValidationError as error:
            logger.warning("the index of pack %r is damaged at %r: %s", self.pack.name, class_type, _first(error))
            return None
        files = self.code.source.files
        return replace(
            read,
            inputs={name: _with_own_type(spec) for name, spec in read.inputs.items()},
            outputs=tuple(_with_own_type(output) for output in read.outputs),
            further_output=None if read.further_output is None else _with_own_type(read.further_output),
            code={
                **{file: files[file] for file in self.record.groups[node.group]},
                **self.code.data_of(node.data),
            },
            packages=self.packages,
            load=load,
        )


class PackIndex:
    """Keeps and finds the records of packs."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def read(self, pack: Pack, source: PackSource) -> IndexedPack | None:
        """The record of a pack if it was made from this source, or None."""
        content = self._records.read(_name(pack, source)) if source.files else None
        return None if content is None else self._parsed(pack, source, content)

    def accept(self, pack: Pack, source: PackSource, content: bytes) -> IndexedPack | None:
        """Keep a record that another process made with `record_content`; None when it is not of this source."""
        known = self._parsed(pack, source, content)
        if known is not None:
            self._records.write(_name(pack, source), content)
        return known

    def _parsed(self, pack: Pack, source: PackSource, content: bytes) -> IndexedPack | None:
        digest, _, rest = content.partition(b"\n")
        if digest.decode("ascii", "replace") != sha256(rest).hexdigest():
            logger.warning("the index of pack %r is damaged; it is made anew when the pack is imported", pack.name)
            return None
        head, *lines = rest.split(b"\n")
        try:
            record = _RECORD.validate_json(head)
        except ValidationError as error:  # written by another version
            logger.debug("the index of pack %r is of another form: %s", pack.name, _first(error))
            return None
        if (record.form, record.version) != (_form_of(pack), source.version):
            return None
        complete = len(lines) == len(record.nodes) and all(
            node.group < len(record.groups) for node in record.nodes.values()
        )
        known = all(file in source.files for group in record.groups for file in group)
        return IndexedPack(pack, record, CodeOfPack(source, ()), tuple(lines)) if complete and known else None

    def write(self, loaded: LoadedPack) -> None:
        """Keep the record of a pack that was imported, if it is made of files."""
        source = loaded.code.source
        if not source.files:
            return
        self._records.write(_name(loaded.pack, source), record_content(loaded))
        forget_removed(self._records)


def record_content(loaded: LoadedPack) -> bytes:
    """The record of a pack that was imported."""
    lines: dict[str, bytes] = {}
    unread: list[str] = []
    for definition in loaded.definitions:
        line = _line(definition)
        if line is None:
            unread.append(definition.class_type)
        else:
            lines[definition.class_type] = line
    groups: dict[tuple[str, ...], int] = {}
    nodes: dict[str, NodeCode] = {}
    for class_type in lines:
        node_class = loaded.classes[class_type]
        group = tuple(sorted(loaded.code.files_of(node_class)))
        nodes[class_type] = NodeCode(groups.setdefault(group, len(groups)), loaded.code.data_files(node_class))
    record = PackRecord(
        _form_of(loaded.pack),
        loaded.code.source.version,
        nodes,
        (*unread, *(problem.class_type for problem in loaded.problems if problem.class_type is not None)),
        None if loaded.models is None else str(loaded.models.absolute()),
        loaded.packages,
        tuple(groups),
    )
    rest = b"\n".join([_RECORD.dump_json(record), *lines.values()])
    return sha256(rest).hexdigest().encode() + b"\n" + rest


def _form_of(pack: Pack) -> str:
    return _form(with_stand_ins=pack.path is not None)  # installed packs import none


def _name(pack: Pack, source: PackSource) -> str:
    return record_name(source.root, f"{pack.module}.index")


@cache
def _form(*, with_stand_ins: bool) -> str:
    """What else decides what a record says: its format, Python, our version, a definition's fields, stand-ins."""
    names = [f.name for kind in (NodeDefinition, InputSpec, OutputSpec, Files) for f in fields(kind)]
    return " ".join(
        [
            str(FORMAT),
            f"{sys.version_info.major}.{sys.version_info.minor}",
            *(installed_versions([OURS]).values() if with_stand_ins else [package_version(OURS)]),
            *names,
        ]
    )


@cache
def _definitions() -> TypeAdapter[NodeDefinition]:
    # Made when the first definition is read: it takes milliseconds.
    return TypeAdapter(NodeDefinition)


def _line(definition: NodeDefinition) -> bytes | None:
    """The definition as a line of JSON, or None when JSON cannot hold it."""
    plain = {f.name: getattr(definition, f.name) for f in fields(definition) if f.name not in _NOT_INDEXED}
    try:
        return json.dumps(plain, default=_as_json, ensure_ascii=True).encode()
    except (TypeError, ValueError, RecursionError) as error:
        logger.debug("node type %r is not indexed: %s", definition.class_type, error)
        return None


def _as_json(value: object) -> object:
    """The parts of a definition as JSON has them.

    Raises:
        TypeError: there is no such form.
    """
    match value:
        case InputSpec():
            _require_plain(value.options)
            choices = value.choices
            if isinstance(choices, Files):
                choices_json: object = {f.name: getattr(choices, f.name) for f in fields(choices)}
            else:
                _require_plain(choices)
                choices_json = choices
            own = _own_type(value.own_type)
            return {**_fields(value), "choices": choices_json, "options": dict(value.options), "own_type": own}
        case OutputSpec():
            _require_plain(value.tooltip)
            return {**_fields(value), "own_type": _own_type(value.own_type)}
        case Mapping():
            return dict(value)
        case frozenset():
            return sorted(value)
    raise TypeError(f"there is no JSON for {type(value).__name__}")


def _fields(value: InputSpec | OutputSpec) -> dict[str, object]:
    return {f.name: getattr(value, f.name) for f in fields(value)}


def _require_plain(value: object) -> None:
    """Raises TypeError when a value is more than JSON can tell: another type, a list that stands for files."""
    waiting, count = [value], 0
    while waiting:
        item = waiting.pop()
        count += 1
        if count > _MOST_VALUES:
            raise TypeError("it has too many values")
        if isinstance(item, Mapping):
            if not all(type(name) is str for name in item):
                raise TypeError("a name is no text")
            waiting.extend(item.values())
        elif isinstance(item, list | tuple) and not isinstance(item, FileNames):
            waiting.extend(item)
        elif not (item is None or isinstance(item, bool | int | float | str)) or _is_own(item):
            raise TypeError(f"there is no JSON for {type(item).__name__}")


def _is_own(item: object) -> bool:
    return isinstance(item, str) and compares_itself(item)


def _own_type(type_: str | None) -> str | None:
    """The text of a type that fits all.

    Raises:
        TypeError: its comparison can only be asked.
    """
    if type_ is None:
        return None
    try:
        fits_all = not any(type_ != probe for probe in _ANY_PROBES)
    except Exception as error:
        raise TypeError("a type compares in a way of its own") from error
    if not fits_all:
        raise TypeError("a type compares in a way of its own")
    return str.__str__(type_)


def _with_own_type(spec: _Spec) -> _Spec:
    return spec if spec.own_type is None else replace(spec, own_type=Fitting(spec.own_type))


def _first(error: ValidationError) -> str:
    return str(error.errors(include_url=False)[0]["msg"])
