"""Writes a recording: the values, their manifest, golden outputs, and the test that replays them.

    FOLDER/test_recorded_NAME.py            the test
    FOLDER/NAME/                            inputs, recipe and `recording.json`
    FOLDER/golden/test_recorded_NAME/       outputs, which `golden` compares

Folders are put together under another name first, and the test is written last. A test that somebody has edited is
left alone with all that belongs to it: the new one gets another name.
"""

import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from graphengine.errors import GraphEngineError, Problem
from graphengine.node.definition import NodeDefinition
from graphengine.node.folders import Folders
from graphengine.testing.recorded_capture import Captured
from graphengine.testing.recorded_files import copy_files
from graphengine.testing.recorded_inputs import RECIPE, InputWriter
from graphengine.testing.recorded_manifest import (
    MANIFEST,
    Manifest,
    RecordingUnusable,
    read_manifest,
    write_whole,
)
from graphengine.testing.recorded_outputs import OutputWriter, Tolerances
from graphengine.testing.recorded_recipe import is_secret, secret_texts, upstream
from graphengine.testing.recorded_source import TestText
from graphengine.workflow.models import NodeId, Workflow, WorkflowNode

_LONGEST_NAME = 80
_LONGEST_STEM = 30


@dataclass(frozen=True, slots=True)
class Subject:
    """The node that is recorded, and where it stands. `source` is the name of the workflow's file."""

    node_id: NodeId
    definition: NodeDefinition
    workflow: Workflow
    definitions: Mapping[str, NodeDefinition]
    folders: Folders
    source: str
    device: str
    version: str
    limit: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording that was written: its test, how many files with how many bytes, and what is not in it.

    `edited` is the test that was there and was left alone.
    """

    node_id: NodeId
    class_type: str
    test: Path
    files: int
    bytes: int
    problems: tuple[Problem, ...] = ()
    edited: Path | None = None


def write_recording(folder: Path, subject: Subject, captured: Captured) -> Recorded:
    """Write what a node was given and gave, and the test that replays it.

    Raises:
        GraphEngineError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".recording_", dir=folder) as place:
            return _written(folder, Path(place), subject, captured)
    except OSError as error:
        raise GraphEngineError(
            f"the recording cannot be written to {str(folder)!r}: {error.strerror or error}",
            hint="give another folder with --record-to",
        ) from error


def _written(folder: Path, place: Path, subject: Subject, captured: Captured) -> Recorded:
    node_id, definition = subject.node_id, subject.definition
    secrets = secret_texts(subject.workflow, subject.definitions) | _secret_values(definition, captured)
    data, golden = place / "data", place / "golden"
    data.mkdir()
    inputs = InputWriter(
        node_id, definition, subject.workflow, subject.definitions, subject.folders, data, secrets
    )
    arguments = inputs.write(captured)
    outputs = OutputWriter(node_id, definition, golden, Tolerances.of_device(subject.device), secrets)
    outputs.write(captured)
    nodes = _nodes_with_files(subject, captured, inputs.made_by)
    files, problems = copy_files(data, nodes, subject.definitions, subject.folders, subject.limit, node_id)
    name, edited = _free_name(folder, subject)
    manifest = Manifest(
        class_type=definition.class_type,
        node_id=node_id,
        workflow=subject.source,
        recorded=datetime.now(UTC).strftime("%Y-%m-%d"),
        graphengine=subject.version,
        inputs=inputs.inputs,
        recipe=RECIPE if inputs.made_by else None,
        files=files,
    )
    about = f"What node {node_id} ({definition.class_type}) of {subject.source} gave on {manifest.recorded}."
    needs_recording = bool(manifest.inputs or files)
    source = str(TestText(about, name, definition.class_type, arguments, outputs.checks, needs_recording)).encode()
    manifest = manifest.model_copy(update={"test_sha256": sha256(source).hexdigest()})
    write_whole(data / MANIFEST, manifest.model_dump_json(indent=1).encode() + b"\n")
    sizes = [_shared(file).stat().st_size for file in place.rglob("*") if file.is_file()]
    _move(data, folder / name)
    _move(golden, folder / "golden" / f"test_recorded_{name}")
    test = folder / f"test_recorded_{name}.py"
    write_whole(test, source)
    told = (*inputs.problems, *outputs.problems, *problems)
    return Recorded(node_id, definition.class_type, test, len(sizes) + 1, sum(sizes) + len(source), told, edited)


def _shared(file: Path) -> Path:
    """The file, readable for all who may read the folder: temporary files are their owner's alone."""
    file.chmod(0o644)
    return file


def _secret_values(definition: NodeDefinition, captured: Captured) -> frozenset[str]:
    """The texts that the node's own secret inputs were given."""
    given = ((name, kept) for name, kept in captured.inputs.items() if kept.encoded is not None)
    kept = [value for name, value in given if is_secret(name, definition.inputs.get(name))]
    texts = (item for value in kept for item in value.items())
    return frozenset(text for text in texts if isinstance(text, str) and len(text) > 1)


def _nodes_with_files(
    subject: Subject, captured: Captured, made_by: Collection[NodeId]
) -> dict[NodeId, WorkflowNode]:
    """The nodes whose literals may name files: the recorded one with what it was given, and those of recipes."""
    kept = {name: value.items() for name, value in captured.inputs.items() if isinstance(value.encoded, str)}
    texts = {name: items[0] for name, items in kept.items() if len(items) == 1 and isinstance(items[0], str)}
    node = WorkflowNode(subject.definition.class_type, texts)
    return {subject.node_id: node, **upstream(subject.workflow, made_by).nodes}


# Names


def _free_name(folder: Path, subject: Subject) -> tuple[str, Path | None]:
    """The name of the recording, and a test of that node that somebody has edited, if there is one."""
    # with the workflow: pytest wants other names for tests of other folders
    words = (Path(subject.source).stem[:_LONGEST_STEM], subject.definition.class_type, subject.node_id)
    slug = re.sub(r"[^a-z0-9]+", "_", "_".join(words).lower())[:_LONGEST_NAME].strip("_") or "node"
    edited: Path | None = None
    for name in _numbered(slug):
        test = folder / f"test_recorded_{name}.py"
        if not test.exists() and not (folder / name).exists():
            return name, edited
        known = _manifest(folder / name)
        if known is None or not _is_same(known, subject):
            continue
        if not test.exists() or sha256(test.read_bytes()).hexdigest() == known.test_sha256:
            return name, edited
        edited = edited or test
    raise AssertionError("there is no end of numbers")


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{number}" for number in count(2))


def _manifest(folder: Path) -> Manifest | None:
    with suppress(RecordingUnusable):
        return read_manifest(folder)
    return None


def _is_same(manifest: Manifest, subject: Subject) -> bool:
    told = (manifest.class_type, manifest.node_id, manifest.workflow)
    return told == (subject.definition.class_type, subject.node_id, subject.source)


def _move(source: Path, target: Path) -> None:
    """Put a folder in the place of another; without a source that is only removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(target)
    if source.exists():
        os.replace(source, target)
