"""`recording.json`: what a recording holds, beside the values themselves."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graphengine.errors import GraphEngineError
from graphengine.whole_files import being_written

MANIFEST = "recording.json"
FORMAT: Literal[1] = 1
_LARGEST = 2**22

#: The name of a file in the folder of the recording; no name leads out of it.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}$")]


class RecordingUnusable(GraphEngineError):
    """A recording is missing or damaged, or was written by another version."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredInput(_Model):
    """Its items are in files: PNG, one per picture of a batch, or one file of `cache.encoding`.

    `as_items`: they came over a link that a literal could not stand for, so they are given over one again.
    """

    how: Literal["stored"] = "stored"
    files: tuple[FileName, ...]
    as_items: bool = False


class MadeInput(_Model):
    """Its items are made again: by an output of a node in the recipe, an API document in the same folder."""

    how: Literal["made"] = "made"
    node: str
    output: int = Field(ge=0)


class SecretInput(_Model):
    """It is a secret, which is read from an environment variable."""

    how: Literal["secret"] = "secret"
    variable: str = Field(pattern=r"^[A-Z0-9_]+$")


class MissingInput(_Model):
    """It could not be recorded."""

    how: Literal["missing"] = "missing"
    reason: str


class NeededFile(_Model):
    """A file that an input names. `file` is its copy in the recording; models are not copied.

    `own`: the recorded node itself names it, not its recipe.
    """

    kind: str
    name: str
    file: FileName | None = None
    own: bool = False


Input = Annotated[StoredInput | MadeInput | SecretInput | MissingInput, Field(discriminator="how")]


class Manifest(_Model):
    """What was recorded.

    `inputs` are those that do not stand in the test as literals, `recipe` the file of the document that makes
    some of them. `test_sha256` is that of the test file as it was written: another one has been edited.
    """

    format: Literal[1] = FORMAT
    class_type: str
    node_id: str
    workflow: str
    recorded: str
    graphengine: str
    inputs: dict[str, Input] = Field(default_factory=dict)
    recipe: FileName | None = None
    files: tuple[NeededFile, ...] = ()
    test_sha256: str = ""


def read_manifest(folder: Path) -> Manifest:
    """What the recording in a folder holds.

    Raises:
        RecordingUnusable: there is none, or it cannot be read.
    """
    file = folder / MANIFEST
    try:
        if file.stat().st_size > _LARGEST:
            raise ValueError("it is too large")
        return Manifest.model_validate_json(file.read_bytes())
    except FileNotFoundError as error:
        raise RecordingUnusable(
            f"there is no recording in {folder}",
            hint="commit the folder beside its test, or record the node again",
        ) from error
    except (OSError, ValueError, ValidationError) as error:
        raise RecordingUnusable(
            f"{file} cannot be read: {error}", hint="take it from version control, or record the node again"
        ) from error


def write_whole(file: Path, content: bytes) -> None:
    """Write a file; what was there is replaced when it is whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with being_written(file) as temporary:
        temporary.write_bytes(content)
