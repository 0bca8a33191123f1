"""What a node was given in a real run, for the test that calls it again.

`graphengine run FILE --record NODE` writes such a test and the folder that is read here. Values come from
safetensors, PNG and JSON files; models are made again by their loaders.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graphengine.cache.encoding import DamagedEncoding, decode
from graphengine.engine import Engine
from graphengine.errors import GraphEngineError
from graphengine.node.api import ExecutionBlocker
from graphengine.testing.calling import Many
from graphengine.testing.recorded_manifest import (
    MadeInput,
    Manifest,
    MissingInput,
    NeededFile,
    RecordingUnusable,
    SecretInput,
    StoredInput,
    read_manifest,
)
from graphengine.workflow.models import NodeId

__all__ = ["MODELS_VARIABLE", "NOT_EVALUATED", "Recording", "RecordingUnusable", "comparable", "shown"]

_LARGEST_RECIPE = 2**24
_LEVELS = 255.0
_INPUT_KINDS = ("input", "output", "temp")
#: Names a folder of model folders (checkpoints, vae, …) where recipes find what no pack ships.
MODELS_VARIABLE = "GRAPHENGINE_TEST_MODELS"


class _NotEvaluated:
    """Stands for a lazy input that the node did not ask for."""

    def __repr__(self) -> str:
        return "an input that was not evaluated when this was recorded"


#: Given for a lazy input that the node did not ask for; a node that uses it now does something else than then.
NOT_EVALUATED = _NotEvaluated()


# Any throughout: nodes give each other whatever they like.
@dataclass(frozen=True, slots=True)
class Recording:
    """The values of a recording in `folder`; recipes run on `engine`."""

    folder: Path
    manifest: Manifest
    engine: Engine

    @classmethod
    def beside(cls, test_file: str | Path, name: str, engine: Engine) -> "Recording":
        """The recording of that name beside a test file, with the files it needs put into the engine's folders.

        The test is skipped when a model file is needed that is not there: models are not recorded. Recipes look
        for them in the folder that `GRAPHENGINE_TEST_MODELS` names as well.

        Raises:
            RecordingUnusable: there is none, or it is damaged.
        """
        folder = Path(test_file).resolve().parent / name
        manifest = read_manifest(folder)
        models = [needed for needed in manifest.files if needed.file is None]
        recording = cls(folder, manifest, _with_models(engine, {needed.kind for needed in models}))
        for needed in manifest.files:
            if needed.file is not None:
                recording._put_in_place(needed, needed.file)
        for needed in models:
            # what the node itself names is looked for by the test's engine
            if (engine if needed.own else recording.engine).folders.find(needed.kind, needed.name) is None:
                elsewhere = (
                    "a pack has to ship it" if needed.own else f"{MODELS_VARIABLE} names a folder to look in"
                )
                _skip(f"the model file {needed.kind}/{needed.name} is not here; {elsewhere}")
        return recording

    def _put_in_place(self, needed: NeededFile, file: str) -> None:
        """Copy a file of the recording to where nodes look for it."""
        roots = self.engine.folders.roots(needed.kind if needed.kind in _INPUT_KINDS else "input")
        target = (roots[0] / needed.name).resolve()
        if not target.is_relative_to(roots[0].resolve()):
            raise RecordingUnusable(f"the file {needed.name!r} of {self.folder} leads out of its folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self._content(file))

    def input(self, name: str) -> Any:
        """The value of an input, as `run_node` takes it; several items as `Many`.

        The test is skipped when the value could not be recorded, or is a secret that the environment lacks.

        Raises:
            RecordingUnusable: there is no such input, or its file is damaged.
        """
        match self.manifest.inputs.get(name):
            case StoredInput(files=files, as_items=as_items):
                return self._value(self._stored(files), as_items=as_items)
            case MadeInput(node=node, output=output):
                return self._value(self._made(NodeId(node), output))
            case SecretInput(variable=variable):
                if variable not in os.environ:
                    _skip(f"input {name!r} is a secret, which was not recorded; set {variable} to run this")
                return os.environ[variable]
            case MissingInput(reason=reason):
                _skip(f"input {name!r} was not recorded: {reason}; give a value of your own in the test")
        raise RecordingUnusable(
            f"the recording in {self.folder} has no input {name!r}", hint="record the node again"
        )

    def _value(self, items: tuple[Any, ...], *, as_items: bool = False) -> Any:
        """The items in the form in which a node is given them."""
        definition = self.engine.registry.get(self.manifest.class_type)
        if definition is not None and definition.input_is_list:
            return list(items)
        return items[0] if len(items) == 1 and not as_items else Many(*items)

    def _stored(self, files: tuple[str, ...]) -> tuple[Any, ...]:
        if files and files[0].endswith(".png"):
            return (self._pictures(files),)
        content = self._content(files[0])
        try:
            slots = decode(content if files[0].endswith(".safetensors") else content.decode())
        except (DamagedEncoding, UnicodeDecodeError) as error:
            raise RecordingUnusable(
                f"the file {self.folder / files[0]} is damaged: {error}", hint="take it from version control"
            ) from error
        return slots[0]

    def _pictures(self, files: tuple[str, ...]) -> Any:
        """An IMAGE, (batch, height, width, channels), or a MASK, (batch, height, width), in 0..1."""
        import torch

        from graphengine.testing.golden_pictures import read_picture  # with Pillow behind it

        levels = torch.stack([torch.tensor(read_picture(self.folder / file)) for file in files])
        value = levels.float() / _LEVELS
        return value[..., 0] if value.shape[-1] == 1 else value

    def _made(self, node: NodeId, output: int) -> tuple[Any, ...]:
        """What a node of the recipe gives; those that several inputs need run once, the engine keeps them."""
        if self.manifest.recipe is None:
            raise RecordingUnusable(f"{self.folder} has no recipe", hint="record the node again")
        file = self.folder / self.manifest.recipe
        if file.is_file() and file.stat().st_size > _LARGEST_RECIPE:
            raise RecordingUnusable(f"{file} is too large for a recipe")
        workflow = self.engine.read(file).workflow
        outputs = self.engine.run(workflow, targets=[node]).outputs(node)
        if outputs is None or output >= len(outputs.slots):
            raise RecordingUnusable(
                f"node {node} in {file} gives no output {output}", hint="record the node again"
            )
        return outputs.slots[output]

    def _content(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise RecordingUnusable(
                f"the file {self.folder / name} cannot be read: {error.strerror}",
                hint="commit the folder beside its test, or record the node again",
            ) from error


def _with_models(engine: Engine, kinds: Collection[str]) -> Engine:
    """The engine with the folder of models that the environment names."""
    root = os.environ.get(MODELS_VARIABLE)
    if not root:
        return engine
    known = engine.folders.models
    models = {**known, **{kind: (*known.get(kind, ()), Path(root) / kind) for kind in kinds}}
    return replace(engine, folders=replace(engine.folders, models=models))


def _skip(reason: str) -> None:
    import pytest  # an extra; whoever calls this runs in it

    pytest.skip(reason)


def comparable(value: Any) -> dict[str, Any]:
    """The parts of a value by their places, in a form that `golden` can hold.

    Arrays and pictures become tensors, bytes become numbers, and a blocker becomes its message.

    Raises:
        GraphEngineError: it holds an object.
    """
    parts: dict[str, Any] = {}
    waiting: list[tuple[str, Any]] = [("value", value)]
    while waiting:
        place, item = waiting.pop()
        if isinstance(item, Mapping):
            parts[place] = f"dict of {sorted(map(str, item))}"
            waiting.extend((f"{place}.{key}", member) for key, member in item.items())
        elif isinstance(item, list | tuple):
            parts[place] = f"list of {len(item)}"
            waiting.extend((f"{place}[{index}]", member) for index, member in enumerate(item))
        else:
            parts[place] = _leaf(place, item)
    return parts


def _leaf(place: str, item: Any) -> Any:
    import numpy
    import torch
    from PIL import Image

    match item:
        case None | str() | bool() | int() | float() | torch.Tensor():
            return item
        case ExecutionBlocker(message=message):
            return f"a blocker: {message}" if message is not None else "a blocker"
        case bytes():
            return torch.tensor(list(item), dtype=torch.uint8)
        case numpy.ndarray() | numpy.generic() | Image.Image():
            return torch.from_numpy(numpy.array(item))
    raise GraphEngineError(f"{place} is {type(item).__qualname__}, which no file can hold")


def shown(ui: Mapping[str, Any]) -> dict[str, Any]:
    """What a node shows, without the names of the files it saved, which are other ones each time."""
    found: dict[str, Any] = {}
    for name, items in ui.items():
        listed = list(items) if isinstance(items, list | tuple) else [items]
        found[name] = [_unnamed(item) for item in listed]
    return found


def _unnamed(item: Any) -> Any:
    if not isinstance(item, Mapping) or not isinstance(item.get("filename"), str):
        return item
    return {"type": str(item.get("type", "")), "suffix": Path(item["filename"]).suffix}
