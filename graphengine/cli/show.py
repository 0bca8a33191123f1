"""`graphengine show`: one run of a project's history."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import say, say_json, table
from graphengine.cli.history_runs import ProjectOption, named_run, open_history, workflow_of
from graphengine.cli.options import DebugOption, JsonOption, examples

if TYPE_CHECKING:
    from graphengine.provenance.history.history import History
    from graphengine.provenance.history.past_run import PastRun

EXAMPLES = examples(
    "graphengine show @1",
    "graphengine show 3f9c2a --json",
    "graphengine show output/img2img_00001_.png --document > flow.json",
)

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="An id or a part of it, @1 for the last run, @2 for the one before, or a saved file."
    ),
]
DocumentOption = Annotated[
    bool,
    typer.Option("--document", help="Write the workflow that ran, as JSON: the editor's, or the API document."),
]


def command(
    run: RunArgument,
    *,
    document: DocumentOption = False,
    base_dir: ProjectOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show a run: what was set, what it ran on and with, what each node took, and the files that it saved."""
    from graphengine.provenance.history.past_run import PAST_RUN  # models, which help does not need

    history = open_history(base_dir)
    found = named_run(history, run)
    if document:
        say_json(history.document(found.drawn or found.workflow))
    elif as_json:
        say_json(PAST_RUN.dump_python(found, mode="json"))
    else:
        for line in _lines(history, found):
            say(line)


def _lines(history: "History", run: "PastRun") -> Iterator[str]:
    yield f"run {run.id}"
    yield from table([(f"  {name}", text) for name, text in _facts(run)])
    yield from _section("set", [(name, _text(value)) for name, value in run.parameters.items()])
    yield from _section("seeds", [(name, str(seed)) for name, seed in run.seeds.items()])
    yield from _section("nodes", _nodes(history, run))
    yield from _section(
        "files read",
        [(f"{file.node_id}.{file.input}", file.kind, file.name, file.sha256[:12]) for file in run.files],
    )
    yield from _section(
        "packs", [(pack.name, pack.version or "", pack.commit or pack.sha256 or "") for pack in run.packs]
    )
    yield from _section(
        "outputs",
        [
            (
                file.node_id,
                file.path,
                f"{file.bytes:,} bytes",
                file.sha256[:12],
                "" if file.is_new else "from an earlier run",
            )
            for file in run.outputs
        ],
    )


def _facts(run: "PastRun") -> Iterator[tuple[str, str]]:
    from graphengine.provenance.history.words import counts, when

    machine, git = run.machine, run.git
    yield "started", when(run.started)
    yield "ended", f"{run.status} after {run.seconds:.2f} s; {counts(run)}"
    if run.failure is not None:
        yield "failure", run.failure.message
    yield "file", run.file or "(none)"
    yield "workflow", run.workflow[:12]
    if git is not None:
        on = f" on {git.branch}" if git.branch else ""
        yield "git", f"{git.commit[:12]}{on}" + ("" if git.is_clean else ", files differed from it")
    if run.lock is not None:
        yield "lock", run.lock[:12]
    yield (
        "versions",
        f"graphengine {machine.graphengine}, Python {machine.python}, torch {machine.torch or 'none'}",
    )
    memory = f", {machine.memory / 2**30:.0f} GiB" if machine.memory else ""
    yield "machine", f"{machine.platform}, {machine.device}, {machine.cores or '?'} cores{memory}"
    if run.environment:
        hidden = ("package:", "device")
        kept = (f"{name} {value}" for name, value in run.environment.items() if not name.startswith(hidden))
        yield "computing", ", ".join(kept) or "as usual"
    if run.replay_of is not None:
        yield "replay of", run.replay_of


def _nodes(history: "History", run: "PastRun") -> list[tuple[str, ...]]:
    workflow = workflow_of(history, run)
    titles = {} if workflow is None else {str(key): node.title for key, node in workflow.nodes.items()}
    return [
        (
            node_id,
            node.class_type,
            "" if node.seconds is None else f"{node.seconds:.2f} s",
            node.state,
            titles.get(node_id) or "",
        )
        for node_id, node in run.nodes.items()
    ]


def _section(title: str, rows: list[tuple[str, ...]]) -> Iterator[str]:
    if rows:
        yield title
        yield from (f"  {line}" for line in table(rows))


def _text(value: object) -> str:
    from graphengine.provenance.history.words import value_text

    return value_text(value)
