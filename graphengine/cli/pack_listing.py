"""The packs of custom_nodes, as lines and as JSON: version, commit, licence, nodes, and who uses them."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphengine.cli.console import plural, table
from graphengine.cli.pack_recovery import undo_killed_installs

if TYPE_CHECKING:
    from graphengine.packs.installing.upkeep import PackState

Workflows = Mapping[str, frozenset[str]]


def pack_rows(states: "list[PackState]", workflows: Workflows) -> list[str]:
    """A line for each pack: name, version, commit, licence, how many nodes and workflows, and its state."""
    from graphengine.packs.installing.usage import used_by

    rows = [("pack", "version", "commit", "licence", "nodes", "workflows", "")]
    for state in states:
        record = state.record
        rows.append(
            (
                state.name,
                state.version or "-",
                record.commit[:12] if record and record.commit else "-",
                state.contents.licence or "-",
                str(len(state.contents.nodes)) if state.contents.nodes else "?",
                str(len(used_by(state.contents.nodes, workflows))),
                ", ".join(_marks(state)),
            )
        )
    return table(rows)


def _marks(state: "PackState") -> Iterator[str]:
    if not state.enabled:
        yield "disabled"
    if state.edited:
        yield "edited"
    if state.record is None:
        yield "copied by hand"


def pack_lines(state: "PackState", workflows: Workflows) -> Iterator[str]:
    """All about one pack."""
    from graphengine.packs.installing.usage import used_by

    record, contents = state.record, state.contents
    yield f"{state.name}{'' if state.enabled else ' (disabled)'}"
    rows = [("  version", state.version or "not told"), ("  licence", contents.licence or "not told")]
    rows.append(("  folder", str(state.path)))
    if record is not None:
        rows += [("  source", record.source), ("  commit", record.commit or "none")]
        rows += [
            ("  installed", record.installed.isoformat()),
            ("  code", "edited since" if state.edited else "as installed"),
        ]
    else:
        rows.append(("  source", "not recorded: copied by hand"))
    yield from table(rows)
    yield f"nodes: {', '.join(contents.nodes) or 'named only when it is imported'}"
    if record is not None and record.requirements:
        yield f"installed for it: {', '.join(f'{r.name} {r.version}' for r in record.requirements)}"
    users = used_by(contents.nodes, workflows)
    yield f"used by {plural(len(users), 'workflow')}"
    yield from (f"  {name}: {', '.join(types)}" for name, types in users.items())
    yield from (f"warning: {warning}" for warning in contents.warnings)


# Any: what `json` can write.
def pack_json(state: "PackState", workflows: Workflows) -> dict[str, Any]:
    """All about one pack, for `--json`."""
    from graphengine.packs.installing.usage import used_by

    return {
        "path": str(state.path),
        "enabled": state.enabled,
        "edited": state.edited,
        "version": state.version,
        **{key: value for key, value in asdict(state.contents).items() if key not in ("version", "has_nodes")},
        "record": None if state.record is None else state.record.model_dump(mode="json"),
        "workflows": {name: list(types) for name, types in used_by(state.contents.nodes, workflows).items()},
    }


def packs_of(folders: tuple[Path, ...]) -> "list[PackState]":
    """The packs of all folders, after what killed installs left half done was undone."""
    from graphengine.packs.installing.upkeep import list_packs

    undo_killed_installs(folders)
    return [state for folder in folders for state in list_packs(folder)]
