"""What went into an output, as values: the same for every format that it is written in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue

from graphengine.provenance.history.past_run import GitState, Machine
from graphengine.workflow.models import NodeId, Workflow

#: How a file stands to what is known of it: its bytes are those that were recorded; they are others; it is not
#: there to be looked at; or nothing was recorded of it.
FileState = Literal["as recorded", "changed", "absent", "not recorded"]


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence: an SPDX identifier or expression where `text` is one that is known, else what is said of it.

    `where` tells who says so: "pyproject.toml", "LICENSE", "modelspec.license".
    """

    text: str
    is_spdx: bool
    where: str


@dataclass(frozen=True, slots=True)
class Subject:
    """An output that is asked about. `sha256` (hex) is that of the file as it is now, or as recorded when absent.

    `recorded` is the digest that its run recorded, None when no record knows it.
    """

    name: str
    sha256: str
    state: FileState
    bytes: int | None = None
    recorded: str | None = None


@dataclass(frozen=True, slots=True)
class UsedModel:
    """A model file. `inputs` are the places that name it ("4.ckpt_name"), `bytes` is its size where it is here."""

    kind: str
    name: str
    path: str
    sha256: str | None
    inputs: tuple[str, ...]
    state: FileState
    bytes: int | None = None
    licence: Licence | None = None


@dataclass(frozen=True, slots=True)
class UsedInput:
    """An input file; `made_by` is the run whose output it is, None when no run is known to have made it."""

    name: str
    path: str
    sha256: str | None
    inputs: tuple[str, ...]
    state: FileState
    bytes: int | None = None
    made_by: str | None = None


@dataclass(frozen=True, slots=True)
class Package:
    """A Python package that counts: the version that ran, its licence as it is installed here.

    `why` tells what needs it. `version` is None when the run did not record it.
    """

    name: str
    version: str | None
    why: str
    licence: Licence | None = None


@dataclass(frozen=True, slots=True)
class PackPart:
    """A node pack: `code` is the hash of its code as cache keys know it (hex), `class_types` its nodes in use."""

    name: str
    version: str | None = None
    code: str | None = None
    source: str | None = None
    commit: str | None = None
    licence: Licence | None = None
    class_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Making:
    """One run, or what a picture says of the run that made it, as far as it leads to one output.

    `workflow` holds the node that saved the output and all upstream of it, without secrets. `run` is None where
    no record is there; then times, machine and digests are not known either. `workflow_digest` and `lock` are
    SHA-256 (hex). `seeds` and `parameters` are by "NODE.INPUT". `environment` are the settings of computing.
    """

    workflow: Workflow
    node_id: NodeId | None = None
    run: str | None = None
    started: float | None = None
    seconds: float | None = None
    file: str | None = None
    workflow_digest: str | None = None
    lock: str | None = None
    git: GitState | None = None
    machine: Machine | None = None
    output: str | None = None
    output_sha256: str | None = None
    is_new: bool = True
    replay_of: str | None = None
    seeds: Mapping[str, int] = field(default_factory=dict)
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    models: tuple[UsedModel, ...] = ()
    inputs: tuple[UsedInput, ...] = ()
    packs: tuple[PackPart, ...] = ()
    packages: tuple[Package, ...] = ()


@dataclass(frozen=True, slots=True)
class Lineage:
    """All that went into an output: the run that made it, then those that made its inputs, newest first.

    `notes` say what could not be told and why.
    """

    subject: Subject
    makings: tuple[Making, ...] = ()
    notes: tuple[str, ...] = ()
