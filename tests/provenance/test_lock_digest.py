"""The digest by which the record of a run names its lock."""

import hashlib
from pathlib import Path

from graphengine.provenance.lock_digest import LOCK_FILE, digest_of_lock


def test_line_ends_and_a_byte_order_mark_do_not_change_the_digest(tmp_path: Path) -> None:
    expected = hashlib.sha256(b"version = 1\n[engine]\n").hexdigest()
    for content in (
        b"version = 1\n[engine]\n",
        b"version = 1\r\n[engine]\r\n",
        b"\xef\xbb\xbfversion = 1\n[engine]\n",
    ):
        (tmp_path / LOCK_FILE).write_bytes(content)
        assert digest_of_lock(tmp_path / LOCK_FILE) == expected


def test_a_folder_stands_for_the_lock_in_it(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_bytes(b"version = 1\n")
    assert digest_of_lock(tmp_path) == hashlib.sha256(b"version = 1\n").hexdigest()


def test_no_lock_has_no_digest(tmp_path: Path) -> None:
    assert digest_of_lock(tmp_path) is None
    assert digest_of_lock(tmp_path / "gone" / LOCK_FILE) is None


def test_what_is_too_large_for_a_lock_has_no_digest(tmp_path: Path) -> None:
    with (tmp_path / LOCK_FILE).open("wb") as file:
        file.truncate(100 * 2**20)
    assert digest_of_lock(tmp_path) is None
