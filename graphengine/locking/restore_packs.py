"""Bringing packs that a lock names: from repositories, at their commits, checked before they are in place."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from graphengine.errors import InstallRefused, Problem, UntrustedPack
from graphengine.locking.schema import Lock, LockedPack
from graphengine.packs.discover import Pack
from graphengine.packs.installing.archives import Limits
from graphengine.packs.installing.contents import check_contents
from graphengine.packs.installing.fetching import fetch
from graphengine.packs.installing.guards import refuse_known_bad_pack
from graphengine.packs.installing.install import content_of
from graphengine.packs.installing.ledger import InstalledPack, Ledger
from graphengine.packs.installing.sources import Source, mirrored
from graphengine.packs.installing.staging import open_stage
from graphengine.packs.trust import files_digest, pack_files


@dataclass(frozen=True, slots=True)
class PackStep:
    """A pack that is missing, and the repository and commit that it comes from."""

    name: str
    locked: LockedPack
    source: Source


def plan_packs(
    lock: Lock, present: Iterable[Pack], custom_nodes: Path, mirrors: Iterable[str] = ()
) -> tuple[list[PackStep], list[Problem]]:
    """What to bring into `custom_nodes`, and why some cannot be. Packs that are there stay as they are."""
    there = {pack.name: pack for pack in present}
    steps: list[PackStep] = []
    problems: list[Problem] = []
    for name, locked in lock.packs.items():
        if name in there:
            problems += _other(there[name], locked)
            continue
        taken = next(
            (name + end for end in ("", ".disabled", ".py") if (custom_nodes / (name + end)).exists()), None
        )
        told, hint = None, "copy it into custom_nodes yourself"
        if taken is not None:
            told, hint = f"{custom_nodes / taken} is there and is not overwritten", "move it away"
        elif locked.source is None or locked.commit is None:
            told = f"where it is to be had is not known ({locked.kind})"
        else:
            source = Source("git", locked.source, name, f"{locked.source}@{locked.commit}", locked.commit)
            steps.append(PackStep(name, locked, mirrored(source, mirrors)))
        if told is not None:
            problems.append(Problem("not_restorable", f"pack {name!r}: {told}", hint=hint))
    return steps, problems


def _other(pack: Pack, locked: LockedPack) -> list[Problem]:
    try:
        if files_digest(pack_files(pack)) == locked.content:
            return []
        told = f"pack {pack.name!r}: {pack.path} is other code than the locked one, and is not overwritten"
    except UntrustedPack as error:
        told = error.message
    return [Problem("not_restorable", told, hint="move it away, then restore again")]


def bring_pack(step: PackStep, custom_nodes: Path, limits: Limits) -> Problem | None:
    """Fetch a pack and put it in place when its code is the locked one; why it could not be, else None."""
    name = step.name
    try:
        refuse_known_bad_pack(name, step.source.place)
        with open_stage(custom_nodes) as stage:
            commit = fetch(step.source, stage.new, limits)
            content = files_digest(pack_files(Pack(name, "", stage.new)))
            if content != step.locked.content:
                raise InstallRefused(
                    f"what {step.source.place} has at {(commit or '')[:12]} is other code than the lock says",
                    hint="the pack was locked with changes of its own, or its history was rewritten",
                )
            contents = check_contents(name, stage.new, step.source.asked)
            if os.path.lexists(custom_nodes / name):
                raise InstallRefused(f"{custom_nodes / name} is there by now", hint="nothing was overwritten")
            stage.swap_in(name)
            record = InstalledPack(
                name=name,
                source=step.source.place,
                kind="git",
                asked=step.source.asked,
                commit=commit,
                version=contents.version,
                licence=contents.licence,
                content=content_of(custom_nodes / name),
                installed=datetime.now(UTC).replace(microsecond=0),
            )
            Ledger(custom_nodes).write(record)
    except (InstallRefused, UntrustedPack) as error:
        return Problem("not_restorable", f"pack {name!r}: {error.message}", hint=error.hint)
    return None
