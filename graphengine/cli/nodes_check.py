"""`graphengine nodes check`: what the code of packs may do, before it does it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from graphengine.cli.console import plural, say, say_json
from graphengine.cli.nodes_trust import chosen_packs
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import DebugOption, examples
from graphengine.cli.pack_folders import PackFolders
from graphengine.cli.version import installed_version
from graphengine.packs.checking.check import check_pack
from graphengine.packs.checking.findings import RULES, Finding
from graphengine.packs.discover import custom_packs
from graphengine.settings import Settings

EXAMPLES = examples(
    "graphengine nodes check ComfyUI-Foo",
    "graphengine nodes check ./downloaded-pack --least warning",
    "graphengine nodes check ComfyUI-Foo --format sarif > packs.sarif",
)

# Any: JSON.
_Json = dict[str, Any]
Findings = Mapping[Path, Sequence[Finding]]


class Report(StrEnum):
    """How the report is written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


class Least(StrEnum):
    """From which severity on findings are reported."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


_ORDER = tuple(Least)


@with_option_groups
def command(
    names: Annotated[
        list[str], typer.Argument(metavar="PACK...", help="Packs of custom_nodes, or paths of folders or files.")
    ],
    *,
    format: Annotated[Report, typer.Option("--format", help="text; json; sarif for code scanning.")] = Report.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    least: Annotated[Least, typer.Option("--least", help="Leave out what is less severe.")] = Least.NOTE,
    places: PackFolders,
    debug: DebugOption = False,
) -> None:
    """Tell what the code of packs may do: start programs, reach the network, install packages, hide code, ….

    Their files are read and never run. A finding is no proof: look at the line. Exit code 1 means that there is an
    error among what is reported; docs/pack-checks.md explains each code.
    """
    if as_json and format not in (Report.TEXT, Report.JSON):
        raise typer.BadParameter(f"--json and --format {format} ask for two reports", param_hint="--json")
    settings = places.settings()
    shown = _ORDER[: _ORDER.index(least) + 1]
    findings = {
        root: [each for each in check_pack(root) if each.severity in shown] for root in _roots(names, settings)
    }
    _write(findings, Report.JSON if as_json else format)
    if any(each.severity == "error" for found in findings.values() for each in found):
        raise typer.Exit(1)


def _roots(names: Sequence[str], settings: Settings) -> list[Path]:
    """Where the packs lie: what is a path with a slash in it, or is no pack's name, is taken as a path."""
    known = custom_packs(settings.custom_nodes)
    by_name = {pack.name for pack in known}
    roots: dict[Path, None] = {}
    for name in names:
        if name not in by_name and Path(name).exists():
            roots[Path(name)] = None
            continue
        for pack in chosen_packs(known, [name], settings.custom_nodes):
            if pack.path is not None:
                roots[pack.path] = None
    return list(roots)


def _write(findings: Findings, format: Report) -> None:
    match format:
        case Report.TEXT:
            for line in _text(findings):
                say(line)
        case Report.JSON:
            packs = [{"pack": str(root), "findings": list(map(asdict, found))} for root, found in findings.items()]
            say_json({"packs": packs})
        case Report.SARIF:
            say_json(_sarif(findings))


def _text(findings: Findings) -> Iterator[str]:
    for root, found in findings.items():
        counts = [plural(sum(each.severity == kind for each in found), kind) for kind in _ORDER]
        yield f"{root.name}: {', '.join(counts) if found else 'nothing found'}"
        for each in sorted(found, key=lambda each: _ORDER.index(Least(each.severity))):
            yield f"  {each.severity}: {each.file}:{each.line}: {each.message} [{each.code}]"


def _sarif(findings: Findings) -> _Json:
    from graphengine.cli.report_sarif import sarif_location, sarif_log  # with networkx behind it

    codes = sorted({each.code for found in findings.values() for each in found})
    results = [
        {
            "ruleId": each.code,
            "ruleIndex": codes.index(each.code),
            "level": each.severity,
            "message": {"text": each.message},
            "locations": [sarif_location(root if root.is_file() else root / each.file, each.line)],
        }
        for root, found in findings.items()
        for each in found
    ]
    rules: list[_Json] = [{"id": code, "shortDescription": {"text": RULES[code].meaning}} for code in codes]
    return sarif_log(rules, results, [], installed_version())
