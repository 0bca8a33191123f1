import os
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from graphengine.engine import Engine
from graphengine.errors import Problem, SettingsError, UntrustedPack, ValidationFailed
from graphengine.packs.discover import Pack, custom_packs
from graphengine.packs.project import Project, TrustPolicy, change_project, read_project
from graphengine.packs.records import Records
from graphengine.packs.trust import Trust, trust_packs
from graphengine.settings import Settings, load_settings
from graphengine.workflow.models import NodeId
from tests.packs.place import Place, double, forget_packs
from tests.workflows import workflow

TWICE = workflow({"1": ("Double", {"value": 21}), "2": ("PreviewAny", {"source": ["1", 0]})})


@pytest.fixture
def project(place: Place) -> Iterator[Path]:
    """A folder with the pack "double", which says when it is imported."""
    place.write("double", {"__init__.py": double(), "tests/data.py": "", ".hidden/more.py": ""})
    yield place.root
    forget_packs()


def settings(project: Path) -> Settings:
    return load_settings(base_dir=project, device="cpu", environ={"GRAPHENGINE_CACHE": str(project / "cache")})


def engine(project: Path, trust: Collection[str] = (), *, changed: bool = False) -> Engine:
    forget_packs()
    (project / "custom_nodes/double/imported").unlink(missing_ok=True)
    return Engine.from_settings(settings(project).trusting(trust, changed=changed))


def list_pack(project: Path, name: str = "double") -> None:
    packs = [pack for pack in custom_packs([project / "custom_nodes"]) if pack.name == name]
    trust_packs(read_project(project), Trust(TrustPolicy(), Records(project / "cache/packs")), packs)


def shown(engine: Engine) -> object:
    with engine:
        return engine.run(TWICE).ui[NodeId("2")]["text"]


def refused(engine: Engine) -> Problem:
    with engine:
        with pytest.raises(ValidationFailed) as failed:
            engine.run(TWICE)
        return next(problem for problem in failed.value.problems if problem.code == "untrusted_pack")


def is_imported(project: Path) -> bool:
    return (project / "custom_nodes/double/imported").exists()


def test_a_pack_that_is_not_listed_is_refused_and_not_imported(project: Path) -> None:
    problem = refused(engine(project))
    assert problem.message == "pack 'double' is not trusted by this project, so its code is not run"
    assert problem.hint is not None
    assert problem.hint.endswith(f"graphengine nodes trust double --base-dir {project}")
    assert not is_imported(project)


def test_a_listed_pack_runs(project: Path) -> None:
    list_pack(project)
    assert shown(engine(project)) == ["42"]


def test_a_pack_named_for_one_run_runs_and_is_not_listed(project: Path) -> None:
    assert shown(engine(project, trust=["double"])) == ["42"]
    assert not (project / "graphengine.toml").exists()
    assert refused(engine(project)).severity == "error"


@pytest.mark.parametrize("file", ["__init__.py", "tests/data.py", ".hidden/more.py", "web/script.js", "new.so"])
def test_code_that_changed_is_refused_by_its_file(project: Path, file: str) -> None:
    list_pack(project)
    assert shown(engine(project)) == ["42"]
    path = project / "custom_nodes/double" / file
    kind = "changed" if path.exists() else "new"
    path.parent.mkdir(exist_ok=True)
    path.write_text(double(3))
    problem = refused(engine(project))
    assert f"any more: {kind} {file}" in problem.message
    assert "graphengine nodes trust double" in str(problem.hint)
    assert not is_imported(project)


def test_pictures_and_texts_of_a_pack_may_change(project: Path) -> None:
    list_pack(project)
    (project / "custom_nodes/double/README.md").write_text("other words")
    assert shown(engine(project)) == ["42"]


def test_a_changed_pack_runs_when_that_is_allowed(project: Path) -> None:
    list_pack(project)
    (project / "custom_nodes/double/__init__.py").write_text(double(3))
    assert shown(engine(project, changed=True)) == ["63"]


def test_what_changed_is_not_guessed_on_another_machine(project: Path, tmp_path: Path) -> None:
    list_pack(project)
    (project / "custom_nodes/double/__init__.py").write_text(double(3))
    for record in (project / "cache/packs").glob("*.trusted-*"):
        record.unlink()
    assert "not known on this machine" in refused(engine(project)).message


def test_an_index_from_before_does_not_let_a_pack_run(project: Path) -> None:
    assert shown(engine(project, trust=["double"])) == ["42"]
    with engine(project) as untrusting:
        problems = untrusting.validate(TWICE)
        assert [problem.code for problem in problems] == ["untrusted_pack"]
        assert untrusting.registry["Double"].outputs[0].type == "INT"
    assert refused(engine(project)).class_type == "Double"
    assert not is_imported(project)


