"""`graphengine nodes trust`: lists packs in graphengine.toml, whose code may run then."""

from pathlib import Path
from typing import Annotated

import typer

from graphengine.cli.console import say, say_json
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import DebugOption, JsonOption, examples
from graphengine.cli.pack_folders import PackFolders
from graphengine.errors import GraphEngineError, SettingsError, nearest
from graphengine.packs.discover import Pack, custom_packs
from graphengine.packs.project import Project, change_project
from graphengine.packs.records import Records
from graphengine.packs.trust import Trust, trust_packs

EXAMPLES = examples(
    "graphengine nodes trust ComfyUI-Foo",
    "graphengine nodes trust --all --base-dir ~/ComfyUI",
    "graphengine nodes trust --remove ComfyUI-Foo",
)

PacksArgument = Annotated[list[str] | None, typer.Argument(metavar="PACK...", help="Packs of custom_nodes.")]


@with_option_groups
def command(
    names: PacksArgument = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All packs that are there now.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Trust them no more.")] = False,
    places: PackFolders,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Let packs of custom_nodes run their code in this project.

    They are listed in graphengine.toml with a digest of their code as it is now; when it changes, they are not run
    until they are listed again. Runs no code of theirs.
    """
    if bool(names) is every:
        raise SettingsError("which packs are meant?", hint="name packs, or say --all")
    settings = places.settings()
    if remove:
        digests = _remove(settings.project, names or list(settings.project.packs))
    else:
        packs = chosen_packs(custom_packs(settings.custom_nodes), names, settings.custom_nodes)
        trust = Trust(settings.trust, Records(settings.packs))
        digests = trust_packs(settings.project, trust, packs)
    if as_json:
        say_json({"file": str(settings.project.file), "packs": digests})
        return
    for name, digest in digests.items():
        say(f"{name}: trusted as it is now ({digest[:19]}…)" if digest else f"{name}: trusted no more")
    say(f"written to {settings.project.file}")


def chosen_packs(packs: list[Pack], names: list[str] | None, folders: tuple[Path, ...]) -> list[Pack]:
    """The packs of these names, all without names.

    Raises:
        GraphEngineError: there is no such pack.
    """
    known = {pack.name: pack for pack in reversed(packs)}  # of two with one name the first counts
    if names is None:
        return list(known.values())
    unknown = [name for name in names if name not in known]
    if unknown:
        near = nearest(unknown[0], known)
        places = " or ".join(str(folder) for folder in folders) or "a custom_nodes folder"
        hint = f"did you mean {near!r}?" if near else "name its folder with --custom-nodes, or --base-dir above it"
        raise GraphEngineError(f"there is no pack {unknown[0]!r} in {places}", hint=hint)
    return [known[name] for name in dict.fromkeys(names)]


def _remove(project: Project, names: list[str]) -> dict[str, str]:
    unknown = [name for name in names if project.options(name).trusted is None]
    if unknown and len(unknown) == len(names):
        raise GraphEngineError(f"{project.file} does not list pack {unknown[0]!r}", hint="nothing was changed")
    listed = [name for name in names if name not in unknown]
    change_project(project, {name: {"trusted": None} for name in listed})
    return dict.fromkeys(listed, "")
