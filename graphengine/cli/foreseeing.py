"""What `plan` and `explain` share: reading the file, and what is known of its past and its next run."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.compute_options import FastOption
from graphengine.cli.console import complain, problem_lines
from graphengine.cli.draw import Drawing
from graphengine.cli.files import write_whole
from graphengine.cli.options import LoadPacksOption, OutputOption, open_engine
from graphengine.cli.overrides import apply_changes, find_node, read_changes, seed_changes
from graphengine.cli.reading import FromOption, read_workflow
from graphengine.cli.run import SeedOption, SetOption, TargetOption
from graphengine.cli.run_settings import ProjectPlaces
from graphengine.cli.trust_options import TrustOption
from graphengine.errors import SettingsError, ValidationFailed, node_label
from graphengine.settings import load_settings
from graphengine.workflow.models import Link, NodeId, Workflow

if TYPE_CHECKING:
    from graphengine.engine import Engine
    from graphengine.foresight import Foresight

GraphOption = Annotated[
    Path | None,
    typer.Option("--graph", metavar="PATH", help="Also draw it: .svg in colours, .mmd or .dot."),
]


@dataclass(frozen=True, slots=True)
class Asked(ProjectPlaces):
    """The run that is asked about: the options that `run` would be given."""

    output: OutputOption = None
    changes: SetOption = None
    seed: SeedOption = None
    targets: TargetOption = None
    wanted: FromOption = None
    fast: FastOption = False
    trust: TrustOption = None
    load_packs: LoadPacksOption = False

    def engine(self, file: Path) -> "Engine":
        """The engine as `run` would open it."""
        settings = load_settings(
            base_dir=self.base_dir,
            input=self.input,
            output=self.output,
            models=self.models or (),
            custom_nodes=self.custom_nodes or (),
            cache=self.cache,
            device=self.device,
            fast=self.fast,
            workflow=file,
            environ=os.environ,
        )
        return open_engine(settings.trusting(self.trust or ()))

    def workflow(self, engine: "Engine", file: Path) -> Workflow:
        """The workflow in the file with the changes made; warnings go to stderr.

        Raises:
            ValidationFailed: the document cannot be converted.
            SettingsError: a change names what is not there.
        """
        conversion = read_workflow(engine, file, load_packs=self.load_packs, wanted=self.wanted)
        if any(problem.severity == "error" for problem in conversion.problems):
            raise ValidationFailed(conversion.problems)
        for line in problem_lines(conversion.problems):
            complain(line)
        workflow = conversion.workflow
        planned = seed_changes(self.seed, workflow) if self.seed is not None else []
        planned += read_changes(self.changes or [], workflow, engine.registry)
        for change in planned:
            if isinstance(change.replaced, Link):
                place = f"{node_label(change.node_id, change.class_type)}: input {change.input_name!r}"
                complain(f"warning: {place} was linked to node {change.replaced.source}; --set replaces it")
        return apply_changes(workflow, planned)

    def foresee(self, engine: "Engine", workflow: Workflow, file: Path) -> "Foresight":
        """What a run would do.

        Raises:
            ValidationFailed: the workflow has errors.
        """
        goals = [find_node(name, workflow) for name in self.targets] if self.targets else None
        try:
            return engine.foresee(workflow, goals, record_as=file, ask=self.load_packs)
        except ValidationFailed as failed:
            if self.load_packs or not any(problem.code == "unknown_node" for problem in failed.problems):
                raise
            raise ValidationFailed(engine.validate(workflow, goals)) from failed


def draw(
    path: Path, title: str, workflow: Workflow, engine: "Engine", foresight: "Foresight", notes: dict[str, str]
) -> None:
    """Write a picture of the nodes of the plan, coloured by what becomes of them, with a note in each box.

    Raises:
        SettingsError: the suffix says nothing.
    """
    from graphengine.graph.picture import make_picture  # brings networkx (0.2 s), which help does not need
    from graphengine.graph.picture_svg import to_svg
    from graphengine.graph.picture_text import to_dot, to_mermaid

    try:
        drawing = Drawing(path.suffix.lower().removeprefix("."))
    except ValueError:
        raise SettingsError(
            f"cannot tell from {path.name!r} what to draw", hint="end it with .svg, .mmd or .dot"
        ) from None
    shown = {node_id: node for node_id, node in workflow.nodes.items() if node_id in foresight.of}
    picture = make_picture(replace(workflow, nodes=shown), engine.registry)
    boxes = {
        key: replace(
            box,
            mark=foresight.of[key].fate,
            values=((foresight.of[key].fate, notes.get(key, "")), *box.values),
        )
        for key, box in picture.boxes.items()
    }
    writer = {Drawing.SVG: to_svg, Drawing.MERMAID: to_mermaid, Drawing.DOT: to_dot}[drawing]
    write_whole(path, writer(replace(picture, boxes=boxes), title))
    complain(f"wrote {path}")


#: Why a node runs or does not; `{of}` is another node.
_WHY = {
    "kept": "its result is kept",
    "same content": "what it reads is as before, so its result is kept",
    "equal": "node {of} is equal, and one of them runs",
    "no result": "no result is kept for it",
    "always": "it always runs",
    "cut off": "cut off if node {of} gives the same",
    "lazy": "only if node {of} asks for it",
    "unneeded": "only cached nodes read it",
}


def fate_text(node_id: NodeId, foresight: "Foresight") -> str:
    """Why a node runs or does not, in words."""
    foreseen = foresight.of[node_id]
    match foreseen.why:
        case "read":
            return (
                f"loaded for node {foreseen.of}" if foreseen.fate == "runs" else f"only if node {foreseen.of} runs"
            )
        case "asks":
            whose = "its IS_CHANGED" if foreseen.of == node_id else f"IS_CHANGED of node {foreseen.of}"
            return f"{whose} was not asked"
        case why:
            return _WHY[why].format(of=foreseen.of)