def test_validate_tells_of_an_unknown_pack_that_it_is_not_trusted(project: Path) -> None:
    with engine(project) as untrusting:
        problems = untrusting.validate(TWICE)
    assert [(problem.code, problem.severity) for problem in problems] == [("untrusted_pack", "error")]
    assert not is_imported(project)


def test_a_pack_that_changes_after_it_was_looked_at_is_not_imported(project: Path) -> None:
    list_pack(project)
    pack = custom_packs([project / "custom_nodes"])[0]
    trust = Trust(settings(project).trust)
    assert trust.refusal(pack) is None
    (project / "custom_nodes/double/__init__.py").write_text(double(3))
    with pytest.raises(UntrustedPack, match="not the code that this project trusts"):
        trust.require(pack)


def test_installed_packs_are_trusted() -> None:
    assert Trust(TrustPolicy()).refusal(Pack("core", "graphengine_nodes.core")) is None


def test_settings_that_say_nothing_trust_no_custom_pack(project: Path) -> None:
    pack = custom_packs([project / "custom_nodes"])[0]
    assert isinstance(Trust(Settings().trust).refusal(pack), UntrustedPack)


def test_a_linked_file_counts_with_what_it_leads_to(project: Path) -> None:
    (project / "outside.py").write_text("1")
    (project / "custom_nodes/double/link.py").symlink_to(project / "outside.py")
    list_pack(project)
    (project / "outside.py").write_text("2")
    assert "changed link.py" in refused(engine(project)).message


def test_a_link_that_leads_round_ends(project: Path) -> None:
    os.symlink(project / "custom_nodes/double", project / "custom_nodes/double/again")
    list_pack(project)
    assert shown(engine(project)) == ["42"]


# The project file


def test_listing_keeps_what_else_the_file_says(tmp_path: Path) -> None:
    text = '# ours\nname = "x"\n\n[packs."my pack"]  # odd\ntimeout = 3\n\n[other]\na = 1\n'
    (tmp_path / "graphengine.toml").write_text(text)
    digest = f"sha256:{'0' * 64}"
    change_project(read_project(tmp_path), {"my pack": {"trusted": digest}, "next": {"isolate": True}})
    assert (tmp_path / "graphengine.toml").read_text() == text.replace(
        "# odd\n", f'# odd\ntrusted = "{digest}"\n'
    ) + "\n[packs.next]\nisolate = true\n"
    project = read_project(tmp_path)
    assert (project.options("my pack").trusted, project.options("my pack").timeout) == (digest, 3.0)
    change_project(project, {"my pack": {"trusted": None}, "next": {"isolate": False}})
    assert read_project(tmp_path).options("my pack").trusted is None
    assert read_project(tmp_path).options("next").isolate is False


def test_a_file_that_cannot_be_changed_line_by_line_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "graphengine.toml").write_text("packs = {a = {timeout = 3}}\n")
    with pytest.raises(SettingsError) as refused:
        change_project(read_project(tmp_path), {"a": {"isolate": True}})
    assert "TOML" in refused.value.message or "by hand" in str(refused.value.hint)
    assert (tmp_path / "graphengine.toml").read_text() == "packs = {a = {timeout = 3}}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[packs", "is no readable TOML"),
        ("packs = 3", "'packs' is no table"),
        ("[packs.a]\nisolated = true", "packs.a.isolated: Extra inputs are not permitted"),
        ("[packs.a]\ntimeout = 0", "packs.a.timeout: Input should be greater than 0"),
        ('[packs.a]\nmemory = "much"', "packs.a.memory"),
        ('[packs.a]\ntrusted = "yes"', "packs.a.trusted"),
        ("x = " + "[" * 100_000, "is no readable TOML"),
        ("# " + "x" * 2**20, "bytes"),
    ],
)
def test_a_file_that_says_nothing_sensible_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "graphengine.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"graphengine\.toml") as refused:
        read_project(tmp_path)
    assert told in refused.value.message


def test_sizes_are_written_as_people_write_them(tmp_path: Path) -> None:
    (tmp_path / "graphengine.toml").write_text('[packs.a]\nmemory = "4GB"\n')
    assert read_project(tmp_path).options("a").memory == 4 * 10**9
    assert read_project(tmp_path / "none") == Project(tmp_path / "none" / "graphengine.toml")


def test_the_project_says_whose_start_scripts_run(tmp_path: Path) -> None:
    (tmp_path / "graphengine.toml").write_text("[packs.early]\nprestartup = true\n[packs.late]\n")
    policy = read_project(tmp_path).importing(["named"], 5)
    assert [policy.runs_prestartup(name) for name in ("early", "late", "named")] == [True, False, True]
    assert policy.timeout == 5
    assert read_project(tmp_path).importing().timeout == 300
