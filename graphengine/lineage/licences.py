"""Which licence something is under, told from what its author wrote: metadata, a project file, a licence's text.

Identifiers are those of the SPDX licence list. A text that fits none is given as it stands, never guessed at. The
text of a GNU licence alone does not say "or any later version", so it counts as this version only.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from graphengine.lineage.parts import Licence

_LARGEST_HEADER = 100 * 2**20  # as safetensors itself limits it
_LONGEST = 100_000  # bytes of a licence's text
_SHOWN = 120  # characters of a licence that is no identifier
_FILES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "LICENCE.md", "LICENCE.txt", "COPYING")

# Phrases that only these licences have, the narrower ones first.
_PHRASES: tuple[tuple[str, str], ...] = (
    ("AGPL-3.0-only", r"gnu affero general public license version 3"),
    ("LGPL-3.0-only", r"gnu lesser general public license version 3"),
    ("LGPL-2.1-only", r"gnu lesser general public license version 2\.1"),
    ("GPL-3.0-only", r"gnu general public license version 3"),
    ("GPL-2.0-only", r"gnu general public license version 2"),
    ("Apache-2.0", r"apache license,? version 2\.0"),
    ("MPL-2.0", r"mozilla public license,? version 2\.0"),
    ("CC-BY-NC-SA-4.0", r"attribution-noncommercial-sharealike 4\.0 international"),
    ("CC-BY-NC-4.0", r"attribution-noncommercial 4\.0 international"),
    ("CC-BY-SA-4.0", r"attribution-sharealike 4\.0 international"),
    ("CC-BY-4.0", r"creative commons attribution 4\.0 international"),
    ("CC0-1.0", r"cc0 1\.0 universal"),
    ("Unlicense", r"this is free and unencumbered software released into the public domain"),
    ("BSD-3-Clause", r"redistribution and use in source and binary forms.*neither the names? of"),
    ("BSD-2-Clause", r"redistribution and use in source and binary forms"),
    ("ISC", r"permission to use, copy, modify, and(/or)? distribute this software for any purpose"),
    ("MIT", r"permission is hereby granted, free of charge, to any person obtaining a copy"),
)

#: Names that people write, in small letters, and the identifiers that they mean.
_NAMES: Mapping[str, str] = {
    "mit license": "MIT", "the mit license": "MIT", "apache": "Apache-2.0", "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0", "apache-2": "Apache-2.0", "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0", "apache 2.0 license": "Apache-2.0",
    "gpl-3.0": "GPL-3.0-only", "gplv3": "GPL-3.0-only", "gpl3": "GPL-3.0-only", "gpl-2.0": "GPL-2.0-only",
    "agpl-3.0": "AGPL-3.0-only", "agplv3": "AGPL-3.0-only", "lgpl-3.0": "LGPL-3.0-only",
    "lgpl-2.1": "LGPL-2.1-only",
    "bsd-3": "BSD-3-Clause", "bsd 3-clause": "BSD-3-Clause", "bsd 3-clause license": "BSD-3-Clause",
    "cc0": "CC0-1.0",
}  # fmt: skip

_CLASSIFIERS: Mapping[str, str] = {
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "License :: OSI Approved :: GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "License :: OSI Approved :: GNU Affero General Public License v3": "AGPL-3.0-only",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
}


def named_licence(text: str, where: str) -> Licence | None:
    """What a name, an expression or the text of a licence says; None when it is empty."""
    plain = " ".join(text.split())
    if not plain:
        return None
    found = _NAMES.get(plain.lower()) or _expression(plain) or _by_phrase(plain)
    if found is not None:
        return Licence(found, True, where)
    return Licence(plain[:_SHOWN], False, where)


def licence_of_folder(folder: Path) -> Licence | None:
    """The licence of a pack or project: as its pyproject.toml says, else as the text of its licence file is."""
    project = _project(folder / "pyproject.toml")
    match project.get("license"):
        case str(text) | {"text": str(text)}:
            if (found := named_licence(text, "pyproject.toml")) is not None:
                return found
        case {"file": str(name)} if (found := _licence_file(folder, [name])) is not None:
            return found
    if (found := _of_classifiers(project.get("classifiers"), "pyproject.toml")) is not None:
        return found
    return _licence_file(folder, _FILES)


def licence_of_distribution(name: str) -> Licence | None:
    """The licence of an installed Python package, None when it is not installed or does not say."""
    try:
        metadata = distribution(name)
    except (PackageNotFoundError, ValueError):
        return None
    return _of_metadata(metadata)


def licence_of_model(header: Mapping[str, str]) -> Licence | None:
    """The licence that a model's metadata names: `modelspec.license`, or `license` where that is not there."""
    for key in ("modelspec.license", "license"):
        if (found := named_licence(header.get(key, ""), key)) is not None:
            return found
    return None


