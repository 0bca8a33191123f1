"""Names from requests lead nowhere but below their root."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import FileRefused
from graphengine.server.paths import below, name_parts, resolve

REFUSED = {
    "parent": "../a.png",
    "parent inside": "a/../../b.png",
    "parent at the end": "a/..",
    "three dots": "a/.../b",
    "dots and spaces": ".. /a",
    "absolute": "/etc/passwd",
    "two slashes": "//server/share/a",
    "UNC": r"\\server\share\a",
    "backslash": r"..\a.png",
    "drive": "C:/a.png",
    "drive without a slash": "c:a.png",
    "drive inside": "a/D:b",
    "zero byte": "a\0.png",
    "line feed": "a\n.png",
    "carriage return": "a\r.png",
    "escape": "a\x1b[31m.png",
    "separator of lines": "a\u2028b",
    "half a surrogate pair": "a\ud800b",
    "device": "con",
    "device with an ending": "sub/NUL.png",
    "device with a superscript digit": "com¹.txt",
    "dot at the end": "a.",
    "space at the end": "a ",
    "long part": "a" * 256,
    "long in bytes": "ä" * 128,
    "long name": "/".join(["a" * 200] * 6),
    "deep": "/".join("a" * 40),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED.keys())
def test_a_name_that_is_no_plain_relative_one_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileRefused) as refused:
        resolve(tmp_path, name)
    assert "\n" not in refused.value.message
    assert "\0" not in refused.value.message


@pytest.mark.parametrize("name", ["", "/", ".", "./"])
def test_a_folder_is_no_name_of_a_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileRefused):
        resolve(tmp_path, name)


def test_plain_names_lead_below_the_root(tmp_path: Path) -> None:
    assert resolve(tmp_path, "a.png") == tmp_path / "a.png"
    assert resolve(tmp_path, "sub/./b (1).png") == tmp_path / "sub" / "b (1).png"
    assert resolve(tmp_path, "ein schönes Bild 猫.png") == tmp_path / "ein schönes Bild 猫.png"
    assert resolve(tmp_path, ".index.json") == tmp_path / ".index.json"


def test_percent_signs_that_are_left_after_decoding_are_letters(tmp_path: Path) -> None:
    assert resolve(tmp_path, "%2e%2e%2fa.png") == tmp_path / "%2e%2e%2fa.png"


def test_links_are_followed_inside_the_root_and_refused_out_of_it(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    root.mkdir()
    other.mkdir()
    (root / "a.png").write_bytes(b"a")
    (root / "inside.png").symlink_to("a.png")
    (root / "outside").symlink_to(other)
    (root / "dangling.png").symlink_to(other / "new.png")
    assert resolve(root, "inside.png") == root / "a.png"
    for name in ("outside/b.png", "dangling.png"):
        with pytest.raises(FileRefused, match="leads out of its folder"):
            resolve(root, name)


def test_links_in_a_circle_are_refused_or_stay_inside(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    try:
        path = resolve(tmp_path, "a/c")
    except FileRefused:  # before Python 3.13
        return
    assert path.is_relative_to(tmp_path)


def test_a_root_that_is_a_link_itself_is_a_root(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    assert resolve(tmp_path / "root", "a.png") == tmp_path / "real" / "a.png"


PIECES = st.sampled_from(["..", ".", "", "a", "b.png", "%2e%2e", "C:", "link", "\\", "~", " ", "con", "ä"])


@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=8).map("/".join)))
def test_whatever_the_name_the_path_stays_below_the_root(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    root = tmp_path_factory.getbasetemp() / "contained"
    root.mkdir(exist_ok=True)
    if not (root / "link").is_symlink():
        (root / "link").symlink_to("/")
    try:
        path = resolve(root, name)
    except FileRefused:
        return
    assert path.is_relative_to(root)
    assert path != root


@given(st.text(max_size=60))
def test_the_parts_of_a_name_are_harmless_one_by_one(name: str) -> None:
    try:
        parts = name_parts(name)
    except FileRefused:
        return
    assert all(part and part not in (".", "..") and not set(part) & set("/\\\0\n\r") for part in parts)


def test_the_folder_itself_is_below_itself(tmp_path: Path) -> None:
    assert below(tmp_path, name_parts("")) == tmp_path
