"""`graphengine nodes list` and `show`: which node types and packs there are, and what one is."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import complain, plural, say, say_json, table
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import (
    DebugOption,
    JsonOption,
    LoadPacksOption,
    ModelsOption,
    examples,
    open_engine,
)
from graphengine.cli.pack_folders import PackFolders
from graphengine.cli.pack_listing import pack_json, pack_lines, pack_rows, packs_of
from graphengine.errors import GraphEngineError, SettingsError, nearest
from graphengine.node.definition import Files, InputSpec, NodeDefinition
from graphengine.node.folders import Folders
from graphengine.node.object_info import definition_to_object_info
from graphengine.packs.discover import custom_packs
from graphengine.settings import Settings

if TYPE_CHECKING:
    from graphengine.engine import Engine
    from graphengine.packs.installing.upkeep import PackState

LIST_EXAMPLES = examples(
    "graphengine nodes list",
    "graphengine nodes list --category image",
    "graphengine nodes list --packs --workflows ~/flows",
)
SHOW_EXAMPLES = examples(
    "graphengine nodes show KSampler",
    "graphengine nodes show ComfyUI-Foo",
    "graphengine nodes show MyNode --load-packs --base-dir ~/ComfyUI",
    "graphengine nodes show KSampler --json",
)

WorkflowsOption = Annotated[
    Path | None,
    typer.Option(
        "--workflows", metavar="DIR", help="Folder whose workflows are looked through. Default: the base folder."
    ),
]

_MANY = 12  # choices shown as text
_RANGE_OPTIONS = ("default", "min", "max", "step")


@with_option_groups
def list_command(
    *,
    category: Annotated[
        str | None, typer.Option("--category", help="Only this category and those below it.")
    ] = None,
    packs: Annotated[
        bool, typer.Option("--packs", help="List the packs in custom_nodes, with versions and who uses them.")
    ] = False,
    workflows: WorkflowsOption = None,
    places: PackFolders,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the node types of installed packs, or the packs in custom_nodes.

    Packs in custom_nodes are loaded only when a workflow names them: --packs tells what they bring.
    """
    settings = places.settings()
    if packs:
        _list_packs(settings, workflows, places.base_dir, as_json=as_json)
        return
    engine = open_engine(settings)
    definitions = [
        definition
        for _, definition in sorted(engine.registry.items())
        if category is None or _is_in(definition.category, category)
    ]
    if as_json:
        say_json(
            {
                definition.class_type: {
                    "display_name": definition.display_name,
                    "category": definition.category,
                    "module": definition.module,
                }
                for definition in definitions
            }
        )
        return
    if not definitions:
        known = sorted({definition.category for definition in engine.registry.values()})
        raise GraphEngineError(f"no node type in category {category!r}", hint=_hint(category or "", known))
    for line in table((d.class_type, d.category, d.display_name) for d in definitions):
        say(line)
    say(plural(len(definitions), "node type"))
    if category is None and (count := len(custom_packs(settings.custom_nodes))):
        complain(f"{plural(count, 'pack')} in custom_nodes: graphengine nodes list --packs")


def _list_packs(settings: Settings, workflows: Path | None, base_dir: Path | None, *, as_json: bool) -> None:
    states, flows = packs_of(settings.custom_nodes), _workflows(workflows, base_dir)
    if as_json:
        say_json({state.name: pack_json(state, flows) for state in states})
        return
    for line in pack_rows(states, flows) if states else ():
        say(line)
    say(plural(len(states), "pack"))


def _workflows(folder: Path | None, base_dir: Path | None) -> dict[str, frozenset[str]]:
    from graphengine.packs.installing.usage import workflow_types

    place = folder or base_dir or Path.cwd()
    if not place.is_dir():
        raise SettingsError(f"there is no folder {str(place)!r}", hint="check --workflows")
    return workflow_types(place)


def _is_in(given: str, category: str) -> bool:
    return given == category or given.startswith(f"{category}/")


def _hint(name: str, known: list[str]) -> str | None:
    near = nearest(name, known)
    return f"did you mean {near!r}?" if near else None


@with_option_groups
def show_command(
    class_type: Annotated[str, typer.Argument(metavar="NAME", help="A node type, or a pack in custom_nodes.")],
    *,
    workflows: WorkflowsOption = None,
    places: PackFolders,
    models: ModelsOption = None,
    load_packs: LoadPacksOption = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show what a node type takes and gives, or what a pack in custom_nodes is.

    --json writes a node type as ComfyUI's /object_info does.
    """
    settings = places.settings(models=models)
    engine = open_engine(settings)
    state = next((state for state in packs_of(settings.custom_nodes) if state.name == class_type), None)
    if state is not None and class_type not in engine.registry:
        _show_pack(state, _workflows(workflows, places.base_dir), as_json=as_json)
        return
    definition = _definition(engine, class_type, load_packs=load_packs)
    if as_json:
        say_json({class_type: definition_to_object_info(definition, engine.folders)})
        return
    for line in definition_lines(definition, engine.folders):
        say(line)


def _show_pack(state: "PackState", workflows: dict[str, frozenset[str]], *, as_json: bool) -> None:
    if as_json:
        say_json({state.name: pack_json(state, workflows)})
        return
    for line in pack_lines(state, workflows):
        say(line)


def _definition(engine: "Engine", class_type: str, *, load_packs: bool) -> NodeDefinition:
    problems = engine.load_packs([class_type]) if load_packs else []
    definition = engine.registry.get(class_type)
    if definition is not None:
        return definition
    if problems:
        raise GraphEngineError(problems[0].message, hint=problems[0].hint)
    hint = _hint(class_type, list(engine.registry))
    if hint is None:
        hint = "graphengine nodes list shows what is installed; --load-packs looks into custom_nodes as well"
    raise GraphEngineError(f"there is no node type {class_type!r}", hint=hint)


def definition_lines(definition: NodeDefinition, folders: Folders) -> Iterator[str]:
    """The definition as text: what it is, its inputs with types and ranges, its outputs."""
    yield f"{definition.class_type}: {definition.display_name}"
    yield f"  category {definition.category or '(none)'}, from {definition.module or 'an unknown pack'}"
    marks = ("deprecated", definition.deprecated), ("experimental", definition.experimental)
    yield from (f"  {name}" for name, is_set in marks if is_set)
    if definition.description:
        yield f"  {definition.description}"
    yield "inputs" if definition.inputs else "inputs: none"
    rows = [(f"  {spec.name}", spec.type, describe_input(spec, folders)) for spec in definition.inputs.values()]
    yield from table(rows)
    yield "outputs" if definition.outputs else "outputs: none"
    for index, output in enumerate(definition.outputs):
        yield f"  {index}  {output.type}  {output.name}{' (a list)' if output.is_list else ''}"


def describe_input(spec: InputSpec, folders: Folders) -> str:
    """Default, range and choices of an input in one line."""
    parts = [] if spec.required else ["optional"]
    parts += [f"{name} {spec.options[name]!r}" for name in _RANGE_OPTIONS if name in spec.options]
    if isinstance(spec.choices, Files):
        parts.append(f"a file of kind {spec.choices.kind}: {_names(spec.choices.names(folders))}")
    elif spec.choices is not None:
        parts.append(f"one of {_names([str(choice) for choice in spec.choices])}")
    return ", ".join(parts)


def _names(names: list[str]) -> str:
    if not names:
        return "there is none"
    return ", ".join(names[:_MANY]) + (f" and {len(names) - _MANY} more" if len(names) > _MANY else "")
