"""`graphengine doctor`: what is installed, what it can compute on, and what does not fit together."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import typer

from graphengine.cli.console import plural, problem_lines, say, say_json, table
from graphengine.cli.diagnosis import diagnose
from graphengine.cli.facts import Facts, FolderFacts, PackFacts
from graphengine.cli.models import format_size
from graphengine.cli.options import (
    BaseDirOption,
    CacheOption,
    CustomNodesOption,
    DebugOption,
    InputOption,
    JsonOption,
    ModelsOption,
    OutputOption,
    examples,
)
from graphengine.errors import Problem
from graphengine.settings import load_settings

EXAMPLES = examples("graphengine doctor", "graphengine doctor --base-dir ~/ComfyUI", "graphengine doctor --json")


def command(
    base_dir: BaseDirOption = None,
    input: InputOption = None,
    output: OutputOption = None,
    models: ModelsOption = None,
    custom_nodes: CustomNodesOption = None,
    cache: CacheOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Check the installation and say what to do.

    Reports versions, devices, folders and node packs, and what to do about each thing that does not fit.
    """
    from graphengine.cli.probe import gather  # brings subprocesses and ctypes, which no other command needs

    settings = load_settings(
        base_dir=base_dir,
        input=input,
        output=output,
        models=models or (),
        custom_nodes=custom_nodes or (),
        cache=cache,
        environ=os.environ,
    )
    facts = gather(settings)
    problems = diagnose(facts)
    if as_json:
        say_json({"facts": asdict(facts), "problems": [asdict(problem) for problem in problems]})
    else:
        for line in (*fact_lines(facts), "", *problem_lines(problems), _verdict(problems)):
            say(line)
    if any(problem.severity == "error" for problem in problems):
        raise typer.Exit(1)


def _verdict(problems: Sequence[Problem]) -> str:
    errors = sum(problem.severity == "error" for problem in problems)
    if errors:
        return f"{plural(errors, 'problem')} to solve"
    return "ready, with warnings" if problems else "everything is fine"


def fact_lines(facts: Facts) -> Iterator[str]:
    """The facts as text."""
    yield f"Python {'.'.join(map(str, facts.python))} on {facts.platform}"
    yield "packages"
    yield from table((f"  {name}", package.version or "not installed") for name, package in facts.packages.items())
    yield "devices"
    for device in facts.torch.devices if facts.torch else ():
        yield f"  {device}"
    if facts.torch:
        yield f"  torch is built for {_build(facts)}"
    if facts.driver:
        cuda = ".".join(map(str, facts.driver.cuda)) if facts.driver.cuda else "an unknown CUDA"
        yield f"  NVIDIA driver {facts.driver.version or '(unknown)'}, up to CUDA {cuda}"
    yield "folders"
    yield from table((f"  {folder.name}", _state(folder), folder.path) for folder in facts.folders)
    if facts.cache_bytes is not None:
        yield f"  the cache holds {format_size(facts.cache_bytes)}"
    yield "packs"
    yield from table((f"  {pack.name}", _contents(pack)) for pack in facts.packs)


def _build(facts: Facts) -> str:
    if facts.torch is None:
        return "nothing"
    if facts.torch.cuda:
        return f"CUDA {facts.torch.cuda}"
    return f"ROCm {facts.torch.hip}" if facts.torch.hip else "the CPU"


def _state(folder: FolderFacts) -> str:
    if not folder.exists:
        return "not there yet" if folder.writable or not folder.is_written else "cannot be made"
    free = f", {format_size(folder.free)} free" if folder.free is not None and folder.is_written else ""
    return f"{'writable' if folder.writable else 'read only'}{free}"


def _contents(pack: PackFacts) -> str:
    if pack.error:
        return "cannot be loaded"
    if pack.nodes is not None:
        return plural(pack.nodes, "node type")
    place = " in a process of its own" if pack.is_isolated else ""
    return f"loaded{place} by a run that names its nodes" if pack.is_trusted else "not trusted by this project"
