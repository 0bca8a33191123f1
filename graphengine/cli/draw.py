"""`graphengine draw`: a picture of a workflow, with its problems in red."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from graphengine.cli.console import complain, plural, problem_lines, say
from graphengine.cli.definitions import DefinitionsOption, engine_for, read_definitions
from graphengine.cli.files import write_whole
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import (
    DebugOption,
    LoadPacksOption,
    examples,
)
from graphengine.cli.pack_folders import PackFolders
from graphengine.cli.reading import FromOption, read_workflow
from graphengine.errors import SettingsError

EXAMPLES = examples(
    "graphengine draw flow.json -o graph.svg",
    "graphengine draw picture.png -o graph.mmd",
    "graphengine draw flow.json --definitions object_info.json --format dot | dot -Tpdf > graph.pdf",
)


class Drawing(StrEnum):
    """What a picture can be written as."""

    SVG = "svg"
    MERMAID = "mmd"
    DOT = "dot"


@with_option_groups
def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A saved workflow, or a picture that carries one.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="File to write: .svg, .mmd or .dot. Default: stdout."),
    ] = None,
    format: Annotated[
        Drawing | None,
        typer.Option("--format", help="What to write. Default: by the suffix of --output, else svg."),
    ] = None,
    wanted: FromOption = None,
    definitions: DefinitionsOption = None,
    places: PackFolders,
    load_packs: LoadPacksOption = False,
    debug: DebugOption = False,
) -> None:
    """Draw what runs: nodes in columns, links in the colours of their types, problems in red.

    Problems are drawn and do not fail; those of no node are also written to stderr.

    A Mermaid file (.mmd) shows in Markdown, a .dot file is for Graphviz.
    """
    # the picture brings networkx (0.2 s), which help does not need
    from graphengine.graph.picture import Picture, make_picture
    from graphengine.graph.picture_svg import to_svg
    from graphengine.graph.picture_text import to_dot, to_mermaid

    writers: Mapping[Drawing, Callable[[Picture, str], str]] = {
        Drawing.SVG: to_svg,
        Drawing.MERMAID: to_mermaid,
        Drawing.DOT: to_dot,
    }
    writer = writers[_format(format, output)]
    settings = places.settings(workflow=file)
    with engine_for(settings, read_definitions(definitions) if definitions is not None else None) as engine:
        conversion = read_workflow(engine, file, load_packs=load_packs, wanted=wanted)
        workflow = conversion.workflow
        problems = list(dict.fromkeys([*conversion.problems, *engine.validate(workflow)]))
        picture = make_picture(workflow, engine.registry, problems)
    for line in problem_lines(picture.loose):  # of no node that is drawn
        complain(line)
    errors = sum(problem.severity == "error" for problem in problems)
    counts = [plural(len(picture.boxes), "node"), plural(len(picture.wires), "link")]
    counts += [plural(errors, "problem")] if errors else []
    counts += [plural(len(problems) - errors, "warning")] if len(problems) > errors else []
    text = writer(picture, f"{file.name}: {', '.join(counts)}")
    if output is None:
        say(text.removesuffix("\n"))
    else:
        write_whole(output, text)
        complain(f"{output}: {', '.join(counts)}")


def _format(format: Drawing | None, output: Path | None) -> Drawing:
    """What to write.

    Raises:
        SettingsError: the suffix of the file to write says nothing.
    """
    if format is not None:
        return format
    if output is None:
        return Drawing.SVG
    try:
        return Drawing(output.suffix.lower().removeprefix("."))
    except ValueError:
        raise SettingsError(
            f"cannot tell from {output.name!r} what to draw",
            hint="end it with .svg, .mmd or .dot, or give --format",
        ) from None
