"""What packs require, read from their files, and what is never taken from them."""

from pathlib import Path

import pytest

from graphengine.errors import InstallRefused
from graphengine.packs.installing.contents import check_contents, read_contents
from graphengine.packs.installing.environment import Environment
from graphengine.packs.installing.guards import guard, protected_names, refuse_known_bad_pack
from graphengine.packs.installing.needs import Needs, missing_needs, read_needs
from tests.packs.installing.wheels import make_pack


def wanted(needs: Needs) -> list[str]:
    return [str(need.requirement).replace(" @ ", "@ ") for need in needs.wanted]


def test_requirements_are_read_as_people_write_them(tmp_path: Path, environment: Environment) -> None:
    text = "\n".join(
        [
            "# a comment",
            "numpy>=2  # why",
            "shapes [fast] ~= 1.0 ; python_version >= '3.0'",
            "old-thing; sys_platform == 'no-such-system'",
            "long \\",
            "  >=1",
            "https://host.invalid/tool-1.0-py3-none-any.whl",
            "git+https://host.invalid/o/other.git@main",
            "git+https://host.invalid/o/x#egg=third",
            "pinned==1 --hash=sha256:00",
            "-r more.txt",
        ]
    )
    pack = make_pack(tmp_path / "P", requirements=text, files={"more.txt": "deeper\n"})
    assert wanted(read_needs("P", pack, environment)) == [
        "numpy>=2",
        'shapes[fast]~=1.0; python_version >= "3.0"',
        "long>=1",
        "tool@ https://host.invalid/tool-1.0-py3-none-any.whl",
        "other@ git+https://host.invalid/o/other.git@main",
        "third@ git+https://host.invalid/o/x",
        "pinned==1",
        "deeper",
    ]


def test_a_pack_chooses_no_index(tmp_path: Path, environment: Environment) -> None:
    pack = make_pack(tmp_path / "P", requirements="--extra-index-url https://evil.invalid/simple\nshapes\n")
    needs = read_needs("P", pack, environment)
    assert wanted(needs) == ["shapes"]
    assert "P/requirements.txt, line 1" in needs.notes[0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"shapes\nb\xe4d\n", "P/requirements.txt, line 2: it is not UTF-8 text"),
        (b"-r ../../secret.txt\n", "leads out of the pack"),
        (b"-e .\n", "would install code in place"),
        (b"ok\nnot a requirement!\n", "P/requirements.txt, line 2: 'not a requirement!' is no requirement"),
    ],
)
def test_lines_that_cannot_be_used_are_told_with_file_and_line(
    tmp_path: Path, environment: Environment, content: bytes, reason: str
) -> None:
    pack = make_pack(tmp_path / "P")
    (pack / "requirements.txt").write_bytes(content)
    with pytest.raises(InstallRefused, match=reason):
        read_needs("P", pack, environment)


def test_utf16_as_windows_writes_it_is_read(tmp_path: Path, environment: Environment) -> None:
    pack = make_pack(tmp_path / "P")
    (pack / "requirements.txt").write_bytes("shapes\r\n".encode("utf-16"))
    assert wanted(read_needs("P", pack, environment)) == ["shapes"]


def test_what_is_installed_is_not_missing(tmp_path: Path, environment: Environment) -> None:
    pack = make_pack(tmp_path / "P", requirements="Numpy>=2\ncolours>=2\nabsent\n")
    missing = missing_needs(read_needs("P", pack, environment), environment)
    assert [need.name for need in missing] == ["colours", "absent"]


def test_opencv_is_installed_once_and_without_windows(tmp_path: Path, environment: Environment) -> None:
    pack = make_pack(tmp_path / "P", requirements="opencv-python>=4.5\nopencv-contrib-python\n")
    guarded = guard(read_needs("P", pack, environment), environment)
    assert [str(need.requirement) for need in guarded.wanted] == [
        "opencv-python-headless>=4.5",
        "opencv-contrib-python-headless",
    ]


def test_what_is_protected_is_held_to_its_version(environment: Environment) -> None:
    constraints = guard(Needs(), environment).constraints
    assert "numpy==2.1.0" in constraints
    assert "torch==2.6.0" in constraints
    assert not any(line.startswith("colours") for line in constraints)
    assert {"torch", "torchaudio", "numpy", "pillow", "safetensors", "pydantic"} <= protected_names()
    assert "numpy==2.1.0" not in guard(Needs(), environment, allow_change=["NumPy"]).constraints


def test_a_pack_that_is_known_to_be_malicious_is_refused() -> None:
    with pytest.raises(InstallRefused, match="password stealer"):
        refuse_known_bad_pack("x", "https://github.com/AppleBotzz/ComfyUI_LLMVISION")


def test_nodes_version_and_licence_are_read_without_importing(tmp_path: Path) -> None:
    files = {
        "nodes.py": 'NODE_CLASS_MAPPINGS["Late"] = 1\nNODE_CLASS_MAPPINGS.update({"More": 2})\nraise SystemExit\n',
        "v3.py": 'async def comfy_entrypoint(): ...\nschema = io.Schema(node_id="Modern")\n',
        "LICENSE": "MIT License\n\nPermission is hereby granted, free of charge, to any person\n",
        "pyproject.toml": '[project]\nversion = "0.3"\n',
    }
    contents = read_contents("P", make_pack(tmp_path / "P", nodes=["First"], files=files))
    assert set(contents.nodes) == {"First", "Late", "More", "Modern"}
    assert (contents.version, contents.licence) == ("0.3", "MIT")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"x = 1\ny = '\xff'\nNODE_CLASS_MAPPINGS = {}\n", r"P/__init__\.py, line 2"),
        (b"NODE_CLASS_MAPPINGS = {}\ndef f(:\n", r"P/__init__\.py, line 2: invalid syntax"),
        (b"x = 1\n", "has no nodes"),
    ],
)
def test_a_folder_that_is_no_sound_pack_is_told_with_file_and_line(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "P").mkdir()
    (tmp_path / "P" / "__init__.py").write_bytes(content)
    with pytest.raises(InstallRefused, match=reason):
        check_contents("P", tmp_path / "P", "P")


def test_a_folder_of_packs_is_told_from_a_pack(tmp_path: Path) -> None:
    make_pack(tmp_path / "all" / "One")
    with pytest.raises(InstallRefused, match=r"no __init__\.py") as raised:
        check_contents("all", tmp_path / "all", "all")
    assert "One" in (raised.value.hint or "")
