"""Archives of strangers: what is refused, with the name of the entry, and that nothing lands outside."""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import InstallRefused
from graphengine.packs.installing.archives import Limits, unpack

LIMITS = Limits(files=100, bytes=2**20)


def zipped(path: Path, *entries: tuple[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            file.writestr(info, content, zipfile.ZIP_DEFLATED)
    return path


def tarred(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]  # any of the modes that write
        for member, content in members:
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return path


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.py", "leads out of the folder"),
        ("pack/../../evil.py", "leads out of the folder"),
        ("..\\evil.py", "leads out of the folder"),
        ("/etc/evil.py", "has an absolute path"),
        ("C:/evil.py", "has an absolute path"),
        ("a\x07b.py", "control characters"),
        ("d/" * 50 + "x.py", "lies too deep"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    archive = zipped(tmp_path / "bad.zip", ("ok.py", b""), (name, b"x"))
    with pytest.raises(InstallRefused, match=reason):
        unpack(archive, tmp_path / "out", LIMITS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.zip", "out"]


def test_a_zip_link_to_another_place_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "bad.zip", ("link", b"../../secret"), mode=stat.S_IFLNK | 0o777)
    with pytest.raises(InstallRefused, match=r"'link' is a link to '\.\./\.\./secret', outside the pack"):
        unpack(archive, tmp_path / "out", LIMITS)


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (link("passwords", "/etc/passwd"), "outside the pack"),
        (link("up", "../.."), "outside the pack"),
        (link("hard", "/etc/passwd", tarfile.LNKTYPE), "is a hard link"),
        (link("device", "", tarfile.CHRTYPE), "is neither a file nor a folder"),
        (link("pipe", "", tarfile.FIFOTYPE), "is neither a file nor a folder"),
    ],
)
def test_tar_members_that_reach_out_are_refused(
    tmp_path: Path, member: tuple[tarfile.TarInfo, bytes], reason: str
) -> None:
    with pytest.raises(InstallRefused, match=reason):
        unpack(tarred(tmp_path / "bad.tar", member), tmp_path / "out", LIMITS)


def test_no_file_is_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    archive = tarred(tmp_path / "bad.tar", link("sub", str(victim)), (tarfile.TarInfo("sub/evil.py"), b"evil"))
    with pytest.raises(InstallRefused):
        unpack(archive, tmp_path / "out", LIMITS)
    assert list(victim.iterdir()) == []


def test_links_that_stay_inside_are_kept(tmp_path: Path) -> None:
    archive = tarred(tmp_path / "good.tar", (tarfile.TarInfo("web/a.js"), b"a"), link("js", "web"))
    unpack(archive, tmp_path / "out", LIMITS)
    assert (tmp_path / "out" / "js" / "a.js").read_bytes() == b"a"


def test_ten_gigabytes_in_ten_kilobytes_are_refused_before_they_are_written(tmp_path: Path) -> None:
    member = tarfile.TarInfo("large.bin")
    member.size = 10 * 10**9
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip.compress(member.tobuf() + bytes(10**6)))
    with pytest.raises(InstallRefused, match="unpacks to more than 1 MiB"):
        unpack(path, tmp_path / "out", LIMITS)
    assert not (tmp_path / "out" / "large.bin").exists()


def test_a_zip_that_lies_about_its_size_is_stopped(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bomb.zip", ("large.bin", bytes(3 * 2**20)))
    path.write_bytes(path.read_bytes().replace((3 * 2**20).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(InstallRefused):
        unpack(path, tmp_path / "out", LIMITS)


def test_a_tar_header_that_claims_gigabytes_of_names_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 5 * 10**9
    (tmp_path / "bad.tar").write_bytes(member.tobuf() + bytes(4096))
    with pytest.raises(InstallRefused, match="has a header of"):
        unpack(tmp_path / "bad.tar", tmp_path / "out", LIMITS)


def test_more_files_than_allowed_are_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "many.zip", *((f"{number}.py", b"") for number in range(101)))
    with pytest.raises(InstallRefused, match="more than 100 files"):
        unpack(archive, tmp_path / "out", LIMITS)


def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = zipped(tmp_path / "twice.zip", ("a.py", b"1"), ("a.py", b"2"))
    with pytest.raises(InstallRefused, match=r"'a\.py' stands there twice"):
        unpack(archive, tmp_path / "out", LIMITS)


@pytest.mark.parametrize(
    ("ending", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_tar_files_are_unpacked_however_compressed(
    tmp_path: Path, ending: str, compress: Callable[[bytes], bytes]
) -> None:
    plain = tarred(tmp_path / "a.tar", (tarfile.TarInfo("pack/__init__.py"), b"x = 1"))
    archive = tmp_path / f"a.tar.{ending}"
    archive.write_bytes(compress(plain.read_bytes()))
    unpack(archive, tmp_path / "out", LIMITS)
    assert (tmp_path / "out" / "pack" / "__init__.py").read_bytes() == b"x = 1"


@given(st.binary(max_size=300), st.sampled_from([b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"\xfd7zXZ\x00", b"BZh9"]))
def test_damaged_bytes_are_refused_and_never_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bytes
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "a.zip").write_bytes(start + content)
    with suppress(InstallRefused):
        unpack(folder / "a.zip", folder / "out", LIMITS)
    assert [path.name for path in folder.iterdir() if path.name not in ("a.zip", "out")] == []
