"""Options that several commands share, and the engine that they ask for."""

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.pack_recovery import undo_killed_installs
from graphengine.settings import Settings
from graphengine.workflow.collector import collector_paused

if TYPE_CHECKING:
    from graphengine.engine import Engine

BaseDirOption = Annotated[
    Path | None,
    typer.Option(
        "--base-dir",
        metavar="DIR",
        help="Folder that holds input, output, models and custom_nodes, an existing ComfyUI folder for instance, "
        "with its extra_model_paths.yaml. Default: the current folder.",
    ),
]
InputOption = Annotated[
    Path | None,
    typer.Option(
        "--input",
        metavar="DIR",
        help="Folder of input pictures. An input folder beside the workflow is searched as well.",
    ),
]
OutputOption = Annotated[Path | None, typer.Option("--output", metavar="DIR", help="Folder for the results.")]
ModelsOption = Annotated[
    list[Path] | None,
    typer.Option("--models", metavar="DIR", help="Folder of model folders (checkpoints, vae, …). Repeatable."),
]
CustomNodesOption = Annotated[
    list[Path] | None, typer.Option("--custom-nodes", metavar="DIR", help="Folder of node packs. Repeatable.")
]
CacheOption = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        metavar="DIR",
        help="Folder for results kept between runs. Default: $GRAPHENGINE_CACHE, or graphengine in the user's "
        "cache folder.",
    ),
]
NoCacheOption = Annotated[bool, typer.Option("--no-cache", help="Keep nothing on disk and take nothing from it.")]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1, mps or xpu. Default: auto."),
]
LoadPacksOption = Annotated[
    bool,
    typer.Option("--load-packs", help="Import the packs in custom_nodes that are named, which runs their code."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write the result as JSON.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")]


def examples(*lines: str) -> str:
    """The end of a help text; each line is a command that works."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def open_engine(settings: Settings) -> "Engine":
    """The engine for the settings."""
    undo_killed_installs(settings.custom_nodes)
    with collector_paused():
        from graphengine.engine import Engine  # brings networkx (0.2 s), which help, schema and doctor do not need

        engine = Engine.from_settings(settings)
        gc.freeze()  # modules and definitions last as long as the process; the collector may pass over them
        return engine
