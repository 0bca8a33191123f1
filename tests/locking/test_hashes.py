"""Asking an index for hashes, again without what it does not have."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from graphengine.errors import InstallRefused
from graphengine.locking.hashes import with_hashes
from graphengine.locking.schema import LockedPackage
from graphengine.packs.installing.environment import Environment
from graphengine.packs.installing.resolving import Pin

NOWHERE = Environment(Path("python"), (), (), Path(), Path(), {})
PACKAGES = {name: LockedPackage(version="1.0", installed="0" * 64) for name in ("absent-one", "numpy", "pillow")}


class Index:
    """Has all packages but those whose names begin with "absent", and says so as pip or uv do."""

    def __init__(self, says: str) -> None:
        self.says = says
        self.asked: list[list[str]] = []

    def digests(self, pins: Sequence[Pin], stage: Path) -> tuple[Pin, ...]:
        self.asked.append([pin.name for pin in pins])
        if any(pin.name.startswith("absent") for pin in pins):
            raise InstallRefused(self.says)
        return tuple(replace(pin, sha256=("ab" * 32, "01" * 32)) for pin in pins)


@pytest.mark.parametrize(
    "says",
    [
        "ERROR: No matching distribution found for absent-one==1.0",
        "ERROR: No matching distribution found for Absent_One==1.0",
        "Because there is no version of absent-one==1.0 and you require absent-one==1.0, it cannot be",
        "Because absent-one was not found in the package registry and you require absent-one==1.0",
    ],
)
def test_what_an_index_does_not_have_keeps_no_other_from_its_hashes(
    monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    index = Index(says)
    monkeypatch.setattr("graphengine.locking.hashes.choose_installer", lambda environment, indexes: index)
    found = with_hashes(PACKAGES, NOWHERE)
    assert index.asked == [["absent-one", "numpy", "pillow"], ["numpy", "pillow"]]
    assert found.packages["numpy"].sha256 == ["01" * 32, "ab" * 32]
    assert (found.unknown, found.why) == (("absent-one",), says)


def test_an_index_that_cannot_be_reached_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index("the connection timed out")
    monkeypatch.setattr("graphengine.locking.hashes.choose_installer", lambda environment, indexes: index)
    found = with_hashes(PACKAGES, NOWHERE)
    assert (len(index.asked), found.unknown) == (1, ("absent-one", "numpy", "pillow"))
    assert found.packages == PACKAGES
