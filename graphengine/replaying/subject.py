"""What is to be made again: a run of the history, or the run behind a picture, a video, a latent.

A picture is found by its bytes, else by the run that it says it was saved by, else by its path. One that no record
knows is made again from the documents that it carries itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from graphengine.errors import FileRefused, GraphEngineError, SettingsError, WorkflowFormatError
from graphengine.node.secrets import HIDDEN
from graphengine.provenance.history.documents import document_bytes
from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import PAST_RUN, OutputFile, PastRun
from graphengine.replaying.carried import OURS, PROMPT, as_json, ordered_like, run_in, texts_in
from graphengine.replaying.contents import kind_of_content
from graphengine.replaying.likeness import digest_of
from graphengine.workflow.api_format import api_to_workflow, parse_api, workflow_to_api
from graphengine.workflow.formats import load_workflow
from graphengine.workflow.json_input import parse_json
from graphengine.workflow.models import NodeId, Workflow
from graphengine.workflow.widgets import DefinitionLike

_DRAWN = "workflow"
_RECORD_ENDING = ".json"


@dataclass(frozen=True, slots=True)
class Original:
    """A file that is to be made again: as it is now at `path`, and `sha256` (hex) as it was recorded.

    `node_id` saved it as the `number`-th of its files; None where no record tells. `is_replaced` tells that
    another run has saved its own file at this path since.
    """

    path: Path
    sha256: str | None = None
    node_id: str | None = None
    number: int = 0
    is_replaced: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be made again. `workflow` runs for `targets`, and its files carry `extra` beside the prompt.

    `run` is the record, None for a file that only speaks for itself. `notes` say what is strange beforehand.
    With `strip_metadata` files carry nothing, as the originals do.
    """

    name: str
    workflow: Workflow
    files: tuple[Original, ...]
    targets: tuple[NodeId, ...] | None = None
    run: PastRun | None = None
    # Any: documents are open-ended JSON.
    extra: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    strip_metadata: bool = False

    @property
    def carried_id(self) -> str:
        """The id of a run that the files carry; empty where they carry none."""
        match self.extra.get(OURS):
            case {"run": str(run_id)}:
                return run_id
            case _:
                return self.run.id if self.run is not None else ""

    def secrets(self) -> list[tuple[NodeId, str]]:
        """The inputs, by node and name, whose values no record holds."""
        return [
            (node_id, name)
            for node_id, node in self.workflow.nodes.items()
            for name, value in node.inputs.items()
            if isinstance(value, str) and HIDDEN in value
        ]


def find_subject(what: str, history: History, definitions: Mapping[str, DefinitionLike]) -> Subject:
    """What a picture, the id of a run (or `@1`, the last), or a record in a file stands for.

    Raises:
        SettingsError: there is no such file and no such run.
        GraphEngineError: the document of the run is gone or damaged.
        WorkflowFormatError: no record knows the file, and it carries no workflow.
    """
    file = Path(what)
    if not file.is_file():
        return subject_of_run(_run(what, history), history, definitions)
    if file.suffix.lower() == _RECORD_ENDING and (recorded := _recorded(file)) is not None:
        return subject_of_run(recorded[0], history, definitions, recorded[1])
    return _subject_of_file(file, history, definitions)


def run_behind(what: str, history: History) -> PastRun | None:
    """The run that a picture, an id or a record stands for; None for a picture that no record knows.

    Raises:
        SettingsError: there is no such file and no such run.
        GraphEngineError: the file cannot be read.
    """
    file = Path(what)
    if not file.is_file():
        return _run(what, history)
    if file.suffix.lower() == _RECORD_ENDING and (recorded := _recorded(file)) is not None:
        return recorded[0]
    try:
        found = _recorded_output(file, digest_of(file), run_in(file), history)
    except OSError as error:
        raise FileRefused(f"cannot read {file}: {error.strerror}", hint="make it readable") from error
    return None if found is None else found[0]


def _run(what: str, history: History) -> PastRun:
    try:
        return history.find(what)
    except SettingsError:
        if "/" in what or Path(what).suffix:
            raise SettingsError(
                f"{what}: there is no such file", hint="name a picture, or the id of a run"
            ) from None
        raise


