"""Packs and their requirements come in as a whole, or everything is as it was before."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from graphengine.errors import InstallRefused
from graphengine.packs.installing.environment import Environment
from graphengine.packs.installing.install import PackInstaller, Proposal
from graphengine.packs.installing.ledger import Ledger
from graphengine.packs.installing.sources import parse_source
from tests.packs.installing.conftest import MakeInstaller
from tests.packs.installing.wheels import digest_of_environment, make_pack


def install(installer: PackInstaller, pack: Path) -> None:
    installer.install(parse_source(str(pack)))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".graphengine")


def test_a_folder_becomes_a_pack_with_its_requirements(
    tmp_path: Path, installer: MakeInstaller, custom_nodes: Path, environment: Environment
) -> None:
    install(installer(), make_pack(tmp_path / "Drawing", requirements="shapes\n"))
    assert names(custom_nodes) == ["Drawing"]
    now = environment.again()
    assert (now.version("shapes"), now.version("lines")) == ("1.0", "1.5")


def test_the_record_of_a_pack_lies_beside_it_and_has_the_digests_of_wheels(
    tmp_path: Path, installer: MakeInstaller, custom_nodes: Path
) -> None:
    pack = make_pack(tmp_path / "Drawing", requirements="shapes\n")
    install(installer(), pack)
    record = Ledger(custom_nodes).read("Drawing")
    assert record is not None
    assert [(r.name, r.version, len(r.sha256[0])) for r in record.requirements] == [
        ("lines", "1.5", 64),
        ("shapes", "1.0", 64),
    ]
    assert sorted(p.name for p in (custom_nodes / "Drawing").iterdir()) == ["__init__.py", "requirements.txt"]


def test_the_proposal_is_a_table_of_what_would_change(
    tmp_path: Path, installer: MakeInstaller, proposals: list[Proposal], environment: Environment, python: Path
) -> None:
    before = digest_of_environment(python)
    install(installer(consent=False), make_pack(tmp_path / "Drawing", requirements="shapes\ncolours>=3\n"))
    changes = [(c.kind, c.name, c.before, c.after) for c in proposals[0].plan.changes]
    assert changes == [
        ("changed", "colours", "1.0", "3.0"),
        ("added", "lines", None, "1.5"),
        ("added", "shapes", None, "1.0"),
    ]
    assert digest_of_environment(python) == before


def test_a_pack_that_would_replace_numpy_is_refused_and_told_why(
    tmp_path: Path, installer: MakeInstaller, custom_nodes: Path, python: Path
) -> None:
    before = digest_of_environment(python)
    with pytest.raises(InstallRefused) as raised:
        install(installer(), make_pack(tmp_path / "Old", requirements="colours\nnumpy<2\n"))
    assert "Old/requirements.txt, line 2: asks for numpy<2" in raised.value.message
    assert "numpy 2.1.0 is installed and protected" in raised.value.message
    assert "nodes isolate Old" in (raised.value.hint or "")
    assert names(custom_nodes) == []
    assert digest_of_environment(python) == before


def test_a_protected_package_may_change_when_the_user_says_so(
    tmp_path: Path, installer: MakeInstaller, environment: Environment
) -> None:
    install(installer(allow_change=["numpy"]), make_pack(tmp_path / "Old", requirements="numpy<2\n"))
    assert environment.again().version("numpy") == "1.26.4"


def test_what_an_installed_package_requires_is_kept(
    tmp_path: Path, installer: MakeInstaller, environment: Environment, python: Path
) -> None:
    install(installer(), make_pack(tmp_path / "Strict", requirements="strict\n"))
    before = digest_of_environment(python)
    again = replace(installer(), environment=environment.again())  # each command looks at it anew
    pack = make_pack(tmp_path / "New", requirements="colours>=3\n")
    with pytest.raises(InstallRefused, match=r"strict 1\.0 requires colours<3, it would become 3\.0"):
        install(again, pack)
    assert digest_of_environment(python) == before


def test_what_another_pack_requires_is_kept(
    tmp_path: Path, installer: MakeInstaller, custom_nodes: Path, python: Path
) -> None:
    make_pack(custom_nodes / "Other", requirements="colours<3\n")
    with pytest.raises(InstallRefused, match="pack 'Other' requires colours<3"):
        install(installer(), make_pack(tmp_path / "New", requirements="colours>=3\n"))


def test_a_release_that_cannot_be_imported_leaves_the_environment_untouched(
    tmp_path: Path, installer: MakeInstaller, custom_nodes: Path, python: Path
) -> None:
    before = digest_of_environment(python)
    with pytest.raises(InstallRefused, match="colours: RuntimeError: is broken"):
        install(installer(), make_pack(tmp_path / "Bad", requirements="colours==2.0\n"))
    assert digest_of_environment(python) == before
    assert names(custom_nodes) == []


def test_a_new_module_that_cannot_be_imported_is_a_warning(tmp_path: Path, installer: MakeInstaller) -> None:
    done = installer().install(parse_source(str(make_pack(tmp_path / "P", requirements="broken-module\n"))))
    assert done is not None
    assert any("broken_module was installed and cannot be imported" in warning for warning in done.warnings)


def test_two_packages_with_one_file_are_refused(tmp_path: Path, installer: MakeInstaller, python: Path) -> None:
    before = digest_of_environment(python)
    with pytest.raises(InstallRefused, match=r"would overwrite colours/__init__\.py of colours"):
        install(installer(), make_pack(tmp_path / "P", requirements="clash\n"))
    assert digest_of_environment(python) == before


def test_torchvision_is_left_out_with_a_note_unless_it_is_asked_for(
    tmp_path: Path, installer: MakeInstaller, proposals: list[Proposal], environment: Environment
) -> None:
    install(installer(), make_pack(tmp_path / "A", requirements="torchvision\ntimm\n"))
    assert environment.again().version("torchvision") is None
    assert environment.again().version("timm") == "1.0.0"
    notes = "\n".join(proposals[0].plan.notes)
    assert "A/requirements.txt, line 1: torchvision is left out" in notes
    assert "A, through another requirement: torchvision is left out" in notes
    install(installer(with_=["torchvision"]), make_pack(tmp_path / "B", requirements="torchvision\n"))
    assert environment.again().version("torchvision") == "0.21.0"


def test_a_release_that_is_known_to_be_malicious_is_refused_with_its_source(
    tmp_path: Path, installer: MakeInstaller
) -> None:
    with pytest.raises(InstallRefused, match=r"ultralytics 8\.3\.41 is known to be malicious.*blog\.pypi\.org"):
        install(installer(), make_pack(tmp_path / "Y", requirements="ultralytics==8.3.41\n"))


def test_the_resolver_passes_over_malicious_releases(
    tmp_path: Path, installer: MakeInstaller, environment: Environment
) -> None:
    install(installer(), make_pack(tmp_path / "Y", requirements="ultralytics\n"))
    assert environment.again().version("ultralytics") == "8.3.50"


def test_a_failure_after_the_change_puts_packages_and_the_old_pack_back(
    tmp_path: Path, installer: MakeInstaller, custom_nodes: Path, python: Path
) -> None:
    install(installer(), make_pack(tmp_path / "first" / "P"))
    before, text = digest_of_environment(python), Ledger(custom_nodes).text("P")
    script = {"install.py": "import sys; print('no'); sys.exit(3)\n"}
    newer = make_pack(
        tmp_path / "second" / "P", nodes=["Newer"], requirements="colours>=3\nshapes\n", files=script
    )
    with pytest.raises(InstallRefused, match=r"install\.py of 'P' failed"):
        installer(run_scripts=True).install(parse_source(str(newer)), replace=True)
    assert digest_of_environment(python) == before
    assert Ledger(custom_nodes).text("P") == text
    assert "Newer" not in (custom_nodes / "P" / "__init__.py").read_text()


def test_a_script_is_run_only_when_allowed_and_its_text_is_shown_first(
    tmp_path: Path, installer: MakeInstaller, custom_nodes: Path, proposals: list[Proposal]
) -> None:
    script = {"install.py": "open('made.txt', 'w').close()\n"}
    done = installer().install(parse_source(str(make_pack(tmp_path / "A", files=script))))
    assert done is not None
    assert "was not run" in done.warnings[0]
    assert not (custom_nodes / "A" / "made.txt").exists()
    install(installer(run_scripts=True), make_pack(tmp_path / "B", files=script))
    assert proposals[-1].script == script["install.py"]
    assert (custom_nodes / "B" / "made.txt").exists()


def test_syncing_installs_what_a_copied_pack_requires(
    installer: MakeInstaller, custom_nodes: Path, environment: Environment
) -> None:
    make_pack(custom_nodes / "Copied", files={"pyproject.toml": '[project]\ndependencies = ["shapes>=1"]\n'})
    done = installer().sync("Copied")
    assert done is not None
    assert environment.again().version("shapes") == "1.0"
    assert not (custom_nodes / ".graphengine" / "Copied.json").exists()


def test_a_missing_wheel_names_the_ways_out(tmp_path: Path, installer: MakeInstaller) -> None:
    with pytest.raises(InstallRefused, match="no-such-package") as raised:
        install(installer(), make_pack(tmp_path / "P", requirements="no-such-package\n"))
    assert "--allow-build" in (raised.value.hint or "")


def test_requirements_from_an_address_are_not_built_unasked(tmp_path: Path, installer: MakeInstaller) -> None:
    with pytest.raises(InstallRefused, match="would be built from source") as raised:
        install(installer(), make_pack(tmp_path / "P", requirements="git+https://host.invalid/a/tool.git@main\n"))
    assert "--allow-build tool" in (raised.value.hint or "")


def test_one_node_name_in_two_packs_is_told(
    tmp_path: Path, installer: MakeInstaller, custom_nodes: Path, proposals: list[Proposal]
) -> None:
    make_pack(custom_nodes / "First", nodes=["Blur", "Sharpen"])
    install(installer(), make_pack(tmp_path / "Second", nodes=["Blur"]))
    assert proposals[0].collisions == {"Blur": ("First",)}


def test_a_pack_that_is_there_is_not_overwritten(
    tmp_path: Path, installer: MakeInstaller, custom_nodes: Path
) -> None:
    make_pack(custom_nodes / "P", nodes=["Mine"])
    with pytest.raises(InstallRefused, match="is there already"):
        install(installer(), make_pack(tmp_path / "P"))
    assert "Mine" in (custom_nodes / "P" / "__init__.py").read_text()


def test_the_record_is_json_that_names_source_and_content(
    tmp_path: Path, installer: MakeInstaller, custom_nodes: Path
) -> None:
    pack = make_pack(tmp_path / "P", files={"pyproject.toml": '[project]\nversion = "1.2"\nlicense = "MIT"\n'})
    install(installer(), pack)
    record = json.loads((custom_nodes / ".graphengine" / "P.json").read_text())
    assert (record["source"], record["version"], record["licence"]) == (str(pack), "1.2", "MIT")
    assert len(record["content"]) == 16
