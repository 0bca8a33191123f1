"""Licences told from names, texts and files."""

from pathlib import Path

import pytest

from graphengine.lineage.licences import (
    licence_of_distribution,
    licence_of_folder,
    licence_of_model,
    model_metadata,
    named_licence,
)

MIT = (
    "The Licence\n\nPermission is hereby granted, free of charge, to any person\nobtaining a copy of this software"
)
AGPL = "GNU AFFERO GENERAL PUBLIC LICENSE\n  Version 3, 19 November 2007\n … GNU General Public License version 3"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mit", "MIT"),
        ("Apache License 2.0", "Apache-2.0"),
        ("apache-2.0 OR MIT", "Apache-2.0 OR MIT"),
        ("GPL-3.0", "GPL-3.0-only"),
        (MIT, "MIT"),
        (AGPL, "AGPL-3.0-only"),
        ("GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007 … Affero General Public License", "GPL-3.0-only"),
        ("GNU LESSER GENERAL PUBLIC LICENSE\nVersion 3 … version 3 of the GNU General Public License",
         "LGPL-3.0-only"),
    ],
)  # fmt: skip
def test_what_people_write_becomes_an_identifier(text: str, expected: str) -> None:
    found = named_licence(text, "here")
    assert found is not None
    assert (found.text, found.is_spdx) == (expected, True)


@pytest.mark.parametrize("text", ["CreativeML Open RAIL-M", "MIT MIT", "LicenseRef-mine", "see the website"])
def test_what_is_no_identifier_stays_as_it_is_written(text: str) -> None:
    found = named_licence(text, "here")
    assert found is not None
    assert (found.text, found.is_spdx) == (text, False)


def test_nothing_says_nothing() -> None:
    assert named_licence(" \n", "here") is None


def test_texts_of_bundled_code_do_not_count_for_the_whole() -> None:
    found = named_licence(
        "Redistribution and use in source and binary forms … GNU GENERAL PUBLIC LICENSE Version 3", ""
    )
    assert found is not None
    assert found.text == "BSD-2-Clause"


def test_a_project_file_counts_before_a_licence_file(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text(MIT)
    found = licence_of_folder(tmp_path)
    assert found is not None
    assert (found.text, found.where) == ("MIT", "LICENSE")
    (tmp_path / "pyproject.toml").write_text('[project]\nlicense = "Apache-2.0"\n')
    found = licence_of_folder(tmp_path)
    assert found is not None
    assert (found.text, found.where) == ("Apache-2.0", "pyproject.toml")


def test_a_project_file_cannot_name_a_file_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text(MIT)
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "pyproject.toml").write_text('[project]\nlicense = {file = "../outside"}\n')
    assert licence_of_folder(pack) is None


def test_a_folder_without_words_has_no_licence(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("not toml [")
    assert licence_of_folder(tmp_path) is None
    (tmp_path / "COPYING").write_text("do as you like")
    found = licence_of_folder(tmp_path)
    assert found is not None
    assert (found.text, found.is_spdx) == ("see COPYING", False)


def test_installed_packages_say_their_licence() -> None:
    found = licence_of_distribution("pydantic")
    assert found is not None
    assert found.text == "MIT"
    assert licence_of_distribution("no-such-package-here") is None
    assert licence_of_distribution("") is None


def test_a_damaged_model_has_no_metadata(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    for content in (b"", b"\xff" * 20, b"\x02\0\0\0\0\0\0\0[]", b'\x09\0\0\0\0\0\0\0{"a": 1'):
        file.write_bytes(content)
        assert model_metadata(file) == {}
    assert model_metadata(tmp_path / "absent") == {}
    assert licence_of_model({"license": "mit"}) == named_licence("MIT", "license")
