"""Packages are installed when their files have the locked hashes, and otherwise nothing is."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from graphengine.locking.hashes import with_hashes
from graphengine.locking.restore_packages import bring_packages, plan_packages
from graphengine.locking.schema import Lock, LockedPackage
from graphengine.packs.installing.environment import Environment, open_environment
from graphengine.packs.installing.requiring import Wishes
from graphengine.packs.installing.resolving import Indexes
from tests.locking.conftest import Place
from tests.packs.installing.wheels import make_environment, make_wheel


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    make_wheel(folder, "colours", "1.0")
    make_wheel(folder, "present", "1.0")
    make_wheel(folder, "painter", "1.0", requires=["colours"], files={"painter/__init__.py": "import colours\n"})
    return folder


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path) -> Path:
    return make_environment(tmp_path_factory.mktemp("environment") / "venv", wheelhouse, ["present"])


@pytest.fixture
def environment(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An environment with one package, which tests share; only the last one changes it."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return open_environment(fresh)


def digest(wheelhouse: Path, name: str) -> str:
    return sha256(next(wheelhouse.glob(f"{name}-*.whl")).read_bytes()).hexdigest()


def test_an_index_tells_hashes_of_what_it_has(wheelhouse: Path, environment: Environment) -> None:
    packages = {
        "absent": LockedPackage(version="3.0", installed="0" * 64),
        "colours": LockedPackage(version="1.0", installed="0" * 64),
        "in-place": LockedPackage(version="1.0"),
        "present": LockedPackage(version="1.0", installed="0" * 64, sha256=["1" * 64]),
    }
    found = with_hashes(packages, environment, Indexes(find_links=(str(wheelhouse),), no_index=True))
    assert found.packages["colours"].sha256 == [digest(wheelhouse, "colours")]
    assert found.packages["present"].sha256 == ["1" * 64]
    assert found.unknown == ("absent",)
    assert found.why is not None
    assert "absent==3.0" in found.why
    assert environment.again().version("colours") is None


def test_packages_come_by_hash_or_not_at_all(place: Place, wheelhouse: Path, environment: Environment) -> None:
    packages: dict[str, dict[str, object]] = {
        name: {
            "version": "1.0",
            "sha256": [sha256(next(wheelhouse.glob(f"{name}-*.whl")).read_bytes()).hexdigest()],
        }
        for name in ("colours", "painter")
    }
    packages["present"] = {"version": "2.0", "sha256": ["0" * 64]}
    lock = Lock.model_validate({**place.make().lock.model_dump(), "packages": packages})
    wishes = Wishes(Indexes(find_links=(str(wheelhouse),), no_index=True))
    pins, problems = plan_packages(lock, environment)
    assert [pin.name for pin in pins] == ["colours", "painter"]
    told = ["package present 2.0: 1.0 is installed and is not overwritten"]
    assert [problem.message for problem in problems] == told

    custom_nodes = place.root / "custom_nodes"
    forged = [pins[0], replace(pins[1], sha256=("0" * 64,))]
    failed, _ = bring_packages(forged, custom_nodes, environment, wishes)
    assert failed is not None
    assert "the wheel of painter 1.0 is another file than was told" in failed.message
    assert environment.again().version("colours") is None

    assert bring_packages(pins, custom_nodes, environment, wishes) == (None, [])
    after = environment.again()
    assert (after.version("colours"), after.version("painter")) == ("1.0", "1.0")
    assert after.version("present") == "1.0"
    assert plan_packages(lock, after) == ([], problems)
