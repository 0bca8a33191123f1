"""`graphengine nodes update`, `outdated`, `remove`, `disable` and `enable`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import complain, plural, report, say, say_json, table
from graphengine.cli.installing_options import InstallingOptions, chosen_folder
from graphengine.cli.nodes_install import MirrorOption, carry_out
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import DebugOption, JsonOption, examples
from graphengine.cli.pack_folders import PackFolders
from graphengine.cli.pack_recovery import undo_killed_installs
from graphengine.errors import InstallRefused

if TYPE_CHECKING:
    from graphengine.packs.installing.install import Installed, PackInstaller
    from graphengine.packs.installing.upkeep import PackState

UPDATE_EXAMPLES = examples(
    "graphengine nodes update ComfyUI-Foo",
    "graphengine nodes update ComfyUI-Foo --to 3f2a9c1",
    "graphengine nodes update --dry-run",
)
OUTDATED_EXAMPLES = examples("graphengine nodes outdated", "graphengine nodes outdated --json")
REMOVE_EXAMPLES = examples("graphengine nodes remove ComfyUI-Foo", "graphengine nodes remove ComfyUI-Foo --yes")
DISABLE_EXAMPLES = examples("graphengine nodes disable ComfyUI-Foo")
ENABLE_EXAMPLES = examples("graphengine nodes enable ComfyUI-Foo")

PacksArgument = Annotated[list[str], typer.Argument(metavar="PACK...", help="Packs of custom_nodes.")]
AllPacksArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[PACK...]", help="Packs of custom_nodes. Default: all.")
]


@with_option_groups
def update_command(
    packs: AllPacksArgument = None,
    *,
    options: InstallingOptions,
    to: Annotated[
        str | None, typer.Option("--to", metavar="REF", help="Another commit, branch or tag than was installed.")
    ] = None,
    mirrors: MirrorOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace packs whose files were edited since they were installed.")
    ] = False,
    places: PackFolders,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Bring the newest version of packs from where they were installed; what fails is undone."""
    from graphengine.packs.installing.upkeep import find_pack, list_packs, recorded_source

    folder = _folder(places)
    states = [find_pack(folder, name) for name in packs] if packs else list_packs(folder)
    known = {state.name: state for state in states if state.enabled and (packs or state.record is not None)}
    if not known:
        say(f"no pack of {folder} was installed by graphengine")
        return

    def update(fresh: "PackInstaller", name: str) -> "Installed | None":
        state = known[name]
        if state.edited and not force:
            raise InstallRefused(
                f"files of {name} were edited since it was installed", hint="save them, then add --force"
            )
        if not to and _is_newest(state, tuple(mirrors or ())):
            (complain if as_json else say)(f"{name} is the newest: {_version(state)}")
            return None
        return fresh.install(recorded_source(state, to, tuple(mirrors or ())), replace=True)

    carry_out(options.installer(folder, quiet=as_json), known, update, as_json=as_json)


def _is_newest(state: "PackState", mirrors: tuple[str, ...]) -> bool:
    from graphengine.packs.installing.upkeep import newer_commit

    return state.record is not None and state.record.kind == "git" and newer_commit(state, mirrors) is None


@with_option_groups
def outdated_command(
    packs: AllPacksArgument = None,
    *,
    mirrors: MirrorOption = None,
    places: PackFolders,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Tell which packs have newer commits where they were installed from; changes nothing."""
    from graphengine.packs.installing.upkeep import find_pack, list_packs, newer_commit

    folder = _folder(places)
    states = [find_pack(folder, name) for name in packs] if packs else list_packs(folder)
    found: dict[str, dict[str, str | None]] = {}
    failed = 0
    for state in states:
        try:
            newer = newer_commit(state, tuple(mirrors or ()))
        except InstallRefused as error:
            report(error)
            failed += 1
            continue
        if newer is not None and state.record is not None:
            found[state.name] = {"installed": state.record.commit, "newest": newer}
    if as_json:
        say_json(found)
    else:
        rows = [(name, (c["installed"] or "")[:12], "->", (c["newest"] or "")[:12]) for name, c in found.items()]
        for line in table(rows) if rows else [f"{plural(len(states), 'pack')} looked at: none is outdated"]:
            say(line)
    if failed:
        raise typer.Exit(1)


@with_option_groups
def remove_command(
    packs: PacksArgument,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    places: PackFolders,
    debug: DebugOption = False,
) -> None:
    """Remove packs and their records. Packages that they required stay: other packs may use them."""
    import sys

    from graphengine.packs.installing.upkeep import find_pack, remove_pack

    folder = _folder(places)
    for state in [find_pack(folder, name) for name in packs]:
        if not yes and sys.stdin.isatty() and not typer.confirm(f"remove {state.path}?", err=True):
            continue
        remove_pack(folder, state.name)
        say(f"removed {state.path}")


@with_option_groups
def disable_command(
    packs: PacksArgument,
    *,
    places: PackFolders,
    debug: DebugOption = False,
) -> None:
    """Keep packs in custom_nodes without loading them: .disabled is appended to their names."""
    _set(packs, _folder(places), enabled=False)


@with_option_groups
def enable_command(
    packs: PacksArgument,
    *,
    places: PackFolders,
    debug: DebugOption = False,
) -> None:
    """Let packs be loaded again that were disabled."""
    _set(packs, _folder(places), enabled=True)


def _set(packs: list[str], folder: Path, *, enabled: bool) -> None:
    from graphengine.packs.installing.upkeep import set_enabled

    state = "enabled" if enabled else "disabled"
    for name in packs:
        changed = set_enabled(folder, name, enabled=enabled)
        say(f"{name}: {state}" if changed else f"{name}: is {state} already")


def _version(state: "PackState") -> str:
    record = state.record
    return (record.commit or "")[:12] if record and record.commit else state.version or "unknown version"


def _folder(places: PackFolders) -> Path:
    """The folder of packs, after what killed installs left half done was undone."""
    folder = chosen_folder(places.settings(), places.base_dir)
    undo_killed_installs([folder])
    return folder
