"""`graphengine nodes isolate`: gives packs an environment and a process of their own."""

from pathlib import Path
from typing import Annotated

import typer

from graphengine.cli.console import complain, plural, say
from graphengine.cli.nodes_trust import chosen_packs
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import CacheOption, DebugOption, examples
from graphengine.cli.pack_folders import PackFolders
from graphengine.packs.discover import custom_packs
from graphengine.packs.project import change_project

EXAMPLES = examples(
    "graphengine nodes isolate ComfyUI-Foo",
    "graphengine nodes isolate ComfyUI-Foo --no-index --find-links wheels",
    "graphengine nodes isolate --undo ComfyUI-Foo",
)

IndexOption = Annotated[
    str | None, typer.Option("--index-url", metavar="URL", help="Where packages are. Default: as pip is set up.")
]
LinksOption = Annotated[
    list[str] | None, typer.Option("--find-links", metavar="DIR", help="A folder or page of wheels. Repeatable.")
]
NoIndexOption = Annotated[bool, typer.Option("--no-index", help="Take packages from --find-links only.")]
BuildsOption = Annotated[
    bool, typer.Option("--allow-builds", help="Also build packages that have no wheel, which runs their code.")
]


@with_option_groups
def command(
    names: Annotated[list[str], typer.Argument(metavar="PACK...", help="Packs of custom_nodes.")],
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Run them beside the others again.")] = False,
    index_url: IndexOption = None,
    find_links: LinksOption = None,
    no_index: NoIndexOption = False,
    allow_builds: BuildsOption = False,
    places: PackFolders,
    cache: CacheOption = None,
    debug: DebugOption = False,
) -> None:
    """Give packs of custom_nodes an environment and a process of their own.

    What they require is installed there, whatever the other packs require. Their nodes run there and are used as
    before. Limits (memory, timeout, network, read_only) are set in graphengine.toml. Runs no code of theirs.
    """
    # with the cache behind them, which help does not need
    from graphengine.isolation.environments import environment_of, remove_environment
    from graphengine.isolation.limits import not_enforced
    from graphengine.isolation.making import make_environment

    settings = places.settings(cache=cache)
    packs = chosen_packs(custom_packs(settings.custom_nodes), names, settings.custom_nodes)
    for pack in packs:
        environment = environment_of(pack, settings.environments)
        if undo:
            remove_environment(environment)
            say(f"{pack.name}: runs beside the others")
            continue
        make_environment(environment, _pip_options(index_url, find_links, no_index), wheels_only=not allow_builds)
        own = plural(len(environment.packages()), "package")
        say(f"{pack.name}: runs in a process of its own, with {own} of its own in {environment.folder}")
        for limit in not_enforced(settings.project.options(pack.name)):
            complain(f"warning: {limit} of {pack.name} cannot be kept here: install bubblewrap (bwrap)")
    change_project(settings.project, {pack.name: {"isolate": None if undo else True} for pack in packs})
    say(f"written to {settings.project.file}")


def _pip_options(index_url: str | None, find_links: list[str] | None, no_index: bool) -> list[str]:
    words = ["--no-index"] if no_index else []
    words += ["--index-url", index_url] if index_url else []
    return words + [word for link in find_links or () for word in ("--find-links", str(_as_path(link)))]


def _as_path(link: str) -> str | Path:
    """A folder by its absolute path: pip runs elsewhere."""
    return link if "://" in link else Path(link).absolute()
