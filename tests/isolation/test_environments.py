import json
import zipfile
from pathlib import Path

import pytest

from graphengine.cli import main
from graphengine.errors import InstallRefused, PackError
from graphengine.isolation.environments import environment_of
from graphengine.packs.discover import custom_packs
from tests.isolation.conftest import NODE, Isolated, document
from tests.workflows import workflow


def make_wheel(folder: Path, name: str, version: str) -> None:
    """A wheel with one module, which holds its version."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        tags = "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", tags)
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def wheels(project: Isolated) -> Path:
    """Two versions of a package, of which the pack wants the older one."""
    for version in ("1.0", "2.0"):
        make_wheel(project.root / "wheels", "isolated_thing", version)
    (project.pack / "requirements.txt").write_text("# the older one\nisolated-thing<2\nnumpy\n")
    return project.root / "wheels"


def test_a_pack_gets_what_it_requires_and_nobody_else_does(project: Isolated, wheels: Path) -> None:
    project.make("--no-index", "--find-links", str(wheels))
    with project.engine() as engine:
        assert engine.run(workflow(document("Version", value=1))).ui[NODE]["text"] == ["1.0"]
    with pytest.raises(ImportError):
        __import__("isolated_thing")


def test_another_environment_computes_anew(project: Isolated, wheels: Path) -> None:
    project.make("--no-index", "--find-links", str(wheels))
    with project.engine() as engine:
        engine.run(workflow(document("Version", value=1)))
    (project.pack / "requirements.txt").write_text("isolated-thing\n")
    project.make("--no-index", "--find-links", str(wheels))
    with project.engine() as engine:
        assert engine.run(workflow(document("Version", value=1))).ui[NODE]["text"] == ["2.0"]


def test_requirements_that_cannot_be_had_leave_no_environment(project: Isolated, wheels: Path) -> None:
    (project.pack / "requirements.txt").write_text("isolated-thing>3\n")
    with pytest.raises(PackError, match="isolated-thing>3") as refused:
        project.make("--no-index", "--find-links", str(wheels))
    assert "--find-links" in str(refused.value.hint)
    assert list((project.root / "cache" / "environments").iterdir()) == []


def test_a_release_that_is_known_to_be_bad_is_refused_by_name_and_never_chosen(
    project: Isolated, tmp_path: Path
) -> None:
    for version in ("8.3.40", "8.3.41"):
        make_wheel(tmp_path / "wheels", "ultralytics", version)
    (project.pack / "requirements.txt").write_text("ultralytics==8.3.41\n")
    with pytest.raises(InstallRefused, match=r"requirements.txt, line 1: ultralytics 8\.3\.41 is known to be"):
        project.make("--no-index", "--find-links", str(tmp_path / "wheels"))
    assert list((project.root / "cache" / "environments").iterdir()) == []
    (project.pack / "requirements.txt").write_text("ultralytics\n")
    environment = project.make("--no-index", "--find-links", str(tmp_path / "wheels"))
    assert environment.packages() == {"ultralytics": "8.3.40"}


def test_the_command_isolates_and_takes_it_back(
    project: Isolated, wheels: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHENGINE_CACHE", str(project.root / "cache"))
    monkeypatch.chdir(project.root)
    (project.root / "graphengine.toml").write_text("")
    assert main(["nodes", "isolate", "trial", "--no-index", "--find-links", "wheels"]) == 0
    assert "trial: runs in a process of its own, with 1 package of its own in" in capsys.readouterr().out
    assert (project.root / "graphengine.toml").read_text() == "[packs.trial]\nisolate = true\n"
    assert main(["nodes", "trust", "trial"]) == 0
    (project.root / "flow.json").write_text(
        json.dumps({k: {"class_type": c, "inputs": i} for k, (c, i) in document("Version", value=1).items()})
    )
    assert main(["run", "flow.json", "--device", "cpu", "--json"]) == 0
    assert "1.0" in capsys.readouterr().out
    assert main(["nodes", "isolate", "--undo", "trial"]) == 0
    assert list((project.root / "cache" / "environments").iterdir()) == []
    assert "isolate" not in (project.root / "graphengine.toml").read_text()


def test_a_damaged_environment_is_named(project: Isolated) -> None:
    (manifest,) = (project.root / "cache" / "environments").glob("*/graphengine-environment.json")
    manifest.write_text("{")
    settings = project.settings()
    (pack,) = custom_packs(settings.custom_nodes)
    with pytest.raises(PackError, match="its environment is not there") as refused:
        environment_of(pack, settings.environments).packages()
    assert refused.value.hint == "make it: graphengine nodes isolate trial"
