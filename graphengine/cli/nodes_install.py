"""`graphengine nodes install` and `sync`: packs, and what they require."""

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import complain, report, say, say_json
from graphengine.cli.installing_options import (
    InstallingOptions,
    chosen_folder,
    installed_json,
    installed_lines,
    refusals_json,
)
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import DebugOption, JsonOption, examples
from graphengine.cli.pack_folders import PackFolders
from graphengine.errors import InstallRefused, SettingsError

if TYPE_CHECKING:
    from graphengine.packs.installing.install import Installed, PackInstaller

INSTALL_EXAMPLES = examples(
    "graphengine nodes install https://github.com/owner/ComfyUI-Foo",
    "graphengine nodes install https://github.com/owner/ComfyUI-Foo@3f2a9c1 --dry-run",
    "graphengine nodes install foo@1.2 --index packs.json",
    "graphengine nodes install ComfyUI-Foo-main.zip --no-index --find-links wheels",
    "graphengine nodes install https://github.com/owner/ComfyUI-Foo --git-mirror https://github.com/=/srv/git/",
)
SYNC_EXAMPLES = examples(
    "graphengine nodes sync",
    "graphengine nodes sync ComfyUI-Foo",
    "graphengine nodes sync --no-index --find-links wheels --base-dir ~/ComfyUI",
)
MirrorOption = Annotated[
    list[str] | None,
    typer.Option(
        "--git-mirror", metavar="OLD=NEW", help="Addresses that begin with OLD begin with NEW. Repeatable."
    ),
]


@with_option_groups
def install_command(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Address of a git repository (with @commit, @branch or @tag), zip or tar file, folder, or an id "
            "in the file of --index.",
        ),
    ],
    *,
    options: InstallingOptions,
    name: Annotated[str | None, typer.Option("--name", help="Name of the pack's folder.")] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            "--index",
            metavar="FILE",
            help="JSON file in which ids are looked up. Default: $GRAPHENGINE_PACK_INDEX.",
        ),
    ] = None,
    mirrors: MirrorOption = None,
    run_install_script: Annotated[
        bool,
        typer.Option(
            "--run-install-script", help="Show the pack's install.py, ask, and run it. It may do anything."
        ),
    ] = False,
    max_size: Annotated[
        int, typer.Option("--max-size", metavar="MIB", min=1, help="Largest pack, unpacked, in MiB.")
    ] = 2048,
    max_files: Annotated[
        int, typer.Option("--max-files", metavar="N", min=1, help="Most files of a pack.")
    ] = 20_000,
    places: PackFolders,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Install packs into custom_nodes, and what they require into this environment.

    Nothing of a pack is imported. Packages that everything shares (torch, numpy and what graphengine needs) stay
    as they are; a pack that would change one is refused. What fails, or breaks what worked, is undone.
    """
    from graphengine.packs.installing.archives import Limits
    from graphengine.packs.installing.sources import parse_source

    if name is not None and len(sources) > 1:
        raise SettingsError("--name names one pack", hint="give one source")
    folder = chosen_folder(places.settings(), places.base_dir)
    installer = options.installer(folder, run_scripts=run_install_script, quiet=as_json)
    wishes = replace(installer.wishes, limits=Limits(max_files, max_size * 2**20))
    installer = replace(installer, wishes=wishes)
    place = index or (Path(found) if (found := os.environ.get("GRAPHENGINE_PACK_INDEX")) else None)

    def install(fresh: "PackInstaller", text: str) -> "Installed | None":
        return fresh.install(parse_source(text, index=place, mirrors=mirrors or (), name=name))

    carry_out(installer, sources, install, as_json=as_json)


@with_option_groups
def sync_command(
    packs: Annotated[
        list[str] | None, typer.Argument(metavar="[PACK...]", help="Packs of custom_nodes. Default: all.")
    ] = None,
    *,
    options: InstallingOptions,
    places: PackFolders,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Install what the packs in custom_nodes require and what is missing, each pack on its own."""
    from graphengine.packs.discover import custom_packs

    folder = chosen_folder(places.settings(), places.base_dir)
    names = packs or [pack.name for pack in custom_packs([folder])]
    if not names:
        raise SettingsError(f"there is no pack in {folder}", hint="graphengine nodes install SOURCE brings one")
    installer = options.installer(folder, quiet=as_json)
    carry_out(installer, names, lambda fresh, pack: fresh.sync(pack), as_json=as_json)


def carry_out(
    installer: "PackInstaller",
    asked: Iterable[str],
    install: Callable[["PackInstaller", str], "Installed | None"],
    *,
    as_json: bool,
) -> None:
    """Install one after the other, tell of each, and go on after those that are refused.

    Raises:
        Exit: some were refused.
    """
    done: list[Installed] = []
    refused: list[tuple[str, Exception]] = []
    for text in asked:
        fresh = replace(installer, environment=installer.environment.again())
        try:
            installed = install(fresh, text)
        except InstallRefused as error:
            refused.append((text, error))
            report(error)
            continue
        if installed is not None:
            done.append(installed)
            for line in () if as_json else installed_lines(installed, installer.custom_nodes):
                say(line)
    if as_json:
        say_json({"installed": [installed_json(one) for one in done], "refused": refusals_json(refused)})
    if refused:
        complain(f"{len(refused)} refused; nothing was changed for them")
        raise typer.Exit(1)
