"""`graphengine lineage`: everything that went into a picture, to read, to draw, to hand on and to sign."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphengine.cli.console import complain, plural, say
from graphengine.cli.definitions import DefinitionsOption
from graphengine.cli.files import write_whole
from graphengine.cli.known_nodes import known_nodes
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import (
    DebugOption,
    JsonOption,
    ModelsOption,
    examples,
)
from graphengine.cli.pack_folders import PackFolders
from graphengine.errors import GraphEngineError, SettingsError

if TYPE_CHECKING:
    from graphengine.lineage.parts import Lineage
    from graphengine.lineage.surroundings import Surroundings

EXAMPLES = examples(
    "graphengine lineage output/picture_00001_.png",
    "graphengine lineage output/picture_00001_.png -o lineage.svg",
    "graphengine lineage @1 --format spdx -o run.spdx.json",
    "graphengine lineage output/picture_00001_.png --sign key.pem -o picture.intoto.json",
    "graphengine lineage output/picture_00001_.png --verify picture.intoto.json --key key.pub",
)


class Written(StrEnum):
    """What a lineage can be written as."""

    TEXT = "text"
    SVG = "svg"
    IN_TOTO = "intoto"
    SPDX = "spdx"
    JSON = "json"


_SUFFIXES: Mapping[str, Written] = {
    ".svg": Written.SVG,
    ".txt": Written.TEXT,
    ".spdx.json": Written.SPDX,
    ".intoto.json": Written.IN_TOTO,
    ".intoto.jsonl": Written.IN_TOTO,
    ".dsse.json": Written.IN_TOTO,
    ".json": Written.JSON,
}


WhatArgument = Annotated[
    str | None,
    typer.Argument(metavar="PICTURE|RUN", help="A file that a run saved, or a run (@1: the last)."),
]
FormatOption = Annotated[
    Written | None,
    typer.Option(
        "--format",
        help="text; svg: the graph; intoto: a statement with SLSA provenance; spdx: models, packs, licences "
        "(SPDX 2.3). Default: by the suffix of --output, else text.",
    ),
]
WriteOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="PATH", help="File to write. Default: stdout.")
]
SignOption = Annotated[
    Path | None,
    typer.Option(
        "--sign", metavar="KEY", help="Sign the in-toto statement with this private key (Ed25519 or ECDSA)."
    ),
]
VerifyOption = Annotated[
    Path | None,
    typer.Option(
        "--verify", metavar="ENVELOPE", help="Check a signed statement, and that PICTURE is what it is about."
    ),
]
KeyOption = Annotated[Path | None, typer.Option("--key", metavar="KEY", help="The public key to verify with.")]


@with_option_groups
def command(
    what: WhatArgument = None,
    *,
    format: FormatOption = None,
    output: WriteOption = None,
    sign: SignOption = None,
    verify: VerifyOption = None,
    key: KeyOption = None,
    definitions: DefinitionsOption = None,
    places: PackFolders,
    models: ModelsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Tell everything that went into a picture: graph, values, seeds, models, inputs, packs, packages, licences.

    It rests on the record of the run that made the picture, found by its bytes. Where an input file was itself
    made by a recorded run, that run is told as well, and so on. One without a record is told from its metadata.
    Exit code: 1 when the picture is not what was recorded, or a signature does not hold.
    """
    if verify is not None:
        _verify(verify, key, what)
        return
    if what is None:
        raise SettingsError("nothing is named", hint="graphengine lineage PICTURE, or the id of a run")
    if key is not None:
        raise SettingsError("--key is for --verify", hint="to sign, write --sign KEY")
    from graphengine.lineage.asking import find_lineages  # brings networkx (0.2 s), which help does not need
    from graphengine.provenance.history import HISTORY_FOLDER
    from graphengine.provenance.history.history import History

    here = _surroundings(what, definitions, places, models)
    wanted = _wanted(format, output, as_json=as_json, is_signed=sign is not None)
    found = find_lineages(what, History(here.project / HISTORY_FOLDER), here)
    _write(_signed(found, sign) if sign is not None else _WRITERS[wanted](found, here), output, found)
    if any(each.subject.state == "changed" for each in found):
        raise typer.Exit(1)


def _write(text: str, output: Path | None, found: "Sequence[Lineage]") -> None:
    if output is None:
        say(text.removesuffix("\n"))
        return
    write_whole(output, text)
    complain(f"{output}: {plural(len(found), 'output')}")
    for note in dict.fromkeys(note for each in found for note in each.notes):
        complain(f"note: {note}")


