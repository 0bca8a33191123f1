"""A lineage as an in-toto statement with a SLSA provenance predicate.

In-toto Statement v1 (https://in-toto.io/Statement/v1) and SLSA provenance v1 (https://slsa.dev/provenance/v1). The
output is the subject, the workflow and what it was given are external parameters, and models, input files, packs,
packages and the lock are resolved dependencies, each with the run that it belongs to.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from graphengine.lineage.parts import Licence, Lineage, Making, PackPart
from graphengine.workflow.api_format import workflow_to_api

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
#: What kind of build it is: a run of a workflow by graphengine; says how the parameters are to be read.
BUILD_TYPE = "urn:graphengine:workflow-run:v1"
_ENGINE = "graphengine-comfy"

# Any throughout: JSON that is written, in the shape of the two specifications.
Json = dict[str, Any]


def statement(lineages: Sequence[Lineage]) -> Json:
    """The statement about one output, or about several of the same run.

    Raises:
        ValueError: there is no output, or they are of different runs.
    """
    first = lineages[0].makings[0] if lineages and lineages[0].makings else None
    if first is None or any(each.makings[0].run != first.run for each in lineages):
        raise ValueError("a statement is about outputs of one run")
    makings = _unique(making for each in lineages for making in each.makings)
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": each.subject.name, "digest": {"sha256": each.subject.recorded or each.subject.sha256}}
            for each in lineages
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": _external(first, lineages),
                "internalParameters": _internal(makings, lineages),
                "resolvedDependencies": list(_dependencies(makings)),
            },
            "runDetails": _run_details(first),
        },
    }


def _unique(makings: Iterator[Making]) -> list[Making]:
    """Each run's part of it once per output."""
    return list({(each.run, each.output, each.node_id): each for each in makings}.values())


def _external(making: Making, lineages: Sequence[Lineage]) -> Json:
    nodes = {
        key: node
        for each in lineages
        for key, node in workflow_to_api(each.makings[0].workflow).items()
    }  # fmt: skip
    return {
        "workflow": nodes,
        "file": making.file,
        "targets": [each.makings[0].node_id for each in lineages if each.makings[0].node_id is not None],
        "seeds": dict(making.seeds),
        "parameters": dict(making.parameters),
    }


def _internal(makings: Sequence[Making], lineages: Sequence[Lineage]) -> Json:
    first = makings[0]
    machine = first.machine
    return {
        "environment": dict(first.environment),
        "device": machine.device if machine is not None else None,
        "platform": machine.platform if machine is not None else None,
        "replayOf": first.replay_of,
        "notes": [note for each in lineages for note in each.notes],
        "earlierRuns": [
            {
                "run": each.run,
                "output": each.output,
                "workflow": workflow_to_api(each.workflow),
                "seeds": dict(each.seeds),
                "parameters": dict(each.parameters),
            }
            for each in makings
            if each.run != first.run
        ],
    }


def _run_details(making: Making) -> Json:
    machine = making.machine
    details: Json = {"builder": {"id": f"pkg:pypi/{_ENGINE}"}, "metadata": {}}
    if machine is not None:
        versions = {"graphengine": machine.graphengine, "python": machine.python}
        versions |= {"torch": machine.torch} if machine.torch is not None else {}
        details["builder"] = {"id": package_url(_ENGINE, machine.graphengine), "version": versions}
    if making.run is not None:
        details["metadata"]["invocationId"] = making.run
    if making.started is not None:
        details["metadata"]["startedOn"] = timestamp(making.started)
        details["metadata"]["finishedOn"] = timestamp(making.started + (making.seconds or 0.0))
    return details


def timestamp(seconds: float) -> str:
    """A time since 1970 as RFC 3339 has it, in UTC: `2026-11-22T20:51:03Z`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def package_url(name: str, version: str | None) -> str:
    """The package URL of a Python package: `pkg:pypi/torch@2.6.0`."""
    at = f"@{quote(version, safe='.-_~')}" if version else ""
    return f"pkg:pypi/{quote(name.lower().replace('_', '-'), safe='.-_~')}{at}"


def _dependencies(makings: Sequence[Making]) -> Iterator[Json]:
    """Resource descriptors; the same thing in two runs stands twice, each with its run."""
    for making in makings:
        run: Json = {"run": making.run} if making.run is not None else {}
        for model in making.models:
            about: Json = {**run, "kind": model.kind, "inputs": list(model.inputs), "state": model.state}
            about |= {"bytes": model.bytes} if model.bytes is not None else {}
            yield _resource(f"{model.kind}/{model.name}", model.sha256, about | _licence(model.licence))
        for file in making.inputs:
            about = {**run, "kind": "input", "inputs": list(file.inputs), "state": file.state}
            about |= {"madeByRun": file.made_by} if file.made_by is not None else {}
            yield _resource(f"input/{file.name}", file.sha256, about)
        for pack in making.packs:
            yield _pack(pack, run)
        for package in making.packages:
            about = {**run, "kind": "python package", "why": package.why} | _licence(package.licence)
            yield {"name": package.name, "uri": package_url(package.name, package.version), "annotations": about}
        if making.lock is not None:
            yield _resource("graphengine.lock", making.lock, {**run, "kind": "lock"})
        if making.git is not None:
            about = {**run, "kind": "repository", "isClean": making.git.is_clean}
            yield {"name": "project", "digest": {"gitCommit": making.git.commit}, "annotations": about}


def _resource(name: str, sha256: str | None, about: Json) -> Json:
    """A descriptor, which must have a digest, an address or content: what has no digest has an address by name."""
    known: Json = (
        {"digest": {"sha256": sha256}} if sha256 is not None else {"uri": f"urn:graphengine:{quote(name)}"}
    )
    return {"name": name, **known, "annotations": about}


def _pack(pack: PackPart, run: Json) -> Json:
    digest: Json = {"gitCommit": pack.commit} if pack.commit else {}
    if pack.code:  # shorter hashes are no SHA-256, and must not be called so
        digest["sha256" if len(pack.code) == 64 else "graphengineCode"] = pack.code
    address = pack.source if pack.source and "://" in pack.source else f"urn:graphengine:pack:{quote(pack.name)}"
    about: Json = {**run, "kind": "node pack", "version": pack.version, "nodes": list(pack.class_types)}
    known: Json = {"digest": digest} if digest else {}
    return {"name": pack.name, "uri": address, **known, "annotations": about | _licence(pack.licence)}


def _licence(licence: Licence | None) -> Json:
    return {} if licence is None else {"licence": licence.text, "licenceFrom": licence.where}
