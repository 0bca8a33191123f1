"""What `graphengine run` does about requirements of packs that are missing: tell of them, or install them."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import complain, plural
from graphengine.cli.installing_options import InstallingOptions
from graphengine.cli.option_groups import OptionGroup
from graphengine.errors import GraphEngineError, InstallRefused
from graphengine.packs.discover import Pack
from graphengine.workflow.documents import DocumentKind

if TYPE_CHECKING:
    from graphengine.engine import Engine
    from graphengine.packs.installing.environment import Environment


@dataclass(frozen=True, slots=True)
class MissingOptions(OptionGroup):
    """Whether missing requirements are installed before a run."""

    install_missing: Annotated[
        bool,
        typer.Option(
            "--install-missing",
            help="First install what packs of the workflow require and what is missing, as graphengine nodes sync "
            "does; $GRAPHENGINE_FIND_LINKS names a folder of wheels to take instead of an index.",
        ),
    ] = False

    @contextmanager
    def handled(self, engine: "Engine", file: Path, wanted: DocumentKind | None) -> Iterator[None]:
        """Installs what is missing before the run, if asked to; tells of it when the run fails."""
        if self.install_missing:
            install_missing(engine, file, wanted)
        try:
            yield
        except GraphEngineError:
            tell_missing(engine, file, wanted)
            raise


def install_missing(engine: "Engine", file: Path, wanted: DocumentKind | None) -> None:
    """Install what the packs of a workflow require; what cannot be installed is told.

    Raises:
        InstallRefused: requirements of a pack were refused.
    """
    wheels = os.environ.get("GRAPHENGINE_FIND_LINKS")
    options = InstallingOptions(find_links=[wheels] if wheels else None, no_index=bool(wheels), yes=True)
    for pack, count, environment in _lacking(engine, file, wanted):
        complain(f"{plural(count, 'requirement')} of {pack.name} {_verb(count)} missing: installing")
        if pack.path is None:
            continue
        installer = options.installer(pack.path.parent, quiet=True)
        replace(installer, environment=environment.again()).sync(pack.name)
    importlib.invalidate_caches()


def tell_missing(engine: "Engine", file: Path, wanted: DocumentKind | None) -> None:
    """After a failure: say which packs of the workflow miss requirements, and how they get them."""
    try:
        lacking = list(_lacking(engine, file, wanted))
    except (GraphEngineError, OSError):  # the failure itself is told; this would only add to it
        return
    for pack, count, _ in lacking:
        lacks = f"{plural(count, 'requirement')} of {pack.name} {_verb(count)} missing"
        complain(f"{lacks}: graphengine nodes sync {pack.name}")


def _lacking(
    engine: "Engine", file: Path, wanted: DocumentKind | None
) -> "Iterator[tuple[Pack, int, Environment]]":
    """The custom packs of a workflow that miss requirements, with how many."""
    packs = _packs_of(engine, file, wanted)
    if not packs:
        return
    from graphengine.packs.installing.environment import open_environment
    from graphengine.packs.installing.needs import missing_needs, read_needs

    environment = open_environment()
    for pack in packs:
        if pack.path is None:
            continue
        try:
            missing = missing_needs(read_needs(pack.name, pack.path, environment), environment)
        except InstallRefused as error:
            complain(f"warning: {error.message}")
            continue
        if missing:
            yield pack, len(missing), environment


def _packs_of(engine: "Engine", file: Path, wanted: DocumentKind | None) -> list[Pack]:
    named = {node.class_type for node in engine.read(file, wanted).workflow.nodes.values()}
    known = {name: engine.registry.get(name) for name in named}
    ours = {name for name, found in known.items() if found is not None and not _is_custom(found.module)}
    return [pack for pack in engine.packs.mentioning(engine.custom, named - ours) if pack.path is not None]


def _is_custom(module: str | None) -> bool:
    return module is not None and module.startswith("custom_nodes.")


def _verb(count: int) -> str:
    return "is" if count == 1 else "are"
