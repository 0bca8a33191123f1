"""A lineage as an SPDX 2.3 document (https://spdx.github.io/spdx-spec/v2.3/): parts of an output and licences.

Everything is a package, also models and pictures: an SPDX file needs a SHA-1, which nobody recorded.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from graphengine.lineage.parts import Licence, Lineage, Making, PackPart
from graphengine.lineage.statement import package_url, timestamp

_DOCUMENT = "SPDXRef-DOCUMENT"
_NOT_KNOWN = "NOASSERTION"
_ENGINE = "graphengine-comfy"
_ODD = re.compile(r"[^A-Za-z0-9.-]+")

# Any throughout: JSON that is written, in the shape of the specification.
Json = dict[str, Any]


def spdx_document(lineages: Sequence[Lineage], created: float) -> Json:
    """The document about one or more outputs; `created` is when it is made, in seconds since 1970."""
    made = _Document()
    for lineage in lineages:
        made.add(lineage)
    name = ", ".join(each.subject.name for each in lineages)
    content = {"packages": made.packages, "relationships": made.relationships}
    unique = uuid5(NAMESPACE_URL, json.dumps([name, created, content], sort_keys=True))
    document: Json = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": _DOCUMENT,
        "name": name,
        "documentNamespace": f"https://spdx.org/spdxdocs/graphengine-{unique}",
        "creationInfo": {"created": timestamp(created), "creators": ["Tool: graphengine"]},
        **content,
    }
    if made.licences:
        document["hasExtractedLicensingInfos"] = [
            {"licenseId": id_, "extractedText": text, "name": text} for text, id_ in made.licences.items()
        ]
    return document


@dataclass(slots=True)
class _Document:
    """What is gathered: packages, the relationships between them, and licences that SPDX does not list."""

    packages: list[Json] = field(default_factory=list)
    relationships: list[Json] = field(default_factory=list)
    licences: dict[str, str] = field(default_factory=dict)
    _ids: dict[str, str] = field(default_factory=dict)

    def add(self, lineage: Lineage) -> None:
        """Take in an output and all that went into it."""
        subject = lineage.subject
        digest = subject.recorded or subject.sha256
        output = self._file(subject.name, digest, "; ".join(lineage.notes))
        self._relate(_DOCUMENT, "DESCRIBES", output)
        of_run = {each.run: self._output(each) for each in lineage.makings[1:]}
        for number, making in enumerate(lineage.makings):
            self._add_making(making, output if number == 0 else of_run[making.run], of_run)

    def _add_making(self, making: Making, output: str, of_run: dict[str | None, str]) -> None:
        for model in making.models:
            name = f"{model.kind}/{model.name}"
            where = f"state: {model.state}"
            self._relate(output, "GENERATED_FROM", self._file(name, model.sha256, where, model.licence))
        for file in making.inputs:
            source = of_run.get(file.made_by) if file.made_by is not None else None
            source = source or self._file(file.name, file.sha256, f"state: {file.state}")
            self._relate(output, "GENERATED_FROM", source)
        for pack in making.packs:
            self._relate(self._pack(pack), "BUILD_TOOL_OF", output)
        for package in making.packages:
            kind = "BUILD_TOOL_OF" if package.name == _ENGINE else "BUILD_DEPENDENCY_OF"
            id_ = self._package(package.name, package.version, package.licence)
            self._relate(id_, kind, output)

    def _output(self, making: Making) -> str:
        return self._file(making.output or "picture", making.output_sha256, f"made by run {making.run}")

    def _file(self, name: str, sha256: str | None, comment: str, licence: Licence | None = None) -> str:
        facts: Json = {"primaryPackagePurpose": "FILE", "packageFileName": name}
        facts |= {"checksums": [{"algorithm": "SHA256", "checksumValue": sha256}]} if sha256 is not None else {}
        facts |= {"comment": comment} if comment else {}
        return self._add(f"{name} {sha256}", name, facts, licence)

    def _pack(self, pack: PackPart) -> str:
        facts: Json = {"primaryPackagePurpose": "LIBRARY"}
        facts |= {"versionInfo": pack.version} if pack.version else {}
        if pack.source and "://" in pack.source:
            at = f"@{pack.commit}" if pack.commit else ""
            git = "" if pack.source.startswith("git+") or not pack.commit else "git+"
            facts["downloadLocation"] = f"{git}{pack.source}{at}"
        if pack.code and len(pack.code) == 64:
            facts["checksums"] = [{"algorithm": "SHA256", "checksumValue": pack.code}]
        elif pack.code:
            facts["comment"] = f"hash of its code: {pack.code}"
        return self._add(f"pack {pack.name} {pack.code} {pack.commit}", pack.name, facts, pack.licence)

    def _package(self, name: str, version: str | None, licence: Licence | None) -> str:
        facts: Json = {"versionInfo": version} if version else {}
        facts["externalRefs"] = [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": package_url(name, version),
            }
        ]
        return self._add(f"package {name} {version}", name, facts, licence)

    def _add(self, key: str, name: str, facts: Json, licence: Licence | None) -> str:
        """The id of a package, which is written once."""
        if key not in self._ids:
            self._ids[key] = f"SPDXRef-{len(self._ids) + 1}-{_ODD.sub('-', name)[:60].strip('-.') or 'part'}"
            self.packages.append(
                {
                    "SPDXID": self._ids[key],
                    "name": name,
                    "downloadLocation": _NOT_KNOWN,
                    "filesAnalyzed": False,
                    "licenseConcluded": _NOT_KNOWN,
                    "licenseDeclared": self._licence(licence),
                    "copyrightText": _NOT_KNOWN,
                    **facts,
                }
            )
        return self._ids[key]

    def _licence(self, licence: Licence | None) -> str:
        if licence is None:
            return _NOT_KNOWN
        if licence.is_spdx:
            return licence.text
        return self.licences.setdefault(licence.text, f"LicenseRef-{len(self.licences) + 1}")

    def _relate(self, one: str, kind: str, other: str) -> None:
        found = {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
        if found not in self.relationships:
            self.relationships.append(found)
