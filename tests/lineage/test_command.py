"""`graphengine lineage` as it is typed."""

import json
from collections.abc import Callable

import pytest

from graphengine.cli import main
from tests.lineage.conftest import FIRST, Project, picture

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    monkeypatch.setenv("GRAPHENGINE_CACHE", str(project.folder / "cache"))
    (project.folder / "definitions.json").write_text("{}")

    def run(*argv: str) -> tuple[int, str, str]:
        capsys.readouterr()
        definitions = () if "--verify" in argv else ("--definitions", "definitions.json")
        return (main(["lineage", *argv, *definitions]), *capsys.readouterr())

    return run


def test_a_picture_is_told_as_text(say: Say) -> None:
    code, out, _ = say("output/second.png")
    assert code == 0
    assert f"made by run {FIRST}" in out


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("a.svg", "<svg"),
        ("a.spdx.json", "{"),
        ("a.intoto.json", "{"),
        ("a.json", "["),
        ("a.txt", "output/first.png"),
    ],
)
def test_the_suffix_says_what_is_written(say: Say, project: Project, name: str, begins: str) -> None:
    code, out, err = say("output/first.png", "-o", name)
    assert (code, out, err) == (0, "", f"{name}: 1 output\n")
    assert (project.folder / name).read_text().startswith(begins)


def test_a_changed_picture_exits_with_1_and_is_not_signed(say: Say, project: Project) -> None:
    picture(project.folder / "output" / "first.png", 11, {"graphengine": {"run": FIRST}})
    code, out, _ = say("output/first.png")
    assert code == 1
    assert "was changed after it was made" in out
    code, out, err = say("output/first.png", "--sign", "key")
    assert (code, out) == (1, "")
    assert "not signed: output/first.png was changed" in err


def test_a_signed_statement_verifies_with_its_picture_alone(say: Say, project: Project) -> None:
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from tests.lineage.test_envelope import write_keys

    write_keys(project.folder, Ed25519PrivateKey.generate())
    assert say("output/first.png", "--sign", "key", "-o", "s.json")[0] == 0
    code, out, _ = say("output/first.png", "--verify", "s.json", "--key", "key.pub")
    assert code == 0
    assert "output/first.png is what the statement is about" in out
    code, _, err = say("output/second.png", "--verify", "s.json", "--key", "key.pub")
    assert code == 1
    assert "the statement is about output/first.png" in err


def test_several_outputs_cannot_be_drawn_at_once(say: Say) -> None:
    code, _, err = say(FIRST, "--format", "svg")
    assert code == 2
    assert "draw one of them: output/first.png, output/other.png" in err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "nothing is named"),
        (("x.png", "--key", "k"), "--key is for --verify"),
        (("x.png", "--verify", "e"), "--verify needs --key"),
        (("output/first.png", "--sign", "k", "--format", "svg"), "--sign signs a statement"),
        (("absent.png",), "there is no such file"),
    ],
)
def test_wrong_usage_exits_with_2(say: Say, argv: tuple[str, ...], message: str) -> None:
    code, _, err = say(*argv)
    assert code == 2
    assert message in err


def test_json_is_for_programs(say: Say, project: Project) -> None:
    code, out, _ = say(FIRST, "--json")
    assert code == 0
    assert [each["subject"]["state"] for each in json.loads(out)] == ["as recorded", "absent"]
