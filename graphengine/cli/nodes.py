"""`graphengine nodes`: which node types there are, and what one takes and gives."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import plural, say, say_json, table
from graphengine.cli.options import (
    BaseDirOption,
    CustomNodesOption,
    DebugOption,
    JsonOption,
    LoadPacksOption,
    ModelsOption,
    examples,
    open_engine,
)
from graphengine.errors import GraphEngineError, nearest
from graphengine.node.definition import Files, InputSpec, NodeDefinition
from graphengine.node.folders import Folders
from graphengine.node.object_info import definition_to_object_info
from graphengine.settings import load_settings

if TYPE_CHECKING:
    from graphengine.engine import Engine

LIST_EXAMPLES = examples("graphengine nodes list", "graphengine nodes list --category image")
SHOW_EXAMPLES = examples(
    "graphengine nodes show KSampler",
    "graphengine nodes show MyNode --load-packs --base-dir ~/ComfyUI",
    "graphengine nodes show KSampler --json",
)

_MANY = 12  # choices shown as text
_RANGE_OPTIONS = ("default", "min", "max", "step")


def list_command(
    category: Annotated[
        str | None, typer.Option("--category", help="Only this category and those below it.")
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the node types of installed packs. Packs in custom_nodes are loaded only when a workflow names them."""
    engine = open_engine(load_settings(runs_nothing=True, environ=os.environ))
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


def _is_in(given: str, category: str) -> bool:
    return given == category or given.startswith(f"{category}/")


def _hint(name: str, known: list[str]) -> str | None:
    near = nearest(name, known)
    return f"did you mean {near!r}?" if near else None


def show_command(
    class_type: Annotated[str, typer.Argument(metavar="CLASS", help="A node type.")],
    base_dir: BaseDirOption = None,
    models: ModelsOption = None,
    custom_nodes: CustomNodesOption = None,
    load_packs: LoadPacksOption = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show what a node type takes and gives; --json writes it as ComfyUI's /object_info does."""
    settings = load_settings(
        base_dir=base_dir,
        models=models or (),
        custom_nodes=custom_nodes or (),
        runs_nothing=True,
        environ=os.environ,
    )
    engine = open_engine(settings)
    definition = _definition(engine, class_type, load_packs=load_packs)
    if as_json:
        say_json({class_type: definition_to_object_info(definition, engine.folders)})
        return
    for line in definition_lines(definition, engine.folders):
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
