"""The lock as a file: what is written is read, and what is damaged says so."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import LockError
from graphengine.locking.lock_file import lock_text, read_lock, write_lock
from graphengine.locking.schema import Lock

DIGEST = "0123456789abcdef" * 4
LOCK = Lock.model_validate(
    {
        "version": 1,
        "engine": {"graphengine": "0.1.0", "python": "3.11.4", "device": "cpu", "platform": "linux-x86_64"},
        "numerics": {"deterministic": "no"},
        "workflows": {"workflows/a b.json": {"sha256": DIGEST, "models": ["loras/é.safetensors"]}},
        "packs": {"Foo": {"kind": "local", "content": f"sha256:{DIGEST}", "files": {"__init__.py": DIGEST}}},
        "packages": {"numpy": {"version": "2.1.0", "sha256": [DIGEST], "installed": DIGEST}},
        "models": {"loras": {"é.safetensors": {"size": 3, "sha256": DIGEST, "urls": ["https://example.org/é"]}}},
    }
)  # fmt: skip
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..") and not set(name) & set("/\\:")
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "graphengine.lock"
    write_lock(path, LOCK)
    return path


@given(st.dictionaries(NAMES, st.integers(0, 2**62), max_size=5), st.dictionaries(NAMES, NAMES, max_size=3))
def test_what_is_written_is_read(models: dict[str, int], settings: dict[str, str]) -> None:
    facts = {"loras": {name: {"size": size, "sha256": DIGEST} for name, size in models.items()}} if models else {}
    lock = Lock.model_validate({**LOCK.model_dump(), "models": facts, "numerics": settings})
    assert Lock.model_validate(tomllib.loads(lock_text(lock))) == lock


def test_a_fact_has_a_line_of_its_own() -> None:
    text = lock_text(LOCK)
    assert '[packages.numpy]\nversion = "2.1.0"\nsha256 = [\n    "0123' in text
    assert '[models.loras."é.safetensors"]\nsize = 3\n' in text
    assert text.endswith("[end]\ncomplete = true\n")


def test_windows_line_ends_and_a_byte_order_mark_do_not_matter(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert read_lock(file) == LOCK


def test_a_lock_that_was_cut_off_anywhere_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for size in range(0, len(whole) - 1, 7):
        file.write_bytes(whole[:size])
        with pytest.raises(LockError, match=r"cut off|not UTF-8"):
            read_lock(file)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("version = 1", "version = 2", "is a lock of version 2; this graphengine knows version 1"),
        ("size = 3", "size = -3", "models.loras.*size: Input should be greater"),
        ("size = 3", 'size = 3\ncolour = "red"', "colour: Extra inputs are not permitted"),
        ('device = "cpu"\n', "", "engine.device: Field required"),
        ("[models.loras.", "<<<<<<< ours\n[models.loras.", "has conflicts of a merge in it"),
        ('"é.safetensors"', '"../../x.safetensors"', "leads out of its folder"),
        ('"é.safetensors"', '"/etc/x.safetensors"', "leads out of its folder"),
        ("packs.Foo", 'packs."..\\\\Foo"', "String should match pattern"),
        ("packs.Foo", 'packs.".graphengine"', "is no name of a pack"),
        ("packs.Foo", 'packs."..', "is damaged"),
        ("loras/é", "../é", "leads out of its folder"),
        ("https://example.org", "--upload-pack=x", "String should match pattern"),
        (DIGEST, "x" * 64, "sha256: String should match pattern"),
        ("complete = true", "complete = " + "[" * 5000 + "]" * 5000, "is damaged"),
    ],
)  # fmt: skip
def test_what_was_changed_by_hand_is_named(file: Path, before: str, after: str, told: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")
    with pytest.raises(LockError, match=told):
        read_lock(file)


def test_what_is_too_large_is_not_read(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(100 * 2**20)
    with pytest.raises(LockError, match="larger than 16 MiB"):
        read_lock(file)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"version = 1\x80"])
def test_what_is_no_text_is_named(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(LockError, match="not UTF-8"):
        read_lock(file)


def test_a_missing_lock_says_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(LockError) as refused:
        read_lock(tmp_path / "graphengine.lock")
    assert refused.value.hint == "graphengine lock writes it"
    with pytest.raises(LockError, match="Is a directory"):
        read_lock(tmp_path)


def test_the_same_facts_are_not_written_again(file: Path) -> None:
    before = file.stat().st_mtime_ns, file.stat().st_ino
    assert not write_lock(file, LOCK)
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before


def test_a_write_that_fails_leaves_the_lock_as_it_was(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    before = file.read_bytes()
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LockError, match="No space left"):
        write_lock(file, LOCK.model_copy(update={"numerics": {}}))
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir() if path.suffix == ".part"] == []