def _surroundings(
    what: str,
    definitions: Path | None,
    places: PackFolders,
    models: list[Path] | None,
) -> "Surroundings":
    from graphengine.lineage.surroundings import Surroundings
    from graphengine.packs.discover import custom_packs, installed_packs

    settings = places.settings(models=models)
    packs = [*installed_packs(), *custom_packs(settings.custom_nodes)]
    known = known_nodes(Path(what), definitions, places)
    return Surroundings(settings.project.file.absolute().parent, settings.folders, packs, known)


def _wanted(format: Written | None, output: Path | None, *, as_json: bool, is_signed: bool) -> Written:
    """What to write.

    Raises:
        SettingsError: only statements are signed.
    """
    if is_signed:
        if format not in (None, Written.IN_TOTO):
            raise SettingsError(f"--sign signs a statement, no {format}", hint="leave --format out")
        return Written.IN_TOTO
    if format is not None:
        return format
    if as_json:
        return Written.JSON
    name = output.name.lower() if output is not None else ""
    return next((kind for suffix, kind in _SUFFIXES.items() if name.endswith(suffix)), Written.TEXT)


def _text(found: "Sequence[Lineage]", here: "Surroundings") -> str:
    from graphengine.lineage.text import text_lines

    return "\n\n".join("\n".join(text_lines(each)) for each in found) + "\n"


def _svg(found: "Sequence[Lineage]", here: "Surroundings") -> str:
    from graphengine.lineage.drawing import lineage_svg

    if len(found) != 1:
        names = ", ".join(each.subject.name for each in found[:5])
        raise SettingsError(f"the run saved {len(found)} files", hint=f"draw one of them: {names}")
    return lineage_svg(found[0], here.definitions)


def _statement(found: "Sequence[Lineage]", here: "Surroundings") -> str:
    from graphengine.lineage.statement import statement

    return _dumped(statement(found))


def _spdx(found: "Sequence[Lineage]", here: "Surroundings") -> str:
    from graphengine.lineage.spdx import spdx_document

    return _dumped(spdx_document(found, time.time()))


def _plain(found: "Sequence[Lineage]", here: "Surroundings") -> str:
    from graphengine.lineage.plain import as_json

    return _dumped([as_json(each) for each in found])


# Any: JSON that is written.
def _dumped(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


_WRITERS: "Mapping[Written, Callable[[Sequence[Lineage], Surroundings], str]]" = {
    Written.TEXT: _text,
    Written.SVG: _svg,
    Written.IN_TOTO: _statement,
    Written.SPDX: _spdx,
    Written.JSON: _plain,
}


def _signed(found: "Sequence[Lineage]", key: Path) -> str:
    """The envelope of the statement about outputs that are what was recorded.

    Raises:
        GraphEngineError: one of them is not, or the key cannot be used.
    """
    from graphengine.lineage.envelope import KeyLocked, signed
    from graphengine.lineage.statement import statement

    for each in found:
        if each.subject.state == "changed":
            raise GraphEngineError(f"not signed: {each.notes[0]}", hint="sign the file as it was made")
    made = statement(found)
    try:
        return _dumped(signed(made, key))
    except KeyLocked:
        if not sys.stdin.isatty():
            raise
        return _dumped(signed(made, key, typer.prompt(f"Password of {key}", hide_input=True, err=True).encode()))


def _verify(envelope: Path, key: Path | None, what: str | None) -> None:
    """Check the signature of an envelope, and that a picture is what it is about.

    Raises:
        SettingsError: no key is named.
        GraphEngineError: the signature does not hold, or the picture is another one.
    """
    from graphengine.cli.fmt import read_bytes
    from graphengine.lineage.envelope import subjects, verified
    from graphengine.lineage.gathering import sha256_of

    if key is None:
        raise SettingsError("--verify needs --key", hint="give the public key of who signed")
    found = verified(read_bytes(envelope), key)
    about = subjects(found.statement)
    if what is not None:
        digest = sha256_of(Path(what))
        if digest not in about.values():
            known = ", ".join(f"{name} ({each})" for name, each in about.items())
            raise GraphEngineError(
                f"{what} has sha256 {digest}, the statement is about {known or 'nothing'}",
                hint="the file was changed after it was signed, or is another one",
            )
        say(f"{what} is what the statement is about")
    say(f"signed with key {found.key_id}")
    for name, digest in about.items():
        say(f"{name}: sha256 {digest}")
