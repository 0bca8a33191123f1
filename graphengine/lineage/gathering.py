"""From a run in the history of a project to all that went into one of its outputs, through runs that came before.

An input file is matched by its bytes: when they are those of an output of an earlier run, that run belongs to the
lineage as well, and so on. Files are hashed as they are now and held against what was recorded.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import file_digest
from pathlib import Path

from graphengine.errors import GraphEngineError
from graphengine.graph.links import needed_nodes
from graphengine.lineage.hiding import open_values, without_secrets
from graphengine.lineage.licences import licence_of_model, model_metadata
from graphengine.lineage.parts import FileState, Lineage, Making, Subject, UsedInput, UsedModel
from graphengine.lineage.surroundings import Surroundings, used_packages, used_packs
from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import OutputFile, PastRun, UsedFile
from graphengine.workflow.api_format import api_to_workflow, parse_api
from graphengine.workflow.models import NodeId, Workflow

#: Most runs that one lineage goes back.
MOST_RUNS = 200
_INPUT = "input"


def sha256_of(file: Path) -> str:
    """The SHA-256 (hex) of a file.

    Raises:
        GraphEngineError: it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            return file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise GraphEngineError(f"{file}: cannot be read: {reason}", hint="name a file that is there") from error


def lineage_of_output(history: History, run: PastRun, output: OutputFile, here: Surroundings) -> Lineage:
    """What went into an output of a run, the file of which may be gone by now."""
    state, size = file_state(here.path(output.path), output.sha256)
    subject = Subject(output.path, output.sha256, state, size or output.bytes, output.sha256)
    if state == "changed":
        subject = replace(subject, sha256=sha256_of(here.path(output.path)))
    makings, notes = _chain(history, run, output, here)
    return Lineage(subject, makings, (*_warning(subject, run), *notes))


def lineage_of_run(history: History, run: PastRun, here: Surroundings) -> list[Lineage]:
    """What went into each output of a run.

    Raises:
        GraphEngineError: it saved no file.
    """
    if not run.outputs:
        raise GraphEngineError(
            f"run {run.id} saved no file", hint="graphengine log lists runs and what they saved"
        )
    return [lineage_of_output(history, run, output, here) for output in run.outputs]


def _warning(subject: Subject, run: PastRun) -> Iterator[str]:
    if subject.state == "changed":
        yield (
            f"{subject.name} was changed after it was made: run {run.id} recorded sha256 {subject.recorded}, "
            f"now it is {subject.sha256}"
        )
    if subject.state == "absent":
        yield f"{subject.name} is not there any more; its digest is the one that run {run.id} recorded"


def _chain(
    history: History, first: PastRun, output: OutputFile, here: Surroundings
) -> tuple[tuple[Making, ...], tuple[str, ...]]:
    """The run that made an output, then those that made its inputs, each output once."""
    waiting: list[tuple[PastRun, OutputFile]] = [(first, output)]
    entered = {(first.id, output.sha256)}
    makings: list[Making] = []
    notes: list[str] = []
    while waiting:
        if len(makings) == MOST_RUNS:
            notes.append(f"the lineage goes back further than {MOST_RUNS} runs; the rest is left out")
            break
        run, made = waiting.pop(0)
        making, files = _making(history, run, made, here, notes)
        inputs = []
        for used, file in files:
            earlier = _maker(history, used.sha256, run)
            inputs.append(replace(file, made_by=earlier[0].id if earlier else None))
            if earlier is not None and (key := (earlier[0].id, used.sha256)) not in entered:
                entered.add(key)
                waiting.append(earlier)
        makings.append(replace(making, inputs=tuple(inputs)))
    return tuple(makings), tuple(notes)


def _maker(history: History, sha256: str, reader: PastRun) -> tuple[PastRun, OutputFile] | None:
    """The last run that wrote a file of these bytes before another read it, and the output."""
    found: tuple[PastRun, OutputFile] | None = None
    for run in history.of_output(sha256):
        if run.id == reader.id or run.started >= reader.started:
            continue
        output = next(each for each in run.outputs if each.sha256 == sha256)
        if output.is_new:
            return run, output
        found = found or (run, output)
    return found


