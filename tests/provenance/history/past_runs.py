"""Past runs as tests need them."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

from graphengine.provenance.history.documents import document_bytes
from graphengine.provenance.history.past_run import Machine, OutputFile, PastNode, PastRun

DOCUMENT = {"1": {"class_type": "Number", "inputs": {"value": 5}}, "2": {"class_type": "Save", "inputs": {}}}
CONTENT = document_bytes(DOCUMENT)
WORKFLOW = sha256(CONTENT).hexdigest()
_RUN = PastRun(
    id="20261122-205101000-00000a",
    started=1_795_380_661.0,
    seconds=1.5,
    status="success",
    workflow=WORKFLOW,
    machine=Machine("0.1.0", "3.11.7", "linux-x86_64", "cpu", "2.13.0"),
    file="flow.json",
    nodes={"1": PastNode("Number", "aa", "executed", 0.5, ("11",)), "2": PastNode("Save", "bb", "executed", 1.0)},
)


def past_run(number: int = 1, **changes: Any) -> PastRun:
    """A run whose id and time follow from its number."""
    return replace(_RUN, id=f"20261122-205101{number:03d}-{number:06x}", started=_RUN.started + number, **changes)


def output(text: str, path: str = "output/1.txt", node_id: str = "2") -> OutputFile:
    """A saved file that holds this text."""
    return OutputFile(node_id, path, sha256(text.encode()).hexdigest(), len(text))