def model_metadata(file: Path) -> dict[str, str]:
    """The texts in the header of a safetensors file; none for a file of another kind or a damaged one."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= _LARGEST_HEADER:
                return {}
            raw = json.loads(stream.read(length))
    except (OSError, ValueError, RecursionError):
        return {}
    texts = raw.get("__metadata__") if isinstance(raw, dict) else None
    if not isinstance(texts, dict):
        return {}
    return {key: value for key, value in texts.items() if isinstance(value, str)}


def _of_metadata(metadata: Distribution) -> Licence | None:
    fields = metadata.metadata
    for key in ("License-Expression", "License"):
        text = "\n".join(fields.get_all(key) or ())
        if (found := named_licence(text, f"its {key} field")) is not None and found.is_spdx:
            return found
    if (found := _of_classifiers(fields.get_all("Classifier"), "its classifiers")) is not None:
        return found
    named = named_licence("\n".join(fields.get_all("License") or ()), "its License field")
    return named or _of_packaged_files(metadata)


def _of_packaged_files(metadata: Distribution) -> Licence | None:
    for name in metadata.metadata.get_all("License-File") or ():
        text = metadata.read_text(f"licenses/{name}") or metadata.read_text(name)
        found = named_licence((text or "")[:_LONGEST], name)
        if found is not None and found.is_spdx:
            return found
    return None


def _of_classifiers(classifiers: object, where: str) -> Licence | None:
    if not isinstance(classifiers, list):
        return None
    known = [_CLASSIFIERS[each] for each in classifiers if isinstance(each, str) and each in _CLASSIFIERS]
    return Licence(" OR ".join(known), True, where) if known else None


def _licence_file(folder: Path, names: Iterable[str]) -> Licence | None:
    for name in names:
        file = folder / name
        try:
            if not file.resolve().is_relative_to(folder.resolve()):  # a project file may name any path
                continue
            with file.open("rb") as stream:
                text = stream.read(_LONGEST).decode("utf-8", "replace")
        except OSError:
            continue
        found = _by_phrase(" ".join(text.split()))
        return Licence(found, True, name) if found is not None else Licence(f"see {name}", False, name)
    return None


# Any: the file is its author's; what is read of it is checked where it is used.
def _project(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _LONGEST:
            return {}
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project")
    except (OSError, ValueError, RecursionError):
        return {}
    return project if isinstance(project, dict) else {}


def _expression(text: str) -> str | None:
    """An SPDX expression in its proper letters, None when a part of it is no identifier of the list."""
    try:
        found = str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        return None
    return None if "LicenseRef-" in found else found


def _by_phrase(plain: str) -> str | None:
    """The licence whose phrase stands first: texts of bundled code follow that of the whole."""
    low = plain.lower()
    found = ((match.start(), at) for at, (_, phrase) in enumerate(_PHRASES) if (match := re.search(phrase, low)))
    first = min(found, default=None)
    return None if first is None else _PHRASES[first[1]][0]
