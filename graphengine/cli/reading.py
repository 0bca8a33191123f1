"""Reading a workflow for a command, with the node packs that it names."""

from pathlib import Path
from typing import TYPE_CHECKING

from graphengine.cli.console import complain, problem_lines

if TYPE_CHECKING:
    from graphengine.engine import Engine
    from graphengine.workflow.formats import Conversion


def read_workflow(engine: "Engine", file: Path, *, load_packs: bool) -> "Conversion":
    """The workflow in the file; with `load_packs` after the custom packs that it names are imported.

    A document of the editor can be converted only with the definitions of its nodes, so it is read again when
    packs brought some. What is wrong with a pack is written to stderr.

    Raises:
        WorkflowFormatError: the file is no workflow that can be read.
    """
    conversion = engine.read(file)
    if not load_packs:
        return conversion
    known = len(engine.registry)
    for line in problem_lines(engine.load_packs({node.class_type for node in conversion.workflow.nodes.values()})):
        complain(line)
    return engine.read(file) if len(engine.registry) > known else conversion