# Any: documents are open-ended JSON.
def _recorded(file: Path) -> tuple[PastRun, dict[str, Any]] | None:
    """The run in a JSON file, and documents beside it by name; None when it holds no run.

    Raises:
        WorkflowFormatError: the file holds a run that is damaged.
    """
    try:
        raw: Any = parse_json(file.read_bytes()).value
    except OSError as error:
        raise FileRefused(f"cannot read {file}: {error.strerror}", hint="make it readable") from error
    match raw:
        case {"run": {"id": str()} as run}:
            beside = raw
        case {"id": str(), "workflow": str(), "machine": dict()} as run:
            beside = {}
        case _:
            return None
    try:
        documents = {name: value for name, value in beside.items() if isinstance(value, dict)}
        return PAST_RUN.validate_python(run), documents
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise WorkflowFormatError(f"{file}: this is no record of a run: {place}: {first['msg']}") from error


# Any: as above.
def subject_of_run(
    run: PastRun,
    history: History,
    definitions: Mapping[str, DefinitionLike],
    beside: Mapping[str, Any] | None = None,
) -> Subject:
    """All that a run saved; `beside` are documents that come with the record, "document" and "drawn".

    Raises:
        GraphEngineError: its document is gone or damaged.
    """
    counts: dict[str, int] = {}
    files = []
    for output in run.outputs:
        number = counts.get(output.node_id, 0)
        counts[output.node_id] = number + 1
        path = history.project / output.path
        replaced = _is_of_another(path, output.sha256, history)
        files.append(Original(path, output.sha256, output.node_id, number, replaced))
    maker = _maker(run, history)
    as_made = run if maker.workflow != run.workflow else replace(run, drawn=maker.drawn)
    documents = _documents(as_made, history, beside or {})
    model = _as_saved(files) or _as_in_file(run, history, definitions)
    workflow, extra = _ordered(documents, model, maker.id)
    targets = tuple(NodeId(node_id) for node_id in run.targets if node_id in workflow.nodes)
    return Subject(run.id, workflow, tuple(files), targets or None, run, extra, (), _says_nothing(files))


def _is_of_another(path: Path, sha256: str, history: History) -> bool:
    """Whether another run of the history saved what is at a path now."""
    try:
        digest = digest_of(path)
    except OSError:
        return False
    return digest != sha256 and next(history.runs(output_sha256=digest, most=1), None) is not None


def _subject_of_file(file: Path, history: History, definitions: Mapping[str, DefinitionLike]) -> Subject:
    try:
        digest = digest_of(file)
        carried, said = as_json(texts_in(file)), run_in(file)
    except OSError as error:
        raise FileRefused(f"cannot read {file}: {error.strerror}", hint="make it readable") from error
    found = _recorded_output(file, digest, said, history)
    if found is not None:
        run, original = found
        is_whole = original.sha256 == digest
        model = carried if PROMPT in carried else _as_in_file(run, history, definitions)
        if not is_whole:  # what somebody has added to it is not made again
            model = {name: value for name, value in model.items() if name in (PROMPT, _DRAWN, OURS)}
        workflow, extra = _ordered(_documents(run, history, {}), model, run.id)
        saved_by = NodeId(original.node_id or "")
        targets = (saved_by,) if saved_by in workflow.nodes else None
        notes = () if is_whole else (_changed(file, digest, original, run),)
        return Subject(str(file), workflow, (original,), targets, run, extra, notes, _says_nothing([original]))
    if file.suffix.lower() == _RECORD_ENDING:
        raise SettingsError(
            f"{file} is neither a saved output nor a record of a run",
            hint="name a picture or a run; to run a workflow: graphengine run",
        )
    note = "no record of this project knows it: what it says of itself is all there is, which anyone can write"
    if said is not None:
        note = f"it says that run {said} saved it, which is not in the history; {note}"
    workflow = load_workflow(file, definitions).workflow
    extra = {name: value for name, value in carried.items() if name != PROMPT}
    return Subject(str(file), workflow, (Original(file),), extra=extra, notes=(note,))


def _changed(file: Path, digest: str, original: Original, run: PastRun) -> str:
    return (
        f"{file} is not as run {run.id} saved it: sha256 {digest[:16]}…, recorded {(original.sha256 or '')[:16]}…"
    )


