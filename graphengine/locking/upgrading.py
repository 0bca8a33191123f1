"""Taking one pack into a lock as it is now, and changing nothing else of it."""

from graphengine.errors import LockError, nearest
from graphengine.locking.locking import LockedProject, Made, with_known_hashes
from graphengine.locking.packages import locked_packages
from graphengine.locking.packs import locked_pack
from graphengine.locking.schema import Lock
from graphengine.packs.installing.environment import open_environment
from graphengine.packs.installing.install import Consent, PackInstaller
from graphengine.packs.installing.requiring import Wishes
from graphengine.packs.installing.upkeep import find_pack, newer_commit, recorded_source
from graphengine.packs.requirements import required_in_folder


def with_pack(project: LockedProject, lock: Lock, name: str) -> Made:
    """The lock with a pack of `custom_nodes` as it is now.

    Packages that the pack needs and that are not in the lock yet are added; what the lock has of anything else
    stays as it is.

    Raises:
        LockError: there is no such pack.
        UntrustedPack: its files cannot be read.
    """
    packs = {pack.name: pack for pack in project.engine.custom}
    if name not in packs:
        near = nearest(name, packs)
        raise LockError(
            f"there is no pack {name!r} in custom_nodes",
            hint=f"did you mean {near!r}?"
            if near
            else "graphengine nodes list --packs shows those that are there",
        )
    path = packs[name].path
    locked, problems = locked_pack(packs[name])
    needed = locked_packages(required_in_folder(path) if path is not None else ())
    new = {package: found for package, found in needed.items() if package not in lock.packages}
    packages = {**lock.packages, **with_known_hashes(new, lock)}
    changed = {"packs": {**lock.packs, name: locked}, "packages": packages}
    return Made(lock.model_copy(update=changed), tuple(problems))


def newest(project: LockedProject, name: str, consent: Consent) -> list[str]:
    """Bring the newest commit of a pack that was installed from git; lines that tell what became of it.

    A pack that came otherwise stays as it is.

    Raises:
        LockError: its files were edited, or there was no consent.
        InstallRefused: there is no such pack, or it cannot be installed; nothing is changed then.
    """
    place = next((pack.path for pack in project.engine.custom if pack.name == name and pack.path), None)
    if place is None:
        return []  # told when it is taken in
    state = find_pack(place.parent, name)
    if state.record is None or state.record.kind != "git":
        return [f"{name} was not installed from git by graphengine: it is taken in as it is"]
    if state.edited:
        raise LockError(
            f"files of {name} were edited since it was installed, which its newest commit would overwrite",
            hint="save them; --offline takes the pack in as it is now",
        )
    commit = newer_commit(state)
    if commit is None:
        return [f"{name} is at its newest commit"]
    installer = PackInstaller(place.parent, open_environment(), Wishes(), consent)
    if installer.install(recorded_source(state), replace=True) is None:
        raise LockError(f"{name} was not upgraded", hint="agree, or add --yes; --offline takes it in as it is")
    return [
        f"{name} is at its newest commit now: {commit[:12]}",
        f"  its code runs once this project trusts it: graphengine nodes trust {name}",
    ]
