"""From what a user names, a picture or a run, to its lineage: by its bytes, by what it carries, by its path."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from graphengine.errors import GraphEngineError, SettingsError
from graphengine.lineage.carried import carried_making
from graphengine.lineage.gathering import lineage_of_output, lineage_of_run, sha256_of
from graphengine.lineage.parts import Lineage, Making, Subject
from graphengine.lineage.surroundings import Surroundings
from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import OutputFile, PastRun

#: The name of the text in which a picture carries the id of the run that made it, as `{"run": ID}`.
CARRIED = "graphengine"
_LONGEST = 4096  # characters of that text


def find_lineages(what: str, history: History, here: Surroundings) -> list[Lineage]:
    """The lineage of a file, or of each output of the run of an id.

    Raises:
        SettingsError: there is no such file and no such run.
        GraphEngineError: the file cannot be read, or the run saved nothing.
        WorkflowFormatError: no record knows the file, and it carries no workflow.
    """
    if Path(what).is_file():
        return [lineage_of_file(Path(what), history, here)]
    try:
        run = history.find(what)
    except SettingsError:
        if Path(what).suffix or "/" in what:
            raise SettingsError(
                f"{what}: there is no such file", hint="name a picture, or the id of a run"
            ) from None
        raise
    return lineage_of_run(history, run, here)


def lineage_of_file(file: Path, history: History, here: Surroundings) -> Lineage:
    """What went into a file: as its record says; where there is none, as the file itself says.

    Raises:
        GraphEngineError: it cannot be read.
        WorkflowFormatError: no record knows it, and it carries no workflow.
    """
    digest = sha256_of(file)
    for run in _makers(history, digest):
        output = _output(run, digest, history.name_of(file))
        found = lineage_of_output(history, run, output, here)
        subject = Subject(history.name_of(file), digest, "as recorded", file.stat().st_size, digest)
        notes = tuple(note for note in found.notes if not note.startswith(f"{output.path} "))
        return replace(found, subject=subject, notes=notes)
    return _changed(file, digest, history, here) or _unrecorded(file, digest, history, here)


def carried_run(file: Path) -> str | None:
    """The id of the run that a PNG, WebP or other picture says it was made by; anyone can write such a text."""
    from PIL import Image  # a tenth of a second to import, for files alone that no record knows by their bytes

    try:
        with Image.open(file) as picture:
            text = picture.info.get(CARRIED) or _in_exif(picture.getexif().values())
            value = json.loads(text) if isinstance(text, str) and len(text) <= _LONGEST else None
    except (OSError, ValueError, SyntaxError, RecursionError, Image.DecompressionBombError):
        return None
    match value:
        case {"run": str(run_id)}:
            return run_id
        case _:
            return None


def _in_exif(values: Iterable[object]) -> str | None:
    """The text among EXIF values, where WebP pictures carry theirs: `graphengine:{"run": ID}`."""
    begin = f"{CARRIED}:"
    return next((text[len(begin) :] for text in values if isinstance(text, str) and text.startswith(begin)), None)


def _makers(history: History, digest: str) -> Iterator[PastRun]:
    """The runs that made a file of these bytes: those that wrote it before those that had it in the cache."""
    runs = history.of_output(digest)
    wrote = [run for run in runs if any(each.sha256 == digest and each.is_new for each in run.outputs)]
    yield from (*wrote, *(run for run in runs if run not in wrote))


def _output(run: PastRun, digest: str, name: str) -> OutputFile:
    """The output of these bytes, the one of this path before others."""
    same = [each for each in run.outputs if each.sha256 == digest]
    return next((each for each in same if each.path == name), same[0])


def _changed(file: Path, digest: str, history: History, here: Surroundings) -> Lineage | None:
    """The lineage of a file that a record knows by its path or by what it carries, but not by its bytes."""
    found = _claimed(file, history)
    if found is None:
        return None
    run, output = found
    lineage = lineage_of_output(history, run, output, here)
    name = history.name_of(file)
    subject = Subject(name, digest, "changed", file.stat().st_size, output.sha256)
    note = (
        f"{name} was changed after it was made, or is another file: its sha256 is {digest}, "
        f"run {run.id} recorded {output.sha256} for {output.path}"
    )
    others = tuple(note for note in lineage.notes if not note.startswith(f"{output.path} "))
    return replace(lineage, subject=subject, notes=(note, *others))


def _claimed(file: Path, history: History) -> tuple[PastRun, OutputFile] | None:
    """The run and output that a file stands for by what it carries, else by where it lies."""
    name = history.name_of(file)
    run_id = carried_run(file)
    if run_id is not None:
        run = _found(history, run_id)
        if run is not None and run.outputs:
            named = [each for each in run.outputs if Path(each.path).name == file.name]
            return run, (named or list(run.outputs))[0]
    for run in history.of_path(file):
        return run, next(each for each in run.outputs if each.path == name)
    return None


def _found(history: History, run_id: str) -> PastRun | None:
    try:
        run = history.find(run_id)
    except GraphEngineError:
        return None
    return run if run.id == run_id else None


def _unrecorded(file: Path, digest: str, history: History, here: Surroundings) -> Lineage:
    making, earlier, found = _with_makers(carried_making(file, here), history, here)
    subject = Subject(history.name_of(file), digest, "not recorded", file.stat().st_size)
    run_id = carried_run(file)
    if run_id is None:
        note = "no run of this project is recorded as its maker"
    else:
        note = f"it says that it was made by run {run_id}, which is not in the history of this project"
    notes = (f"{note}; what follows is what the file says, which anyone can write", *found)
    return Lineage(subject, (making, *earlier), notes)


def _with_makers(
    making: Making, history: History, here: Surroundings
) -> tuple[Making, tuple[Making, ...], tuple[str, ...]]:
    """The making with the recorded makers of its inputs, what these made, and notes on that."""
    earlier: dict[tuple[str | None, str | None], Making] = {}
    notes: dict[str, None] = {}
    inputs = []
    for each in making.inputs:
        run = next(_makers(history, each.sha256), None) if each.sha256 is not None else None
        inputs.append(each if run is None else replace(each, made_by=run.id))
        if run is not None and each.sha256 is not None:
            lineage = lineage_of_output(history, run, _output(run, each.sha256, each.path), here)
            earlier.update({(found.run, found.output): found for found in lineage.makings})
            notes.update(dict.fromkeys(lineage.notes))
    return replace(making, inputs=tuple(inputs)), tuple(earlier.values()), tuple(notes)