def _recorded_output(
    file: Path, digest: str, said: str | None, history: History
) -> tuple[PastRun, Original] | None:
    """The run that saved a file, and which of its outputs the file is."""
    runs = history.of_output(digest)
    for run in sorted(
        runs, key=lambda run: not any(each.sha256 == digest and each.is_new for each in run.outputs)
    ):
        same = [each for each in run.outputs if each.sha256 == digest]
        return run, _original(file, run, _nearest(file, same, history))
    if said is not None and (known := _known_run(said, history)) is not None and known.outputs:
        return known, _original(file, known, _nearest(file, list(known.outputs), history))
    for run in history.of_path(file):
        return run, _original(file, run, _nearest(file, list(run.outputs), history))
    return None


def _known_run(run_id: str, history: History) -> PastRun | None:
    try:
        run = history.find(run_id)
    except SettingsError:
        return None
    return run if run.id == run_id else None


def _nearest(file: Path, outputs: list[OutputFile], history: History) -> OutputFile:
    """The output that a file most likely is: of the same path, else of the same name, else the same kind."""

    def distance(output: OutputFile) -> int:
        path = Path(output.path)
        return (
            0
            if output.path == history.name_of(file)
            else 1
            if path.name == file.name
            else 2 + (path.suffix != file.suffix)
        )

    return min(outputs, key=distance)


def _original(file: Path, run: PastRun, output: OutputFile) -> Original:
    of_node = [each for each in run.outputs if each.node_id == output.node_id]
    return Original(file, output.sha256, output.node_id, of_node.index(output))


def _maker(run: PastRun, history: History) -> PastRun:
    """The run whose id and documents the files of a run carry: the one that wrote them, if all were cached."""
    if any(output.is_new for output in run.outputs):
        return run
    for output in run.outputs[:1]:
        for other in history.of_output(output.sha256):
            if any(each.sha256 == output.sha256 and each.is_new for each in other.outputs):
                return other
    return run


# Any: documents are open-ended JSON.
def _documents(run: PastRun, history: History, beside: Mapping[str, Any]) -> dict[str, Any]:
    """The documents of a run by name, those that came with the record before the history's."""
    found = {PROMPT: _document(run.workflow, history, beside.get("document"))}
    if run.drawn is not None:
        found[_DRAWN] = _document(run.drawn, history, beside.get("drawn"))
    return found


def _document(digest: str, history: History, given: Any) -> dict[str, Any]:
    if given is None:
        return history.document(digest)
    if sha256(document_bytes(given)).hexdigest() != digest:
        raise GraphEngineError("the document beside the record is not the one that ran", hint="take the run's id")
    return dict(given)


# Any: as above.
def _ordered(
    documents: Mapping[str, Any], model: Mapping[str, Any], run_id: str
) -> tuple[Workflow, dict[str, Any]]:
    """The workflow, and what files carry beside it, in the order of the model, on which their bytes depend."""
    ordered = {name: ordered_like(value, model.get(name)) for name, value in documents.items()}
    ordered[OURS] = {"run": run_id}
    named = {name: value for name, value in model.items() if name not in ordered}
    extra = ordered_like({**named, **ordered}, model)
    workflow = api_to_workflow(parse_api(extra.pop(PROMPT)))
    return Workflow(workflow.nodes, extra.get(_DRAWN)), extra


# Any: as above.
def _as_saved(files: list[Original]) -> dict[str, Any]:
    """The documents in the first file that is as it was saved; nothing when there is none."""
    for original in files:
        try:
            if original.path.is_file() and digest_of(original.path) == original.sha256:
                texts = as_json(texts_in(original.path))
                if PROMPT in texts:
                    return texts
        except OSError:
            continue
    return {}


def _says_nothing(files: list[Original]) -> bool:
    """Whether the first file that is as it was saved is one that could say what made it, and does not."""
    for original in files:
        try:
            if original.path.is_file() and digest_of(original.path) == original.sha256:
                return kind_of_content(original.path) is not None and not texts_in(original.path)
        except OSError:
            continue
    return False


# Any: as above.
def _as_in_file(run: PastRun, history: History, definitions: Mapping[str, DefinitionLike]) -> dict[str, Any]:
    """The documents in the workflow file, which may say something else by now."""
    try:
        workflow = load_workflow(history.project / run.file, definitions).workflow if run.file else None
    except GraphEngineError:  # it is only looked at for the order of its keys
        workflow = None
    if workflow is None:
        return {}
    found: dict[str, Any] = {PROMPT: workflow_to_api(workflow)}
    return found if workflow.ui is None else {**found, _DRAWN: dict(workflow.ui)}
