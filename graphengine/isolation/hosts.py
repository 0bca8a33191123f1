"""Which packs run isolated, and their workers: what the engine puts in the place of an import."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from graphengine.errors import PackError, Problem
from graphengine.isolation.environments import PackEnvironment, environment_of
from graphengine.isolation.process import WorkerProcess
from graphengine.isolation.stand_in_class import RemoteClass, stand_in_class
from graphengine.node.definition import NodeDefinition
from graphengine.node.folders import Folders
from graphengine.packs.discover import Pack
from graphengine.packs.project import PackOptions
from graphengine.packs.stand_ins import Surroundings
from graphengine.settings import Settings

_ENVIRONMENT = "isolated environment"


@dataclass
class IsolatedPack:
    """A pack whose code runs in a worker (see `packs.elsewhere`)."""

    environment: PackEnvironment
    options: PackOptions
    settings: Settings
    _classes: dict[str, tuple[NodeDefinition, type[Any]]] = field(default_factory=dict)
    _definitions: dict[str, NodeDefinition] = field(default_factory=dict)
    _worker: WorkerProcess | None = None

    def describe(self, surroundings: Surroundings | None) -> tuple[bytes, tuple[Problem, ...]]:
        """The record of the pack, as the worker that imports it makes it, and what could not be read.

        Raises:
            PackError: it cannot be imported there, or has no environment.
        """
        worker = self._started(surroundings)
        try:
            answer = worker.ask({"kind": "describe"})
        except Exception as error:
            if isinstance(error, PackError):
                raise
            raise PackError(
                f"pack {self.environment.pack.name!r} cannot be read in its process: {error}",
                hint=getattr(error, "hint", None) or "run again with --debug to see where",
            ) from error
        if not isinstance(answer.value, bytes):
            raise PackError(
                f"the process of pack {self.environment.pack.name!r} gave no record", hint="report this"
            )
        return answer.value, tuple(Problem(**problem) for problem in answer.head.get("problems", ()))

    def node_class(self, class_type: str, surroundings: Surroundings | None) -> type[Any]:
        """The class to call in place of the pack's own; nothing runs before one of its methods is called.

        Raises:
            PackError: the pack has no environment, or no such node.
        """
        definition = self._definitions.get(class_type)
        if definition is None:
            raise PackError(f"pack {self.environment.pack.name!r} has no node {class_type!r} any more")
        known = self._classes.get(class_type)
        if known is None or known[0] is not definition:
            send = Surroundings().send if surroundings is None else surroundings.send
            remote = RemoteClass(self._started(surroundings), definition, send)
            known = self._classes[class_type] = definition, stand_in_class(remote)
        return known[1]

    def adapted(self, definition: NodeDefinition) -> NodeDefinition:
        """The definition as the engine is to see it: with the packages of the environment, and no coroutine."""
        packages = {**definition.packages, _ENVIRONMENT: self._packages}
        adapted = replace(definition, packages=packages, is_async=False)
        self._definitions[definition.class_type] = adapted
        return adapted

    @cached_property
    def _packages(self) -> str:
        try:
            found = self.environment.packages()
        except PackError:  # a call will tell
            return "absent"
        text = "\n".join(f"{name}=={version}" for name, version in sorted(found.items()))
        return sha256(text.encode()).hexdigest()[:16]

    def _started(self, surroundings: Surroundings | None) -> WorkerProcess:
        if self._worker is None:
            self.environment.packages()
            folders = self.settings.folders if surroundings is None else surroundings.folders
            self._worker = WorkerProcess(
                self.environment.pack.name,
                self.environment.python,
                self.options,
                self._start(folders),
                tuple(_made(folder) for folder in (folders.output, folders.temp))
                if self.options.read_only
                else (),
            )
        return self._worker

    def _start(self, folders: Folders) -> Mapping[str, Any]:
        pack, records = self.environment.pack, self.settings.packs
        return {
            "kind": "start",
            "pack": [pack.name, pack.module, str(pack.path.absolute() if pack.path else "")],
            "folders": {
                "input": [str(path) for path in folders.input],
                "output": str(folders.output),
                "temp": str(folders.temp),
                "models": {kind: [str(path) for path in paths] for kind, paths in folders.models.items()},
            },
            "records": None if records is None else str(records),
            "memory": self.options.memory,
            "numerics": asdict(self.settings.numerics),
        }

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.close()


def isolated_packs(settings: Settings, packs: Iterable[Pack]) -> dict[Pack, IsolatedPack]:
    """Those of the packs that the project wants isolated."""
    found: dict[Pack, IsolatedPack] = {}
    for pack in packs:
        options = settings.project.options(pack.name)
        if options.isolate:
            found[pack] = IsolatedPack(environment_of(pack, settings.environments), options, settings)
    return found


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