def _making(
    history: History, run: PastRun, output: OutputFile, here: Surroundings, notes: list[str]
) -> tuple[Making, list[tuple[UsedFile, UsedInput]]]:
    """The part of a run that leads to an output, and its input files."""
    try:
        whole = api_to_workflow(parse_api(history.document(run.workflow)))
    except GraphEngineError as error:
        notes.append(f"the workflow of run {run.id} is not known: {error.message}")
        whole = Workflow({})
    saved = node_of(output.node_id, whole)
    if saved is None and whole.nodes:
        notes.append(f"run {run.id}: its workflow has no node {output.node_id}, so all of it is shown")
    part = upstream(without_secrets(whole, here.definitions), whole.nodes if saved is None else [saved])
    files = [file for file in run.files if saved is None or node_of(file.node_id, part) is not None]
    packs = used_packs(run, (node.class_type for node in part.nodes.values()), here)
    making = Making(
        part,
        node_id=saved,
        run=run.id,
        started=run.started,
        seconds=run.seconds,
        file=run.file,
        workflow_digest=run.workflow,
        lock=run.lock,
        git=run.git,
        machine=run.machine,
        output=output.path,
        output_sha256=output.sha256,
        is_new=output.is_new,
        replay_of=run.replay_of,
        seeds={place: seed for place, seed in run.seeds.items() if is_of(place, part)},
        parameters=open_values({place: value for place, value in run.parameters.items() if is_of(place, part)}),
        environment={name: text for name, text in run.environment.items() if not name.startswith("package:")},
        models=tuple(_models([file for file in files if file.kind != _INPUT], here)),
        packs=packs,
        packages=used_packages(run, packs, here),
    )
    return making, [(group[0], _input(group, here)) for group in _grouped(f for f in files if f.kind == _INPUT)]


def upstream(workflow: Workflow, targets: Iterable[NodeId]) -> Workflow:
    """The part of a workflow that targets need, in the order of the workflow."""
    needed = needed_nodes(workflow, list(targets))
    return Workflow({key: node for key, node in workflow.nodes.items() if key in needed})


def node_of(node_id: str, workflow: Workflow) -> NodeId | None:
    """The node of an id, or the one that put it in its place while it ran (`5.0.2` is of node 5)."""
    while node_id:
        if node_id in workflow.nodes:
            return NodeId(node_id)
        node_id = node_id.rpartition(".")[0]
    return None


def is_of(place: str, workflow: Workflow) -> bool:
    """Whether "NODE.INPUT" names an input of a node of the workflow."""
    return node_of(place.rpartition(".")[0], workflow) is not None


def _grouped(files: Iterable[UsedFile]) -> list[list[UsedFile]]:
    """Uses of one file together."""
    found: dict[tuple[str, str], list[UsedFile]] = {}
    for file in files:
        found.setdefault((file.path, file.sha256), []).append(file)
    return list(found.values())


def _models(files: Iterable[UsedFile], here: Surroundings) -> Iterator[UsedModel]:
    for group in _grouped(files):
        file = group[0]
        path = here.path(file.path)
        state, size = file_state(path, file.sha256)
        licence = licence_of_model(model_metadata(path)) if state == "as recorded" else None
        inputs = tuple(f"{each.node_id}.{each.input}" for each in group)
        yield UsedModel(file.kind, file.name, file.path, file.sha256, inputs, state, size, licence)


def _input(group: list[UsedFile], here: Surroundings) -> UsedInput:
    file = group[0]
    state, size = file_state(here.path(file.path), file.sha256)
    inputs = tuple(f"{each.node_id}.{each.input}" for each in group)
    return UsedInput(file.name, file.path, file.sha256, inputs, state, size)


def file_state(path: Path, recorded: str) -> tuple[FileState, int | None]:
    """How a file stands to its recorded digest, and its size in bytes where it is as recorded."""
    try:
        if not path.is_file():
            return "absent", None
        if sha256_of(path) != recorded:
            return "changed", None
        return "as recorded", os.stat(path).st_size
    except (OSError, ValueError, GraphEngineError):
        return "absent", None
